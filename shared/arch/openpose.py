"""The two-branch network of the paper (CVPR 2017): COCO_18, MPI_15 and its four-stage variant, as rows."""

from dataclasses import dataclass, replace

from shared import skeleton
from shared.arch.rows import Conv, Row, scaled, tensors, vgg

FIELDS = ("paf", "heat")  # branch L1, branch L2
_BRANCH = {"paf": "L1", "heat": "L2"}


@dataclass(frozen=True)
class OpenPoseSpec:
    """`stages` stages over a VGG-19 trunk; `width` scales every hidden layer, 1 being the published one.

    `norm` puts a batch norm after every hidden convolution, for training from nothing (see `rows.Conv`).
    """

    name: str = "coco18"
    skeleton: str = "coco18"
    stages: int = 6
    width: float = 1.0
    norm: bool = False

    family = "openpose"
    stride = 8

    @property
    def channels(self) -> dict[str, int]:
        body = skeleton.skeleton(self.skeleton)
        return {"paf": body.n_paf, "heat": body.n_heat}

    @property
    def feature(self) -> int:
        """Channels of the trunk's output, which every refinement reads again."""
        return scaled(self.width, 128)

    def trunk(self) -> list[Row]:
        w = self.width
        rows = [
            *vgg(w),
            Conv("conv4_3_CPM", 3, scaled(w, 512), scaled(w, 256), "relu", "relu4_3_CPM"),
            Conv("conv4_4_CPM", 3, scaled(w, 256), self.feature, "relu", "relu4_4_CPM"),
        ]
        return [replace(row, norm=self.norm) if isinstance(row, Conv) else row for row in rows]

    def branch(self, stage: int, field: str) -> list[Conv]:
        """The rows of one branch of one stage; `stage` counts from 1 as in the paper."""
        b, out = _BRANCH[field], self.channels[field]
        if stage == 1:
            widths = [self.feature] * 4 + [scaled(self.width, 512), out]
            names = [f"conv5_{i}_CPM_{b}" for i in range(1, 6)]
            relus = [f"relu5_{i}_CPM_{b}" for i in range(1, 6)]
            kernels = [3, 3, 3, 1, 1]
        else:
            hidden = scaled(self.width, 128)
            widths = [sum(self.channels.values()) + self.feature] + [hidden] * 6 + [out]
            names = [f"Mconv{i}_stage{stage}_{b}" for i in range(1, 8)]
            relus = [f"Mrelu{i}_stage{stage}_{b}" for i in range(1, 8)]
            kernels = [7, 7, 7, 7, 7, 1, 1]
        last = len(names) - 1
        return [
            Conv(n, k, widths[i], widths[i + 1], "relu", r, self.norm)
            if i < last
            else Conv(n, k, widths[i], widths[i + 1], None)
            for i, (n, r, k) in enumerate(zip(names, relus, kernels, strict=True))
        ]

    def stage_outputs(self) -> dict[str, str]:
        """Layer name -> field, for the output of every branch of every stage, in the order of the forward pass."""
        return {self.branch(stage, field)[-1].name: field for stage in range(1, self.stages + 1) for field in FIELDS}

    def rows(self) -> list[Row]:
        branches = [self.branch(s, f) for s in range(1, self.stages + 1) for f in FIELDS]
        return self.trunk() + [row for branch in branches for row in branch]

    def tensors(self) -> dict[str, tuple[int, ...]]:
        return tensors(self.rows())
