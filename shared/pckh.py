"""PCKh, the metric of MPII: the share of joints nearer to the truth than a part of the head's size."""

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import UserError
from shared.skeleton import MPII16
from shared.weights import replacing

NAMES = (
    "rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor",
    "neck", "head", "rwri", "relb", "rsho", "lsho", "lelb", "lwri",
)  # fmt: skip  # MPII's short names, in the order of MPII16
THRESHOLD = 0.5
TENTH = 0.10
PUBLISHED_TENTH = 0.11  # what HRNet and its kin print as Mean@0.1: they take row 11 of 0, 0.01, 0.02 and so on
THRESHOLDS = (THRESHOLD, TENTH, PUBLISHED_TENTH)
HEAD_SHARE = 0.6  # of the diagonal of the head's box
LEFT_OUT = ("pelvis", "thorax")  # of the mean
COLUMNS = {
    "Head": ("head_top",),
    "Shoulder": ("left_shoulder", "right_shoulder"),
    "Elbow": ("left_elbow", "right_elbow"),
    "Wrist": ("left_wrist", "right_wrist"),
    "Hip": ("left_hip", "right_hip"),
    "Knee": ("left_knee", "right_knee"),
    "Ankle": ("left_ankle", "right_ankle"),
}  # fmt: skip

_KEYS = ("dataset_joints", "jnt_missing", "pos_gt_src", "headboxes_src")
_EXPECTED = "MPII's gt_valid.mat, or JSON with names, missing, points and heads"


@dataclass(frozen=True, eq=False)
class Truth:
    """N annotated people of MPII, joints in the order of MPII16, in px counted from 1 as MPII counts.

    `points` (N, 16, 2), (0, 0) where `missing` (N, 16) bool; `heads` (N, 2, 2): two opposite corners (x, y) of the
    head's box.
    """

    points: np.ndarray
    missing: np.ndarray
    heads: np.ndarray

    @property
    def head_sizes(self) -> np.ndarray:
        """(N,) px: what errors are measured in."""
        return HEAD_SHARE * np.linalg.norm(self.heads[:, 1] - self.heads[:, 0], axis=-1)

    @property
    def sha256(self) -> str:
        """Of the numbers, so that MATLAB's file and JSON made from it are one truth."""
        arrays = (np.asarray(array, "<f8") + 0.0 for array in (self.points, self.missing, self.heads))  # no -0.0
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()

    def part(self, rows: np.ndarray) -> "Truth":
        """The people with these numbers."""
        return Truth(self.points[rows], self.missing[rows], self.heads[rows])


@dataclass(frozen=True, eq=False)
class Scores:
    """Percent.  `joints` (16,), NaN for one that nobody has; `columns`: the published ones from Head to Ankle, then
    Mean."""

    joints: np.ndarray
    columns: Mapping[str, float]


def pckh(predictions: np.ndarray, truth: Truth, threshold: float = THRESHOLD) -> Scores:
    """The PCKh at `threshold` head sizes of joints (N, 16, 2 or 3), px counted from 0, in the order of `truth`.

    A column is the mean of its left and its right joint; the mean is over all annotated joints of all people without
    pelvis and thorax.  A joint exactly at the threshold is right.  Raises `UserError` if N or 16 does not fit.
    Source: HRNet, lib/dataset/mpii.py.
    """
    known = ~truth.missing
    hits, counts = (right(predictions, truth, threshold) & known).sum(axis=0), known.sum(axis=0)
    joints = _percent(hits, counts)
    columns = {name: float(np.mean(joints[[MPII16.index(j) for j in pair]])) for name, pair in COLUMNS.items()}
    counted = [k for k, name in enumerate(MPII16.keypoints) if name not in LEFT_OUT]
    columns["Mean"] = float(_percent(hits[counted].sum(), counts[counted].sum()))
    return Scores(joints, columns)


def right(predictions: np.ndarray, truth: Truth, threshold: float = THRESHOLD) -> np.ndarray:
    """Which joints (N, 16) are near enough, as `pckh`; one that is NaN is not, one that is missing means nothing."""
    n = len(truth.points)
    if predictions.shape[:2] != (n, len(NAMES)):
        raise UserError(
            f"predictions of shape {predictions.shape}, expected ({n}, {len(NAMES)}, 2): one for each person of the "
            "truth, in its order"
        )
    errors = np.linalg.norm(predictions[..., :2].astype(np.float64) + 1 - truth.points, axis=-1)
    sizes = np.broadcast_to(truth.head_sizes[:, None], errors.shape)
    relative = np.divide(errors, sizes, out=np.full_like(errors, np.inf), where=sizes > 0)
    return np.asarray(relative <= threshold)


