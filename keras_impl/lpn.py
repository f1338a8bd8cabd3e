"""LPN: a ResNet of depthwise blocks with attention, then two depthwise enlargements."""

from typing import Any

from keras_impl.residual import TopDown, pool, run_blocks, run_units
from shared.arch.lpn import LpnSpec


class Lpn(TopDown):
    """See `TopDown`."""

    @staticmethod
    def heat(spec: LpnSpec, images: Any) -> Any:
        x = pool(run_units(spec.stem(), images))
        x = run_blocks(spec.blocks(), x)
        return run_units(spec.head(), x)
