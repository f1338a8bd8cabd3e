"""People from connections: rows of peak numbers that grow limb by limb."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.codec.spec import DecodeSpec
from shared.skeleton import Skeleton

EMPTY = -1
Connections = list[tuple[int, int, float]]  # peak numbers of start and end, score


@dataclass(eq=False)
class Row:
    """A person in the making: the peak number of each keypoint (or EMPTY), a score sum, a count of keypoints."""

    slots: list[int]
    score: float
    count: int

    def add(self, k: int, peak: int, score: float) -> None:
        self.slots[k] = peak
        self.score += score
        self.count += 1


@dataclass(frozen=True, eq=False)
class Peaks:
    """Every keypoint's peaks, numbered through: keypoint k has the numbers `numbers[k]`; `scores` is by number."""

    numbers: Sequence[range]
    scores: np.ndarray


def assemble(connections: Sequence[Connections], peaks: Peaks, skeleton: Skeleton, spec: DecodeSpec) -> list[Row]:
    """Rows from the connections of each limb, taken in the skeleton's decode order.

    `connections[i]` belongs to limb `skeleton.decode_order[i]`.
    """
    rows: list[Row] = []
    last = len(skeleton.decode_order) - 1
    for position, limb in enumerate(skeleton.decode_order):
        filling = limb in skeleton.fill_limbs
        creates = {"body": not filling, "all": True, "not_last": position < last}[spec.create]
        joint = _Joint(rows, *skeleton.limbs[limb], peaks, skeleton.n_keypoints, spec)
        for start, end, score in connections[position]:
            if spec.extend == "either":
                joint.extend_either(start, end, score, creates)
            elif filling:
                joint.fill(start, end)
            else:
                joint.extend_start(start, end, score)
        if spec.singletons:
            joint.add_singletons()
    return rows


@dataclass(frozen=True, eq=False)
class _Joint:
    """One limb, from keypoint `a` to keypoint `b`, and the rows that it changes."""

    rows: list[Row]
    a: int
    b: int
    peaks: Peaks
    n_keypoints: int
    spec: DecodeSpec

    def extend_either(self, start: int, end: int, score: float, creates: bool) -> None:
        """Zhe Cao's Python: a limb extends the row that holds either end, or merges the two rows that it joins."""
        found = [row for row in self.rows if row.slots[self.a] == start or row.slots[self.b] == end]
        if not found:
            if creates:
                self._create(start, end, score)
        elif len(found) == 1:
            if found[0].slots[self.b] != end:
                self._set_end(found[0], end, score)
        elif len(found) == 2 or self.spec.three_rows == "first_two":
            first, second = found[:2]
            if self._overlap(first, second):
                self._set_end(first, end, score)  # even if it is there already, which counts it twice
            else:
                self._merge(first, second, score)

    def extend_start(self, start: int, end: int, score: float) -> None:
        """OpenPose on the CPU: a limb extends the first row that holds its start, else it starts a row."""
        for row in self.rows:
            if row.slots[self.a] == start:
                self._set_end(row, end, score)
                return
        self._create(start, end, score)

    def fill(self, start: int, end: int) -> None:
        """An ear-shoulder limb fills an empty slot and counts for nothing else."""
        for row in self.rows:
            if row.slots[self.a] == start and row.slots[self.b] == EMPTY:
                row.slots[self.b] = end
            elif row.slots[self.b] == end and row.slots[self.a] == EMPTY:
                row.slots[self.a] = start

    def add_singletons(self) -> None:
        """Where one end has no peaks at all, each peak of the other end that nobody has becomes a row of one."""
        for k, partner in ((self.a, self.b), (self.b, self.a)):
            taken = {row.slots[k] for row in self.rows}
            for peak in () if self.peaks.numbers[partner] else self.peaks.numbers[k]:
                if peak not in taken:
                    row = Row([EMPTY] * self.n_keypoints, 0.0, 0)
                    row.add(k, peak, float(self.peaks.scores[peak]))
                    self.rows.append(row)

    def _create(self, start: int, end: int, score: float) -> None:
        row = Row([EMPTY] * self.n_keypoints, score, 0)
        row.add(self.a, start, float(self.peaks.scores[start]))
        row.add(self.b, end, float(self.peaks.scores[end]))
        self.rows.append(row)

    def _set_end(self, row: Row, end: int, score: float) -> None:
        if row.slots[self.b] == EMPTY or self.spec.overwrite:
            row.add(self.b, end, float(self.peaks.scores[end]) + score)

    def _overlap(self, first: Row, second: Row) -> bool:
        empty = 0 if self.spec.zero_is_empty else EMPTY
        return any(p > empty and q > empty for p, q in zip(first.slots, second.slots, strict=True))

    def _merge(self, first: Row, second: Row, score: float) -> None:
        # The originals add the numbers, -1 being empty.  With `zero_is_empty` 0 and 5 thus become peak 6.
        most = len(self.peaks.scores) - 1
        first.slots = [min(p + q - EMPTY, most) for p, q in zip(first.slots, second.slots, strict=True)]
        first.count += second.count
        first.score += second.score + score
        self.rows[:] = [row for row in self.rows if row is not second]
