"""OpenPose as in the paper (CVPR 2017): a trunk, then stages of two branches that read each other's maps."""

import torch
from torch import nn

from pytorch_impl.layers import add_rows, run_rows
from shared.arch.openpose import OpenPoseSpec


class OpenPose(nn.Module):
    """Images (N, 3, H, W) to {layer name: (N, C, h, w)} for both branches of every stage."""

    def __init__(self, spec: OpenPoseSpec) -> None:
        super().__init__()
        self.spec = spec
        add_rows(self, spec.rows())

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        feature = x = run_rows(self, self.spec.trunk(), images)
        outputs = {}
        for stage in range(1, self.spec.stages + 1):
            paf_rows, heat_rows = self.spec.branch(stage, "paf"), self.spec.branch(stage, "heat")
            paf = outputs[paf_rows[-1].name] = run_rows(self, paf_rows, x)
            heat = outputs[heat_rows[-1].name] = run_rows(self, heat_rows, x)
            x = torch.cat([paf, heat, feature], dim=1)
        return outputs
