"""BODY_25: dense blocks with PReLU, four PAF stages and then two heatmap stages, as rows.

Here branch L2 is the PAF and L1 the heatmap, the reverse of the COCO network.  With the COCO_18 skeleton the same
graph is H-Liu's CMU_new and tensorboy's openpose.py.
"""

from dataclasses import dataclass

from shared import skeleton
from shared.arch.rows import Conv, Row, scaled, tensors, vgg
from shared.errors import UserError

_STAGES = (("paf", 0), ("paf", 1), ("paf", 2), ("paf", 3), ("heat", 0), ("heat", 1))
_BRANCH = {"paf": "L2", "heat": "L1"}
BLOCKS = range(1, 6)


@dataclass(frozen=True)
class Body25Spec:
    """`width` scales every hidden layer, 1 being the published one.  Of the 4 + 2 stages the last may be left out."""

    name: str = "body25"
    skeleton: str = "body25"
    width: float = 1.0
    stages: int = 6

    family = "body25"
    stride = 8

    def __post_init__(self) -> None:
        if self.stages not in (5, 6):
            raise UserError(
                f"model {self.name}: {self.stages} stages; expected 5 or 6, since the first four give no heatmaps"
            )

    @property
    def sequence(self) -> tuple[tuple[str, int], ...]:
        """Field and number of every stage, in the order of the forward pass."""
        return _STAGES[: self.stages]

    @property
    def channels(self) -> dict[str, int]:
        body = skeleton.skeleton(self.skeleton)
        return {"paf": body.n_paf, "heat": body.n_heat}

    @property
    def feature(self) -> int:
        return scaled(self.width, 128)

    def trunk(self) -> list[Row]:
        w = self.width
        *rows, conv4_2 = vgg(w)
        assert isinstance(conv4_2, Conv)
        return [
            *rows,
            Conv("conv4_2", 3, conv4_2.cin, conv4_2.cout, "prelu", "prelu4_2"),
            Conv("conv4_3_CPM", 3, scaled(w, 512), scaled(w, 256), "prelu", "prelu4_3_CPM"),
            Conv("conv4_4_CPM", 3, scaled(w, 256), self.feature, "prelu", "prelu4_4_CPM"),
        ]

    def stage_input(self, field: str, stage: int) -> int:
        """Channels that a stage reads: the feature, and what came before (see `pytorch_impl/body25.py`)."""
        paf, heat = self.channels["paf"], self.channels["heat"]
        previous = {("paf", 0): 0, ("heat", 0): paf, ("heat", 1): heat + paf}
        return self.feature + previous.get((field, stage), paf)

    def block(self, field: str, stage: int, block: int) -> list[Conv]:
        """Three 3x3 convolutions in series; the block's output is all three, concatenated."""
        b, hidden = _BRANCH[field], scaled(self.width, 96 if stage == 0 else 128)
        cin = self.stage_input(field, stage) if block == 1 else 3 * hidden
        return [
            Conv(
                f"Mconv{block}_stage{stage}_{b}_{i}", 3, cin if i == 0 else hidden, hidden,
                "prelu", f"Mprelu{block}_stage{stage}_{b}_{i}",
            )
            for i in range(3)
        ]  # fmt: skip

    def head(self, field: str, stage: int) -> list[Conv]:
        b = _BRANCH[field]
        block_out = 3 * scaled(self.width, 96 if stage == 0 else 128)
        hidden = scaled(self.width, 256 if stage == 0 else 512)
        return [
            Conv(f"Mconv6_stage{stage}_{b}", 1, block_out, hidden, "prelu", f"Mprelu6_stage{stage}_{b}"),
            Conv(f"Mconv7_stage{stage}_{b}", 1, hidden, self.channels[field], None),
        ]

    def stage_outputs(self) -> dict[str, str]:
        """Layer name -> field, for the output of every stage, in the order of the forward pass."""
        return {self.head(field, stage)[-1].name: field for field, stage in self.sequence}

    def rows(self) -> list[Row]:
        rows: list[Row] = self.trunk()
        for field, stage in self.sequence:
            rows += [row for block in BLOCKS for row in self.block(field, stage, block)]
            rows += self.head(field, stage)
        return rows

    def tensors(self) -> dict[str, tuple[int, ...]]:
        return tensors(self.rows())
