"""Parameters and multiply-adds of a network, by the rule of published tables and as they are.

The published rule, that of humanpose.pytorch, counts convolutions and batch norms alone, and a transposed convolution
as if each of its outputs read its whole kernel: four times too much at stride 2.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from shared.arch import catalogue
from shared.arch.mobilenet_v2_small import MobilenetV2SmallSpec
from shared.arch.residual import Unit
from shared.arch.rows import Conv

BOTTOM_UP_SIZE = (368, 368)


@dataclass(frozen=True)
class Count:
    """For one image of `size` (height, width).  The last two are by the published rule."""

    size: tuple[int, int]
    parameters: int
    multiply_adds: int
    published_parameters: int
    published_multiply_adds: int


def count(spec: Any, size: tuple[int, int] | None = None) -> Count:
    """Count a network at `size`, or at its own (368x368 if it sees whole images)."""
    if catalogue.top_down(spec):
        spec = spec if size is None else replace(spec, size=size)
        convolutions = list(_top_down(spec))
        size = spec.size
    else:
        size = size or BOTTOM_UP_SIZE
        convolutions = list(_bottom_up(spec, size))
    parameters = catalogue.n_parameters(spec)
    learnt = catalogue.learnt(spec).items()
    layer_norms_and_slopes = [shape for name, shape in learnt if len(shape) == 3 or "prelu" in name]
    return Count(
        size,
        parameters,
        sum(weights * cells // (4 if transposed else 1) for weights, cells, transposed in convolutions),
        parameters - sum(map(prod, layer_norms_and_slopes)),
        sum(weights * cells for weights, cells, _ in convolutions),
    )


def _top_down(spec: Any) -> Iterator[tuple[int, int, bool]]:
    """For each convolution: weights, cells of its output, whether it is a transposed one."""
    for row in spec.rows():
        for unit in (row,) if isinstance(row, Unit) else (row.mask, row.squeeze, row.expand):
            yield prod(unit.shape), _cells(spec.size, unit.cell) if unit.cell else 1, unit.transposed


def _bottom_up(spec: Any, size: tuple[int, int]) -> Iterator[tuple[int, int, bool]]:
    cell = 1
    if isinstance(spec, MobilenetV2SmallSpec):
        n_trunk = 1 + sum(len(block.units) for block in spec.blocks())
        for i, unit in enumerate(spec.units()):
            cell = cell * unit.stride if i < n_trunk else spec.stride
            yield prod(unit.tensors()[f"{unit.name}.weight"]), _cells(size, cell), False
        return
    for row in spec.rows():
        if isinstance(row, Conv):
            yield row.kernel**2 * row.cin * row.cout, _cells(size, cell), False
        else:
            cell *= 2


def _cells(size: tuple[int, int], cell: int) -> int:
    """Cells of that side on an image, those that it covers in part too."""
    return prod(-(-side // cell) for side in size)
