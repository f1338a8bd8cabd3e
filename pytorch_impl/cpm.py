"""OpenPose's hand and face networks: a convolutional pose machine with one branch."""

import torch
from torch import nn

from pytorch_impl.layers import add_rows, run_rows
from shared.arch.cpm import CpmSpec


class Cpm(nn.Module):
    """Images (N, 3, H, W) to {layer name: (N, C, h, w)} for every stage."""

    def __init__(self, spec: CpmSpec) -> None:
        super().__init__()
        self.spec = spec
        add_rows(self, spec.rows())

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        feature = x = run_rows(self, self.spec.trunk(), images)
        outputs = {}
        for stage in range(1, self.spec.stages + 1):
            rows = self.spec.branch(stage)
            heat = outputs[rows[-1].name] = run_rows(self, list(rows), x)
            x = torch.cat([heat, feature], dim=1)
        return outputs
