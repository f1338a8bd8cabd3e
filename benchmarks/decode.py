"""Milliseconds from a network's maps to people: against people, against map size, by step; and of real maps."""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import candidates, harness
from benchmarks.candidates import Candidate
from benchmarks.harness import Report
from benchmarks.maps import Stored, stored, whole
from benchmarks.plots import Panel
from shared import coco, jit
from shared.codec import fast, targets
from shared.codec.spec import FAST, STRIDE, Maps
from shared.errors import UserError
from shared.merging import merge
from shared.scenes import dataset
from shared.skeleton import COCO17, COCO18

MAPS = ((46, 82), (92, 164))  # cells: the published height with a wide picture, and twice that
PEOPLE = (1, 3, 10, 30, 100, 200)
SIZES = ((23, 41), (184, 328))  # with `_AMONG` people, besides MAPS
YARDSTICK = "reference"
PLAIN = "fast, without numba"
_AMONG = 10
_SCENES = 16
_ONCE = 1.0  # s; what takes longer is measured once
_PATIENCE = 5.0  # s; what took longer is left out with more people
_ROOT = Path(__file__).parents[1]
Row = dict[str, Any]


def people(count: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """(count, 18, 3) People of drawn scenes on maps of `size` cells; px of the network's input.

    The longer side of one is 0.6 to 1.4 times what lets so many stand beside each other with some overlap, at most
    1.4 * 0.6 of the height; anywhere inside.
    """
    rng = np.random.default_rng(seed)
    known = _known()
    area = STRIDE * np.array(size[::-1])
    usual = min(0.6 * area[1], 1.6 * math.sqrt(area.prod() / count))
    found = np.zeros((count, 17, 3))
    for person, drawn in zip(found, rng.choice(len(known), count), strict=True):
        person[:] = known[drawn]
        seen = person[:, 2] > 0
        least, most = person[seen, :2].min(axis=0), person[seen, :2].max(axis=0)
        scale = usual * rng.uniform(0.6, 1.4) / max(most - least)
        free = np.maximum(area - scale * (most - least), 0)
        person[:, :2] = (person[:, :2] - least) * scale + rng.uniform(0, 1, 2) * free
    return COCO18.convert_from(COCO17, found)


@cache
def _known() -> list[np.ndarray]:
    """(17, 3) each: people of drawn scenes, most of whose keypoints are in the picture."""
    scenes = coco.load(dataset.annotations("train", range(_SCENES)))
    return [p.keypoints for image in scenes.images for p in scenes.persons(image.id) if p.n_keypoints > 7]


def drawn(count: int, size: tuple[int, int]) -> Stored:
    """Perfect maps of that many people, targets "paper"."""
    heat, paf = targets.encode(people(count, size), COCO18, size, targets.PAPER)
    pixels = STRIDE * size[0], STRIDE * size[1]
    return Stored(0, {"heat": heat, "paf": paf}, whole(pixels, pixels), pixels)


def work(decoder: Candidate, entries: Sequence[Stored]) -> Callable[[], int]:
    """What makes people of a network's maps, all on one thread; it returns how many.

    A decoder that reads maps as they are gets them so; the others' enlarging is theirs.
    """

    def run() -> int:
        found = 0
        for entry in entries:
            if decoder.spec.resolution == "stride":
                f = entry.fitted
                maps = Maps(entry.maps["heat"], entry.maps["paf"], f.to_image, f.shift, STRIDE)
            else:
                maps = merge([entry.fitted], [entry.maps], [], entry.size, decoder.spec.resolution, COCO18)
            found += len(decoder.run(maps, COCO18))
        return found

    return run


def cell(
    decoders: Sequence[Candidate], entries: Sequence[Stored], what: Mapping[str, Any], seconds: float
) -> list[Row]:
    """A row for each decoder on the same maps.  What takes longer than a second is measured once, at its first call."""
    works = {decoder.spec.name: work(decoder, entries) for decoder in decoders}
    found, took, rounds = {}, {}, {}
    for name, each in works.items():
        if jit.available() and name == FAST.name:
            each()  # compiled, or read from the disk
        start = time.process_time()
        found[name] = each()
        took[name], rounds[name] = time.process_time() - start, 1
    quick = {name: each for name, each in works.items() if took[name] < _ONCE}
    for name, timing in harness.measure(quick, seconds, time.process_time).items() if quick else ():
        took[name], rounds[name] = timing.median, timing.rounds
    ms = {name: 1000 * each / len(entries) for name, each in took.items()}
    return [{**what, "decoder": name, "ms": ms[name], "found": found[name], "rounds": rounds[name]} for name in works]


def rows_of(decoders: Sequence[Candidate], entries: Sequence[Stored], seconds: float) -> list[Row]:
    """Rows of all maps and numbers of people, and of real maps if there are."""
    rows = []
    for size in (*MAPS, *SIZES):
        left = list(decoders)
        for count in PEOPLE if size in MAPS else (_AMONG,):
            sys.stderr.write(f"{size[0]}x{size[1]} cells, {count} people\n")
            new = cell(left, [drawn(count, size)], {"map": f"{size[0]}x{size[1]}", "people": count}, seconds)
            slow = {row["decoder"] for row in new if row["ms"] > 1000 * _PATIENCE}
            left = [decoder for decoder in left if decoder.spec.name not in slow]
            rows += new
    if entries:
        rows += cell(decoders, entries, {"map": f"{len(entries)} real", "people": "-"}, seconds)
    return rows


def without_numba(options: argparse.Namespace) -> list[Row]:
    """The rows of the fast decoder in a process that has no numba."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "benchmarks", "decode", "--decoders", FAST.name, "--out", str(out)]
        command += ["--seconds", str(options.seconds)] + (
            ["--maps", str(options.maps.resolve())] if options.maps else []
        )
        subprocess.run(command, cwd=_ROOT, env={**os.environ, jit.OFF: "0"}, check=True, stdout=subprocess.DEVNULL)
        return [{**row, "decoder": PLAIN} for row in json.loads(out.read_text())["rows"] if row["decoder"] != "-"]


def first_call() -> float:
    """Seconds of the first decoding of a process, whose kernels are on the disk; numba's import is in it."""
    code = (
        "import os, time; from benchmarks.decode import drawn; from shared.codec.decoders import decode;"
        "from shared.skeleton import COCO18; os.environ['POSE_NUMBA'] = '0'; maps = drawn(3, (46, 82)).maps;"
        "del os.environ['POSE_NUMBA']; start = time.perf_counter();"
        "decode('fast', maps['heat'], maps['paf'], COCO18); print(time.perf_counter() - start)"
    )
    done = [subprocess.run([sys.executable, "-c", code], cwd=_ROOT, capture_output=True, check=True) for _ in range(3)]
    return min(float(each.stdout) for each in done[1:])


def steps(count: int, size: tuple[int, int], seconds: float) -> dict[str, float]:
    """ms of each step of the fast decoder; "join" is what people take with it and not without."""
    entry = drawn(count, size)
    heat, paf = entry.maps["heat"], entry.maps["paf"]
    points, firsts = fast.peaks(heat, COCO18.n_keypoints, FAST)
    connections = fast.pairs(points, firsts, paf, COCO18, FAST)
    alone = replace(FAST, join=None)
    works = {
        "peaks": lambda: fast.peaks(heat, COCO18.n_keypoints, FAST),
        "pairs": lambda: fast.pairs(points, firsts, paf, COCO18, FAST),
        "assemble": lambda: fast.people(points, firsts, connections, COCO18, alone),
        "people": lambda: fast.people(points, firsts, connections, COCO18, FAST),
    }
    timings = harness.measure(works, seconds, time.process_time)
    ms = {name: 1000 * timing.median for name, timing in timings.items()}
    ms["join"] = max(ms.pop("people") - ms["assemble"], 0.0)
    return ms


def panels(rows: Sequence[Row], by_step: Mapping[int, Mapping[str, float]]) -> list[Panel]:
    """Curves: ms against people, against cells, and the steps of the fast decoder against people."""
    against_people: dict[str, list[tuple[float, float]]] = {}
    against_cells: dict[str, list[tuple[float, float]]] = {}
    first = "x".join(map(str, MAPS[0]))
    for row in rows:
        if row["map"] == first:
            against_people.setdefault(row["decoder"], []).append((row["people"], row["ms"]))
        if row["people"] == _AMONG:
            cells = math.prod(map(int, row["map"].split("x")))
            against_cells.setdefault(row["decoder"], []).append((cells, row["ms"]))
    by_size = {name: sorted(points) for name, points in against_cells.items()}
    names = next(iter(by_step.values()), {})
    of_steps = {name: [(count, ms[name]) for count, ms in by_step.items() if ms[name] > 0] for name in names}
    return [
        Panel(f"people, maps of {first}", "ms", against_people, "xy"),
        Panel(f"cells of the maps, {_AMONG} people", "ms", by_size, "xy"),
        Panel(f"people, maps of {first}, the fast decoder", "ms", {k: v for k, v in of_steps.items() if v}, "xy"),
    ]


def report(options: argparse.Namespace) -> Report:
    """ms per image on one thread, by the process' own clock, and how many times faster than `reference` that is."""
    if not (math.isfinite(options.seconds) and 0 < options.seconds <= 60):
        raise UserError(f"--seconds {options.seconds}: expected a number above 0, at most 60")
    decoders = [candidates.candidate(name) for name in options.decoders.split(",")]
    entries = stored(options.maps) if options.maps else []
    cv2.setNumThreads(1)
    rows = rows_of(decoders, entries, options.seconds)
    by_step, first = {}, None
    if jit.available() and FAST.name in (decoder.spec.name for decoder in decoders):
        rows += without_numba(options)
        by_step = {count: steps(count, MAPS[0], options.seconds) for count in PEOPLE}
        first = first_call()
    slow = {(row["map"], row["people"]): row["ms"] for row in rows if row["decoder"] == YARDSTICK}
    for row in rows:
        yardstick = slow.get((row["map"], row["people"]))
        row[f"times {YARDSTICK}"] = yardstick / row["ms"] if yardstick else "-"
    order = list(dict.fromkeys((row["map"], row["people"]) for row in rows))
    rows.sort(key=lambda row: order.index((row["map"], row["people"])))
    of = (
        "perfect maps (targets paper) of people of drawn scenes"
        + f", and the maps of a real network for {len(entries)} pictures" * bool(entries)
        + "; on one thread, seconds of its own time, from maps at stride 8 to people"
    )
    if first is not None:
        of += f". Of {MAPS[0][0]}x{MAPS[0][1]}, ms by step of the fast decoder: "
        of += "; ".join(
            f"{count} people " + ", ".join(f"{name} {ms:.3f}" for name, ms in each.items())
            for count, each in by_step.items()
        )
        of += f". The first call of a process, with numba's import, takes {first:.2f} s by the clock on the wall"
    settings = {"seconds": options.seconds, "steps": by_step, "first_call": first}
    return Report("decode", of, settings, rows, panels=panels(rows, by_step))
