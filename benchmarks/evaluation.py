"""An evaluation's cost: stages one after the other against overlapped, time and memory by images, and scoring."""

import argparse
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import annotation_file, harness
from benchmarks.harness import Report
from benchmarks.plots import Panel
from eval import runner, stages
from shared import coco_ap, framework, image
from shared.arch import catalogue
from shared.coco import ImageRecord
from shared.codec import targets
from shared.codec.targets import PAPER
from shared.data.builtin import Builtin
from shared.errors import UserError
from shared.inference import BottomUp
from shared.person import Pose
from shared.preprocess import CAFFE
from shared.skeleton import COCO17, COCO18
from shared.weights import SHIPPED, ModelInfo

ROOT = Path(__file__).parents[1]
STUB_IMAGE, STUB_INPUT = (480, 640), (368, 496)  # px (height, width): as most of COCO's are
STUB_PEOPLE = 3
PEOPLE = 11_004 / 5_000  # annotated people of an image, as in COCO's val2017
_QUALITY = 90  # of the JPEGs
_CHUNK = 20  # images that are done one way, then the other
_SAMPLES = 20  # points of the curves
_IDENTITY = {"protocol": "-", "weights": "-", "runtime": "-"}
_COLUMNS = ("work", "images", "s", "ms per image", "network busy", "times faster", "GB at a tenth", "GB at the end")
Row = dict[str, Any]


