"""An annotation file as large as COCO's: how long it takes to index, to open again and to start an epoch."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import annotation_file
from benchmarks.harness import Report
from shared.errors import UserError

ROOT = Path(__file__).parents[1]
# What a fresh process does.  Imports are not timed, but their memory counts.  VmHWM is this process' own largest
# resident size (ru_maxrss would include that of the process that started it), RssAnon what is not mapped from files:
# pages of the mapped index count in the first, and are given back when memory is short.
_START = """
import json, re, sys, time
from pathlib import Path
import cv2
from shared.data.folder import Folder
from shared.data.index import Index
from shared.recipes import recipe
from shared.samples import Pipeline
cv2.setNumThreads(1)
annotations, images, n_batches = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
start, busy = time.perf_counter(), time.process_time()
"""
_OPEN = "Index.open(annotations)\n"
_EPOCH = """
pipeline = Pipeline(Folder(annotations, images), recipe("zc"))
for n in range(n_batches):
    batch = pipeline.batch(range(10 * n, 10 * n + 10))
    assert not batch.skipped, batch.skipped
"""
_TELL = """
seconds, busy = time.perf_counter() - start, time.process_time() - busy
status = Path("/proc/self/status").read_text()
peak, own = (int(re.search(rf"{name}:\\s+(\\d+) kB", status)[1]) / 1e6 for name in ("VmHWM", "RssAnon"))
print(json.dumps({"s": seconds, "s of a core": busy, "peak GB": peak, "own GB at the end": own}))
"""
_STEPS = {  # what is done, in how many batches of 10, and what is asked
    "index, the first time": (_OPEN, 0, "15 s, 2 GB"),
    "index, from the cache": (_OPEN, 0, "2 s"),
    "an epoch, to its first batch": (_EPOCH, 1, "at once"),
    "an epoch, 30 batches": (_EPOCH, 30, "flat memory"),
    "an epoch, 150 batches": (_EPOCH, 150, "flat memory"),
}


def report(options: argparse.Namespace) -> Report:
    """Write the data set (into `options.folder`, to be kept, or a temporary one), then measure in processes of their
    own.
    """
    n_images, n_people = options.images, options.people
    with _folder(options.folder) as place:
        path, images = annotation_file.write(place, n_images, n_people)
        megabytes = path.stat().st_size / 1e6
        with tempfile.TemporaryDirectory() as cache:  # empty
            rows = [
                {"work": name, **_run(_START + work + _TELL, (path, images, n), cache), "asked": asked}
                for name, (work, n, asked) in _STEPS.items()
            ]
            cached = sum(file.stat().st_size for file in Path(cache).rglob("*") if file.is_file()) / 1e6
    of = (
        f"drawn scenes' annotations, repeated: {n_images} images, {n_people} people with segments, "
        f"{megabytes:.0f} MB of JSON, {cached:.0f} MB of cache; grey pictures; batches of 10 by the recipe zc"
    )
    settings = {"images": n_images, "people": n_people, "megabytes": megabytes, "cache_megabytes": cached}
    return Report("index", of, settings, rows)


@contextlib.contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
    else:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--folder {folder}: {error.strerror}; expected a folder that can be written") from None
        yield folder


def _run(script: str, arguments: tuple[object, ...], cache: str) -> dict:
    """Seconds and peak memory of a script in a fresh process, whose cache folder is `cache`."""
    environment = {**os.environ, "POSE_CACHE": cache, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"the measured process failed: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout)
