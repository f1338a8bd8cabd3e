"""Blocks that two networks share."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from shared.arch.rows import NORM_EPSILON, Conv, Row


class PackedConv(nn.Module):
    """A convolution, with its ReLU if it has one, as oneDNN's own operation on a CPU, for inference.

    Its weight lies as oneDNN wants it; that of a `Conv2d` is turned round in every call.
    """

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self.bias = conv.bias
        self.how: list[Any] = [conv.padding, conv.stride, conv.dilation, conv.groups]
        self.after: list[Any] = ["relu" if relu else "none", [], ""]
        with torch.no_grad():
            self.weight = torch._C._nn.mkldnn_reorder_conv2d_weight(conv.weight.to_mkldnn(), *self.how)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, *self.how, *self.after)


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
            conv = module.get_submodule(row.name)
            x = conv(x)
            if row.norm:
                x = module.get_submodule(row.norm_name)(x)
            if row.act == "relu" and not isinstance(conv, PackedConv):
                x = functional.relu(x, inplace=True)
            elif row.act == "prelu":
                x = module.get_submodule(row.act_name)(x)
        else:
            x = functional.max_pool2d(x, 2, ceil_mode=True)  # Caffe rounds up
    return x
