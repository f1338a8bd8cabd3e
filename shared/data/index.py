"""An annotation file as columns: flat, memory-mapped from a cache, with nothing in memory per annotation."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.data import coco_json
from shared.data.columns import Columns, cached
from shared.skeleton import COCO17, Skeleton

VERSION = 1  # changes with the columns: an older cache is another file


@dataclass(frozen=True)
class Layout:
    """A kind of annotation file: its name in the cache, the skeleton of its people, and what reads it."""

    name: str
    skeleton: Skeleton
    read: Callable[[Path], Columns]


COCO = Layout("coco", COCO17, coco_json.read)

Segment = list[np.ndarray] | np.ndarray
"""What a person covers: polygons, (n, 2) float64 each; or run lengths, (n,) uint32, down the columns, outside first."""


@dataclass(frozen=True, eq=False)
class Index:
    """N images and A annotations of a file, both in its order.  All columns are read-only.

    An annotation has the row of its image, and the polygons and runs from its own entry to the next in `polygons` and
    `runs`, which have one entry more.  Sizes are 0 where the file does not tell them (MPII).  Pickles as its path:
    the other process maps the same cache.
    """

    path: Path
    layout: Layout
    sha256: str  # of the file
    image_ids: np.ndarray  # (N,) int64
    file_names: np.ndarray  # (N,) str
    sizes: np.ndarray  # (N, 2) int32: height, width
    ids: np.ndarray  # (A,) int64
    image: np.ndarray  # (A,) int32: row of the image
    boxes: np.ndarray  # (A, 4) float64: x, y, width, height in pixels
    areas: np.ndarray  # (A,) float64: px^2 of the segment
    n_keypoints: np.ndarray  # (A,) int32, as the file says
    crowd: np.ndarray  # (A,) bool
    keypoints: np.ndarray  # (A, K, 3) float32: x, y, COCO's v
    polygons: np.ndarray  # (A + 1,) int64: where an annotation's polygons begin
    polygon_sizes: np.ndarray  # (P + 1,) int64: where a polygon's values begin
    polygon_values: np.ndarray  # (V,) float32: x, y, x, y, ...
    runs: np.ndarray  # (A + 1,) int64
    run_values: np.ndarray  # (R,) uint32
    by_image: np.ndarray  # (A,) int32: rows of annotations, those of one image together, in the file's order
    starts: np.ndarray  # (N + 1,) int64: where an image's rows begin in `by_image`

    @classmethod
    def open(cls, path: Path, layout: Layout = COCO, digest: str = "") -> "Index":
        """The index of a file, from the cache (`shared.data.columns`) or else built and put there.

        With `digest`, the sha256 that the file had before, the file is not read again while the cache is there.
        Raises `UserError` for a file that cannot be read or is not what `layout` expects, and for a full disk.
        """
        path = Path(path)
        kind = f"{layout.name}-{VERSION}"
        digest, columns = cached(path, kind, lambda source: _arranged(layout.read(source)), digest)
        return cls(path, layout, digest, **columns)

    @classmethod
    def build(cls, path: Path, layout: Layout = COCO) -> "Index":
        """The index of a file, read now and kept in memory; the cache is not touched."""
        return cls(Path(path), layout, "", **_arranged(layout.read(Path(path))))

    def __reduce__(self) -> tuple:
        return Index.open, (self.path, self.layout, self.sha256)

    def rows(self, image: int) -> np.ndarray:
        """The rows of the annotations of the image in row `image`, in the file's order."""
        return self.by_image[self.starts[image] : self.starts[image + 1]]

    def segment(self, row: int) -> Segment:
        """What an annotation covers; no polygons where the file does not say.

        Coordinates come back as they were written, to the third decimal.
        """
        if self.runs[row] < self.runs[row + 1]:
            return self.run_values[self.runs[row] : self.runs[row + 1]]
        ends = self.polygon_sizes[self.polygons[row] : self.polygons[row + 1] + 1]
        values = self.polygon_values[ends[0] : ends[-1]].astype(np.float64).round(3).reshape(-1, 2)
        return np.split(values, (ends[1:-1] - ends[0]) // 2) if len(ends) > 1 else []


def _arranged(columns: Columns) -> Columns:
    """The columns that a file has, with the two that list annotations by image."""
    n_images = len(columns["image_ids"])
    counts = np.bincount(columns["image"], minlength=n_images)
    return {
        **columns,
        "by_image": np.argsort(columns["image"], kind="stable").astype(np.int32),
        "starts": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    }
