"""A packing that is stopped or refused on the way: what is done is kept, and the next run ends with the same file."""

import errno
import fcntl
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from shared.data import packing
from shared.data.packed import Packed, pack
from tests.unit.data.packs import N, mask_of, refused

pytestmark = pytest.mark.usefixtures("masks_and_cache", "often_flushed")


class _Stopped(Exception):
    """What ends a run in the middle."""


def stop_after(n):
    def progress(done, total):
        assert total == N
        if done == n:
            raise _Stopped

    return progress


def stopped(scenes, out, n):
    with pytest.raises(_Stopped):
        pack(*scenes, out, stop_after(n))
    return out.with_name(out.name + ".part")


@pytest.mark.parametrize("n", range(1, N + 1))
def test_a_stopped_run_goes_on_and_ends_with_the_same_file(scenes, whole, tmp_path, n):
    out = tmp_path / "data.h5"
    part = stopped(scenes, out, n)
    assert not out.exists()
    refused(lambda: Packed(part), "not a whole HDF5 file")
    mask_of.calls, seen = 0, []

    pack(*scenes, out, lambda *progress: seen.append(progress))

    assert out.read_bytes() == whole.read_bytes()
    assert mask_of.calls == N - n // 2 * 2  # what was flushed is not made again
    assert seen == [(done, N) for done in range(1, N + 1)]
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_run_stopped_in_its_last_step_ends_with_the_same_file(scenes, whole, tmp_path, monkeypatch, where):
    def stop(*_):
        raise _Stopped

    out = tmp_path / "data.h5"
    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync", stop) if where == "fsync" else (Path, "replace", stop)))
        with pytest.raises(_Stopped):
            pack(*scenes, out)
    mask_of.calls = 0

    pack(*scenes, out)

    assert out.read_bytes() == whole.read_bytes()
    assert mask_of.calls < 2  # the last image may not have been flushed


def test_a_part_cut_off_anywhere_is_mended(scenes, whole, tmp_path):
    out = tmp_path / "data.h5"
    left = stopped(scenes, out, 6).read_bytes()

    for n_bytes in (0, 1, 511, 512, 513, 7000, 9000, len(left) // 3, len(left) - 1):
        out.with_name("data.h5.part").write_bytes(left[:n_bytes])
        pack(*scenes, out)
        assert out.read_bytes() == whole.read_bytes(), n_bytes


def test_a_part_damaged_anywhere_is_mended_or_refused(scenes, whole, tmp_path):
    out = tmp_path / "data.h5"
    part = stopped(scenes, out, 6)
    left = part.read_bytes()
    rng = np.random.Generator(np.random.Philox(5))

    for place in [*range(512, 10_000, 170), *rng.integers(10_000, len(left), 30)]:
        part.write_bytes(left[:place] + bytes([left[place] ^ 0x41]) + left[place + 1 :])
        pack(*scenes, out)
        assert out.read_bytes() == whole.read_bytes(), place
    part.write_bytes(b"P" + left[1:])
    refused(lambda: pack(*scenes, out), "is of other annotations or another version")


def test_an_image_changed_since_is_packed_anew(copied, scenes, whole, tmp_path):
    out, changed = tmp_path / "data.h5", sorted(copied[1].iterdir())[1]
    good = changed.read_bytes()
    changed.write_bytes(good + b"1")
    stopped(copied, out, 6)
    changed.write_bytes(good + b"2")  # same size, same picture

    pack(*copied, out)

    assert Packed(out).image_bytes(2) == good + b"2"
    assert out.read_bytes() != whole.read_bytes()
    pack(*copied, tmp_path / "fresh.h5")
    assert out.read_bytes() == (tmp_path / "fresh.h5").read_bytes()


def test_the_part_of_other_annotations_is_refused_and_kept(copied, tmp_path):
    out = tmp_path / "data.h5"
    part = stopped(copied, out, 4)
    before = part.read_bytes()
    text = copied[0].read_text()
    copied[0].write_text(text.replace('"iscrowd":0', '"iscrowd":1', 1))
    assert copied[0].read_text() != text

    refused(lambda: pack(*copied, out), "is of other annotations")

    assert part.read_bytes() == before
    assert not out.exists()


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(scenes, whole, tmp_path, monkeypatch):
    out = tmp_path / "data.h5"
    append, n_calls = packing._Table.append, []

    def full(table, *data):
        n_calls.append(1)
        if len(n_calls) == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(table, *data)

    with monkeypatch.context() as patch:
        patch.setattr(packing._Table, "append", full)
        refused(lambda: pack(*scenes, out), "data.h5.part: No space left on device; .* make room")
    assert not out.exists()
    mask_of.calls = 0

    pack(*scenes, out)

    assert out.read_bytes() == whole.read_bytes()
    assert mask_of.calls == N - 4


def test_two_packings_of_one_file_do_not_meet(scenes, tmp_path):
    out = tmp_path / "data.h5"
    with (tmp_path / "data.h5.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        refused(lambda: pack(*scenes, out), "another packing is at work")


def test_an_earlier_file_stays_until_the_new_one_is_whole(scenes, whole, tmp_path):
    out = tmp_path / "data.h5"
    out.write_text("earlier")
    stopped(scenes, out, 3)
    assert out.read_text() == "earlier"

    pack(*scenes, out)

    assert out.read_bytes() == whole.read_bytes()


def test_bad_images_are_refused_and_what_is_packed_is_kept(copied, whole, tmp_path):
    out, victim = tmp_path / "data.h5", sorted(copied[1].iterdir())[5]
    good = victim.read_bytes()
    for data, match in (
        (None, "1 of 7 images are missing"),
        (good[:-100], f"{victim.name}: the picture is cut off"),
        (b"text", "expected a JPEG"),
        (b"", "the file is empty"),
        (cv2.imencode(".png", np.zeros((9, 8), np.uint8))[1].tobytes(), "8x9 px, but the annotations say"),
    ):
        victim.unlink(missing_ok=True)
        if data is not None:
            victim.write_bytes(data)
        refused(lambda: pack(*copied, out), match)
        assert not out.exists()
    victim.write_bytes(good)
    mask_of.calls = 0

    pack(*copied, out)

    assert mask_of.calls == N - 5  # the five before the bad one
    assert out.read_bytes() == whole.read_bytes()


def test_the_output_is_not_a_folder_nor_the_annotations(copied, tmp_path):
    before = copied[0].read_bytes()

    for out in (tmp_path, Path(copied[0])):
        refused(lambda out=out: pack(*copied, out), "expected a new file")

    assert copied[0].read_bytes() == before
