"""Heatmaps of crops to keypoints: the published values, plain loops as the reference, and the way there and back."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from shared.codec import crops, heatmaps, keypoints
from shared.codec.heatmaps import encode
from shared.codec.keypoints import ARGMAX, DARK, KEYPOINTS, PLAIN, SOFTARGMAX, UDP, decode, merge_flipped, to_image
from shared.errors import UserError
from shared.skeleton import COCO17, MPII16

SIZE = (256, 192)
CENTRE, SCALE = np.array([[140.0, 150]]), np.array([[0.9375, 1.25]])
CELL = 1e-4  # what the published soft-argmax, in float32, is away from the exact value
STEP = 1e-4  # cells: float32 under a logarithm, where a step over noise is 40 cells long
PX = 4e-5  # the published image coordinates are float32

PUBLISHED = [  # rows, columns, values; background; argmax, score, with the quarter; image; the same of the soft-argmax
    (
        ((10, 20, 0.9), (10, 21, 0.4), (10, 19, 0.3), (11, 20, 0.2), (9, 20, 0.5)), 0,
        (20, 10), 0.9, (20.25, 9.75), (125.3515625, 63.085941314697266), (20, 10), 0.9, (20.25, 9.75),
    ),
    (((0, 0, 0.8), (0, 1, 0.5)), 0, (0, 0), 0.8, (0, 0), (46.25, 25), (0, 0), 0.8, (0, 0)),
    (
        ((1, 1, 0.8), (1, 2, 0.5), (2, 1, 0.5)), 0,
        (1, 1), 0.8, (1, 1), (50.15625, 28.90625), (1, 1), 0.8, (1, 1),
    ),
    (
        ((2, 2, 0.8), (2, 3, 0.5), (3, 2, 0.5)), 0,
        (2, 2), 0.8, (2.25, 2.25), (55.039058685302734, 33.789058685302734), (2, 2), 0.8, (2.25, 2.25),
    ),
    (
        ((62, 46, 0.7), (62, 45, 0.3)), 0,
        (46, 62), 0.7, (45.75, 62), (224.9609375, 267.1875), (46, 62), 0.7, (45.75, 62),
    ),
    (
        ((62, 47, 0.7), (62, 46, 0.3)), 0,
        (47, 62), 0.7, (47, 62), (229.84376525878906, 267.1875), (47, 62), 0.7, (47, 62),
    ),
    (((63, 46, 0.7),), 0, (46, 63), 0.7, (46, 63), (225.9375, 271.09375), (46, 63), 0.7, (46, 63)),
    (
        ((61, 45, 0.7), (61, 46, 0.1), (60, 45, 0.2)), 0,
        (45, 61), 0.7, (45.25, 60.75), (223.0078125, 262.3046875), (45, 61), 0.7, (45.25, 60.75),
    ),
    ((), 0, (0, 0), 0, (0, 0), (46.25, 25), (23.5, 31.5), 0, (23.5, 31.5)),
    (
        ((30, 24, -0.5),), -0.6,
        (0, 0), -0.5, (0, 0), (46.25, 25), (23.999820709228516, 30.000520706176758), -0.5,
        (23.999820709228516, 30.000520706176758),
    ),
    (
        ((20, 20, 0.6), (20, 40, 0.6)), 0,
        (20, 20), 0.6, (20, 20), (124.375, 103.125), (30, 20), 0, (30, 20),
    ),
    (
        ((40, 10, 0.6), (20, 40, 0.6)), 0,
        (40, 20), 0.6, (40, 20), (202.5, 103.125), (25, 30), 0, (25, 30),
    ),
    (((33, 24, 0.6),), 0, (24, 33), 0.6, (24, 33), (140, 153.90625), (24, 33), 0.6, (24, 33)),
]  # fmt: skip


def published_maps():
    """(1, 64, 48, 13)."""
    heat = np.zeros((1, 64, 48, len(PUBLISHED)), np.float32)
    for k, (cells, background, *_) in enumerate(PUBLISHED):
        heat[..., k] = background
        for row, column, value in cells:
            heat[0, row, column, k] = value
    return heat


def column(i):
    return np.array([row[i] for row in PUBLISHED], np.float32)


def test_argmax_is_the_published_one():
    found, plain = decode(published_maps(), ARGMAX)[0], decode(published_maps(), PLAIN)[0]

    np.testing.assert_array_equal(plain[:, :2], column(2))
    np.testing.assert_array_equal(found[:, 2], column(3))
    np.testing.assert_array_equal(found[:, :2], column(4))
    np.testing.assert_array_equal(plain[:, 2], found[:, 2])


def test_the_way_to_the_image_is_the_published_one():
    found = to_image(decode(published_maps(), ARGMAX), CENTRE, SCALE, (64, 48))[0]

    np.testing.assert_allclose(found[:, :2], column(5), atol=PX)
    np.testing.assert_array_equal(found[:, 2], column(3))


def test_softargmax_is_the_published_one():
    found, plain = (
        decode(published_maps(), SOFTARGMAX)[0],
        decode(published_maps(), replace(SOFTARGMAX, refine=None))[0],
    )

    np.testing.assert_allclose(plain[:, :2], column(6), atol=CELL)
    np.testing.assert_array_equal(found[:, 2], column(7))
    np.testing.assert_allclose(found[:, :2], column(8), atol=CELL)


@pytest.mark.parametrize("spec", [PLAIN, SOFTARGMAX, DARK, UDP, replace(SOFTARGMAX, beta=100.0)], ids=lambda s: s.name)
def test_another_decoder_would_be_seen(spec):
    wanted = column(8) if spec.beta == 100 else column(4)

    assert np.abs(decode(published_maps(), spec)[0, :, :2] - wanted).max() > 10 * CELL


def test_exchanged_axes_would_be_seen():
    found = decode(published_maps().transpose(0, 2, 1, 3), ARGMAX)[0]

    assert np.abs(found[:, :2] - column(4)).max() > 1
    np.testing.assert_array_equal(found[:8, :2], column(4)[:8, ::-1])


def test_the_bias_is_subtracted_in_the_image():
    points = decode(published_maps(), ARGMAX)
    biased = keypoints.decoder("softargmax-mpii")

    difference = to_image(points, CENTRE, SCALE, (64, 48)) - to_image(points, CENTRE, SCALE, (64, 48), biased)

    np.testing.assert_allclose(difference[..., :2], 1, atol=PX)
    np.testing.assert_array_equal(difference[..., 2], 0)


def test_a_udp_map_spans_the_box_from_corner_to_corner():
    corners = np.array([[[0, 0, 1], [47, 63, 1], [23.5, 31.5, 1]]])

    found = to_image(corners, CENTRE, SCALE, (64, 48), UDP, crops.UDP)[0, :, :2]

    np.testing.assert_allclose(found, [(46.25, 25), (233.75, 275), (140, 150)], atol=PX)


@pytest.mark.parametrize("convention", ["msra", "udp"])
def test_an_image_point_goes_to_its_cell_and_back(convention):
    rng, crop = np.random.default_rng(3), crops.CROPS[convention]
    centres, scales = crops.from_boxes(rng.uniform(50, 400, (5, 4)), SIZE, crop)
    points = np.concatenate([rng.uniform(30, 600, (5, 17, 2)), np.ones((5, 17, 1))], axis=-1)

    in_crops = crops.move(points, crops.matrix(centres, scales, 0, SIZE, crop))
    step = (191 / 47, 255 / 63, 1) if convention == "udp" else (4, 4, 1)
    back = to_image(in_crops / step, centres, scales, (64, 48), ARGMAX, crop)

    np.testing.assert_allclose(back, points, atol=1e-3)


def noisy(n=4, size=SIZE, seed=0, k=17):
    """Maps of scattered keypoints with noise, some near the border and some below 0."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, np.array(size[::-1]), (n, k, 2))
    points = np.concatenate([xy, np.ones((n, k, 1))], axis=-1)
    heat, _ = encode(points, size, heatmaps.DARK)
    heat = heat * rng.uniform(0.001, 1.2, (n, 1, 1, k)) + rng.normal(0, 0.01, heat.shape)
    heat[:, :, :, 0] -= 2
    return heat.astype(np.float32)


