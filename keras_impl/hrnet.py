"""HRNet for keypoints: resolutions side by side that read each other after every few blocks."""

from collections.abc import Sequence
from typing import Any

from keras import layers

from keras_impl.residual import TopDown, run_blocks, run_units
from shared.arch.hrnet import STAGES, HrnetSpec, Module


class Hrnet(TopDown):
    """See `TopDown`."""

    @staticmethod
    def heat(spec: HrnetSpec, images: Any) -> Any:
        x = run_units(spec.stem(), images)
        maps = [run_blocks(spec.layer1(), x)]
        for stage in STAGES:
            maps = _transition(spec, stage, maps)
            for module in spec.modules(stage):
                maps = _module(module, maps)
        return run_units(spec.head(), maps[0])


def _transition(spec: HrnetSpec, stage: int, maps: Sequence[Any]) -> list[Any]:
    units = spec.transition(stage)
    return [run_units([units[b]], maps[-1]) if b in units else maps[b] for b in range(stage)]


def _module(module: Module, maps: Sequence[Any]) -> list[Any]:
    maps = [run_blocks(blocks, x) for blocks, x in zip(module.branches, maps, strict=True)]
    fused = []
    for target, sources in enumerate(module.fuse):
        terms = []
        for source, units in enumerate(sources):
            term = run_units(units, maps[source])
            if source > target:
                term = layers.UpSampling2D(2 ** (source - target), interpolation="nearest")(term)
            terms.append(term)
        fused.append(layers.ReLU()(layers.Add()(terms)))
    return fused
