"""Keypoints of noisy, flat and broken heatmaps: plain loops as the reference, and each map by itself."""

import math

import cv2
import numpy as np
import pytest

from shared.codec import heatmaps, keypoints
from shared.codec.heatmaps import encode
from shared.codec.keypoints import KEYPOINTS, decode
from shared.errors import UserError

SIZE = (256, 192)
STEP = 1e-4  # cells: float32 under a logarithm, where a step over noise is 40 cells long


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


def plain_fit(plane, x, y, kernel):
    """The step to the vertex of the paraboloid of log values, by weighted least squares as NumPy solves them."""
    half, rows, values = kernel // 2, [], []
    for v in range(max(0, y - half), min(plane.shape[0], y + half + 1)):
        for u in range(max(0, x - half), min(plane.shape[1], x + half + 1)):
            value = max(float(plane[v, u]), 1e-10) / plane.max()
            rows.append(value * np.array([1, u - x, v - y, (u - x) ** 2 / 2, (u - x) * (v - y), (v - y) ** 2 / 2]))
            values.append(value * math.log(value))
    _, gx, gy, xx, xy, yy = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    step = -np.linalg.inv([[xx, xy], [xy, yy]]) @ (gx, gy)
    if xx >= 0 or xx * yy <= xy * xy or np.abs(step).max() > (kernel + 1) / 6:
        step = np.zeros(2)
    cell = np.array([x, y])
    return np.clip(cell + step, -1, plane.shape[::-1]) - cell


@pytest.mark.parametrize("sigma", [2.0, 3.0])
@pytest.mark.parametrize(("name", "margin"), [("dark", 7), ("udp", 6)])
def test_near_the_border_a_paraboloid_is_fitted_and_elsewhere_all_is_as_published(name, margin, sigma):
    heat, spec = noisy(), keypoints.decoder(f"{name}-border", sigma)
    cells, published = decode(heat, keypoints.PLAIN)[..., :2], decode(heat, keypoints.decoder(name, sigma))
    margin += round(3 * sigma) - 6
    h, w = heat.shape[1:3]
    near = ((cells < margin) | (cells >= np.array([w, h]) - margin)).any(axis=-1)
    near[:, 0] = False  # nothing above 0

    found = decode(heat, spec)

    np.testing.assert_array_equal(found[~near], published[~near])
    assert 10 < near.sum() < near.size - 10
    for n, k in zip(*np.nonzero(near), strict=True):
        x, y = cells[n, k].astype(int)
        wanted = cells[n, k] + plain_fit(heat[n, ..., k], x, y, spec.kernel)
        np.testing.assert_allclose(found[n, k, :2], wanted, atol=STEP)
    assert (found[..., 2] == published[..., 2]).all()


@pytest.mark.parametrize("name", ["dark", "udp"])
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
def test_near_the_border_the_fit_is_nearer_than_what_is_published(name, noise):
    """Px of the crop, of keypoints up to seven cells from the border; noise as a share of a peak."""
    rng, target = np.random.default_rng(2), heatmaps.HEATMAPS[name]
    last = np.array(SIZE[::-1]) - 1
    points = np.concatenate([rng.uniform(0, last, (60, 17, 2)), np.ones((60, 17, 1))], axis=-1)
    near = np.minimum(points[..., :2], last - points[..., :2]).min(axis=-1) < 28
    heat, _ = encode(points, SIZE, target)
    heat = (heat + rng.normal(0, noise, heat.shape)).astype(np.float32)

    published, ours = (
        np.abs(decode(heat, KEYPOINTS[spec])[..., :2] * heatmaps._steps(SIZE, target) - points[..., :2])[near].mean()
        for spec in (name, f"{name}-border")
    )

    assert ours < 0.85 * published


@pytest.mark.parametrize("spec", KEYPOINTS.values(), ids=KEYPOINTS)
def test_a_batch_is_its_maps_one_by_one(spec):
    heat = noisy()

    together = decode(heat, spec)

    assert together.shape == (4, 17, 3)
    assert together.dtype == np.float32
    for n in range(4):
        alone = np.concatenate([decode(heat[n : n + 1, ..., k : k + 1], spec) for k in range(17)], axis=1)
        np.testing.assert_allclose(alone[0], together[n], atol=2e-4)


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


def test_the_blur_is_opencvs():
    """The kernel that the originals get from cv2.GaussianBlur with sigma 0."""
    half, sigma = 5, 0.3 * ((11 - 1) / 2 - 1) + 0.8
    weights = np.exp(-(np.arange(-half, half + 1) ** 2) / (2 * sigma**2))

    np.testing.assert_allclose(cv2.getGaussianKernel(11, 0).ravel(), weights / weights.sum(), atol=1e-9)
    assert math.isclose(sigma, 2.0)
