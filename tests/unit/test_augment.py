"""Image, mask and keypoints move together; colours change as the originals' do."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from shared import augment, image
from shared.augment import AUGMENTS, CAFFE, LIGHTWEIGHT, MODERN, TENSORBOY, Affine, Augment
from tests.unit.affines import BOX, MIDDLE, SIZE, draws, factor, moved, rng

STRIDE = 8
PRECISE = 0.01  # px
CUBIC = 0.06  # px; OpenCV's cubic kernel moves a picture by up to this, one way or the other, where all lie alike
every_profile = pytest.mark.parametrize("spec", AUGMENTS.values(), ids=AUGMENTS)


def bump(at: np.ndarray, sigma: float, size=SIZE) -> np.ndarray:
    """A smooth hill of height 1 at a place between the pixels, (H, W) float32."""
    x, y = (np.exp(-((np.arange(n) - a) ** 2) / (2 * sigma**2)) for n, a in zip(size[::-1], at, strict=True))
    return np.outer(y, x).astype(np.float32)


def hill(values: np.ndarray, near: np.ndarray, radius: float, cell: float = 1.0) -> np.ndarray:
    """The centroid (x, y), in px, of the values around a place; a cell is sampled at its middle."""
    y, x = (np.arange(n) * cell + (cell - 1) / 2 for n in values.shape)
    weights = np.where((x - near[0]) ** 2 + (y[:, None] - near[1]) ** 2 < radius**2, values, 0)
    return np.array([weights.sum(axis=0) @ x, weights.sum(axis=1) @ y]) / weights.sum()


def image_errors(spec: Augment, lie: np.ndarray | None = None) -> np.ndarray:
    """(n, 2) px between a hill of the warped image and its point; `lie` is added to the point."""
    generator, found = rng(1), []
    for _ in range(25):
        at = MIDDLE + generator.uniform(-20, 20, 2)
        affine = augment.draw(generator, SIZE, BOX, True, spec)
        sigma = 9.0
        near, radius = moved(affine, tuple(at))[0], 5 * sigma * factor(affine)
        if not ((near > radius) & (near < spec.crop - 1 - radius)).all():
            continue
        image = np.repeat(128 + 100 * bump(at, sigma)[..., None], 3, axis=-1)  # not uint8, which is less precise
        warped = augment.warp_image(image, affine, replace(spec, border=(128, 128, 128)))
        found.append(hill(warped[..., 1] - 128.0, near, radius) - near - (0 if lie is None else lie))
    assert len(found) > 12
    return np.array(found)


@every_profile
@pytest.mark.parametrize("mirrored", [False, True])
def test_an_image_and_its_points_move_together_to_a_hundredth_of_a_pixel(spec, mirrored):
    spec = replace(spec, flip=float(mirrored))

    linear, own = image_errors(replace(spec, interpolation="linear")), image_errors(spec)

    assert np.abs(linear).max() < PRECISE
    assert np.abs(own).max() < CUBIC
    assert np.abs(own.mean(axis=0)).max() < PRECISE


@pytest.mark.parametrize("lie", [(0.02, 0.0), (0.0, -0.02)])
def test_two_hundredths_of_a_pixel_would_be_seen(lie):
    errors = image_errors(replace(MODERN, interpolation="linear"), np.array(lie))

    assert np.abs(errors).max() > PRECISE


def reduced_errors(n: int, lie: float = 0.0) -> np.ndarray:
    """(m, 2) px between a hill in the crop of a JPEG that was decoded at 1/n, and its point."""
    spec = replace(LIGHTWEIGHT, decode="reduced", scale=(0.55 / n, 0.95 / n), target=1.0)
    generator, found, size = rng(1), [], (1001, 1203)  # no multiples of n
    boxes = np.array([[400.0, 300.0, 400.0, spec.crop]])
    for _ in range(12):
        at = np.array([600, 480]) + generator.uniform(-40, 40, 2)
        affine = augment.draw(generator, size, boxes, True, spec)
        near, sigma = moved(affine, tuple(at))[0], 4.5  # of the crop
        bright = np.rint(60 + 150 * bump(at, sigma / affine.factor, size)).astype(np.uint8)
        data = cv2.imencode(".jpg", bright, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
        picture = image.encoded(data, "drawn")
        assert picture.reduction(augment.most_reduced(affine, spec)) == n
        warped = augment.warp_image(picture.decode(n), affine, spec, n)
        found.append(hill(np.maximum(warped[..., 1] - 60.0, 0), near, 5 * sigma) - near + lie)
    return np.array(found)


@pytest.mark.parametrize("n", [1, 2, 4, 8])
def test_a_reduced_jpeg_lies_where_the_whole_one_does(n):
    errors = reduced_errors(n)

    assert np.abs(errors.mean(axis=0)).max() < PRECISE / 2
    assert np.abs(errors).max() < 2 * PRECISE


def test_two_hundredths_of_a_pixel_would_be_seen_in_a_reduced_image():
    assert np.abs(reduced_errors(2, lie=0.02).mean(axis=0)).max() > PRECISE / 2


@pytest.mark.parametrize(
    ("factor", "decode", "most"), [(0.51, "reduced", 1), (0.5, "reduced", 2), (0.2, "reduced", 5), (0.1, "full", 1)]
)
def test_an_image_is_reduced_no_further_than_the_crop_shrinks_it(factor, decode, most):
    affine = Affine(factor * np.eye(2, 3), False)

    assert augment.most_reduced(affine, replace(MODERN, decode=decode)) == most


def mask_errors(spec: Augment, stride: int) -> np.ndarray:
    generator, found = rng(2), []
    for _ in range(25):
        at = MIDDLE + generator.uniform(-20, 20, 2)
        affine = augment.draw(generator, SIZE, BOX, True, spec)
        sigma = 22.0
        near, radius = moved(affine, tuple(at))[0], 3.8 * sigma * factor(affine)
        if not ((near > radius) & (near < spec.crop - 1 - radius)).all():
            continue
        mask = np.rint(255 - 255 * bump(at, sigma)).astype(np.uint8)
        cells = augment.warp_mask(mask, affine, spec, stride)[..., 0]
        found.append(hill(1 - cells, near, radius, stride) - near)
    assert len(found) > 6
    return np.array(found)


@every_profile
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_mask_and_the_points_move_together(spec, mirrored):
    """In the map's cells, whose middles are 8 g + 3.5, as everywhere."""
    spec = replace(spec, flip=float(mirrored), scale=(1.0, 1.0) if spec.follow == "main" else (0.9, 1.0))

    errors = mask_errors(spec, STRIDE)

    assert np.abs(errors).max() < 0.08  # eight bits and eighths of the pixels: less is not to be seen
    assert np.abs(errors.mean(axis=0)).max() < 0.02


