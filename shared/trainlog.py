"""What a training leaves to read: log.jsonl, TensorBoard's files, and a line of progress."""

import json
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import UserError
from shared.weights import replacing

_RECENT = 5  # entries over which images/s are measured


class Log:
    """One JSON line per entry in `log.jsonl`, the same numbers for TensorBoard, progress on stderr.

    The first line says what is trained.  After `--resume` the entries up to the checkpoint's step stay and those
    after it, which are about to come again, go.
    """

    def __init__(self, out: Path, about: Mapping[str, Any], steps: int, step: int) -> None:
        from tensorboardX import SummaryWriter

        kept = self._kept(out / "log.jsonl", step) if step else []
        self.before = kept[-1].get("seconds", 0.0) if kept else 0.0
        with replacing(out / "log.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(entry) + "\n" for entry in kept or [dict(about)]), encoding="utf-8")
        self.file = (out / "log.jsonl").open("a", encoding="utf-8")
        self.board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1 if step else None)
        self.steps, self.first = steps, step
        self.start = time.monotonic()
        self.recent: deque[tuple[float, int]] = deque([(self.start, 0)], maxlen=_RECENT)

    def step(self, step: int, losses: Mapping[str, float], rate: float, images: int) -> None:
        """The mean losses of the last steps; `images` is how many this run has seen since it started."""
        now = time.monotonic()
        speed = (images - self.recent[0][1]) / max(now - self.recent[0][0], 1e-9)
        self.recent.append((now, images))
        total = sum(losses.values())
        numbers = {"loss": total, "rate": rate, "images_per_second": round(speed, 1)}
        self._entry(step, {**numbers, "losses": {name: round(value, 4) for name, value in losses.items()}})
        self._scalars(step, {"loss/total": total, "rate": rate, "images_per_second": speed})
        self._scalars(step, {f"loss/{name}": value for name, value in losses.items()})
        left = (self.steps - step) * (now - self.start) / (step - self.first)
        text = f"step {step}/{self.steps}  loss {total:.2f}  {speed:.1f} images/s  {_duration(left)} left"
        print(text, file=sys.stderr, flush=True)

    def validation(self, step: int, numbers: Mapping[str, float]) -> None:
        """Numbers of a validation."""
        self._entry(step, {"validation": {name: round(value, 4) for name, value in numbers.items()}})
        self._scalars(step, {f"validation/{name}": value for name, value in numbers.items()})
        text = "  ".join(f"{name} {value:.3f}" for name, value in numbers.items())
        print(f"step {step}/{self.steps}  validation: {text}", file=sys.stderr, flush=True)

    def skipped(self, step: int, reasons: tuple[str, ...]) -> None:
        """Samples that could not be read, and were replaced."""
        for reason in reasons:
            self._entry(step, {"skipped": reason})
            print(f"skipped: {reason}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Everything is on the disk after this."""
        self.board.close()
        self.file.close()

    def _entry(self, step: int, values: Mapping[str, Any]) -> None:
        seconds = round(self.before + time.monotonic() - self.start, 1)
        self._line({"step": step, **values, "seconds": seconds})

    def _line(self, entry: Mapping[str, Any]) -> None:
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.board.add_scalar(name, value, step)

    @staticmethod
    def _kept(path: Path, step: int) -> list[dict[str, Any]]:
        found = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                entry = json.loads(line)
            except ValueError:  # a torn last line
                break
            if entry.get("step", 0) <= step:
                found.append(entry)
        return found


def skipped(out: Path, rank: int, step: int, reasons: Sequence[str]) -> None:
    """The same as `Log.skipped`, of a process that has no log: in `skipped_RANK.jsonl`."""
    with (out / f"skipped_{rank}.jsonl").open("a", encoding="utf-8") as file:
        for reason in reasons:
            file.write(json.dumps({"step": step, "skipped": reason}) + "\n")
            print(f"skipped: {reason}", file=sys.stderr, flush=True)


def broken(out: Path, step: int, rank: int, batch: Any, losses: Mapping[str, float]) -> UserError:
    """The error for a loss that is not a number, with the batch that caused it on the disk."""
    path = out / f"nan_batch_{step}_{rank}.npz"
    arrays = {name: getattr(batch, name) for name in ("images", "heat", "paf", "mask")}
    np.savez(path, names=np.array(batch.names), **arrays)
    wrong = [name for name, value in losses.items() if not np.isfinite(value)]
    return UserError(
        f"step {step}: the loss of {wrong[0]} is {losses[wrong[0]]}; expected a finite one; its batch is {path}, "
        f"the checkpoint is of an earlier step; look at the batch, or start again with a lower schedule.base"
    )


def _duration(seconds: float) -> str:
    minutes = int(seconds / 60 + 0.5)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
