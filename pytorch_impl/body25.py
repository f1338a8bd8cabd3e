"""BODY_25: PAF stages first, then heatmap stages; each a chain of dense blocks with PReLU."""

import torch
from torch import nn

from pytorch_impl.layers import add_rows, run_rows
from shared.arch.body25 import BLOCKS, Body25Spec


class Body25(nn.Module):
    """Images (N, 3, H, W) to {layer name: (N, C, h, w)} for every stage."""

    def __init__(self, spec: Body25Spec) -> None:
        super().__init__()
        self.spec = spec
        add_rows(self, spec.rows())

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        feature = run_rows(self, self.spec.trunk(), images)
        outputs = {}
        maps: dict[str, torch.Tensor] = {}  # the latest map of each field
        for field, stage in self.spec.sequence:
            previous = [maps[name] for name in ("heat", "paf") if name in maps]
            maps[field] = self._stage(field, stage, torch.cat([feature, *previous], dim=1))
            outputs[self.spec.head(field, stage)[-1].name] = maps[field]
        return outputs

    def _stage(self, field: str, stage: int, x: torch.Tensor) -> torch.Tensor:
        for block in BLOCKS:
            parts = []
            for row in self.spec.block(field, stage, block):
                x = run_rows(self, [row], x)
                parts.append(x)
            x = torch.cat(parts, dim=1)
        return run_rows(self, list(self.spec.head(field, stage)), x)
