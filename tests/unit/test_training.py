"""Samples, and the first training steps of both frameworks."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from shared import framework
from shared.recipe import BUILTIN_SMALL, learning_rate
from shared.samples import Samples, _mask
from shared.training import initial

TINY = replace(BUILTIN_SMALL, width=1 / 16, stages=2, crop=128, batch=2, bf16=False)
STEP = 1e-3  # relative: one Adam step turns float32 noise of a gradient near zero into a whole step


def test_a_sample_is_the_same_whenever_it_is_made():
    first, second = Samples(TINY).batch(range(4, 6)), Samples(TINY)
    second.batch(range(0, 2))

    again = second.batch(range(4, 6))

    for name in ("images", "heat", "paf", "mask"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


def test_batches_come_in_order_from_any_step():
    samples = Samples(TINY)
    wanted = [samples.batch(range(2 * step, 2 * step + 2)).images for step in range(3)]

    for step in (0, 1):
        for want, batch in zip(wanted[step:], samples.batches(step), strict=False):
            np.testing.assert_array_equal(want, batch.images)


def test_the_mask_leaves_out_crowds_and_people_without_keypoints():
    size, matrix = (64, 64), np.eye(2, 3)
    rows = np.zeros(size, np.uint8)
    rows[32:, :32] = 1
    runs = np.flatnonzero(np.diff(np.concatenate([[0], rows.T.ravel(), [0]])))
    counts = np.diff(np.concatenate([[0], runs, [rows.size]])).tolist()
    people = [
        {"iscrowd": 1, "num_keypoints": 0, "segmentation": {"counts": counts, "size": list(size)}},
        {"iscrowd": 0, "num_keypoints": 0, "segmentation": [[32, 0, 63, 0, 63, 31, 32, 31]]},
        {"iscrowd": 0, "num_keypoints": 5, "segmentation": [[0, 0, 31, 0, 31, 31, 0, 31]]},
    ]

    mask = _mask(people, size, matrix, replace(TINY, crop=64))

    np.testing.assert_array_equal(mask[:4, :4], 1)
    np.testing.assert_array_equal(mask[:4, 4:], 0)
    np.testing.assert_array_equal(mask[4:, :4], 0)
    np.testing.assert_array_equal(mask[4:, 4:], 1)


def test_targets_sit_where_the_image_shows_them():
    """A person's visible keypoints must have peaks near the body: the crop's content and targets move together."""
    samples = Samples(TINY)
    found = 0
    for index in range(12):
        image, heat, _, _ = samples.sample(0, index)
        peaks = np.argwhere(heat[..., :-1].max(-1) > 0.9)
        for row, column in peaks:
            patch = image[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            found += patch.std() > 0.01  # not the grey border
    assert found > 20


def test_the_learning_rate_warms_up_and_ends_at_zero():
    rates = [learning_rate(BUILTIN_SMALL, step) for step in range(BUILTIN_SMALL.steps)]

    assert rates[0] == pytest.approx(BUILTIN_SMALL.lr / BUILTIN_SMALL.warmup)
    assert max(rates) == pytest.approx(BUILTIN_SMALL.lr)
    assert 0 <= rates[-1] < 1e-6


def losses(name: str, steps: int) -> list[float]:
    """The losses of the first steps with one framework's own loop."""
    models, weights, training = (framework.module(name, part) for part in ("models", "weights", "training"))
    info, arrays = initial(TINY)
    network = models.build(info.spec)
    weights.set_arrays(network, arrays)
    step = training.prepare(network, TINY)
    samples = Samples(TINY)
    return [step(samples.batch(range(2 * i, 2 * i + 2)), learning_rate(TINY, i)) for i in range(steps)]


@pytest.mark.parity
@pytest.mark.slow
def test_both_frameworks_start_with_the_same_losses():
    torch_losses, keras_losses = losses("torch", 3), losses("keras", 3)

    assert torch_losses[0] == pytest.approx(keras_losses[0], rel=1e-5)
    assert torch_losses == pytest.approx(keras_losses, rel=STEP)
    assert torch_losses[2] != pytest.approx(torch_losses[0], rel=STEP)  # it does learn


def test_the_crop_is_the_scene_when_nothing_is_drawn():
    still = replace(TINY, scale=(1.0, 1.0), rotation=0.0, gain=0.0, offset=0.0)
    from shared.scenes.generator import generate

    image, _, _, _ = Samples(still).sample(0, 0)
    crop = np.clip(np.round((image[..., ::-1] + 0.5) * 256), 0, 255).astype(np.uint8)
    order = np.random.Generator(np.random.Philox([still.seed, 0])).permutation(Samples(still).count)
    scene = generate("train", int(order[0])).image

    assert _likeness(crop, scene) > 0.98
    assert _likeness(crop, generate("train", int(order[1])).image) < 0.9


def _likeness(crop: np.ndarray, scene: np.ndarray) -> float:
    """The best correlation of the crop's middle, mirrored or not, with any place of the scene.

    Both are blurred, so that interpolation between pixels does not count.
    """
    patch, whole = (cv2.GaussianBlur(image, (0, 0), 2) for image in (crop, scene))
    middle = patch[32:96, 32:96]
    return max(cv2.matchTemplate(whole, p.copy(), cv2.TM_CCOEFF_NORMED).max() for p in (middle, middle[:, ::-1]))
