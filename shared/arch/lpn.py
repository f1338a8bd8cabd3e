"""LPN, the lightweight pose network (Zhang et al. 2019): a ResNet of depthwise blocks with attention, as rows.

Names are those of zhang943/lpn-pytorch.  humanpose.pytorch adds 18, 34 and 100; with "h", each group of a 3x3 reads
two channels instead of one.  Its last code builds the "h" ones under both names; here both are as published.
"""

from dataclasses import dataclass, replace

from shared.arch.residual import Block, Context, Row, TopDownSpec, Unit, basic, bottleneck, enlarging, rows_of

_LEAST_HIDDEN = 16  # channels between the two layers of an attention, else a sixteenth of its map's


@dataclass(frozen=True)
class Layout:
    """Blocks of each layer.  `per_group`: input channels of a group of a basic block's 3x3; None for bottlenecks."""

    blocks: tuple[int, int, int, int]
    per_group: int | None = None


LAYOUTS = {
    "lpn_18": Layout((2, 2, 2, 2), 1),
    "lpn_18h": Layout((2, 2, 2, 2), 2),
    "lpn_34": Layout((3, 4, 6, 3), 1),
    "lpn_34h": Layout((3, 4, 6, 3), 2),
    "lpn_50": Layout((3, 4, 6, 3)),
    "lpn_100": Layout((3, 13, 30, 3)),
    "lpn_101": Layout((3, 4, 23, 3)),
    "lpn_152": Layout((3, 8, 36, 3)),
}


@dataclass(frozen=True)
class LpnSpec(TopDownSpec):
    """The eight published sizes, by name."""

    name: str = "lpn_50"

    family = "lpn"

    @property
    def layout(self) -> Layout:
        return LAYOUTS[self.name]

    @property
    def first(self) -> int:
        """Channels of layer1, even, so that the groups divide at every width; each layer has twice those before it."""
        return 2 * self.scaled(32)

    def stem(self) -> list[Unit]:
        """Then a maximum of 3x3 with stride 2."""
        return [Unit("conv1", 7, 3, self.first, 2, "bn1", True, stride=2)]

    def blocks(self) -> list[Block]:
        found: list[Block] = []
        cin, cell = self.first, 4
        for layer, n in enumerate(self.layout.blocks, start=1):
            cout = self.first * 2 ** (layer - 1)
            for i in range(n):
                stride = 2 if i == 0 and layer in (2, 3) else 1  # unlike ResNet's, layer4 keeps its size
                cell *= stride
                found.append(self._block(f"layer{layer}.{i}", cin, cout, cell, stride))
                cin = cout
        return found

    def _block(self, name: str, cin: int, cout: int, cell: int, stride: int) -> Block:
        if self.layout.per_group:
            groups = (cin // self.layout.per_group, cout // self.layout.per_group)
            block = basic(name, cin, cout, cell, stride, groups)
        else:
            block = bottleneck(name, cin, cout, cout, cell, stride, groups=cout)
        return replace(block, context=Context(f"{name}.att", cout, max(_LEAST_HIDDEN, cout // 16), cell))

    def head(self) -> list[Unit]:
        """Twice: each channel enlarged (the first time, each pair of them into one), then a 1x1."""
        c = 4 * self.first
        return [
            enlarging(0, 2 * c, c, 8, groups=c),
            Unit("deconv_layers.3", 1, c, c, 8, "deconv_layers.4", True),
            enlarging(6, c, c, 4, groups=c),
            Unit("deconv_layers.9", 1, c, c, 4, "deconv_layers.10", True),
            self.final(c),
        ]

    def rows(self) -> list[Row]:
        return [*self.stem(), *rows_of(self.blocks()), *self.head()]