def score(predictions: np.ndarray, truth: Truth) -> dict[str, float]:
    """The published row: the columns at 0.5, then the mean at 0.10 and at 0.11 (the originals' "Mean@0.1")."""
    row = dict(pckh(predictions, truth).columns)
    for threshold in (TENTH, PUBLISHED_TENTH):
        row[f"Mean@{threshold:.2f}"] = pckh(predictions, truth, threshold).columns["Mean"]
    return row


def table(predictions: np.ndarray, truth: Truth) -> dict[str, dict[str, float]]:
    """The columns and then each joint of MPII16, at all three thresholds: name -> "@0.50" and the like -> percent."""
    found: dict[str, dict[str, float]] = {}
    for threshold in THRESHOLDS:
        scores = pckh(predictions, truth, threshold)
        joints = dict(zip(MPII16.keypoints, scores.joints.tolist(), strict=True))
        for name, value in {**scores.columns, **joints}.items():
            found.setdefault(name, {})[f"@{threshold:.2f}"] = value
    return found


def read(path: Path) -> Truth:
    """The truth from MPII's gt_valid.mat (needs SciPy), or from JSON as `write` makes it; told apart by their content.

    JSON: an object of "names" (16, MPII's short ones, in any order), and for each of N people "missing" (16 of 0 or
    1), "points" (16 x 2, counted from 1) and "heads" (2 x 2).  Raises `UserError` for anything else.
    """
    try:
        with path.open("rb") as file:
            matlab = file.read(6) == b"MATLAB"
        fields = _from_matlab(path) if matlab else _from_json(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; expected {_EXPECTED}") from None
    return _truth(*fields, path)


def write(truth: Truth, path: Path) -> None:
    """The truth as JSON: a file takes its place at the end, or nothing does."""
    content = {
        "names": list(NAMES),
        "missing": truth.missing.astype(int).tolist(),
        "points": truth.points.tolist(),
        "heads": truth.heads.tolist(),
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")


def _percent(right: Any, counts: Any) -> np.ndarray:
    counts = np.asarray(counts, np.float64)
    return np.divide(100.0 * right, counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def _from_matlab(path: Path) -> tuple[list[str], Any, Any, Any]:
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError:
        raise UserError(
            f"{path}: MATLAB files need SciPy, which is not installed here: pip install scipy; or make JSON of it "
            "elsewhere: python -m shared.data truth"
        ) from None
    try:
        found = loadmat(path, variable_names=_KEYS)
        names = [str(np.asarray(cell).ravel()[0]) for cell in found[_KEYS[0]].ravel()]
        missing, points, heads = (np.asarray(found[key], np.float64) for key in _KEYS[1:])
        return names, missing.T, points.transpose(2, 0, 1), heads.transpose(2, 0, 1)
    except KeyError as error:
        raise UserError(f"{path}: holds no {error}; expected {_EXPECTED}") from None
    except (MatReadError, ValueError, TypeError, IndexError, NotImplementedError, EOFError, zlib.error) as error:
        reason = str(error).split("\n")[0][:80]
        raise UserError(f"{path}: not understood ({reason}); expected {_EXPECTED}") from None


def _from_json(path: Path) -> tuple[list[str], Any, Any, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [str(n) for n in content["names"]], content["missing"], content["points"], content["heads"]
    except KeyError as error:
        raise UserError(f"{path}: holds no {error}; expected {_EXPECTED}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: not understood ({str(error)[:80]}); expected {_EXPECTED}") from None


def _truth(names: list[str], missing: Any, points: Any, heads: Any, path: Path) -> Truth:
    """The same in the order of MPII16, checked."""
    if sorted(names) != sorted(NAMES):
        raise UserError(f"{path}: joints {' '.join(names)[:120]}; expected {' '.join(NAMES)} in any order")
    order = [names.index(name) for name in NAMES]
    try:
        flags = np.asarray(missing, np.float64).reshape(-1, 16)[:, order]
        n = len(flags)
        xy = np.asarray(points, np.float64).reshape(n, 16, 2)[:, order]
        corners = np.asarray(heads, np.float64).reshape(n, 2, 2)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: shapes that do not fit ({str(error)[:80]}); expected {_EXPECTED}") from None
    if not np.isin(flags, (0, 1)).all():
        raise UserError(f"{path}: missing holds {flags.max():g}; expected 0 or 1")
    absent = flags > 0
    xy = np.where(absent[..., None], 0, xy)
    if not n or not np.isfinite(xy).all() or not np.isfinite(corners).all():
        raise UserError(f"{path}: nobody, NaN or infinity; expected finite numbers for at least one person")
    return Truth(xy, absent, corners)
