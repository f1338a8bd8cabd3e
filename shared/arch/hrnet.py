"""HRNet (Sun et al., CVPR 2019) for keypoints, as rows: up to four resolutions side by side that read each other.

Names are those of HRNet's own repository.  humanpose.pytorch's w18 v1 is there as it was published: its `layer1` has
32 channels where the repository's last code has 64.
"""

from dataclasses import dataclass

from shared.arch.residual import Block, Row, TopDownSpec, Unit, basic, bottleneck, rows_of

STAGES = (2, 3, 4)  # stage n has n branches; branch b has cells of 4 * 2 ** b px
_LAYER1_BLOCKS = 4


@dataclass(frozen=True)
class Layout:
    """`hidden` channels in the bottlenecks of layer1; `first` in branch 0, doubled from branch to branch; `modules` of
    each stage; `blocks` in each branch of a module.
    """

    hidden: int
    first: int
    modules: tuple[int, int, int]
    blocks: int


LAYOUTS = {
    "pose_hrnet_w18_v1": Layout(32, 16, (1, 1, 1), 2),
    "pose_hrnet_w18_v2": Layout(64, 18, (1, 3, 2), 2),
    "pose_hrnet_w32": Layout(64, 32, (1, 4, 3), 4),
    "pose_hrnet_w48": Layout(64, 48, (1, 4, 3), 4),
}


@dataclass(frozen=True)
class Module:
    """Blocks in every branch, then every target reads every branch.

    `fuse[target][source]` are the units that take one to the other: for a coarser source one, whose output is then
    enlarged 2 ** (source - target) times by nearest neighbours, for a finer one strided ones, and none for the same.
    A target is the ReLU of their sum, in the order of the sources.
    """

    branches: tuple[tuple[Block, ...], ...]
    fuse: tuple[tuple[tuple[Unit, ...], ...], ...]

    def rows(self) -> list[Row]:
        fused = [unit for target in self.fuse for units in target for unit in units]
        return [*(row for blocks in self.branches for row in rows_of(blocks)), *fused]


@dataclass(frozen=True)
class HrnetSpec(TopDownSpec):
    """The four published sizes, by name."""

    name: str = "pose_hrnet_w32"

    family = "hrnet"

    @property
    def layout(self) -> Layout:
        return LAYOUTS[self.name]

    def branch_channels(self, branch: int) -> int:
        return self.scaled(self.layout.first * 2**branch)

    def stem(self) -> list[Unit]:
        c = self.scaled(64)
        return [
            Unit("conv1", 3, 3, c, 2, "bn1", True, stride=2),
            Unit("conv2", 3, c, c, 4, "bn2", True, stride=2),
        ]

    def layer1(self) -> list[Block]:
        stem, hidden = self.scaled(64), self.scaled(self.layout.hidden)
        return [
            bottleneck(f"layer1.{i}", 4 * hidden if i else stem, hidden, 4 * hidden, 4) for i in range(_LAYER1_BLOCKS)
        ]

    def transition(self, stage: int) -> dict[int, Unit]:
        """Branch of `stage` -> the unit that begins it from the coarsest map so far; the other branches go on."""
        name, newest = f"transition{stage - 1}", stage - 1
        if stage > STAGES[0]:
            return {newest: self._begin(f"{name}.{newest}.0", self.branch_channels(newest - 1), newest, 2)}
        cin = 4 * self.scaled(self.layout.hidden)
        return {0: self._begin(f"{name}.0", cin, 0, 1), 1: self._begin(f"{name}.1.0", cin, 1, 2)}

    def _begin(self, name: str, cin: int, branch: int, stride: int) -> Unit:
        return Unit(f"{name}.0", 3, cin, self.branch_channels(branch), 4 << branch, f"{name}.1", True, stride)

    def modules(self, stage: int) -> list[Module]:
        """The very last module fuses into branch 0 alone: the heatmaps need no other."""
        n = self.layout.modules[stage - STAGES[0]]
        return [self._module(f"stage{stage}.{i}", stage, i == n - 1 and stage == STAGES[-1]) for i in range(n)]

    def _module(self, name: str, n: int, last: bool) -> Module:
        branches = tuple(
            tuple(
                basic(f"{name}.branches.{b}.{i}", self.branch_channels(b), self.branch_channels(b), 4 << b)
                for i in range(self.layout.blocks)
            )
            for b in range(n)
        )
        targets = range(1 if last else n)
        fuse = tuple(tuple(self._fuse(f"{name}.fuse_layers.{i}.{j}", i, j) for j in range(n)) for i in targets)
        return Module(branches, fuse)

    def _fuse(self, name: str, target: int, source: int) -> tuple[Unit, ...]:
        cin, cout = self.branch_channels(source), self.branch_channels(target)
        if source > target:
            return (Unit(f"{name}.0", 1, cin, cout, 4 << source, f"{name}.1"),)
        steps = target - source
        return tuple(
            Unit(
                f"{name}.{k}.0", 3, cin, cout if k == steps - 1 else cin, 4 << (source + k + 1), f"{name}.{k}.1",
                relu=k < steps - 1, stride=2,
            )
            for k in range(steps)
        )  # fmt: skip

    def head(self) -> list[Unit]:
        return [self.final(self.branch_channels(0))]

    def rows(self) -> list[Row]:
        rows: list[Row] = [*self.stem(), *rows_of(self.layer1())]
        for stage in STAGES:
            rows += self.transition(stage).values()
            rows += [row for module in self.modules(stage) for row in module.rows()]
        return [*rows, *self.head()]
