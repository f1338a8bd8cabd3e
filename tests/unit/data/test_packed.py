"""Packed training data: nothing is changed, nothing is lost when it stops, and no damage goes unseen."""

import errno
import fcntl
import json
import os
import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from shared import image
from shared.data import packing
from shared.data.masks import loss_mask
from shared.data.packed import Packed, pack, verify
from shared.errors import UserError
from shared.scenes import dataset

COCO_MINI = Path(__file__).parents[3].parent / "shared" / "data" / "coco_mini"
MOST = 1.15  # of the size of the images
N = 7
STEP, UNUSED = 101, 4096  # bytes: HDF5 leaves some of a file unused


def mask_of(height, width, segments, n_keypoints, crowd):
    """In the place of `loss_mask`, as scenes have few crowds: a box, in images of an even number of annotations."""
    mask_of.calls += 1
    if len(segments) % 2:
        return None
    mask = np.full((height, width), 255, np.uint8)
    mask[20 : 40 + 7 * len(segments), 33:90] = 0
    return mask


mask_of.calls = 0


@pytest.fixture(scope="module", autouse=True)
def _masks_and_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "loss_mask", mask_of)
        patch.setenv("POSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Seven drawn scenes as COCO files: the annotations and the folder of the images."""
    folder = tmp_path_factory.mktemp("scenes")
    return dataset.write(folder, "val", count=N), folder / "images"


@pytest.fixture(scope="module")
def whole(scenes, tmp_path_factory):
    """The packed file of an undisturbed run."""
    out = tmp_path_factory.mktemp("whole") / "data.h5"
    pack(*scenes, out)
    return out


@pytest.fixture
def copied(scenes, tmp_path):
    """The scenes, to be changed."""
    shutil.copytree(scenes[1], tmp_path / "images")
    return Path(shutil.copy(scenes[0], tmp_path / "annotations.json")), tmp_path / "images"


@pytest.fixture(autouse=True)
def _often_flushed(monkeypatch):
    monkeypatch.setattr(packing, "_FLUSH", 2)


def by_image(annotations):
    raw = json.loads(annotations.read_text())
    return raw, {e["id"]: [a for a in raw["annotations"] if a["image_id"] == e["id"]] for e in raw["images"]}


def refused(call, match):
    with pytest.raises(UserError, match=match) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


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


def test_images_masks_and_annotations_come_back_as_they_were(scenes, whole):
    packed = Packed(whole)
    raw, annotations = by_image(scenes[0])

    assert packed.annotations() == raw
    assert packed.ids == [entry["id"] for entry in raw["images"]]
    masked = 0
    for entry in raw["images"]:
        path = scenes[1] / entry["file_name"]
        assert packed.image_bytes(entry["id"]) == path.read_bytes()
        np.testing.assert_array_equal(packed.image(entry["id"]), image.read(path))
        np.testing.assert_array_equal(packed.read(entry["file_name"]), image.read(path))
        expected = mask_of(entry["height"], entry["width"], annotations[entry["id"]], None, None)
        found = packed.mask(entry["id"])
        if expected is None:
            assert found is None
        else:
            masked += 1
            assert found.dtype == np.uint8
            np.testing.assert_array_equal(found, expected)
    assert 0 < masked < N


def test_masks_are_those_of_the_paper_rule(copied, tmp_path, monkeypatch):
    """A crowd and a person without keypoints are masked, a person with keypoints is not."""
    raw, annotations = by_image(copied[0])
    entry = next(entry for entry in raw["images"] if annotations[entry["id"]])
    height, width = entry["height"], entry["width"]
    labelled = annotations[entry["id"]][0]
    labelled["segmentation"], labelled["num_keypoints"] = [[200, 0, 250, 0, 250, 50, 200, 50]], 17
    empty = {**labelled, "id": 901, "num_keypoints": 0, "segmentation": [[30, 40, 60, 40, 60, 80, 30, 80]]}
    runs = {"size": [height, width], "counts": [height * 100, height * 10, height * (width - 110)]}
    crowd = {**labelled, "id": 902, "iscrowd": 1, "num_keypoints": 0, "segmentation": runs}
    others = [a for a in raw["annotations"] if a["image_id"] != entry["id"]]
    copied[0].write_text(json.dumps({**raw, "annotations": [*others, labelled, empty, crowd]}))
    monkeypatch.setattr(packing, "loss_mask", loss_mask)

    pack(*copied, tmp_path / "data.h5")

    mask = Packed(tmp_path / "data.h5").mask(entry["id"])
    assert (mask[:, 100:110] == 0).all()
    assert (mask[42:78, 32:58] == 0).all()
    assert (mask[:, 111:] == 255).all()
    assert (mask == 0).mean() == pytest.approx((10 * height + 30 * 40) / height / width, rel=0.02)


def test_the_layout_is_what_the_module_says(scenes, whole):
    """With h5py and nothing of ours."""
    with h5py.File(whole) as file:
        names = dict(json.loads(bytes(file["images"][()])))
        for (_, name), row in zip(names.items(), file["rows"][()], strict=True):
            data = file["bytes"][int(row["start"]) : int(row["start"] + row["image"])]
            assert data.tobytes() == (scenes[1] / name).read_bytes()


def test_scenes_take_at_most_15_percent_more_than_their_images(scenes, whole):
    images = sum(path.stat().st_size for path in scenes[1].iterdir())

    assert images < whole.stat().st_size < MOST * images


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason="needs ../shared/data/coco_mini")
def test_photographs_take_at_most_15_percent_more_than_their_images(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(packing, "loss_mask", loss_mask)
    annotations = next(COCO_MINI.glob("*.json"))
    raw = json.loads(annotations.read_text())
    images = sum((COCO_MINI / "images" / entry["file_name"]).stat().st_size for entry in raw["images"])

    pack(annotations, COCO_MINI / "images", tmp_path / "mini.h5")

    verify(tmp_path / "mini.h5")
    ratio = (tmp_path / "mini.h5").stat().st_size / images
    with capsys.disabled():
        print(f"\n{len(raw['images'])} photographs packed: {ratio:.4f} of the size of the images")  # noqa: T201
    assert ratio < MOST


def test_the_same_input_gives_the_same_bytes(scenes, whole, tmp_path):
    pack(*scenes, tmp_path / "deeper" / "again.h5")

    assert (tmp_path / "deeper" / "again.h5").read_bytes() == whole.read_bytes()
    assert list((tmp_path / "deeper").iterdir()) == [tmp_path / "deeper" / "again.h5"]


def test_another_mask_gives_other_bytes(scenes, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "loss_mask", lambda *_: None)

    pack(*scenes, tmp_path / "other.h5")

    assert (tmp_path / "other.h5").read_bytes() != whole.read_bytes()
    assert Packed(tmp_path / "other.h5").identity() != Packed(whole).identity()


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
    out = tmp_path / "data.h5"
    stopped(copied, out, 6)
    names = sorted(path.name for path in copied[1].iterdir())
    data = bytearray((copied[1] / names[1]).read_bytes())
    data[-14] ^= 1  # in the checksum of the last block: same size, same structure
    (copied[1] / names[1]).write_bytes(data)

    pack(*copied, out)

    assert Packed(out).image_bytes(2) == bytes(data)
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


def test_a_whole_file_is_verified(whole):
    verify(whole)


def flipped(whole, tmp_path, place):
    data = bytearray(whole.read_bytes())
    data[place] ^= 0x41
    path = tmp_path / "flipped.h5"
    path.write_bytes(data)
    return path


def test_one_wrong_byte_in_an_image_or_mask_is_found_and_named(scenes, whole, tmp_path):
    with h5py.File(whole) as file:
        start, rows = file["bytes"].id.get_offset(), file["rows"][()]
    names = [entry["file_name"] for entry in by_image(scenes[0])[0]["images"]]
    for number, (row, name) in enumerate(zip(rows, names, strict=True)):
        path = flipped(whole, tmp_path, start + int(row["start"]) + 1234 * number)
        refused(lambda path=path: verify(path), f"flipped.h5: {name} does not match its sha256")
        refused(lambda path=path, name=name: Packed(path).read(name), f"{name} does not match")
        if row["mask"]:
            path = flipped(whole, tmp_path, start + int(row["start"] + row["image"]) + 50)
            refused(lambda path=path: verify(path), f"the mask of {name} does not match its sha256")


def contents(path):
    packed = Packed(path)
    data = [(i, packed.image_bytes(i), packed.mask_bytes(i)) for i in packed.ids]
    return data, packed.names, packed.annotations()


def test_one_wrong_byte_before_the_images_is_found_or_changes_nothing(whole, tmp_path):
    with h5py.File(whole) as file:
        start = file["bytes"].id.get_offset()
    expected, n_found = contents(whole), 0

    for place in range(0, start, STEP):
        path = flipped(whole, tmp_path, place)
        try:
            verify(path)
        except UserError:
            n_found += 1
        else:
            assert contents(path) == expected, place
    assert n_found > 0.8 * (start - UNUSED) / STEP


def test_a_file_cut_off_anywhere_is_refused(whole, tmp_path):
    data, path = whole.read_bytes(), tmp_path / "cut.h5"

    for n_bytes in (0, 1, 512, 600, 3000, 9000, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:n_bytes])
        refused(lambda: Packed(path), "cut.h5: ")
    path.write_bytes(data + b"\0")
    refused(lambda: Packed(path), "cut.h5: ")


