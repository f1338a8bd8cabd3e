"""Geometry profiles: published sizes, exact mapping back to the image, padding and mirroring."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from shared.errors import UserError
from shared.fit import FITS, apply, fit
from shared.preprocess import CAFFE, IMAGENET, RAW_BGR

COCO_MINI = Path(__file__).parents[3] / "shared" / "data" / "coco_mini"
GREY_LEVELS = 1.5  # a ramp of one grey level per px, rounded twice


def ramp(height, width):
    """Red is x, green is y, blue is white."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, np.full_like(rows, 255)], axis=-1).astype(np.uint8)


def one(name, height, width, scale=1.0, preprocess=RAW_BGR, **kwargs):
    (fitted,) = apply(ramp(height, width), 368, (scale,), fit(name), preprocess, **kwargs)
    return fitted


@pytest.mark.parametrize(
    ("name", "size", "scale", "content", "padded"),
    [
        ("kl", (427, 640), 1.0, (368, 552), (368, 552)),  # by height, cubic
        ("kl", (640, 480), 1.0, (368, 276), (368, 280)),  # a portrait too
        ("kl", (427, 640), 0.5, (184, 276), (184, 280)),
        ("kl-plain", (427, 635), 1.0, (427, 635), (427, 635)),
        ("matlab", (427, 640), 0.5, (184, 276), (368, 368)),  # padded to 368 rows, where Python is not
        ("matlab", (427, 640), 1.5, (552, 828), (552, 832)),
        ("hl", (640, 480), 1.0, (491, 368), (496, 368)),  # by the short side
        ("tensorboy", (640, 480), 1.0, (491, 368), (496, 368)),
        ("openpose", (480, 640), 1.0, (368, 491), (368, 496)),
        ("openpose", (427, 640), 1.0, (363, 544), (368, 544)),  # 551.6 is nearer to 544 than to 560
        ("lightweight", (427, 640), 0.5, (184, 276), (368, 368)),
        ("tf", (422, 640), 1.0, (368, 560), (368, 560)),
        ("tf-432x368", (427, 640), 1.0, (368, 432), (368, 432)),
        ("tf-656x368", (640, 427), 1.0, (368, 656), (368, 656)),
        ("plain", (200, 199), 1.0, (368, 368), (368, 368)),
    ],
)
def test_sizes_are_the_published_ones(name, size, scale, content, padded):
    fitted = one(name, *size, scale)

    assert fitted.content == content
    assert fitted.padded == padded
    assert fitted.input.shape == (*padded, 3)


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("size", [(150, 201), (230, 170)])
@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_the_mapping_back_to_the_image_is_exact(name, size, scale):
    fitted = one(name, *size, scale)
    top, left = fitted.origin
    rows, columns = np.mgrid[top : top + fitted.content[0], left : left + fitted.content[1]]
    margin = 4  # the kernel's reach at the border
    inside = (slice(margin, -margin), slice(margin, -margin))

    blue, green, red = np.moveaxis(fitted.input[rows, columns], -1, 0)

    x = columns * fitted.to_image[0] + fitted.shift[0]
    y = rows * fitted.to_image[1] + fitted.shift[1]
    assert np.abs(red - x)[inside].max() < GREY_LEVELS
    assert np.abs(green - y)[inside].max() < GREY_LEVELS
    assert (blue[inside] > 250).all()


def test_a_shifted_mapping_would_be_noticed():
    fitted = one("kl", 150, 201)
    red = fitted.input[100, 10:400, 2]

    off_by_a_cell = (np.arange(10, 400) + 8) * fitted.to_image[0] + fitted.shift[0]

    assert np.abs(red - off_by_a_cell).max() > GREY_LEVELS


@pytest.mark.parametrize("name", FITS)
def test_mirrored_content_is_the_content_mirrored_and_padding_stays(name):
    plain, mirrored = one(name, 150, 203, 0.7), one(name, 150, 203, 0.7, mirror=True)
    (top, left), (h, w) = plain.origin, plain.content
    view = (slice(top, top + h), slice(left, left + w))

    np.testing.assert_array_equal(mirrored.input[view], plain.input[view][:, ::-1])
    rest = np.ones(plain.input.shape[:2], bool)
    rest[view] = False
    np.testing.assert_array_equal(mirrored.input[rest], plain.input[rest])


def test_padding_is_right_and_below_or_shared():
    assert one("kl", 427, 600).origin == (0, 0)
    assert one("lightweight", 427, 640, 0.5).origin == (92, 46)


@pytest.mark.parametrize(
    ("name", "preprocess", "value"),
    [
        ("kl", CAFFE, 0.0),  # 128 before, 0 after
        ("hl", CAFFE, -0.5),  # black
        ("tensorboy", RAW_BGR, 0.0),
        ("lightweight", CAFFE, 0.0),
    ],
)
def test_padding_has_the_published_value(name, preprocess, value):
    fitted = one(name, 200, 301, preprocess=preprocess)

    np.testing.assert_allclose(fitted.input[-1, -1], value, atol=1e-7)


def test_colours_may_be_normalised_before_the_resize():
    for preprocess in (CAFFE, IMAGENET):
        before = one("lightweight", 100, 150, preprocess=preprocess)
        after = one("kl", 100, 150, preprocess=preprocess)
        step = np.abs(preprocess(ramp(2, 2)) - preprocess(ramp(2, 2) + 1)).max()

        top, left = before.origin
        content = before.input[top : top + 368, left : left + 552]
        difference = np.abs(content - after.input[:, :552])

        assert 0 < difference.max() < 2 * step, "only the rounding to whole grey levels differs"


def test_hliu_lays_all_scales_on_one_canvas():
    small, large = apply(ramp(150, 200), 368, (0.5, 1.0), fit("hl"), CAFFE)

    assert small.input.shape == large.input.shape == (368, 496, 3)
    assert small.padded == (184, 248)
    assert (small.input[184:] == 0).all(), "grey 128, though the image's own padding is black"
    assert (small.input[:, 248:] == 0).all()


def test_each_scale_has_its_own_size_elsewhere():
    small, large = apply(ramp(150, 200), 368, (0.5, 1.0), fit("kl"), CAFFE)

    assert small.input.shape[:2] == (184, 248)
    assert large.input.shape[:2] == (368, 496)


def test_input_is_float32_in_the_networks_channel_order():
    assert one("kl", 60, 60).input.dtype == np.float32
    assert one("lightweight", 60, 60).input.dtype == np.float32
    assert one("kl", 60, 60).input[0, 0, 0] == 255, "blue first"


def test_tiny_images_are_fitted():
    for name in FITS:
        assert one(name, 1, 1, 0.1).input.size > 0


def test_an_absurd_input_is_refused():
    with pytest.raises(UserError, match=r"an image of 20000x1 px would become an input of 7360000x368"):
        one("kl", 1, 20_000)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match=r"--fit kll: unknown \(did you mean kl\?\); choose one of plain, kl"):
        fit("kll")


def test_a_fit_can_be_written_to_json():
    for value in FITS.values():
        assert json.loads(json.dumps(asdict(value))) == asdict(value)


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason="needs ../shared/data/coco_mini")
def test_tf_is_the_geometry_of_the_real_maps():
    paths = sorted((COCO_MINI / "maps").glob("*.npz"))
    for path in paths:
        maps = np.load(path)
        height, width = maps["orig_hw"]
        (fitted,) = apply(np.zeros((height, width, 3), np.uint8), 368, (1.0,), fit("tf"), RAW_BGR)
        assert fitted.content == tuple(maps["input_hw"]), path.name
    assert len(paths) == 28
