"""HRNet for keypoints: resolutions side by side that read each other after every few blocks."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from pytorch_impl.residual import TopDown, run_blocks, run_units
from shared.arch.hrnet import STAGES, HrnetSpec, Module


class Hrnet(TopDown):
    """See `TopDown`."""

    spec: HrnetSpec

    def heat(self, images: torch.Tensor) -> torch.Tensor:
        x = run_units(self, self.spec.stem(), images)
        maps = [run_blocks(self, self.spec.layer1(), x)]
        for stage in STAGES:
            maps = self._transition(stage, maps)
            for module in self.spec.modules(stage):
                maps = self._module(module, maps)
        return run_units(self, self.spec.head(), maps[0])

    def _transition(self, stage: int, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        units = self.spec.transition(stage)
        return [run_units(self, [units[b]], maps[-1]) if b in units else maps[b] for b in range(stage)]

    def _module(self, module: Module, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        maps = [run_blocks(self, blocks, x) for blocks, x in zip(module.branches, maps, strict=True)]
        fused = []
        for target, sources in enumerate(module.fuse):
            terms = []
            for source, units in enumerate(sources):
                term = run_units(self, units, maps[source])
                if source > target:
                    size = maps[target].shape[-2:]  # not 2 ** (source - target): the exporter to ONNX keeps any size
                    term = functional.interpolate(term, size, mode="nearest")
                terms.append(term)
            fused.append(functional.relu(sum(terms[1:], terms[0])))
        return fused