def test_other_files_are_refused(whole, tmp_path):
    path = tmp_path / "other.h5"
    refused(lambda: Packed(path), "no such file")
    path.write_text("text " * 1000)
    refused(lambda: Packed(path), "not a whole HDF5 file")
    with h5py.File(path, "w") as file:
        file["datum"] = np.zeros(3)
    refused(lambda: Packed(path), "other.h5: .*expected a packed data set")
    shutil.copy(whole, path)
    with h5py.File(path, "a") as file:
        file.attrs["format"] = "pose-packed-9"
    refused(lambda: Packed(path), "the format is 'pose-packed-9'; expected a packed data set")
    with h5py.File(path, "a") as file:
        file["images2"] = h5py.ExternalLink(str(whole), "/images")
    refused(lambda: Packed(path), "external link")


@pytest.mark.parametrize("name", ["rows", "bytes", "annotations", "images"])
def test_arrays_of_another_kind_or_not_in_the_file_are_refused(whole, tmp_path, name):
    path = tmp_path / "other.h5"
    for options in (
        {"data": np.zeros(5, np.float32)},
        {"shape": (1 << 40,), "dtype": np.uint8 if name != "rows" else packing.ROW},  # never written
        {"shape": (10,), "dtype": np.uint8 if name != "rows" else packing.ROW, "chunks": (5,)},
        {"shape": (0,), "dtype": np.uint8 if name != "rows" else packing.ROW},
    ):
        shutil.copy(whole, path)
        with h5py.File(path, "a") as file:
            del file[name]
            file.create_dataset(name, **options)
        refused(lambda: verify(path), "other.h5: ")


