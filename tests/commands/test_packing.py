"""A packing run that is killed, or out of room, goes on and ends with the same file."""

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared.scenes import dataset

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
N = 24
WAIT = 60  # s, for a child that makes no progress
# The mask takes a while, so that a kill lands where it should.
SCRIPT = """
import sys, time
from pathlib import Path
import numpy as np
from shared.data import packing
from shared.errors import UserError

def slow(height, width, segments, n_keypoints, crowd):
    time.sleep(0.01)
    mask = np.full((height, width), 255, np.uint8)
    mask[: 5 * len(segments) + 1, 7:90] = 0
    return mask

packing.loss_mask = slow
packing._FLUSH = 2
try:
    packing.pack(*map(Path, sys.argv[1:]))
except UserError as error:
    sys.exit(f"error: {error}")
"""


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Drawn scenes as COCO files: the annotations and the folder of the images."""
    folder = tmp_path_factory.mktemp("scenes")
    return dataset.write(folder, "val", count=N), folder / "images"


@pytest.fixture(scope="module")
def whole(scenes, tmp_path_factory):
    """The bytes of an undisturbed run."""
    out = tmp_path_factory.mktemp("whole") / "data.h5"
    with started(scenes, out) as run:
        assert run.wait(WAIT) == 0, run.stderr.read()
    return out.read_bytes()


def started(scenes, out, **options):
    command = [sys.executable, "-c", SCRIPT, *map(str, (*scenes, out))]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, **options)


def kill_at(scenes, out, n_bytes):
    """Start packing and kill it when its file has this length; whether it was still at work."""
    part = out.with_name("data.h5.part")
    with started(scenes, out) as run:
        until = time.monotonic() + WAIT
        while run.poll() is None and time.monotonic() < until:
            if part.exists() and part.stat().st_size >= n_bytes:
                break
            time.sleep(0.001)
        run.send_signal(signal.SIGKILL)
        return run.wait(WAIT) == -signal.SIGKILL


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_a_killed_run_goes_on_and_ends_with_the_same_file(scenes, whole, tmp_path, share):
    out = tmp_path / "data.h5"

    assert kill_at(scenes, out, share * len(whole))
    assert not out.exists()

    with started(scenes, out) as run:
        assert run.wait(WAIT) == 0, run.stderr.read()
    assert out.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["data.h5"]


def test_a_run_killed_again_and_again_ends_with_the_same_file(scenes, whole, tmp_path):
    out = tmp_path / "data.h5"

    kills = [kill_at(scenes, out, share * len(whole)) for share in (0.15, 0.4, 0.6, 0.8)]

    assert all(kills)
    with started(scenes, out) as run:
        assert run.wait(WAIT) == 0, run.stderr.read()
    assert out.read_bytes() == whole


def test_a_run_without_room_says_so_in_one_line_and_goes_on_later(scenes, whole, tmp_path):
    """The system refuses to let the file grow, as a full disk would."""
    out, limit = tmp_path / "data.h5", len(whole) // 2

    with started(scenes, out, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) as run:
        stderr = run.stderr.read()
        assert run.wait(WAIT) == 1

    assert stderr.count("\n") == 1
    assert stderr.startswith(f"error: {out}.part: File too large; expected room for {N} images; what is packed stays")
    assert not out.exists()
    assert (tmp_path / "data.h5.part").stat().st_size <= limit
    with started(scenes, out) as run:
        assert run.wait(WAIT) == 0, run.stderr.read()
    assert out.read_bytes() == whole
