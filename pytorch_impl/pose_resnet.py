"""PoseResNet ("Simple Baselines"): a ResNet, then three enlargements."""

import torch

from pytorch_impl.residual import TopDown, pool, run_blocks, run_units
from shared.arch.pose_resnet import PoseResnetSpec


class PoseResnet(TopDown):
    """See `TopDown`."""

    spec: PoseResnetSpec

    def heat(self, images: torch.Tensor) -> torch.Tensor:
        x = pool(run_units(self, self.spec.stem(), images))
        x = run_blocks(self, self.spec.blocks(), x)
        return run_units(self, self.spec.head(), x)
