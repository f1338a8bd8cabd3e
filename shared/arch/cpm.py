"""OpenPose's hand and face networks: a convolutional pose machine with one branch (heatmaps only), as rows."""

from dataclasses import dataclass

from shared import skeleton
from shared.arch.rows import Conv, Row, scaled, tensors, vgg


@dataclass(frozen=True)
class CpmSpec:
    """Six stages; `width` scales every hidden layer.  The hand and the face file differ in their names only."""

    name: str = "hand21"
    skeleton: str = "hand21"
    stages: int = 6
    width: float = 1.0

    family = "cpm"
    stride = 8

    @property
    def channels(self) -> dict[str, int]:
        return {"heat": skeleton.skeleton(self.skeleton).n_heat}

    @property
    def feature(self) -> int:
        return scaled(self.width, 128)

    @property
    def face(self) -> bool:
        return self.skeleton == "face70"

    def _relu(self, conv: str, hand: str) -> str:
        return f"{conv}_re" if self.face else hand

    def trunk(self) -> list[Row]:
        w, wide = self.width, scaled(self.width, 512)
        names = {"conv4_3": "relu4_3", "conv4_4": "relu4_4", "conv5_1": "relu5_1", "conv5_2": "relu5_2"}
        return [
            *vgg(w, "" if self.face else "_stage1", "conv{}_re" if self.face else "relu{}"),
            *(Conv(n, 3, wide, wide, "relu", self._relu(n, hand)) for n, hand in names.items()),
            Conv("conv5_3_CPM", 3, wide, self.feature, "relu", self._relu("conv5_3_CPM", "relu5_4_stage1_3")),
        ]

    def branch(self, stage: int) -> list[Conv]:
        """The rows of one stage; `stage` counts from 1."""
        out, wide, hidden = self.channels["heat"], scaled(self.width, 512), scaled(self.width, 128)
        if stage == 1:
            relu = self._relu("conv6_1_CPM", "relu6_4_stage1_1")
            return [
                Conv("conv6_1_CPM", 1, self.feature, wide, "relu", relu),
                Conv("conv6_2_CPM", 1, wide, out, None),
            ]
        names = [f"Mconv{i}_stage{stage}" for i in range(1, 8)]
        hidden_rows = [
            Conv(
                name, 1 if i == 6 else 7, out + self.feature if i == 1 else hidden, hidden,
                "relu", self._relu(name, f"Mrelu1_{i + 1}_stage{stage}_{i}"),
            )
            for i, name in enumerate(names[:-1], start=1)
        ]  # fmt: skip
        return [*hidden_rows, Conv(names[-1], 1, hidden, out, None)]

    def stage_outputs(self) -> dict[str, str]:
        """Layer name -> "heat", for the output of every stage."""
        return {self.branch(stage)[-1].name: "heat" for stage in range(1, self.stages + 1)}

    def rows(self) -> list[Row]:
        return self.trunk() + [row for s in range(1, self.stages + 1) for row in self.branch(s)]

    def tensors(self) -> dict[str, tuple[int, ...]]:
        return tensors(self.rows())