def blurred(plane, kernel):
    """A map (h, w) under the blur, with 0 outside and its height restored, by one sum a cell; float64."""
    half, sigma = kernel // 2, 0.3 * ((kernel - 1) / 2 - 1) + 0.8
    weights = np.exp(-(np.arange(-half, half + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    padded = np.pad(plane.astype(np.float64), half)
    for axis in (0, 1):
        padded = np.apply_along_axis(np.convolve, axis, padded, weights, "valid")
    return padded * plane.max() / padded.max()


def plain_step(plane, x, y, kernel, udp):
    """DARK's or UDP's step from the cell (x, y), as their definitions are written."""
    h, w = plane.shape
    if not udp and not (1 < x < w - 2 and 1 < y < h - 2):
        return np.zeros(2)
    log = np.log(np.clip(blurred(plane, kernel), *((1e-3, 50) if udp else (1e-10, np.inf))))
    log = np.pad(log, 2, mode="edge")
    x, y = x + 2, y + 2
    gradient = np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]]) / 2
    if udp:
        xx = log[y, x + 1] - 2 * log[y, x] + log[y, x - 1]
        yy = log[y + 1, x] - 2 * log[y, x] + log[y - 1, x]
        mixed = log[y + 1, x + 1] - log[y, x + 1] - log[y + 1, x] + 2 * log[y, x]
        mixed = (mixed - log[y, x - 1] - log[y - 1, x] + log[y - 1, x - 1]) / 2
        hessian = np.array([[xx, mixed], [mixed, yy]]) + np.finfo(np.float32).eps * np.eye(2)
    else:
        xx = (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2]) / 4
        yy = (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x]) / 4
        mixed = (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1]) / 4
        hessian = np.array([[xx, mixed], [mixed, yy]])
    return -np.linalg.inv(hessian) @ gradient if np.linalg.det(hessian) else np.zeros(2)


