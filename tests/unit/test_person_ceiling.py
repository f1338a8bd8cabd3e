"""Targets of the built-in benchmark's people, decoded again: what the crops and heatmaps themselves lose."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from shared.codec import crops, heatmaps, keypoints
from shared.scenes import dataset

pytestmark = pytest.mark.slow  # the whole split

EXACT = 0.05  # px of the crop
BOUNDS = {  # target, decoder -> px inside of the crop from where on it holds; the worst and the mean error, px
    ("dark", "dark"): (20, EXACT, 0.01),  # the half of DARK's blur, 5 cells of 4 px
    ("udp", "udp"): (16, EXACT, 0.01),
    ("dark", "argmax"): (8, 1 + 1e-3, 0.7),  # a quarter of a cell, two cells from the border
    ("msra", "argmax"): (8, 2 + 1e-3, 1.4),  # half a cell: the targets are rounded
    ("msra", "softargmax"): (8, 2 + 1e-3, 1.4),
}


@pytest.mark.parametrize(("target", "decoder"), BOUNDS)
@pytest.mark.parametrize("size", [(256, 192), (128, 96)])
def test_targets_of_the_built_in_benchmark_decode_to_its_keypoints(target, decoder, size):
    inside, worst, mean = BOUNDS[target, decoder]

    away = errors(target, decoder, size, inside)

    assert len(away) > 5000
    assert away.max() <= worst
    assert away.mean() <= mean
    if worst > EXACT:
        assert away.max() > 0.95 * worst  # and no better
    else:
        assert errors(target, "argmax", size, inside).max() > EXACT


@pytest.mark.parametrize(
    ("decoder", "size", "most", "worst"),
    [
        ("dark", (128, 96), 0.05, 3.0), ("dark", (256, 192), 0.003, 2.0), ("dark", (384, 288), 0.003, 4.0),
        ("udp", (128, 96), 0.02, 3.5), ("udp", (256, 192), 0.002, 3.5), ("udp", (384, 288), 0.002, 5.5),
    ],
)  # fmt: skip
def test_near_the_border_a_few_keypoints_are_farther_off_as_published_and_none_is_here(
    decoder, size, most, worst, figure
):
    published, ours = (errors(decoder, name, size, 0) for name in (decoder, f"{decoder}-border"))

    for name, away in ((decoder, published), (f"{decoder}-border", ours)):
        share = 100 * (away > EXACT).mean()
        figure(f"{name}, {size[0]}x{size[1]}: {share:.2f} % of keypoints beyond {EXACT} px, at most {away.max():.4f}")
    assert 0 < (published > EXACT).mean() <= most
    assert published.max() <= worst
    assert ours.max() <= EXACT


def test_a_quarter_of_a_cell_is_what_argmax_leaves_two_cells_from_the_border(figure):
    """Of targets drawn where the keypoint is."""
    everywhere, inside = (errors("dark", "argmax", (256, 192), px) / 4 for px in (0, 8))

    share = 100 * (everywhere > 0.3).mean()
    figure(f"argmax, 8 px inside: {inside.max():.3f} cells at most; everywhere {share:.2f} % beyond 0.3")
    assert 0.24 < inside.max() <= 0.2503
    assert 0 < (everywhere > 0.3).mean() < 0.01


def errors(target, decoder, size, inside):
    """Px of the crop on the worse axis, for keypoints so many px inside of the crop."""
    spec = crops.UDP if target == "udp" else crops.MSRA
    sigma = heatmaps.published_sigma(size)
    target, decoder = replace(heatmaps.HEATMAPS[target], sigma=sigma), keypoints.decoder(decoder, sigma)
    boxes, points = people_of_the_benchmark()
    centres, scales = crops.from_boxes(boxes, size, spec)
    inner = crops.move(points, crops.matrix(centres, scales, 0.0, size, spec))
    heat, weight = heatmaps.encode(inner, size, target)
    back = keypoints.to_image(keypoints.decode(heat, decoder), centres, scales, heat.shape[1:3], decoder, spec)
    found = crops.move(back, crops.matrix(centres, scales, 0.0, size, spec))
    last = np.array(size[::-1]) - 1
    counted = (weight > 0) & ((inner[..., :2] >= inside) & (inner[..., :2] <= last - inside)).all(axis=-1)
    return np.abs(found - inner)[..., :2].max(axis=-1)[counted]


@cache
def people_of_the_benchmark():
    """Boxes as they are evaluated with, and keypoints."""
    raw = dataset.annotations("val")
    sizes = {image["id"]: (image["height"], image["width"]) for image in raw["images"]}
    people = [a for a in raw["annotations"] if not a["iscrowd"] and a["num_keypoints"]]
    boxes, _ = crops.clean_box([a["bbox"] for a in people], np.array([sizes[a["image_id"]] for a in people]))
    return boxes, np.array([a["keypoints"] for a in people], np.float64).reshape(-1, 17, 3)
