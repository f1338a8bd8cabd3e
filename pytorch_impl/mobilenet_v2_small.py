"""tf-pose-estimation's mobilenet_v2_small: a MobileNet-v2 trunk, then six stages of two separable branches."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional

from shared.arch.mobilenet_v2_small import (
    COARSE,
    EPSILON,
    FIELDS,
    FINE,
    MobilenetV2SmallSpec,
    Unit,
    same_padding,
)

_ACTIVATIONS = {"relu": functional.relu, "relu6": functional.relu6}


class MobilenetV2Small(nn.Module):
    """Images (N, 3, H, W) to {layer name: (N, C, h, w)} for both branches of every stage.

    The trunk normalises every image by its own statistics.  The original normalises by those of the batch, which is
    the same for its one image.
    """

    def __init__(self, spec: MobilenetV2SmallSpec) -> None:
        super().__init__()
        self.spec = spec
        self.enlarge = Enlarge()
        for unit in spec.units():
            *scopes, leaf = unit.name.split(".")
            scope: nn.Module = self
            for name in scopes:
                if not hasattr(scope, name):
                    scope.add_module(name, nn.Module())
                scope = scope.get_submodule(name)
            scope.add_module(leaf, _ConvUnit(unit))

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        feature = x = self._trunk(images)
        outputs = {}
        for stage in range(1, self.spec.stages + 1):
            maps = []
            for field in FIELDS:
                units = self.spec.branch(stage, field)
                maps.append(self._run(units, x))
                outputs[units[-1].name] = maps[-1]
            x = torch.cat([*maps, feature], dim=1)
        return outputs

    def _trunk(self, images: torch.Tensor) -> torch.Tensor:
        x = self._run([self.spec.first()], images)
        ends = []
        for block in self.spec.blocks():
            y = self._run(block.units, x)
            x = x + y if block.add else y
            ends.append(x)
        fine, coarse = ends[FINE], ends[COARSE]
        return torch.cat([fine, self.enlarge(coarse, fine)], dim=1)

    def _run(self, units: Iterable[Unit], x: torch.Tensor) -> torch.Tensor:
        for unit in units:
            x = self.get_submodule(unit.name)(x)
        return x


class _ConvUnit(nn.Conv2d):
    """A `Unit`: the convolution, and its norm as the child that the graph calls BatchNorm."""

    def __init__(self, unit: Unit) -> None:
        groups = unit.cin if unit.depthwise else 1
        padding = unit.kernel // 2 if unit.stride == 1 else 0
        super().__init__(unit.cin, unit.cout, unit.kernel, unit.stride, padding, groups=groups, bias=False)
        self.unit = unit
        if unit.norm:
            norm = ImageNorm if unit.norm == "image" else StoredNorm
            self.BatchNorm = norm(unit.cout, EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        unit = self.unit
        if unit.stride > 1:
            vertical, horizontal = (same_padding(size, unit.kernel, unit.stride) for size in x.shape[-2:])
            x = functional.pad(x, (*horizontal, *vertical))
        x = super().forward(x)
        if unit.norm:
            x = self.BatchNorm(x)
        return _ACTIVATIONS[unit.act](x) if unit.act else x


class ImageNorm(nn.Module):
    """Each channel of each image to mean 0 and variance 1 (biased, as TensorFlow normalises), then scale and shift."""

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x - x.mean(dim=(2, 3), keepdim=True)
        variance = x.square().mean(dim=(2, 3), keepdim=True)  # on the CPU ten times as fast as torch.var_mean
        scale = self.weight[:, None, None] * torch.rsqrt(variance + self.epsilon)
        return x * scale + self.bias[:, None, None]


class StoredNorm(nn.Module):
    """A batch norm without scale whose mean and variance stay as stored, in training too."""

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.batch_norm(x, self.running_mean, self.running_var, bias=self.bias, eps=self.epsilon)


class Enlarge(nn.Module):
    """x (N, C, H, W) at the size of `like`, bilinear as TensorFlow 1's ResizeBilinear.

    Output pixel i reads at i * H / height: neither corners nor pixel centres are aligned, so that
    `functional.interpolate` cannot do it.
    """

    def forward(self, x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        for axis in (2, 3):
            x = _enlarge_axis(x, axis, like.shape[axis])
        return x


def _enlarge_axis(x: torch.Tensor, axis: int, length: int) -> torch.Tensor:
    size = x.shape[axis]
    position = torch.arange(length, device=x.device) * size  # in units of 1 / length, so that it is exact
    before = position // length
    after = (before + 1).clamp(max=size - 1)
    part = (position - before * length).to(x.dtype) / length  # the exporter to ONNX has no % by a size
    low = x.index_select(axis, before)
    return low + (x.index_select(axis, after) - low) * part.reshape((-1, 1) if axis == 2 else (-1,))
