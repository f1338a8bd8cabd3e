"""How long commands take to answer: their --help, what they import, and an evaluation's first image."""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.harness import Report
from shared.errors import UserError
from shared.scenes import dataset
from shared.weights import SHIPPED

ROOT = Path(__file__).parents[1]
COMMANDS = (  # what can be typed after "python", except the actions of the last three
    "eval/run.py", "eval/compare.py", "eval/pictures.py", "demo/picture.py", "pytorch_impl/train.py",
    "keras_impl/train.py", "converters/convert.py", "converters/caffe_to_torch.py", "converters/caffe_to_keras.py",
    "converters/fetch.py",
    "-m shared.data", "-m shared.scenes", "-m benchmarks",
)  # fmt: skip
MODULES = (
    "numpy", "cv2", "pycocotools.cocoeval", "numba", "onnxruntime", "torch", "keras",
    "shared.inference", "eval.runner", "pytorch_impl.net", "keras_impl.net",
)  # fmt: skip
FRAMEWORKS = ("torch", "keras", "onnx")
_FIRST = b"1/1 images"
Row = dict[str, object]


def help_seconds(command: str) -> float:
    """Seconds until a command's --help has ended."""
    return seconds_of([*command.split(), "--help"])


def import_seconds(module: str) -> float:
    """Seconds of a process that imports a module and ends."""
    return seconds_of(["-c", f"import {module}"])


def seconds_of(arguments: Sequence[str]) -> float:
    """Seconds of a Python process."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"python {' '.join(arguments)} failed: {done.stderr.strip()[-300:]}")
    return time.perf_counter() - start


def first_image_seconds(arguments: Sequence[str]) -> float:
    """Seconds from the start of eval/run.py until it says that its first and only image is done."""
    start = time.perf_counter()
    command = [sys.executable, "eval/run.py", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        seen = b""
        while _FIRST not in seen:
            byte = process.stderr.read(1)
            if not byte:
                raise UserError(f"eval/run.py {' '.join(arguments)} failed: {seen.decode()[-300:]}")
            seen += byte
        found = time.perf_counter() - start
        process.stderr.read()
    return found


def first_images(folder: Path, rounds: int) -> list[Row]:
    """Rows of every framework: a file of one picture, and the built-in benchmark (which draws itself first)."""
    dataset.write(folder, "val", count=1)
    files = ["--data", "coco", "--annotations", str(folder / "annotations.json"), "--images", str(folder / "images")]
    onnx = folder / "shipped.onnx"
    seconds_of(["converters/convert.py", str(SHIPPED), "--out", str(onnx)])
    rows = []
    for framework in FRAMEWORKS:
        weights = ["--weights", str(onnx)] if framework == "onnx" else []
        for data, options in (("a file of one picture", files), ("built-in", [])):
            seconds = []
            for number in range(rounds):
                out = folder / f"{framework}-{data}-{number}"
                arguments = ["--framework", framework, *weights, *options, "--limit", "1", "--out", str(out)]
                seconds.append(first_image_seconds(arguments))
            rows.append(row(f"eval/run.py --framework {framework}, {data}", "first image", seconds))
    return rows


def row(what: str, until: str, seconds: Sequence[float]) -> Row:
    """A row of the table: the median."""
    return {"what": what, "until": until, "s": median(seconds), "least": min(seconds), "rounds": len(seconds)}


def report(options: argparse.Namespace) -> Report:
    """Medians of whole processes, after one that fills the caches of the disk."""
    if options.rounds < 1:
        raise UserError(f"--rounds {options.rounds}: expected 1 or more")
    rows = [row("python -c pass", "its end", [seconds_of(["-c", "pass"]) for _ in range(options.rounds + 1)][1:])]
    for what, names, measure in (("--help", COMMANDS, help_seconds), ("import", MODULES, import_seconds)):
        for name in names:
            seconds = [measure(name) for _ in range(options.rounds + 1)][1:]
            rows.append(row(f"{name} --help" if what == "--help" else f"import {name}", "its end", seconds))
    with tempfile.TemporaryDirectory() as folder:
        rows += first_images(Path(folder), options.rounds)
    of = "whole processes from their start, by the clock on the wall, with warm disk caches"
    return Report("startup", of, {"rounds": options.rounds}, rows)
