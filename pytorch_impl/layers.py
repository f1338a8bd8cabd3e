"""Blocks that two networks share."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from shared.arch.rows import NORM_EPSILON, Conv, Row


def add_rows(module: nn.Module, rows: Sequence[Row]) -> None:
    """Register the convolutions of `rows`, and their PReLUs, on `module` under their published names."""
    for row in rows:
        if isinstance(row, Conv):
            module.add_module(row.name, nn.Conv2d(row.cin, row.cout, row.kernel, padding=row.kernel // 2))
            if row.norm:
                module.add_module(row.norm_name, nn.BatchNorm2d(row.cout, eps=NORM_EPSILON))
            if row.act == "prelu":
                module.add_module(row.act_name, nn.PReLU(row.cout))


def run_rows(module: nn.Module, rows: Sequence[Row], x: torch.Tensor) -> torch.Tensor:
    """Apply `rows` in order to x (N, C, H, W)."""
    for row in rows:
        if isinstance(row, Conv):
            x = module.get_submodule(row.name)(x)
            if row.norm:
                x = module.get_submodule(row.norm_name)(x)
            if row.act == "relu":
                x = functional.relu(x)
            elif row.act == "prelu":
                x = module.get_submodule(row.act_name)(x)
        else:
            x = functional.max_pool2d(x, 2, ceil_mode=True)  # Caffe rounds up
    return x
