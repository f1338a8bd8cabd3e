"""Packed training data: nothing is changed, whoever reads it, and it takes hardly more room than its images."""

import json
import os
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pytest

from shared import image
from shared.data import packing
from shared.data.masks import loss_mask
from shared.data.packed import Packed, pack, verify
from tests.unit.data.packs import N, by_image, mask_of, refused

pytestmark = pytest.mark.usefixtures("masks_and_cache", "often_flushed")

COCO_MINI = Path(__file__).parents[3].parent / "shared" / "data" / "coco_mini"
MOST = 1.15  # of the size of the images


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
