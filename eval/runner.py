"""Images to predictions, one line each, so that a killed run goes on where it stopped."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eval.coco_ap import results
from shared.coco import ImageRecord
from shared.errors import UserError
from shared.person import Pose
from shared.skeleton import Skeleton

PART = "predictions.part.jsonl"


@dataclass
class Run:
    """Predictions of a run by image id, and the seconds it took to read and to predict."""

    predictions: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: {"read": 0.0, "predict": 0.0})

    def flat(self) -> list[dict[str, Any]]:
        """All predictions in COCO's results format, by image id."""
        return [entry for image_id in sorted(self.predictions) for entry in self.predictions[image_id]]


def predict(
    records: Sequence[ImageRecord],
    read: Callable[[ImageRecord], np.ndarray],
    predictor: Callable[[np.ndarray], list[Pose]],
    skeleton: Skeleton,
    out: Path,
    identity: Mapping[str, str],
    resume: bool,
) -> Run:
    """Predict every image, appending a line for each to a file in `out`; with `resume` take those that are there.

    `identity` (protocol, weights) is the file's first line; a file of another identity is refused.
    """
    run = Run()
    part = out / PART
    _begin(part, identity, run, resume)
    left = [record for record in records if record.id not in run.predictions]
    with part.open("a", encoding="utf-8") as lines:
        started = time.monotonic()
        for done, record in enumerate(left, start=1):
            before = time.perf_counter()
            image = read(record)
            between = time.perf_counter()
            entries = results(record.id, predictor(image), skeleton)
            run.seconds["read"] += between - before
            run.seconds["predict"] += time.perf_counter() - between
            run.predictions[record.id] = entries
            lines.write(json.dumps({"image_id": record.id, "poses": entries}) + "\n")
            lines.flush()
            _progress(done, len(left), len(records) - len(left), time.monotonic() - started)
        os.fsync(lines.fileno())
    return run


def _begin(part: Path, identity: Mapping[str, str], run: Run, resume: bool) -> None:
    """Start the file of lines, or read what a killed run left in it and drop a torn last line."""
    if not part.exists():
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(dict(identity)) + "\n", encoding="utf-8")
        return
    if not resume:
        raise UserError(f"{part.parent}: holds an unfinished run; add --resume to go on, or choose another --out")
    text = part.read_text(encoding="utf-8")
    whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    if not whole:
        part.write_text(json.dumps(dict(identity)) + "\n", encoding="utf-8")
        return
    found = json.loads(whole[0])
    if found != dict(identity):
        unlike = ", ".join(
            f"{k} {str(found.get(k))[:12]}, now {v[:12]}" for k, v in identity.items() if found.get(k) != v
        )
        raise UserError(f"{part.parent}: the unfinished run has another {unlike}; choose another --out")
    for line in whole[1:]:
        entry = json.loads(line)
        run.predictions[entry["image_id"]] = entry["poses"]
    if "".join(whole) != text:
        with part.open("r+b") as file:
            file.truncate(len("".join(whole).encode()))


def _progress(done: int, total: int, before: int, seconds: float) -> None:
    if done % 10 and done != total:
        return
    rate = done / max(seconds, 1e-9)
    left = (total - done) / rate
    text = f"\r{before + done}/{before + total} images  {rate:.2f}/s  {left / 60:.1f} min left "
    sys.stderr.write(text + ("\n" if done == total else ""))
    sys.stderr.flush()
