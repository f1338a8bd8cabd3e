"""Targets drawn the plain way, cell by cell and person by person in Python: the yardstick for `shared.codec.targets`.

It is written from the rules, not from the fast code, so that it also says whether that is right.
"""

import math

import numpy as np

from shared.codec.targets import TargetSpec, limbs
from shared.skeleton import Skeleton

Point = tuple[float, float]
Limb = tuple[Point, Point, Point]  # start and end in cells, and the unit vector from one to the other
Box = tuple[int, int, int, int]  # first and last column, first and last row; the last ones are outside


def encode(
    points: np.ndarray, skeleton: Skeleton, size: tuple[int, int], spec: TargetSpec
) -> tuple[np.ndarray, np.ndarray]:
    """What `shared.codec.targets.encode` returns, for a skeleton with a background."""
    people = points.astype(np.float64).tolist()
    drawn = [_known_limbs(people, a, b, size, spec) for a, b in limbs(skeleton, spec)]
    heat, paf = [], []
    for row in range(size[0]):
        heat_row, paf_row = [], []
        for column in range(size[1]):
            values = [_heat(people, k, row, column, spec) for k in range(skeleton.n_keypoints)]
            heat_row.append([*values, max(1 - max(values), 0.0)])
            paf_row.append([value for limb in drawn for value in _paf(limb, row, column, spec)])
        heat.append(heat_row)
        paf.append(paf_row)
    return np.array(heat, np.float32), np.array(paf, np.float32)


def _heat(people: list, keypoint: int, row: int, column: int, spec: TargetSpec) -> float:
    """One keypoint's heatmap at one cell."""
    x = spec.stride * column + (spec.stride - 1) / 2
    y = spec.stride * row + (spec.stride - 1) / 2
    found = 0.0
    for person in people:
        person_x, person_y, visible = person[keypoint]
        if visible <= 0:
            continue
        exponent = ((x - person_x) ** 2 + (y - person_y) ** 2) / (2 * spec.sigma**2)
        if spec.cutoff is not None and exponent > spec.cutoff:
            continue
        value = math.exp(-exponent)
        found = max(found, value) if spec.overlap == "max" else min(found + value, 1.0)
    return found


def _paf(limb: list[tuple[Limb, Box]], row: int, column: int, spec: TargetSpec) -> Point:
    """One limb's field at one cell: the last person's on whose limb it lies, or the mean."""
    width = spec.limb_width / spec.stride
    total_x, total_y, count = 0.0, 0.0, 0
    for (start, _, unit), (left, right, top, bottom) in limb:
        if not (left <= column < right and top <= row < bottom):
            continue
        distance = abs((column - start[0]) * unit[1] - (row - start[1]) * unit[0])
        if distance > width or (spec.strict and distance == width):
            continue
        if spec.paf_overlap == "last":
            total_x, total_y, count = unit[0], unit[1], 1
        else:
            total_x, total_y, count = total_x + unit[0], total_y + unit[1], count + 1
    return (total_x / count, total_y / count) if count else (0.0, 0.0)


def _known_limbs(people: list, a: int, b: int, size: tuple[int, int], spec: TargetSpec) -> list[tuple[Limb, Box]]:
    """The limb from keypoint a to keypoint b of everybody who has both, and its box."""
    found = []
    for person in people:
        if person[a][2] <= 0 or person[b][2] <= 0:
            continue
        start, end = ([(value - spec.paf_offset) / spec.stride for value in person[k][:2]] for k in (a, b))
        length = math.hypot(end[0] - start[0], end[1] - start[1])
        if length == 0:
            continue
        unit = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
        width = spec.limb_width / spec.stride
        left, right, top, bottom = (
            edge
            for i, cells in ((0, size[1]), (1, size[0]))
            for edge in (
                max(_rounded(min(start[i], end[i]) - width, spec.rounding), 0),
                min(_rounded(max(start[i], end[i]) + width, spec.rounding), cells),
            )
        )
        found.append((((start[0], start[1]), (end[0], end[1]), unit), (left, right, top, bottom)))
    return found


def _rounded(value: float, rounding: str) -> int:
    if rounding == "truncate":
        return int(value)
    if rounding == "python":
        return round(value)
    return math.floor(value + 0.5) if value >= 0 else math.ceil(value - 0.5)