class Stub:
    """A network that waits `seconds`, as for a device, and gives the perfect maps of one drawn scene for each image.

    See `shared.net.Net`.  `curve` gets a point of images, seconds since the first and own GB at every `every` images.
    """

    weights_sha256, runtime, precision = "", "stub", "float32"
    info = ModelInfo(catalogue.spec("coco18"), CAFFE)

    def __init__(self, seconds: float, every: int) -> None:
        self.seconds, self.every = seconds, every
        self.images, self.started = 0, time.perf_counter()
        self.curve: list[tuple[int, float, float]] = []
        scene = next(
            raw for raw in map(Builtin("val").__getitem__, itertools.count()) if len(raw.points) == STUB_PEOPLE
        )
        points = COCO18.convert_from(COCO17, scene.points)
        points[..., :2] *= STUB_INPUT[0] / scene.size[0]
        heat, paf = targets.encode(points, COCO18, (STUB_INPUT[0] // 8, STUB_INPUT[1] // 8), PAPER)
        self.maps = {"heat": heat, "paf": paf}

    def __call__(self, images: np.ndarray, stages: bool = False) -> Mapping[str, np.ndarray]:
        time.sleep(self.seconds)
        self.images += len(images)
        if self.images % self.every == 0:
            self.curve.append((self.images, time.perf_counter() - self.started, _gigabytes("RssAnon")))
        return {name: np.stack([maps] * len(images)) for name, maps in self.maps.items()}


def _gigabytes(name: str) -> float:
    """This process' memory by its name in /proc: "VmHWM" the largest, "RssAnon" what is not mapped from files."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1e6 if found else 0.0


def pictures(folder: Path, count: int, size: tuple[int, int] | None = None) -> list[ImageRecord]:
    """The first built-in val scenes as JPEGs in a folder, at their own size or brought to `size`."""
    records = []
    for number, raw in enumerate(map(Builtin("val").__getitem__, range(count)), start=1):
        picture = raw.image if size is None else cv2.resize(raw.image, size[::-1])
        path = folder / f"{number}.jpg"
        cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        records.append(ImageRecord(number, path.name, picture.shape[0], picture.shape[1], path))
    return records


def read(record: ImageRecord) -> np.ndarray:
    """The picture of a record."""
    assert record.path is not None
    return image.read(record.path)


def one_by_one(
    records: Iterable[ImageRecord], predictor: BottomUp, part: Path, clock: stages.Clock
) -> dict[int, list[dict[str, Any]]]:
    """What `runner.predict` does, in one thread: the yardstick."""
    found = {}
    for record in records:
        with clock("read"):
            picture = read(record)
        with clock("prepare"):
            prepared = predictor.prepare(picture)
        with clock("network"):
            (outputs,) = predictor.forward([prepared])
        with clock("decode"):
            entries = coco_ap.results(record.id, predictor.finish(prepared, outputs), predictor.skeleton)
        with part.open("a") as file:
            file.write(json.dumps({"image_id": record.id, "poses": entries}) + "\n")
        found[record.id] = entries
    return found


def overlap(predictor: BottomUp, records: Sequence[ImageRecord], folder: Path, batch: int) -> list[Row]:
    """Rows of both ways, in turns over pieces of the images, and of what each stage takes by itself.

    Raises RuntimeError if they differ (in batches of one: a batch may change the last bits).
    """
    for record in records[:3]:  # warm up
        predictor(read(record))
    clock, seconds = stages.Clock(), {"one by one": 0.0, "overlapped": 0.0}
    busy = 0.0
    for first in range(0, len(records), _CHUNK):
        piece = records[first : first + _CHUNK]
        start = time.perf_counter()
        expected = one_by_one(piece, predictor, folder / "part.jsonl", clock)
        middle = time.perf_counter()
        groups = stages.groups(piece, predictor.input_sizes, batch)
        run = runner.predict(groups, read, predictor, folder / str(first), _IDENTITY, resume=False)
        seconds["overlapped"] += time.perf_counter() - middle
        seconds["one by one"] += middle - start
        busy += run.seconds["network"]
        if batch == 1 and run.predictions != expected:
            raise RuntimeError("overlapped stages gave other predictions than one image after the other")
    n, network = len(records), {"one by one": clock.seconds["network"], "overlapped": busy}
    rows = [
        row(f"JPEG to predictions, {way}", n, s, busy=network[way] / s, ratio=seconds["one by one"] / s)
        for way, s in seconds.items()
    ]
    return rows + [row(f"of one by one: {stage}", n, s) for stage, s in clock.seconds.items()]


def row(
    work: str, images: int, seconds: float, busy: Any = "-", ratio: Any = "-", memory: Sequence[Any] = ("-", "-")
) -> Row:
    """A row of the table; a share and a ratio of two digits."""
    busy, ratio = (value if value == "-" else f"{value:.2f}" for value in (busy, ratio))
    values = (work, images, seconds, 1000 * seconds / images, busy, ratio, *memory)
    return dict(zip(_COLUMNS, values, strict=True))


def print_curve(n_images: int, wait: float, decoder: str) -> None:
    """Predict so many images with the stub network in this process, and print JSON; see `many`."""
    with tempfile.TemporaryDirectory() as name:
        few = pictures(Path(name), 16, STUB_IMAGE)
        records = [ImageRecord(i, "", *STUB_IMAGE, few[i % len(few)].path) for i in range(1, n_images + 1)]
        net = Stub(wait, max(1, n_images // _SAMPLES))
        predictor = BottomUp(net, decoder)
        groups = stages.groups(records, predictor.input_sizes, 1)
        sample = records[: net.every]
        start = time.perf_counter()
        one_by_one(sample, BottomUp(Stub(wait, n_images + 1), decoder), Path(name) / "part.jsonl", stages.Clock())
        alone = (time.perf_counter() - start) / len(sample)
        net.started = time.perf_counter()
        run = runner.predict(groups, read, predictor, Path(name) / "out", _IDENTITY, resume=False)
    print(json.dumps({"curve": net.curve, "seconds": run.seconds, "alone": alone}))  # noqa: T201


def many(n_images: int, wait: float, decoder: str) -> tuple[Row, list[tuple[int, float, float]]]:
    """The row of many images through the stub network in a fresh process, and its curve.

    How many times faster they are than one by one is judged by the first of them.
    """
    script = f"from benchmarks import evaluation; evaluation.print_curve({n_images}, {wait}, {decoder!r})"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise UserError(f"the measured process failed with {done.returncode}; its message is above")
    found = json.loads(done.stdout)
    curve, seconds = found["curve"], found["seconds"]
    tenth = curve[max(0, len(curve) // 10 - 1)]
    work = f"a network that waits {1000 * wait:g} ms (a stub), overlapped"
    memory = tenth[2], curve[-1][2]
    each = seconds["all"] / n_images
    return row(
        work, n_images, seconds["all"], seconds["network"] / seconds["all"], found["alone"] / each, memory
    ), curve


def made_up(folder: Path, n_images: int, seed: int = 0) -> tuple[Mapping[str, Any], list[dict[str, Any]], list[int]]:
    """Annotations of so many images and results for them: most people, moved about, and somebody invented in each."""
    path, _ = annotation_file.write(folder, n_images, round(PEOPLE * n_images))
    raw, rng = json.loads(path.read_text()), np.random.default_rng(seed)
    found = []
    for entry in raw["annotations"]:
        keypoints = np.reshape(entry["keypoints"], (17, 3)).astype(np.float32)
        keypoints[:, :2] += rng.normal(0, rng.uniform(0, 12), (17, 2)) * (keypoints[:, 2:] > 0)
        if rng.uniform() < 0.8:
            found += coco_ap.results(entry["image_id"], [Pose(keypoints, rng.uniform())], COCO17)
    for number in range(1, n_images + 1):
        found += coco_ap.results(number, [Pose(rng.uniform(1, 300, (17, 3)), rng.uniform())], COCO17)
    return raw, found, list(range(1, n_images + 1))


def scoring(n_images: int) -> list[Row]:
    """Rows of the ten numbers by every scorer that is installed, and of the report's choice of the worst images."""
    with tempfile.TemporaryDirectory() as name:
        raw, found, ids = made_up(Path(name), n_images)
    works: dict[str, Any] = {"score, pycocotools": lambda: coco_ap.score(found, raw, ids)}
    try:
        coco_ap.require("faster-coco-eval")
        works["score, faster-coco-eval"] = lambda: coco_ap.score(found, raw, ids, "faster-coco-eval")
    except UserError:
        pass
    works["the worst images for the report"] = lambda: coco_ap.image_losses(found, raw, ids)
    timings = harness.measure(works, 0.0, time.process_time)
    yardstick = timings["score, pycocotools"].median
    return [row(name, n_images, t.median, ratio=yardstick / t.median) for name, t in timings.items()]


def report(options: argparse.Namespace) -> Report:
    """All of it; the curves are of the stub network."""
    if not 1 <= options.images <= len(Builtin("val")):
        raise UserError(f"--images {options.images}: expected 1 to {len(Builtin('val'))}, the scenes of the val split")
    if options.many < _SAMPLES or options.batch < 1 or not 0 <= options.wait <= 10:
        raise UserError(f"--many, --batch or --wait: expected {_SAMPLES} images or more, 1 or more, and 0 to 10 s")
    net = framework.load(options.framework, options.weights or SHIPPED, device=options.device)
    predictor = BottomUp(net, options.decoder)
    with tempfile.TemporaryDirectory() as name:
        rows = overlap(predictor, pictures(Path(name), options.images), Path(name), options.batch)
    stub, curve = many(options.many, options.wait, options.decoder)
    rows += [stub, *scoring(options.many)]
    of = (
        f"{options.images} drawn scenes (built-in val split) as JPEGs with the shipped network on {net.runtime}, "
        f"{options.device}, decoder {options.decoder}, batches of {options.batch}; {options.many} JPEGs of 640x480 "
        f"with a stub that gives perfect maps of {STUB_PEOPLE} people; made-up results for {options.many} images "
        f"({PEOPLE:.1f} people each), seconds of a core"
    )
    settings = {name: getattr(options, name) for name in ("images", "many", "wait", "framework", "decoder", "batch")}
    panels = [
        Panel("images", "s", {"stub network": [(n, s) for n, s, _ in curve]}),
        Panel("images", "own memory, GB", {"stub network": [(n, gb) for n, _, gb in curve]}),
    ]
    return Report("eval", of, {**settings, "curve": curve}, rows, panels=panels)
