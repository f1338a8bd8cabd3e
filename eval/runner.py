"""Images to predictions, one line each, so that a killed run goes on where it stopped."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.stages import Clock, Groups, Predictor, predictions
from shared.coco import ImageRecord
from shared.errors import UserError

PART = "predictions.part.jsonl"


@dataclass
class Run:
    """Predictions of a run by image id; how many of its images this process did, and the seconds they took.

    `seconds`: those of `eval.stages.Clock`, "write", and "all" for the time that passed.
    """

    predictions: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    timed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def flat(self) -> list[dict[str, Any]]:
        """All predictions in COCO's results format, by image id."""
        return [entry for image_id in sorted(self.predictions) for entry in self.predictions[image_id]]


def predict(
    groups: Groups,
    read: Callable[[ImageRecord], Any],
    predictor: Predictor,
    out: Path,
    identity: Mapping[str, str],
    resume: bool,
    threads: int | None = None,
) -> Run:
    """Predict every image, appending a line for each to a file in `out`; with `resume` take those that are there.

    `identity` (protocol, weights) is the file's first line; a file of another identity is refused.  An image that
    cannot be read stops the run; what was done before it stays, to be resumed.  Predictions are kept in the file
    alone until the end, so that memory stays flat.
    """
    part, clock = out / PART, Clock()
    ids = {record.id for group in groups for record in group}
    done = set(_resumed(part, identity, resume, ids))
    _mend(part)
    left = [group for group in groups if any(record.id not in done for record in group)]
    before, written, started = len(done), 0.0, time.perf_counter()
    try:
        with closing(predictions(left, read, predictor, clock, threads)) as found:
            for image_id, entries in found:
                if image_id in done:  # a group that was stopped in the middle is done again
                    continue
                start = time.perf_counter()
                _append(part, {"image_id": image_id, "poses": entries}, identity)
                done.add(image_id)
                _progress(len(done) - before, len(ids) - before, before, time.perf_counter() - started)
                written += time.perf_counter() - start
    except UserError as error:
        kept = f" ({len(done)} images are done: go on with --resume)" if done else ""
        raise UserError(f"{error}{kept}") from None
    seconds = {**clock.seconds, "write": written, "all": time.perf_counter() - started}
    return Run(_resumed(part, identity, True, ids), len(done) - before, seconds)


def predict_share(
    groups: Groups,
    read: Callable[[ImageRecord], Any],
    predictor: Predictor,
    out: Path,
    identity: Mapping[str, str],
    resume: bool,
    shard: tuple[int, int] = (0, 1),
) -> Run | None:
    """`predict` for process `shard[0]` of `shard[1]`, each in a folder of its own below `out`.

    Gives the predictions of all of them to the last one to end, None to the others: whatever their number, an image
    is predicted once, in the same group.
    """
    index, count = shard
    if count == 1:
        return predict(groups, read, predictor, out, identity, resume)
    run = predict(groups[index::count], read, predictor, _folder(out, shard), identity, resume)
    ids = {record.id for group in groups for record in group}
    run.predictions = {}
    for other in range(count):
        run.predictions |= _resumed(_folder(out, (other, count)) / PART, identity, True, ids)
    return run if run.predictions.keys() == ids else None


def clean(out: Path) -> None:
    """Remove what `predict_share` left in `out`, once its result is written elsewhere."""
    (out / PART).unlink(missing_ok=True)
    for folder in out.glob("shard-*-of-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _folder(out: Path, shard: tuple[int, int]) -> Path:
    return out / f"shard-{shard[0]}-of-{shard[1]}"


def _append(part: Path, line: Mapping[str, Any], identity: Mapping[str, str]) -> None:
    """Add a line to the file, which begins with the first one: a run that does nothing leaves nothing."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file:
            lines = [line] if file.tell() else [dict(identity), line]
            file.write(b"".join(json.dumps(value).encode() + b"\n" for value in lines))
    except OSError as error:
        raise UserError(
            f"{part}: {error.strerror}; expected a folder that can be written, choose another --out"
        ) from None


def _resumed(
    part: Path, identity: Mapping[str, str], resume: bool, image_ids: set[int]
) -> dict[int, list[dict[str, Any]]]:
    """The predictions that a run, killed or not, left in the file of lines; a torn last line does not count."""
    predictions: dict[int, list[dict[str, Any]]] = {}
    if not part.exists():
        return predictions
    if not resume:
        raise UserError(f"{part.parent}: holds an unfinished run; add --resume to go on, or choose another --out")
    data = part.read_bytes()
    first, *lines = data[: data.rfind(b"\n") + 1].splitlines() or [json.dumps(dict(identity)).encode()]
    found = _parsed(first)
    if found is None:
        raise _corrupt(part, 1)
    if found != dict(identity):
        unlike = ", ".join(
            f"{k} {str(found.get(k))[:12]}, now {v[:12]}" for k, v in identity.items() if found.get(k) != v
        )
        raise UserError(f"{part.parent}: the unfinished run has another {unlike}; choose another --out")
    for number, line in enumerate(lines, start=2):
        entry = _parsed(line) or {}
        if entry.get("image_id") not in image_ids or not isinstance(entry.get("poses"), list):
            raise _corrupt(part, number)
        predictions[entry["image_id"]] = entry["poses"]
    return predictions


def _mend(part: Path) -> None:
    """Cut a torn last line off."""
    if part.exists():
        with part.open("r+b") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The object in a line; None if there is none."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _corrupt(part: Path, number: int) -> UserError:
    return UserError(f"{part}, line {number}: not what eval/run.py wrote; remove this file and run again")


def _progress(done: int, total: int, before: int, seconds: float) -> None:
    if done % 10 and done not in (1, total):
        return
    rate = done / max(seconds, 1e-9)
    left = (total - done) / rate
    text = f"\r{before + done}/{before + total} images  {rate:.2f}/s  {left / 60:.1f} min left "
    sys.stderr.write(text + ("\n" if done == total else ""))
    sys.stderr.flush()
