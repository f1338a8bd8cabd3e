"""PoseResNet, "Simple Baselines" (Xiao et al., ECCV 2018): a ResNet and three transposed convolutions, as rows.

Names are those of the publication's code, which for the ResNet are torchvision's.
"""

from dataclasses import dataclass

from shared.arch.residual import Block, Row, TopDownSpec, Unit, bottleneck, enlarging, rows_of

LAYOUTS = {  # blocks of each layer
    "pose_resnet_50": (3, 4, 6, 3),
    "pose_resnet_101": (3, 4, 23, 3),
    "pose_resnet_152": (3, 8, 36, 3),
}


@dataclass(frozen=True)
class PoseResnetSpec(TopDownSpec):
    """The three published depths, by name."""

    name: str = "pose_resnet_50"

    family = "pose_resnet"

    def stem(self) -> list[Unit]:
        """Then a maximum of 3x3 with stride 2."""
        return [Unit("conv1", 7, 3, self.scaled(64), 2, "bn1", True, stride=2)]

    def blocks(self) -> list[Block]:
        found: list[Block] = []
        cin, cell = self.scaled(64), 4
        for layer, n in enumerate(LAYOUTS[self.name], start=1):
            hidden = self.scaled(32 * 2**layer)
            for i in range(n):
                stride = 2 if i == 0 and layer > 1 else 1
                cell *= stride
                found.append(bottleneck(f"layer{layer}.{i}", cin, hidden, 4 * hidden, cell, stride))
                cin = 4 * hidden
        return found

    def head(self) -> list[Unit]:
        c = self.scaled(256)
        return [
            enlarging(0, 4 * self.scaled(512), c, 16),
            enlarging(3, c, c, 8),
            enlarging(6, c, c, 4),
            self.final(c),
        ]

    def rows(self) -> list[Row]:
        return [*self.stem(), *rows_of(self.blocks()), *self.head()]
