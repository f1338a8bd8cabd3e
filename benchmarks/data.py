"""Training samples per second on one core: targets alone, and from a JPEG to a batch; and what a network eats."""

import argparse
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import process_time

import cv2
import numpy as np

from benchmarks import harness, plain
from benchmarks.harness import Report
from shared import framework, image
from shared.codec import targets
from shared.codec.targets import PAPER
from shared.data.builtin import Builtin
from shared.data.folder import Folder
from shared.data.source import Raw, Source
from shared.data.sources import options_of
from shared.errors import UserError
from shared.initial import initial
from shared.recipe import ema_decay, learning_rate
from shared.recipes import recipe
from shared.samples import Pipeline
from shared.skeleton import COCO17, COCO18

CROP = 368
CELLS = (CROP // PAPER.stride,) * 2
PEOPLE = (1, 1, 2, 4, 6)  # in one crop after the other: 2.8 on average, as in COCO's training set
RECIPES: dict[str, tuple[str, tuple[str, ...]]] = {  # and what is changed in them
    "zc": ("zc", ()),
    "zc, reduced": ("zc", ("augment.decode=reduced",)),
    "modern": ("modern", ()),
}
TOLERANCE = 1e-5  # of values up to 1, float32
_SCENES = 32
_CROPS = 20
_BATCH = 8
_QUALITY = 90  # of the JPEGs; COCO's are near that


class JpegScenes:
    """The first built-in scenes as JPEGs in memory; see `shared.data.source.Source`."""

    skeleton = COCO17

    def __init__(self, count: int = _SCENES) -> None:
        self.scenes: list[tuple[bytes, Raw]] = []
        drawn = Builtin("train")
        for raw in map(drawn.__getitem__, range(count)):
            _, data = cv2.imencode(".jpg", raw.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            main = len(raw.points) > 0
            self.scenes.append((data.tobytes(), replace(raw, picture=np.empty((0, 0, 3), np.uint8), main=main)))

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Raw:
        data, raw = self.scenes[index]
        return replace(raw, picture=image.encoded(data, raw.name))

    def identity(self) -> Mapping[str, object]:
        return {"name": "builtin as JPEG", "scenes": len(self)}


def crops(scenes: JpegScenes, count: int = _CROPS, seed: int = 0) -> list[np.ndarray]:
    """People (P, 18, 3) of `count` crops of 368 px: people of the scenes, 80 to 320 px tall, anywhere inside."""
    rng = np.random.default_rng(seed)
    people = np.concatenate([raw.points for _, raw in scenes.scenes])
    boxes = np.concatenate([raw.boxes for _, raw in scenes.scenes])
    found = []
    for n in itertools.islice(itertools.cycle(PEOPLE), count):
        chosen = rng.choice(len(people), n, replace=False)
        placed = people[chosen].copy()
        for person, box in zip(placed, boxes[chosen], strict=True):
            scale = rng.uniform(80, 320) / max(box[2:])
            person[:, :2] = (person[:, :2] - box[:2]) * scale + rng.uniform(0, CROP - scale * box[2:])
        found.append(COCO18.convert_from(COCO17, placed))
    return found


def check_equal(samples: Sequence[np.ndarray]) -> None:
    """Raises RuntimeError if our targets and the plain ones differ: what is faster must be the same."""
    ours = targets.encode_batch(samples, COCO18, CELLS, PAPER)
    theirs = zip(*(plain.encode(points, COCO18, CELLS, PAPER) for points in samples), strict=True)
    for name, fast, slow in zip(("heat", "paf"), ours, theirs, strict=True):
        difference = float(np.abs(fast - np.stack(slow)).max())
        if not difference <= TOLERANCE:
            raise RuntimeError(f"{name} is {difference:g} off the plain version, expected at most {TOLERANCE}")


def pipeline_callable(name: str, source: Callable[[str], Source]) -> Callable[[], object]:
    """What makes the next batch of one of `RECIPES`, from JPEG bytes to normalised arrays."""
    chosen = recipe(RECIPES[name][0], RECIPES[name][1])
    pipeline = Pipeline(source(RECIPES[name][0]), chosen)
    starts = itertools.count(0, _BATCH)

    def work() -> object:
        start = next(starts)
        return pipeline.batch(range(start, start + _BATCH))

    return work


def report(options: argparse.Namespace) -> Report:
    """Medians on one core, `options.seconds` for each; the plain version is the yardstick of the targets.

    The clock is the process' own: its work has one thread, and others' work beside it does not count.  A network's
    training steps, with `options.framework`, have all cores and the wall clock.
    """
    seconds = options.seconds
    if not (math.isfinite(seconds) and 0 < seconds <= 3600):
        raise UserError(f"--seconds {seconds}: expected a number above 0, at most 3600")
    if (options.annotations is None) != (options.images is None):
        raise UserError("--annotations and --images belong together; give both or neither")
    cv2.setNumThreads(1)
    scenes = JpegScenes()
    source = _source(options, scenes)
    pictures = source("zc")
    n = min(len(pictures), _SCENES)
    samples = crops(scenes)
    check_equal(samples)
    works = {
        "targets, plain Python": (lambda: [plain.encode(each, COCO18, CELLS, PAPER) for each in samples], _CROPS),
        "targets": (lambda: targets.encode_batch(samples, COCO18, CELLS, PAPER), _CROPS),
        "targets, one by one": (lambda: [targets.encode(each, COCO18, CELLS, PAPER) for each in samples], _CROPS),
        "JPEG decoding": (lambda: [pictures[i].image for i in range(n)], n),
        "JPEG decoding at 1/2": (lambda: [pictures[i].reduced(2) for i in range(n)], n),
        **{f"JPEG to batch, {name}": (pipeline_callable(name, source), _BATCH) for name in RECIPES},
    }
    timings = harness.measure({name: work for name, (work, _) in works.items()}, seconds, process_time)
    each = {name: timings[name].median / count for name, (_, count) in works.items()}
    rounds = {name: timing.rounds for name, timing in timings.items()}
    for name in ("zc", "modern") if options.framework else ():
        step, size = step_callable(options, name, source)
        timing = harness.measure({name: step}, seconds)[name]
        each[f"training step, {name}"], rounds[f"training step, {name}"] = timing.median / size, timing.rounds
    rows = [_row(name, each, rounds[name]) for name in each]
    people = sum(map(len, samples)) / len(samples)
    sizes = [pictures[i].size for i in range(n)]
    of = (
        f"{'photographs' if options.images else 'drawn scenes'}, on one core (seconds of its own time): {len(samples)} "
        f"crops of {CROP} px with {people} people on average (targets: paper, of drawn scenes); {n} JPEGs of "
        f"{min(sizes)} to {max(sizes)} px (height, width), batches of {_BATCH}"
        + f"; training steps of {options.framework} on {options.device}, on all of it"
        * bool(options.framework)
    )
    return Report("data", of, {"seconds": seconds, "people": people, "crop": CROP, "batch": _BATCH}, rows)


def _source(options: argparse.Namespace, scenes: JpegScenes) -> Callable[[str], Source]:
    """What makes the source for a recipe: of the files that were named, or the drawn scenes."""
    if options.images is None:
        return lambda _: scenes
    return lambda name: Folder(options.annotations, options.images, options_of(recipe(name)))


def _row(name: str, each: Mapping[str, float], rounds: int) -> dict[str, object]:
    """`each`: seconds of a sample by the name of the work."""
    kind, _, of = name.partition(", ")
    return {
        "work": name,
        "ms per sample": 1000 * each[name],
        "samples/s": 1 / each[name],
        "times the plain version": each["targets, plain Python"] / each[name] if name == "targets" else "-",
        "times fed by one core": each[name] / each[f"JPEG to batch, {of}"] if kind == "training step" else "-",
        "rounds": rounds,
    }


def step_callable(
    options: argparse.Namespace, name: str, source: Callable[[str], Source]
) -> tuple[Callable[[], object], int]:
    """A recipe's training step on one and the same batch, and how many samples are in that."""
    changes = () if options.batch is None else (f"batch={options.batch}",)
    chosen = recipe(name, changes)
    framework.require(options.framework)
    ranks = framework.module(options.framework, "ranks").Ranks(options.device)
    trainer = framework.module(options.framework, "training").Trainer(*initial(chosen), chosen, ranks)
    batch = Pipeline(source(name), chosen).batch(range(chosen.batch))
    return lambda: trainer.step(batch, learning_rate(chosen, 0), ema_decay(chosen, 0)), chosen.batch