@every_profile
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_edge_of_a_mask_is_where_the_points_say(spec, mirrored):
    """A straight edge, soft over 16 px, at any part of a pixel of the crop: where the counted area begins."""
    spec = replace(spec, flip=float(mirrored), rotation=0.0, scale=(0.83, 0.97))
    row = np.clip((np.arange(SIZE[1]) - 319.3) / 16 + 0.5, 0, 1)
    mask = np.tile(np.rint(255 * row).astype(np.uint8), (SIZE[0], 1))
    errors = []
    for affine in draws(spec, 40):
        edge = moved(affine, (319.3, 240.0))[0, 0]
        if 20 < edge < spec.crop - 20:
            counted = augment.warp_mask(mask, affine, spec, 1)[spec.crop // 2, 8:-8, 0].sum()
            errors.append((7.5 + counted if mirrored else spec.crop - 8.5 - counted) - edge)

    assert len(errors) > 10
    assert np.abs(errors).max() < CUBIC
    assert abs(np.mean(errors)) < 0.02  # in eight bits; a step of them is 1 / 16 px here


def test_a_mask_that_is_half_a_pixel_off_would_be_seen():
    mask = np.tile(np.where(np.arange(SIZE[1]) < 320, 0, 255).astype(np.uint8), (SIZE[0], 1))
    affine = Affine(np.array([[1.0, 0, -100], [0, 1, 0]]), False)

    counted = augment.warp_mask(mask, affine, LIGHTWEIGHT, 1)[100, :, 0].sum()

    assert 367.5 - counted == moved(affine, (319.5, 0.0))[0, 0]
    assert 367.5 - counted != moved(affine, (320.0, 0.0))[0, 0]


def test_area_cells_are_means_and_cubic_cells_are_opencvs_samples():
    mask = rng().choice(np.array([0, 255], np.uint8), (368, 368))
    still = Affine(np.eye(2, 3), False)

    area = augment.warp_mask(mask, still, LIGHTWEIGHT, STRIDE)
    cubic = augment.warp_mask(mask, still, CAFFE, STRIDE)

    np.testing.assert_allclose(area[..., 0], mask.reshape(46, 8, 46, 8).mean(axis=(1, 3)) / 255, atol=1e-6)
    kernel = np.array([-0.09375, 0.59375, 0.59375, -0.09375])  # a = -0.75, half way between two pixels
    places = 8 * np.arange(46)[:, None] + np.arange(2, 6)
    rows = np.einsum("gkx,k->gx", mask[places].astype(float), kernel)
    wanted = np.einsum("gok,k->go", rows[:, places], kernel)
    np.testing.assert_allclose(cubic[..., 0], np.clip(wanted, 0, 255) / 255, atol=1.5 / 255)
    assert cubic.min() == 0  # it would be below
    assert cubic.max() == 1
    assert area.shape == cubic.shape == (46, 46, 1)
    assert area.dtype == cubic.dtype == np.float32
    assert np.abs(area - cubic).max() > 0.2


@every_profile
def test_without_a_mask_and_outside_of_the_image_the_loss_counts(spec):
    outside = Affine(np.array([[1.0, 0, 1000], [0, 1, 0]]), False)
    cells = spec.crop // STRIDE

    np.testing.assert_array_equal(augment.warp_mask(None, outside, spec, STRIDE), np.ones((cells, cells, 1)))
    nothing = np.zeros(SIZE, np.uint8)
    np.testing.assert_array_equal(augment.warp_mask(nothing, outside, spec, STRIDE), np.ones((cells, cells, 1)))
    assert augment.warp_mask(nothing, Affine(np.eye(2, 3), False), spec, STRIDE).max() == 0


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("caffe", (128, 128, 128)),
        ("keras", (127, 127, 127)),
        ("hl", (127, 127, 127)),
        ("tensorboy", (124, 116, 104)),
        ("lightweight", (128, 128, 128)),
        ("modern", (128, 128, 128)),
    ],
)
def test_outside_of_the_image_is_the_colour_of_the_original(name, colour):
    image = np.full((*SIZE, 3), 7, np.uint8)
    shifted = Affine(np.array([[1.0, 0, 100], [0, 1, 0]]), False)

    crop = augment.warp_image(image, shifted, AUGMENTS[name])

    assert crop.shape == (368, 368, 3)
    assert crop.dtype == np.uint8
    np.testing.assert_array_equal(crop[:, :95], np.broadcast_to(colour, (368, 95, 3)))
    np.testing.assert_array_equal(crop[:, 105:], 7)