def plain_decode(heat, kernel, udp):
    found = np.zeros((*heat.shape[::3], 3))
    for n, k in np.ndindex(*heat.shape[::3]):
        plane = heat[n, ..., k]
        y, x = np.unravel_index(plane.argmax(), plane.shape)
        step = plain_step(plane, x, y, kernel, udp) if plane.max() > 0 else (-x, -y)
        found[n, k] = x + step[0], y + step[1], plane.max()
    return found


@pytest.mark.parametrize("sigma", [2.0, 3.0])
@pytest.mark.parametrize("name", ["dark", "udp"])
def test_a_batch_is_its_definition_map_by_map(name, sigma):
    heat, spec = noisy(), keypoints.decoder(name, sigma)

    found, wanted = decode(heat, spec), plain_decode(heat, spec.kernel, name == "udp")

    assert spec.kernel == {2: 11, 3: 17}[sigma]
    assert not found[:, 0, :2].any()  # nothing above 0
    np.testing.assert_allclose(found, wanted, atol=STEP)


@pytest.mark.parametrize(("name", "other"), [("dark", "udp"), ("udp", "dark")])
def test_the_other_step_or_blur_would_be_seen(name, other):
    heat = noisy()
    wanted = plain_decode(heat, 11, name == "udp")

    for spec in (keypoints.decoder(other), keypoints.decoder(name, 3.0)):
        assert np.abs(decode(heat, spec) - wanted).max() > 1000 * STEP


@pytest.mark.parametrize("spec", KEYPOINTS.values(), ids=KEYPOINTS)
def test_a_batch_is_its_maps_one_by_one(spec):
    heat = noisy()

    together = decode(heat, spec)

    assert together.shape == (4, 17, 3)
    assert together.dtype == np.float32
    for n in range(4):
        alone = np.concatenate([decode(heat[n : n + 1, ..., k : k + 1], spec) for k in range(17)], axis=1)
        np.testing.assert_allclose(alone[0], together[n], atol=2e-4)


def inside(n=30, size=SIZE, seed=1):
    """Points inside the boxes of crops: the box is padded by 1.25, so a tenth of the crop away from its border."""
    rng = np.random.default_rng(seed)
    low = 0.1 * np.array(size[::-1])
    xy = rng.uniform(low, size[::-1] - low, (n, 17, 2))
    return np.concatenate([xy, np.ones((n, 17, 1))], axis=-1)


def way_and_back(target, spec, size=SIZE, points=None):
    """Px of the crop between points and what is decoded from their maps, (N, K) on the worse axis."""
    points = inside(size=size) if points is None else points
    heat, _ = encode(points, size, target)
    cells = decode(heat, spec)[..., :2]
    last = np.array(size[::-1]) - 1
    px = cells * last / (np.array(heat.shape[2:0:-1]) - 1) if target.aligned else cells * target.stride
    return np.abs(px - points[..., :2]).max(axis=-1)


@pytest.mark.parametrize("name", ["dark", "udp"])
@pytest.mark.parametrize("size", [(256, 192), (384, 288), (256, 256)])
def test_dark_and_udp_find_the_keypoint_between_the_cells(name, size):
    target = replace(heatmaps.HEATMAPS[name], sigma=heatmaps.published_sigma(size))

    assert way_and_back(target, keypoints.decoder(name, target.sigma), size).max() < 0.05


def test_argmax_is_within_a_quarter_of_a_cell_or_half_a_rounded_one():
    """A decoder that knows quarters of cells of 4 px is up to 1 px off; MSRA's rounded targets lose half a cell."""
    assert way_and_back(heatmaps.DARK, ARGMAX).max() <= 1 + 1e-3
    assert way_and_back(heatmaps.DARK, PLAIN).max() > 1.9
    assert way_and_back(heatmaps.MSRA, ARGMAX).max() <= 2 + 1e-3
    assert way_and_back(heatmaps.DARK, SOFTARGMAX).max() <= 1 + 1e-3


@pytest.mark.parametrize(
    ("target", "spec"),
    [
        (heatmaps.MSRA, DARK),  # the rounding cannot be undone
        (heatmaps.DARK, PLAIN),
        (heatmaps.DARK, ARGMAX),
        (replace(heatmaps.UDP, aligned=False, stride=4), replace(UDP, refine="quarter")),
    ],
)
def test_a_decoder_of_another_target_would_be_seen(target, spec):
    assert way_and_back(target, spec).max() > 0.5