def test_unknown_images_are_refused(whole):
    refused(lambda: Packed(whole).read("none.jpg"), "no image 'none.jpg' among its 7")
    refused(lambda: Packed(whole).image(99), "no image with the id 99 among its 7")


def _total(packed, identity):
    return int(packed.image(identity).sum())


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("default::DeprecationWarning")  # of forks, from threads of other tests
def test_other_processes_and_threads_read_the_same(whole, method):
    packed = Packed(whole)
    ids = packed.ids * 3
    expected = [_total(packed, identity) for identity in ids]

    with ProcessPoolExecutor(2, mp_context=get_context(method)) as pool:
        assert list(pool.map(_total, [packed] * len(ids), ids)) == expected
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(_total, [packed] * len(ids), ids)) == expected
    assert len(pickle.dumps(packed)) < 1000


def test_forks_that_inherit_the_file_do_not_disturb_each_other(whole):
    """Four forks read by the same descriptor at once."""
    packed = Packed(whole)
    expected = {identity: packed.image_bytes(identity) for identity in packed.ids}
    children = []
    for number in range(4):
        child = os.fork()
        if not child:
            order = np.random.Generator(np.random.Philox(number)).permutation(packed.ids * 20).tolist()
            os._exit(int(any(packed.image_bytes(identity) != expected[identity] for identity in order)))
        children.append(child)

    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
