"""Keypoints to heatmaps and back, also by way of the mirror: how far off each decoder is."""

from dataclasses import replace

import numpy as np
import pytest

from shared.codec import heatmaps, keypoints
from shared.codec.heatmaps import encode
from shared.codec.keypoints import ARGMAX, DARK, PLAIN, SOFTARGMAX, UDP, decode, merge_flipped
from shared.skeleton import COCO17, MPII16

SIZE = (256, 192)


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
