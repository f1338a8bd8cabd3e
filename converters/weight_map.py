"""A one-to-one table between the names of a published file and the canonical ones: strict, inverted by machine."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from shared.errors import WeightError
from shared.weights import Arrays

OIHW_TO_HWIO = (2, 3, 1, 0)
HWIO_TO_OIHW = tuple(int(axis) for axis in np.argsort(OIHW_TO_HWIO))


@dataclass(frozen=True)
class Rename:
    """`source` becomes `target`, its axes transposed by `axes` where there are any."""

    source: str
    target: str
    axes: tuple[int, ...] = ()

    def inverse(self) -> "Rename":
        return Rename(self.target, self.source, tuple(int(axis) for axis in np.argsort(self.axes)))


@dataclass(frozen=True)
class WeightMap:
    """The names of one layout.  `dropped`: beginnings of names that are left out on purpose -> why."""

    layout: str
    rows: tuple[Rename, ...]
    dropped: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for side in ("source", "target"):
            names = [getattr(row, side) for row in self.rows]
            if len(set(names)) != len(names):
                raise ValueError(f"{self.layout}: a {side} name occurs twice; the table must be one-to-one")

    def inverse(self) -> "WeightMap":
        return WeightMap(f"{self.layout}, inverted", tuple(row.inverse() for row in self.rows))

    def apply(self, arrays: Mapping[str, np.ndarray], where: str) -> Arrays:
        """Every array under its target name.  A missing or a left-over array is a `WeightError`."""
        wanted = {row.source for row in self.rows}
        missing = [row.source for row in self.rows if row.source not in arrays]
        extra = [name for name in arrays if name not in wanted and not name.startswith(tuple(self.dropped))]
        if missing or extra:
            parts = [f"{where}: {len(wanted) - len(missing)} of the {len(wanted)} arrays of {self.layout} found"]
            parts += [
                f"{title} {_some(names)}" for title, names in (("missing", missing), ("left over", extra)) if names
            ]
            raise WeightError("; ".join(parts) + ". Is it the right file?")
        return {row.target: _turned(arrays[row.source], row, where) for row in self.rows}


def _turned(array: np.ndarray, row: Rename, where: str) -> np.ndarray:
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        held = getattr(array, "dtype", type(array).__name__)
        raise WeightError(f"{where}: {row.source} holds {held}, expected an array of float32 weights")
    array = array.astype(np.float32, copy=False)
    if not row.axes:
        return array
    if array.ndim != len(row.axes):
        raise WeightError(f"{where}: {row.source} has shape {array.shape}, expected {len(row.axes)} axes")
    return np.ascontiguousarray(array.transpose(row.axes))


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f", … and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
