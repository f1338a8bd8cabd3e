"""Proof of a conversion: the source in its own runtime against the target in its own, stage by stage."""

from pathlib import Path
from typing import Any

import numpy as np

from converters import parity, sources
from shared import framework as frameworks
from shared.arch import catalogue
from shared.errors import WeightError
from shared.net import Net
from shared.preprocess import PREPROCESS
from shared.weights import existing, sha256

SEED = 0
# By the end of a target's name; a safetensors file runs in the framework that the user names.
_TARGETS = {".onnx": "onnx", ".pth": "torch", ".pt": "torch", ".h5": "keras", ".caffemodel": "caffe"}
_DESCRIBED = (".safetensors", ".onnx", ".h5")  # targets that say how they want their colours
_OTHER = {"torch": "keras", "keras": "torch"}


def check(
    source: Path,
    target: Path,
    *,
    prototxt: Path | None = None,
    model: str | None = None,
    preprocess: str | None = None,
    size: tuple[int, int] | None = None,
    skeleton: str | None = None,
    framework: str = "torch",
) -> dict[str, Any]:
    """Compare, write `TARGET.parity.json` beside the target (a folder may hold several), return its content.

    A Caffe network with its prototxt runs in OpenCV's `dnn`; every other source runs in the framework that does
    not run the target, so that no network is compared with itself.  Both get the same seeded images, each as
    its own `info.preprocess` makes them (`preprocess` overrides the source's, as in the conversion) where the
    target's format holds one.  What is said of the source (see `converters.sources.read`) is as in the conversion.
    All on the CPU in float32, where there is no TF32.

    Raises `WeightError` that names the worst stage if it is above `parity.GATE` (or its family's) or not finite;
    the report is written in that case too, with `passed` false.
    """
    running = _TARGETS.get(target.suffix, framework)
    reference = _reference(source, running, prototxt, model=model, size=size, skeleton=skeleton)
    candidate = frameworks.load(running, existing(target, "the converted file"))
    colours = PREPROCESS[preprocess] if preprocess else reference.info.preprocess
    seen = candidate.info.preprocess if target.suffix in _DESCRIBED else colours
    inputs = {
        name: _rows(reference, colours(images), candidate, seen(images))
        for name, images in check_images(reference.info.spec).items()
    }
    report = parity.Report(
        model=reference.info.spec.name,
        reference=parity.Side(source.name, reference.weights_sha256, reference.runtime),
        candidate=parity.Side(target.name, sha256(target), candidate.runtime),
        inputs=inputs,
        gate=parity.FAMILY_GATES.get(reference.info.spec.family, parity.GATE),
    )
    report.write(report_path(target))
    if not report.passed:
        worst = report.worst
        raise WeightError(
            f"{target.name}: stage {worst.stage} differs from {source.name} ({reference.runtime}) by "
            f"{worst.ratio:.1e} of its maximum, expected at most {report.gate:.0e}; do not use this conversion"
        )
    return report.to_dict()


def report_path(target: Path) -> Path:
    """Where the report on `target` lies."""
    return target.with_name(f"{target.name}.parity.json")


def _reference(source: Path, running: str, prototxt: Path | None, **told: Any) -> Net:
    described = prototxt is not None or source.with_suffix(".prototxt").is_file()
    if sources.kind(source) == "caffe" and described:
        return frameworks.load("caffe", source, model=told["model"], prototxt=prototxt)
    arrays, info = sources.read(source, prototxt=prototxt, **told)
    other = _OTHER.get(running, "torch")
    digest = sha256(source) if source.is_file() else info.source_sha256
    return frameworks.module(other, "net").LoadedNet(arrays, info, digest)


def check_images(spec: Any) -> dict[str, np.ndarray]:
    """Seeded RGB images (N, H, W, 3) uint8 by description: noise in two sizes, and one with large shapes.

    Networks that normalise with the statistics of the image take one image at a time, its sides multiples of
    `spec.stride`; the others also get a batch of two, and sides that pooling has to round up.  Networks of one person
    take multiples of 32, among them their own size.
    """
    rng = np.random.default_rng(SEED)
    batch, width, other = 2, 80, (65, 83)
    if spec.family == "mobilenet_v2_small":
        batch, other = 1, (88, 64)
    elif catalogue.top_down(spec):
        width, other = 96, spec.size
    return {
        f"noise {batch}x64x{width}": rng.integers(0, 256, (batch, 64, width, 3), np.uint8),
        f"noise 1x{other[0]}x{other[1]}": rng.integers(0, 256, (1, *other, 3), np.uint8),
        "shapes 1x96x64": _shapes(96, 64)[None],
    }


def _shapes(height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8: a different ramp in each colour, and two discs."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    image = np.stack([255 * x / width, 255 * y / height, 255 * (x + y) / (width + height)], axis=-1)
    image[(x - width / 3) ** 2 + (y - height / 3) ** 2 < (width / 6) ** 2] = (230, 40, 20)
    image[(x - width / 2) ** 2 + (y - height / 1.5) ** 2 < (width / 5) ** 2] = (10, 60, 200)
    return image.astype(np.uint8)


def _rows(reference: Net, expects: np.ndarray, candidate: Net, sees: np.ndarray) -> list[parity.Row]:
    stages = list(reference.info.spec.stage_outputs())
    return parity.compare(reference(expects, stages=True), candidate(sees, stages=True), stages)