@every_profile
def test_the_generator_decides_alone(spec):
    image = rng(5).integers(0, 256, (60, 80, 3), np.uint8)

    def result(seed: int) -> tuple[np.ndarray, np.ndarray]:
        generator = rng(seed)
        affine = augment.draw(generator, SIZE, BOX, True, spec)
        return affine.matrix, augment.colour(generator, image, spec)

    for one, other in zip(result(3), result(3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(result(3)[0], result(4)[0])


def test_points_keep_their_third_column_and_are_not_changed_in_place():
    points = np.array([[[10.0, 20.0, 1.0], [0.0, 0.0, 0.0]]], np.float32)
    before = points.copy()

    found = Affine(np.array([[2.0, 0, 5], [0, 2, 7]]), False).points(points)

    np.testing.assert_array_equal(found, [[[25, 47, 1], [5, 7, 0]]])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(points, before)


@pytest.mark.parametrize("name", ["caffe", "keras", "hl", "lightweight"])
def test_profiles_without_changes_of_colour_leave_the_image(name):
    image = rng().integers(0, 256, (20, 30, 3), np.uint8)

    np.testing.assert_array_equal(augment.colour(rng(), image, AUGMENTS[name]), image)


def test_gain_and_offset_are_a_straight_line_about_128():
    grey = np.repeat(np.arange(60, 200, dtype=np.uint8)[None, :, None], 3, axis=-1)
    spec = replace(CAFFE, gain=0.2, offset=20.0)
    slopes, middles = [], []
    for seed in range(200):
        changed = augment.colour(rng(seed), grey, spec)
        assert (changed[..., 0] == changed[..., 2]).all()
        slope, at_zero = np.polyfit(grey[0, :, 0].astype(float) - 128, changed[0, :, 0].astype(float), 1)
        if changed.min() > 0 and changed.max() < 255:
            slopes.append(slope)
            middles.append(at_zero - 128)

    assert 0.79 < min(slopes) < 0.83
    assert 1.17 < max(slopes) < 1.21
    assert -20.1 < min(middles) < -18
    assert 18 < max(middles) < 20.1


def test_the_jitter_keeps_greys_grey_and_changes_what_torchvisions_would():
    spec = Augment(jitter=0.1)
    grey = np.full((8, 8, 3), 100, np.uint8)
    colour = np.broadcast_to(np.array([200, 100, 60], np.uint8), (8, 8, 3)).copy()

    greys = [augment.colour(rng(seed), grey, spec)[0, 0].astype(int) for seed in range(100)]
    colours = np.array([augment.colour(rng(seed), colour, spec)[0, 0] for seed in range(200)]).astype(float)

    assert all(np.ptp(g) <= 1 for g in greys)
    assert 88 <= min(g[0] for g in greys) < 92  # +-10 % of brightness
    assert 108 < max(g[0] for g in greys) <= 112
    hues = cv2.cvtColor((colours[None] / 255).astype(np.float32), cv2.COLOR_RGB2HSV)[0, :, 0]
    before = cv2.cvtColor((colour[:1, :1] / 255).astype(np.float32), cv2.COLOR_RGB2HSV)[0, 0, 0]
    turns = (hues - before + 180) % 360 - 180
    assert -37 < turns.min() < -33  # +-0.1 of the circle
    assert 33 < turns.max() < 37


def test_grey_and_jpeg_come_as_often_as_they_should():
    image = rng().integers(0, 256, (16, 16, 3), np.uint8)

    always = augment.colour(rng(), image, Augment(grey=1.0))
    squeezed = augment.colour(rng(), image, Augment(jpeg=1.0))
    often = [augment.colour(rng(seed), image, Augment(grey=0.3)) for seed in range(300)]

    np.testing.assert_array_equal(always, np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, -1))
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
    np.testing.assert_array_equal(squeezed, cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    assert 0.2 < np.mean([np.array_equal(o, always) for o in often]) < 0.4
    for changed in (always, squeezed, augment.colour(rng(), image, TENSORBOY), augment.colour(rng(), image, MODERN)):
        assert changed.shape == image.shape
        assert changed.dtype == np.uint8
        assert changed.flags.c_contiguous
