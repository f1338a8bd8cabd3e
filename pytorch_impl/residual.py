"""What the networks for one person share: convolutions with their norms, residual blocks, LPN's attention."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional

from shared.arch.residual import FINAL, NORM_EPSILON, Block, Context, TopDownSpec, Unit


class TopDown(nn.Module):
    """Images (N, 3, H, W) to {"final_layer": (N, K, H / 4, W / 4)}; H and W are multiples of 32."""

    def __init__(self, spec: TopDownSpec) -> None:
        super().__init__()
        self.spec = spec
        self.parts: dict[str, nn.Module] = {}  # by name: `get_submodule` takes longer than a small convolution
        for row in spec.rows():
            if isinstance(row, Unit):
                self._add_unit(row)
            else:
                self._add_unit(row.mask)
                self._add_unit(row.squeeze)
                self._add(row.norm, nn.LayerNorm([row.hidden, 1, 1], eps=NORM_EPSILON))
                self._add_unit(row.expand)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return {FINAL: self.heat(images)}

    def heat(self, images: torch.Tensor) -> torch.Tensor:
        """The output, by the wiring of the family."""
        raise NotImplementedError

    def _add_unit(self, unit: Unit) -> None:
        if unit.transposed:
            convolution: nn.Module = nn.ConvTranspose2d(
                unit.cin, unit.cout, unit.kernel, unit.stride, padding=1, groups=unit.groups, bias=unit.bias
            )
        else:
            convolution = nn.Conv2d(
                unit.cin, unit.cout, unit.kernel, unit.stride, unit.kernel // 2, groups=unit.groups, bias=unit.bias
            )
        self._add(unit.name, convolution)
        if unit.norm:
            self._add(unit.norm, nn.BatchNorm2d(unit.cout, eps=NORM_EPSILON))

    def _add(self, name: str, module: nn.Module) -> None:
        """Register `module` under a name with dots, and what is missing on the way."""
        *scopes, leaf = name.split(".")
        scope: nn.Module = self
        for part in scopes:
            if part not in dict(scope.named_children()):
                scope.add_module(part, nn.Module())
            scope = scope.get_submodule(part)
        scope.add_module(leaf, module)
        self.parts[name] = module


def run_units(network: TopDown, units: Iterable[Unit], x: torch.Tensor) -> torch.Tensor:
    """Apply `units` in order to x (N, C, H, W)."""
    for unit in units:
        x = network.parts[unit.name](x)
        if unit.norm:
            x = network.parts[unit.norm](x)
        if unit.relu:
            x = functional.relu(x, inplace=True)
    return x


def run_blocks(network: TopDown, blocks: Iterable[Block], x: torch.Tensor) -> torch.Tensor:
    """Apply `blocks` in order to x (N, C, H, W)."""
    for block in blocks:
        y = run_units(network, block.units, x)
        if block.context:
            y = attend(network, block.context, y)
        if block.downsample:
            x = run_units(network, [block.downsample], x)
        x = functional.relu(y + x, inplace=True)
    return x


def attend(network: TopDown, context: Context, x: torch.Tensor) -> torch.Tensor:
    """x (N, C, H, W) with LPN's global context added to every cell."""
    logits = run_units(network, [context.mask], x)
    weights = functional.softmax(logits.flatten(2), dim=2)  # (N, 1, HW)
    mean = weights @ x.permute(0, 2, 3, 1).flatten(1, 2)  # (N, 1, C)
    hidden = run_units(network, [context.squeeze], mean.transpose(1, 2)[..., None])
    hidden = functional.relu(network.parts[context.norm](hidden))
    return x + run_units(network, [context.expand], hidden)


def pool(x: torch.Tensor) -> torch.Tensor:
    """The maximum of 3x3 cells, stride 2, after ReLU."""
    return functional.max_pool2d(x, 3, stride=2, padding=1)
