"""anatolix's HDF5, with JPEG files or with arrays: what a sample becomes, and what is refused."""

import pickle
from itertools import count

import numpy as np
import pytest

from shared.data.anatolix_h5 import AnatolixH5
from shared.errors import UserError
from tests.unit.data.anatolix import KINDS, encoded, generate, mask_of, meta_of, stored_image, write
from tests.unit.data.kevinlin import SCENES, people_of


@pytest.fixture(params=KINDS)
def written(tmp_path, request):
    """A function that writes the scenes in either variant, changes the open file as it is told, and gives its path."""
    numbers = count()

    def into_a_folder(*change, metas=None):
        path = tmp_path / str(next(numbers)) / "coco_train_dataset.h5"
        path.parent.mkdir()
        return write(path, request.param, *change, metas=metas)

    into_a_folder.kind = request.param
    return into_a_folder


def refused(path, match, index=0):
    with pytest.raises(UserError, match=match) as caught:
        AnatolixH5(path)[index]
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 500


def test_a_sample_is_the_scene_that_was_written(written):
    source = AnatolixH5(written())

    assert len(source) == len(SCENES)
    for raw, scene in zip(source, SCENES, strict=True):
        people = people_of(scene)
        np.testing.assert_array_equal(raw.image, stored_image(scene, written.kind))
        np.testing.assert_array_equal(raw.points.reshape(-1, 51), np.float32([p["keypoints"] for p in people]))
        np.testing.assert_array_equal(raw.mask, mask_of(scene))
        assert raw.main
        assert f"image {scene:012d}" in raw.name


def test_the_main_persons_box_reproduces_objpos_and_scale_provided(written):
    for raw, scene in zip(AnatolixH5(written()), SCENES, strict=True):
        x, y, width, height = people_of(scene)[0]["bbox"]
        assert raw.centre == pytest.approx((x + width / 2, y + height / 2), abs=1e-9)
        assert raw.scale == pytest.approx(height / 368, abs=1e-12)


def test_an_image_may_be_named_by_a_number(written):
    named = AnatolixH5(written())[0]

    raw = AnatolixH5(written(metas=[{**meta_of(SCENES[0]), "image": SCENES[0]}]))[0]

    np.testing.assert_array_equal(raw.image, named.image)


def test_a_source_pickles_small_and_reads_the_same(written):
    source = AnatolixH5(written())
    first = source[0].image

    packed = pickle.dumps(source)

    assert len(packed) < 1000
    np.testing.assert_array_equal(pickle.loads(packed)[0].image, first)
    assert pickle.loads(packed).identity() == source.identity()


JOINTS = [[1.0, 2.0, 1]] * 17
BAD_META = {
    "cut off": ("{", "not whole"),
    "a list": ("[1]", "expected an object"),
    "no image": ({"joints": [JOINTS], "objpos": [[1, 2]], "scale_provided": [1]}, "names the image None"),
    "a path": ({"image": "../x"}, "names the image '../x'"),
    "an image that is not there": ({"image": "000000000099"}, "no array images/000000000099"),
    "no people": ({"image": f"{SCENES[0]:012d}"}, "no 'joints'"),
    "NaN": ({**meta_of(SCENES[0]), "objpos": [[float("nan"), 1]]}, "NaN or infinity"),
    "fewer scales than people": ({**meta_of(SCENES[1]), "scale_provided": [1]}, "scale_provided of 1"),
}


@pytest.mark.parametrize("name", BAD_META)
def test_a_bad_description_is_refused_in_one_line(written, name):
    meta, match = BAD_META[name]

    refused(written(metas=[meta_of(SCENES[0]), meta]), f"sample 0000001.*{match}", index=1)


def replaced(name, data):
    def change(file):
        del file[name]
        file[name] = data

    return change


def test_images_and_masks_that_are_not_whole_are_refused(written):
    key = f"{SCENES[0]:012d}"
    bgr, mask = generate(SCENES[0]).image[..., ::-1], mask_of(SCENES[0])
    if written.kind == "files":
        cases = [
            (f"images/{key}", encoded(".jpg", bgr)[:5000], "cut off after 5000 bytes"),
            (f"images/{key}", np.zeros(100, np.uint8), "expected a JPEG"),
            (f"images/{key}", bgr, r"\(368, 416, 3\), expected the uint8 bytes of a file"),
            (f"masks/{key}", encoded(".png", mask[:-1]), r"a mask of \(367, 416\)"),
            (f"masks/{key}", encoded(".png", mask // 2), "the mask holds 127"),
            (f"masks/{key}", encoded(".png", mask)[:-20], "mask: the picture is cut off"),
        ]
        refused(written(lambda file: file["masks"].pop(key)), f"image {key}.*no array masks/")
    else:
        cases = [
            (f"images/{key}", bgr, r"expected uint8 \(H, W, 4\)"),
            (f"images/{key}", encoded(".jpg", bgr), r"no group 'masks', expected uint8 \(H, W, 4\)"),
            (f"images/{key}", np.dstack([bgr, mask]).astype(np.float32), "float32"),
            (f"images/{key}", np.dstack([bgr, mask // 2]), "the mask holds 127"),
        ]

    for name, data, match in cases:
        refused(written(replaced(name, data)), f"image {key}.*{match}")


def test_a_missing_sample_and_a_truncated_file_are_refused(written):
    refused(written(lambda file: file["dataset"].pop("0000001")), "2 samples in 'dataset', first strange one 0000002")
    path = written()
    whole = path.read_bytes()

    for n_bytes in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:n_bytes])
        refused(path, "empty" if not n_bytes else "cannot be read")