def test_udp_cells_read_as_msra_ones_would_be_seen():
    points = inside()
    heat, _ = encode(points, SIZE, heatmaps.UDP)

    assert np.abs(decode(heat, UDP)[..., :2] * 4 - points[..., :2]).max() > 0.5


def mirrored_maps(target, skeleton, points):
    """The maps of crops, and what a perfect network says of the mirrored crops."""
    turned = points[:, skeleton.flip] * (-1, 1, 1) + (SIZE[1] - 1, 0, 0)
    return encode(points, SIZE, target)[0], encode(turned, SIZE, target)[0]


@pytest.mark.parametrize("skeleton", [COCO17, MPII16], ids=lambda s: s.name)
def test_a_udp_map_comes_back_from_the_mirror(skeleton):
    points = inside()[:, : skeleton.n_keypoints]
    heat, flipped = mirrored_maps(heatmaps.UDP, skeleton, points)

    merged = merge_flipped(heat, flipped, skeleton.flip, shift=False)
    strange = merge_flipped(heat, flipped, range(skeleton.n_keypoints), shift=False)
    shifted = merge_flipped(heat, flipped, skeleton.flip, shift=True)

    np.testing.assert_allclose(merged, heat, atol=2e-2)  # windows around other cells, where a Gaussian has 0.011
    assert merged.dtype == np.float32
    assert np.abs(strange - heat).max() > 0.4
    assert np.abs(shifted - heat).max() > 0.05


def test_an_msra_map_comes_back_three_quarters_of_a_cell_off_and_the_shift_leaves_one():
    points = inside()
    heat, flipped = mirrored_maps(heatmaps.DARK, COCO17, points)

    def off(shift):
        back = 2 * merge_flipped(heat, flipped, COCO17.flip, shift) - heat
        return (decode(back, DARK) - decode(heat, DARK))[..., :2]

    np.testing.assert_allclose(off(False)[..., 0], -0.75, atol=0.02)  # DARK's blur, near the border
    np.testing.assert_allclose(off(True)[..., 0], 0.25, atol=0.02)
    np.testing.assert_allclose(off(True)[..., 1], 0, atol=0.02)


def test_the_mirrored_map_is_turned_permuted_and_shifted_as_published():
    row = np.arange(5, dtype=np.float32)[None, None, :, None]
    nothing = np.zeros_like(row)

    plain = 2 * merge_flipped(nothing, row, (0,), shift=False)
    shifted = 2 * merge_flipped(nothing, row, (0,), shift=True)

    assert plain.ravel().tolist() == [4, 3, 2, 1, 0]
    assert shifted.ravel().tolist() == [4, 4, 3, 2, 1]
    assert COCO17.flip == (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
    assert MPII16.flip == (5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10)


@pytest.mark.parametrize("spec", KEYPOINTS.values(), ids=KEYPOINTS)
@pytest.mark.parametrize("value", [0.0, -1.0, 1e-30, 1e30])
def test_a_flat_map_gives_numbers(spec, value):
    found = decode(np.full((1, 16, 12, 2), value, np.float32), spec)

    assert np.isfinite(found).all()
    assert (np.abs(found[..., :2]) <= 16).all()


@pytest.mark.parametrize("spec", KEYPOINTS.values(), ids=KEYPOINTS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_map_that_is_no_number_is_refused(spec, value):
    heat = noisy(1)
    heat[0, 5, 5, 3] = value

    with pytest.raises(UserError, match="1 of 17 heatmaps hold NaN or infinity"):
        decode(heat, spec)


@pytest.mark.parametrize("spec", KEYPOINTS.values(), ids=KEYPOINTS)
def test_nobody_gives_no_keypoints(spec):
    assert decode(np.zeros((0, 64, 48, 17), np.float32), spec).shape == (0, 17, 3)


def test_the_blur_is_opencvs():
    """The kernel that the originals get from cv2.GaussianBlur with sigma 0."""
    half, sigma = 5, 0.3 * ((11 - 1) / 2 - 1) + 0.8
    weights = np.exp(-(np.arange(-half, half + 1) ** 2) / (2 * sigma**2))

    np.testing.assert_allclose(cv2.getGaussianKernel(11, 0).ravel(), weights / weights.sum(), atol=1e-9)
    assert math.isclose(sigma, 2.0)


def test_an_unknown_decoder_names_the_known_ones():
    assert keypoints.decoder("softargmax") == SOFTARGMAX
    with pytest.raises(UserError, match=r"softmax: unknown .did you mean softargmax.*choose one of argmax, "):
        keypoints.decoder("softmax")
