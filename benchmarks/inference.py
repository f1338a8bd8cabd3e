"""Time and AP of one network in every runtime, precision and number of stages."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import Report
from eval import data
from eval.data import Data
from shared import coco_ap, framework, initial
from shared.arch import catalogue
from shared.errors import UserError
from shared.inference import BottomUp
from shared.net import PLAIN, Net, Preset
from shared.recipes import recipe
from shared.weights import read, write

ROOT = Path(__file__).resolve().parents[1]
HEIGHT = 368
_BATCH = 8
_ONNX = ("onnx", "openvino")  # what reads the converted files


@dataclass(frozen=True)
class Variant:
    """One way to run the network.  `int8`: from the file in int8; `batch`: images at once."""

    framework: str
    preset: Preset = PLAIN
    int8: bool = False
    batch: int = 1

    def row(self, stages: int) -> dict[str, Any]:
        """What tells it from the others, for the table; the network has `stages` in all."""
        precision = "int8" if self.int8 else self.preset.precision
        compiled = " --compile" if self.preset.compiled else ""
        stages = self.preset.stages or stages
        return {
            "runtime": self.framework + compiled, "precision": precision, "stages": stages, "batch": self.batch
        }  # fmt: skip


def variants(stages: int, threads: int | None) -> list[Variant]:
    """All ways to run a network of so many stages here; runtimes that are not installed are left out."""
    plain, half = Preset(threads=threads), Preset("bfloat16", threads=threads)
    found = [
        Variant("torch", plain),
        Variant("torch", replace(plain, compiled=True)),
        Variant("torch", plain, batch=_BATCH),
        Variant("keras", plain),
        Variant("onnx", plain),
        Variant("openvino", plain),
        Variant("torch", half),
        Variant("torch", replace(half, compiled=True)),
        Variant("keras", half),
        Variant("openvino", half),
        Variant("onnx", plain, int8=True),
        Variant("openvino", plain, int8=True),
        *(Variant("torch", replace(plain, stages=n)) for n in range(stages - 1, 0, -1)),
    ]
    return [variant for variant in found if _installed(variant.framework)]


def _installed(name: str) -> bool:
    try:
        framework.require(name)
    except UserError as error:
        sys.stderr.write(f"left out: {error}\n")
        return False
    return True


def report(options: argparse.Namespace) -> Report:
    """Every variant's time per image of 368x368 px, in turns, and its AP on the built-in benchmark's val split.

    The full network (`options.full`) has random weights: its time is that of trained ones, and it has no AP.
    """
    with tempfile.TemporaryDirectory() as folder:
        weights = _full(Path(folder)) if options.full else options.weights
        _, info = read(weights)
        chosen = variants(info.spec.stages, options.threads)
        files = _converted(weights, Path(folder))
        nets = {variant: net for variant in chosen if (net := _load(variant, weights, files))}
    images = np.random.default_rng(0).random((_BATCH, HEIGHT, HEIGHT, 3), np.float32) - 0.5
    works = {str(v): partial(net, images[: v.batch]) for v, net in nets.items()}
    times = harness.measure(works, options.seconds)
    scenes = data.builtin()
    pictures = [] if options.full else [scenes.read(record) for record in scenes.dataset.images[: options.limit]]
    rows = []
    for variant, net in nets.items():
        ap = precision(net, options.decoder, scenes, pictures) if pictures else "-"
        median, least = (1000 * s / variant.batch for s in (times[str(variant)].median, times[str(variant)].least))
        rows.append({**variant.row(info.spec.stages), "AP": ap, "ms per image": median, "least": least})
    best = min(r["ms per image"] for r in rows if (r["precision"], r["stages"]) == ("float32", info.spec.stages))
    rows = [{**row, "of the best float32": row["ms per image"] / best} for row in rows]
    parameters = catalogue.n_parameters(info.spec)
    ap = f"AP of {weights.name} on {len(pictures)} drawn scenes (decoder {options.decoder})"
    of = (
        f"{info.spec.name}, {info.spec.stages} stages, {parameters:,} parameters; images of {HEIGHT}x{HEIGHT} px; "
        f"threads: {options.threads or 'all cores'}; {ap if pictures else 'random weights'}"
    )
    settings = {"seconds": options.seconds, "limit": options.limit, "decoder": options.decoder}
    return Report("inference", of, settings, rows)


def _full(folder: Path) -> Path:
    """The published six-stage network with seeded random weights, as a file."""
    info, arrays = initial.initial(replace(recipe("zc"), init="he"))
    write(folder / "full.safetensors", arrays, info)
    return folder / "full.safetensors"


def _converted(weights: Path, folder: Path) -> dict[bool, Path]:
    """The network as ONNX, and as ONNX in int8 (key True), by the command that users have."""
    files = {False: folder / "float32.onnx", True: folder / "int8.onnx"}
    for int8, path in files.items():
        command = [sys.executable, str(ROOT / "converters" / "convert.py"), str(weights), "--out", str(path)]
        done = subprocess.run([*command, *(["--int8", "builtin"] if int8 else [])], capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"{weights}: not converted to ONNX ({done.stderr.strip()})")
    return files


def _load(variant: Variant, weights: Path, files: Mapping[bool, Path]) -> Net | None:
    """None for a precision that there is none of here, which is said."""
    path = files[variant.int8] if variant.framework in _ONNX else weights
    try:
        return framework.load(variant.framework, path, preset=variant.preset)
    except UserError as error:
        if variant.preset.precision == "float32":
            raise
        sys.stderr.write(f"left out: {error}\n")
        return None


def precision(net: Net, decoder: str, scenes: Data, pictures: Sequence[np.ndarray]) -> float:
    """AP on `pictures`, the first of the scenes' images."""
    records = scenes.dataset.images[: len(pictures)]
    predictor = BottomUp(net, decoder)
    found: list[dict[str, Any]] = []
    for record, picture in zip(records, pictures, strict=True):
        found += coco_ap.results(record.id, predictor(picture), predictor.skeleton)
    return coco_ap.score(found, scenes.dataset.raw, [record.id for record in records])["AP"]
