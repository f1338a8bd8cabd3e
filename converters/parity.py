"""Do two networks say the same?  Stage by stage, as a share of the largest value that the stage has."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import WeightError
from shared.weights import replacing

# Another order of summation gives up to 1e-5 in float32; the smallest real mistake (x / 255) gives 4e-3.
GATE = 5e-5
# Norms by the statistics of the image enlarge that: on flat images these networks are themselves 1e-4 from the exact
# value; a wrong activation, norm, padding or enlargement gives 9e-3 and more.  What is smaller is seen in float64 only
# (tests/parity/test_mobilenet_v2_small.py, docs/decisions/0005-gates.md).
FAMILY_GATES = {"mobilenet_v2_small": 1e-3}


@dataclass(frozen=True)
class Row:
    """One stage: its largest difference, the reference's largest value, their ratio (inf if not finite)."""

    stage: str
    difference: float
    maximum: float
    ratio: float


def compare(
    reference: Mapping[str, np.ndarray],
    candidate: Mapping[str, np.ndarray],
    stages: Sequence[str] | None = None,
) -> list[Row]:
    """One row for each of `stages`, by default for every array of `reference`.

    A stage that is missing on either side, or has another shape, is a `WeightError`.
    """
    return [_row(stage, reference, candidate) for stage in (reference if stages is None else stages)]


def _row(stage: str, reference: Mapping[str, np.ndarray], candidate: Mapping[str, np.ndarray]) -> Row:
    for side, outputs in (("reference", reference), ("converted network", candidate)):
        if stage not in outputs:
            raise WeightError(f"the {side} has no stage {stage}, expected it among {', '.join(outputs)}")
    a, b = reference[stage].astype(np.float64), candidate[stage].astype(np.float64)
    if a.shape != b.shape:
        raise WeightError(f"stage {stage}: shape {b.shape} after conversion, expected {a.shape} as in the reference")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Row(stage, math.nan, math.nan, math.inf)
    maximum, difference = (float(np.abs(x).max(initial=0)) for x in (a, a - b))
    if difference == 0:
        return Row(stage, 0.0, maximum, 0.0)
    return Row(stage, difference, maximum, difference / maximum if maximum else math.inf)


def worst(rows: Sequence[Row]) -> Row:
    """The row with the largest ratio."""
    return max(rows, key=lambda row: row.ratio)


@dataclass(frozen=True)
class Side:
    """One of the two networks: the file it came from, its SHA-256, and what ran it."""

    file: str
    sha256: str
    runtime: str


@dataclass(frozen=True)
class Report:
    """What a check found.  `inputs` maps a description of each input to its rows."""

    model: str
    reference: Side
    candidate: Side
    inputs: Mapping[str, Sequence[Row]]
    gate: float = GATE
    device: str = "cpu"
    tf32: bool = False

    @property
    def worst(self) -> Row:
        return worst([row for rows in self.inputs.values() for row in rows])

    @property
    def passed(self) -> bool:
        return self.worst.ratio <= self.gate

    def to_dict(self) -> dict[str, Any]:
        """As plain data, a ratio that is not finite as None."""
        values = asdict(self) | {"worst": asdict(self.worst), "passed": self.passed}
        return _finite(values)

    def write(self, path: Path) -> None:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
