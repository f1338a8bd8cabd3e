"""Training samples per second on one core: targets alone, and everything from a JPEG to a batch."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import process_time

import cv2
import numpy as np

from benchmarks import harness, plain
from benchmarks.harness import Report
from shared import image
from shared.codec import targets
from shared.codec.targets import PAPER
from shared.data.builtin import Builtin
from shared.data.source import Raw
from shared.errors import UserError
from shared.recipe import recipe
from shared.samples import Pipeline
from shared.skeleton import COCO17, COCO18

CROP = 368
CELLS = (CROP // PAPER.stride,) * 2
PEOPLE = (1, 1, 2, 4, 6)  # in one crop after the other: 2.8 on average, as in COCO's training set
RECIPES = ("zc", "modern")
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
            self.scenes.append((data.tobytes(), replace(raw, image=np.empty((0, 0, 3), np.uint8), main=main)))

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Raw:
        data, raw = self.scenes[index]
        return replace(raw, image=image.decode(data, raw.name))

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
    for points in samples:
        ours = targets.encode(points, COCO18, CELLS, PAPER)
        for name, fast, slow in zip(("heat", "paf"), ours, plain.encode(points, COCO18, CELLS, PAPER), strict=True):
            difference = float(np.abs(fast - slow).max())
            if not difference <= TOLERANCE:
                raise RuntimeError(f"{name} is {difference:g} off the plain version, expected at most {TOLERANCE}")


def pipeline_callable(scenes: JpegScenes, name: str) -> Callable[[], object]:
    """What makes the next batch of a recipe at a crop of 368 px, from JPEG bytes to normalised arrays."""
    pipeline = Pipeline(scenes, recipe(name))
    starts = itertools.count(0, _BATCH)

    def work() -> object:
        start = next(starts)
        return pipeline.batch(range(start, start + _BATCH))

    return work


def report(seconds: float) -> Report:
    """Medians on one core, `seconds` for each; the plain version is the yardstick of the targets.

    The clock is the process' own: its work has one thread, and others' work beside it does not count.
    """
    if not (math.isfinite(seconds) and 0 < seconds <= 3600):
        raise UserError(f"--seconds {seconds}: expected a number above 0, at most 3600")
    cv2.setNumThreads(1)
    scenes = JpegScenes()
    samples = crops(scenes)
    check_equal(samples)
    works = {
        "targets, plain Python": (_over(samples, plain.encode), len(samples)),
        "targets": (_over(samples, targets.encode), len(samples)),
        "JPEG decoding": (lambda: [scenes[i] for i in range(len(scenes))], len(scenes)),
        **{f"JPEG to batch, {name}": (pipeline_callable(scenes, name), _BATCH) for name in RECIPES},
    }
    timings = harness.measure({name: work for name, (work, _) in works.items()}, seconds, process_time)
    rows = []
    for name, (_, n) in works.items():
        each = timings[name].median / n
        ratio = timings["targets, plain Python"].median / len(samples) / each if name == "targets" else "-"
        row = {"work": name, "ms per sample": 1000 * each, "samples/s": 1 / each, "times the plain version": ratio}
        rows.append({**row, "rounds": timings[name].rounds})
    people = sum(map(len, samples)) / len(samples)
    sizes = [scenes[i].image.shape[:2] for i in range(len(scenes))]
    of = (
        f"drawn scenes, on one core (seconds of its own time): {len(samples)} crops of {CROP} px with {people} people "
        f"on average (targets: paper); {len(scenes)} JPEGs of {min(sizes)} to {max(sizes)} px (height, width), batches "
        f"of {_BATCH}"
    )
    return Report("data", of, {"seconds": seconds, "people": people, "crop": CROP, "batch": _BATCH}, rows)


def _over(samples: Sequence[np.ndarray], encode: Callable[..., object]) -> Callable[[], object]:
    return lambda: [encode(points, COCO18, CELLS, PAPER) for points in samples]
