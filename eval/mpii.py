"""MPII's people as an evaluation: boxes and joints of valid.json, and PCKh against the truth of gt_valid.mat."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.data import Data, read_file
from eval.metric import Predictions
from shared import pckh
from shared.coco import Dataset, ImageRecord
from shared.data.index import Index
from shared.data.mpii import MPII
from shared.errors import UserError
from shared.pckh import Truth
from shared.person import Person
from shared.skeleton import MPII16
from shared.top_down import Boxes

TRUTHS = ("gt_valid.json", "gt_valid.mat")  # JSON needs no SciPy


class Pckh:
    """PCKh of the people of an annotation file; `rows` are their numbers in it by image id, as predictions come."""

    main = "Mean"
    skeleton = MPII16
    loss = "Joints farther off than half a head"

    def __init__(self, truth: Truth, rows: Mapping[int, np.ndarray]) -> None:
        self.truth, self.rows = truth, rows
        self.about: Mapping[str, Any] = {"name": "MPII PCKh", "keypoints": "mpii16", "truth_sha256": truth.sha256}

    def score(self, predictions: Predictions, image_ids: Sequence[int], scorer: str) -> dict[str, float]:
        """The published columns in percent; NaN, which JSON has not, is -1."""
        del scorer
        return _without_nan(pckh.score(*self._both(predictions, image_ids)))

    def details(self, predictions: Predictions, image_ids: Sequence[int]) -> dict[str, dict[str, float]]:
        """Columns and single joints at all thresholds, with the same -1."""
        rows = pckh.table(*self._both(predictions, image_ids))
        return {name: _without_nan(row) for name, row in rows.items()}

    def losses(self, predictions: Predictions, image_ids: Sequence[int]) -> dict[int, float]:
        wrong = ~pckh.right(self._ordered(predictions), self.truth) & ~self.truth.missing
        return {image_id: float(wrong[self.rows[image_id]].sum()) for image_id in image_ids}

    def _both(self, predictions: Predictions, image_ids: Sequence[int]) -> tuple[np.ndarray, Truth]:
        """What was found of the people of these images, and the truth of them."""
        rows = np.array([row for image_id in image_ids for row in self.rows[image_id]], np.intp)
        return self._ordered(predictions)[rows], self.truth.part(rows)

    def _ordered(self, predictions: Predictions) -> np.ndarray:
        """(N, 16, 2) in the order of the truth, NaN where nothing was predicted."""
        found = np.full((len(self.truth.points), 16, 2), np.nan)
        places = {image_id: iter(rows) for image_id, rows in self.rows.items()}
        for entry in predictions:
            found[next(places[entry["image_id"]])] = np.reshape(entry["keypoints"], (16, 3))[:, :2]
        return found


def from_files(annotations: Path | None, images: Path | None, truth: Path | None) -> Data:
    """MPII from valid.json, the folder of its images, and the truth, by default beside valid.json."""
    if annotations is None or images is None:
        raise UserError("--data mpii needs --annotations valid.json and --images DIR")
    if not images.is_dir():
        raise UserError(f"--images {images}: no such folder; expected the folder of the pictures")
    index = Index.open(annotations, MPII)
    truth_file = truth or _beside(annotations)
    found = pckh.read(truth_file)
    if len(found.points) != len(index.ids):
        raise UserError(
            f"{truth_file}: {len(found.points)} people, {annotations} has {len(index.ids)}; "
            "expected the truth of these very annotations"
        )
    rows = {int(image): index.rows(row) for row, image in enumerate(index.image_ids)}
    names = index.file_names.tolist()
    records = tuple(ImageRecord(int(i), names[row], 0, 0, images / names[row]) for row, i in enumerate(index.image_ids))
    boxes = {i: Boxes(index.boxes[people], np.ones(len(people))) for i, people in rows.items()}
    identity = {"name": "mpii", "annotations": annotations.name, "annotations_sha256": index.sha256}
    people = {i: [_person(index, row) for row in numbers] for i, numbers in rows.items()}
    return Data(Dataset(records, {}, people), read_file, identity, Pckh(found, rows), boxes)


def _without_nan(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: -1.0 if np.isnan(value) else value for name, value in numbers.items()}


def _person(index: Index, row: int) -> Person:
    x, y, width, height = (float(value) for value in index.boxes[row])
    return Person(index.keypoints[row], (x, y, width, height), float(index.areas[row]), id=int(index.ids[row]))


def _beside(annotations: Path) -> Path:
    for name in TRUTHS:
        if (annotations.parent / name).is_file():
            return annotations.parent / name
    raise UserError(f"--data mpii: no {' or '.join(TRUTHS)} beside {annotations}; give the truth with --truth FILE")
