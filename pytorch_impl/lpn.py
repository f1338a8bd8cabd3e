"""LPN: a ResNet of depthwise blocks with attention, then two depthwise enlargements."""

import torch

from pytorch_impl.residual import TopDown, pool, run_blocks, run_units
from shared.arch.lpn import LpnSpec


class Lpn(TopDown):
    """See `TopDown`."""

    spec: LpnSpec

    def heat(self, images: torch.Tensor) -> torch.Tensor:
        x = pool(run_units(self, self.spec.stem(), images))
        x = run_blocks(self, self.spec.blocks(), x)
        return run_units(self, self.spec.head(), x)
