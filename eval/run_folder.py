"""The folder of a finished run of eval/run.py, checked before anything is done with it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval import protocol as protocols
from shared import coco_ap, pckh
from shared.arch import catalogue
from shared.errors import UserError

COLUMNS = {"caffe": "original", "torch": "torch", "keras": "keras", "onnx": "onnx", "openvino": "openvino"}
GROUND_TRUTH, DETECTOR = "gt", "detector"
_PCKH = (*pckh.COLUMNS, "Mean", *(f"Mean@{part:.2f}" for part in (pckh.TENTH, pckh.PUBLISHED_TENTH)))


@dataclass(frozen=True)
class Crops:
    """Whose boxes a network of one person had (GROUND_TRUTH or DETECTOR), and the size and decoder of its crops."""

    boxes: str
    size: str
    decoder: str


def names(data: str) -> tuple[str, ...]:
    """What the numbers of a run over these data are called; on MPII they are percent, else shares of 1."""
    return _PCKH if data == "mpii" else coco_ap.NAMES


def crops(record: Mapping[str, Any]) -> Crops | None:
    """What a protocol says of them; None for a network that finds people itself."""
    boxes = record.get("boxes")
    if not boxes:
        return None
    kind = GROUND_TRUTH if boxes["source"] == "ground truth" else DETECTOR
    return Crops(kind, "x".join(map(str, record["size"])), record["decoder"]["name"])


def title(run: Mapping[str, Any]) -> str:
    """What ran it and with which weights: "torch 12ab34"."""
    return f"{COLUMNS[run['framework']]} {run['weights']['sha256'][:6]}"


def metrics(folder: Path) -> dict[str, Any]:
    """metrics.json of the folder, its "numbers" in the order of `names`.  Raises `UserError` for anything else."""
    file = folder / "metrics.json"
    try:
        run: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        record = run["protocol"]
        if protocols.digest(record) != run["protocol_sha256"]:
            raise UserError(f"{file}: its protocol's hash is not its own; run eval/run.py again")
        data = record["data"]["name"]
        if crops(record):
            catalogue.from_dict(record["model"]["spec"])
        run["numbers"] = {name: float(run["numbers"][name]) for name in names(data)}
        known = run["framework"] in COLUMNS and len(run["weights"]["sha256"]) == 64
    except OSError:
        raise UserError(f"{file}: no such file; expected the folder of a finished run of eval/run.py") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: not understood ({error!r}); expected metrics.json of eval/run.py") from None
    if not known:
        raise UserError(f"{file}: framework or weights are unknown; run eval/run.py again")
    most = 100 if data == "mpii" else 1
    for name, value in run["numbers"].items():
        if not (value == -1 or 0 <= value <= most):
            raise UserError(f"{file}: its {name} is {value}, expected -1 or 0 to {most}; run eval/run.py again")
    return run


def predictions(folder: Path, n_keypoints: int) -> list[dict[str, Any]]:
    """predictions.json of the folder: for each pose "image_id", "keypoints" (3 for each) and "score"."""
    file = folder / "predictions.json"
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(entries, list):
            raise TypeError(f"a JSON {type(entries).__name__}")
        values = np.array([[entry["image_id"], entry["score"], *entry["keypoints"]] for entry in entries], np.float64)
    except OSError:
        raise UserError(f"{file}: no such file; expected the folder of a finished run of eval/run.py") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file}: not understood ({str(error)[:80]}); expected predictions.json of eval/run.py"
        ) from None
    if len(values) and (values.shape[1] != 2 + 3 * n_keypoints or not np.isfinite(values).all()):
        raise UserError(f"{file}: expected {n_keypoints} keypoints with finite x, y and v each; run eval/run.py again")
    return entries
