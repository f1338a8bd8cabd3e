"""The cache of an index: used when it is whole, and never trusted."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shared.data import coco_json, columns, index
from shared.data.index import Index, Layout
from shared.errors import UserError
from shared.skeleton import COCO17
from tests.unit.data.annotated import GOOD, check_good, index_file

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def arrays(found):
    return {name: value for name, value in vars(found).items() if isinstance(value, np.ndarray)}


def equal(found, expected):
    assert arrays(found).keys() == arrays(expected).keys()
    for name, value in arrays(expected).items():
        np.testing.assert_array_equal(arrays(found)[name], value, name)


COUNTS = []


def counted(path):
    COUNTS.append(path)
    return coco_json.read(path)


COUNTED = Layout("counted", COCO17, counted)


@pytest.fixture
def reads():
    """How many times an annotation file was read."""
    COUNTS.clear()
    return COUNTS


def test_the_second_time_comes_from_the_cache(tmp_path, cache, reads):
    path = index_file(tmp_path, GOOD)
    first, second = Index.open(path, COUNTED), Index.open(path, COUNTED)

    assert len(reads) == 1
    check_good(second)
    equal(second, first)
    assert all(not value.flags.writeable and not value.flags.owndata for value in arrays(second).values())
    assert [file.name for file in cache.iterdir()] == [f"{first.sha256[:32]}.counted-{index.VERSION}"]


def test_a_changed_file_has_another_index_even_with_the_old_times(tmp_path, reads):
    path = index_file(tmp_path, GOOD)
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    Index.open(path, COUNTED)
    path.write_text(path.read_text().replace("300.5", "301.5"))
    os.utime(path, ns=times)

    assert (Index.open(path, COUNTED).areas == 301.5).all()
    assert len(reads) == 2


@pytest.mark.parametrize("damage", ["first byte", "header", "middle", "last byte", "cut", "longer", "empty", "other"])
def test_a_damaged_cache_is_built_again(tmp_path, cache, reads, damage):
    path = index_file(tmp_path, GOOD)
    Index.open(path, COUNTED)
    (place,) = cache.iterdir()
    data = bytearray(place.read_bytes())
    at = {"first byte": 0, "header": 80, "middle": len(data) // 2, "last byte": -1}.get(damage)
    if at is not None:
        data[at] ^= 1
    place.write_bytes({"cut": data[:-100], "longer": data + b"x", "empty": b"", "other": b"x" * 999}.get(damage, data))

    check_good(Index.open(path, COUNTED))
    assert len(reads) == 2
    check_good(Index.open(path, COUNTED))
    assert len(reads) == 2


def test_an_index_pickles_small_and_does_not_read_the_file_again(tmp_path, reads):
    path = index_file(tmp_path, GOOD)
    text = pickle.dumps(Index.open(path, COUNTED))
    path.write_text("changed")

    assert len(text) < 1000
    check_good(pickle.loads(text))
    assert len(reads) == 1


def test_without_its_cache_a_changed_file_is_not_taken_for_the_old_one(tmp_path, cache):
    path = index_file(tmp_path, GOOD)
    text = pickle.dumps(Index.open(path))
    for file in cache.iterdir():
        file.unlink()
    check_good(pickle.loads(text))
    for file in cache.iterdir():
        file.unlink()
    path.write_text(path.read_text().replace("300.5", "301.5"))

    with pytest.raises(UserError, match="changed since it was opened"):
        pickle.loads(text)


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "file" / "deeper"))

    with pytest.raises(UserError, match=r"Not a directory; expected to keep .* set POSE_CACHE to a folder"):
        Index.open(index_file(tmp_path, GOOD))


def test_a_full_disk_leaves_no_half_cache(tmp_path, cache, monkeypatch):
    def full(columns):
        yield b"something"
        raise OSError(28, "No space left on device")

    path = index_file(tmp_path, GOOD)
    monkeypatch.setattr(columns, "_parts", full)
    with pytest.raises(UserError, match="No space left on device; expected to keep the index"):
        Index.open(path)
    assert not cache.exists() or not list(cache.iterdir())


def test_several_processes_may_open_at_once(tmp_path, cache):
    path = index_file(tmp_path, GOOD)
    code = f"from pathlib import Path; from shared.data.index import Index; print(Index.open(Path({str(path)!r})).ids)"
    running = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(3)]

    assert [process.communicate()[0] for process in running] == [b"[11 14 12 13]\n"] * 3
    assert len(list(cache.iterdir())) == 1
