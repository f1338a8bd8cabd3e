"""The losses of both frameworks, value and gradient, against the formulas of the originals in float64."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from shared import framework

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "topdown_golden.json"
RELATIVE = 1e-5  # of float32 sums of some thousand terms, and of the largest gradient
SHAPES = [(1, 5, 7, 4), (3, 9, 3, 12)]  # (N, h, w, C): odd sizes

KEPT = 8  # keypoints of `ohkm`
PERSON = ("joints_mse", "ohkm")  # their third array weighs keypoints


def hardest(error):
    """(N, 1, 1, K) 1 for the `KEPT` keypoints of each sample with the largest mean square."""
    squares = (error**2).mean(axis=(1, 2), keepdims=True)
    return squares >= np.sort(squares, axis=-1)[..., -KEPT:][..., :1]


# Loss -> its value and its gradient with respect to p, from the formulas; m is the mask.
FORMULAS = {
    "euclidean": lambda p, t, m: ((m * (p - t)) ** 2).sum() / (2 * len(p)),
    "euclidean_squared_mask": lambda p, t, m: ((p * m - t * m * m) ** 2).sum() / len(p) / 2,
    "log_focus": lambda p, t, m: np.log(1 + np.abs(p * m - t * m)).sum() / len(p) / 4,
    "quartic": lambda p, t, m: ((p * m - t * m) ** 4).sum() / len(p),
    "mean": lambda p, t, m: ((p - t) ** 2).mean(),
    "half_mean": lambda p, t, m: 0.5 * ((p - t) ** 2).mean(),
    "l2": lambda p, t, m: ((p - t) ** 2).sum() / 2 / len(p),
    "joints_mse": lambda p, t, w: sum(((w * (p - t))[..., k] ** 2).mean() / 2 for k in range(p.shape[3])) / p.shape[3],
    "ohkm": lambda p, t, w: np.mean([np.sort((s**2).mean(axis=(0, 1)) / 2)[-KEPT:].mean() for s in w * (p - t)]),
    "offset": lambda p, t, h: np.abs((p - t) ** 2 * np.repeat(h, 2, axis=-1)).sum() / len(p) / 2,
}
GRADIENTS = {
    "euclidean": lambda p, t, m: m**2 * (p - t) / len(p),
    "euclidean_squared_mask": lambda p, t, m: m * (p * m - t * m * m) / len(p),
    "log_focus": lambda p, t, m: m * np.sign(p - t) / (1 + m * np.abs(p - t)) / len(p) / 4,
    "quartic": lambda p, t, m: 4 * m**4 * (p - t) ** 3 / len(p),
    "mean": lambda p, t, m: 2 * (p - t) / p.size,
    "half_mean": lambda p, t, m: (p - t) / p.size,
    "l2": lambda p, t, m: (p - t) / len(p),
    "joints_mse": lambda p, t, w: w**2 * (p - t) / p.size,
    "ohkm": lambda p, t, w: w**2 * (p - t) * hardest(w * (p - t)) / (p[..., :KEPT].size),
    "offset": lambda p, t, h: (p - t) * np.abs(np.repeat(h, 2, axis=-1)) / len(p),
}


def _torch(name, arrays, *options):
    import torch

    tensors = [torch.from_numpy(array).permute(0, 3, 1, 2).requires_grad_() for array in arrays]
    value = getattr(framework.module("torch", "losses"), name)(*tensors, *options)
    gradients = torch.autograd.grad(value, tensors, allow_unused=True)
    return value.detach().numpy(), [None if g is None else g.permute(0, 2, 3, 1).numpy() for g in gradients]


def _keras(name, arrays, *options):
    import tensorflow as tf

    tensors = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = getattr(framework.module("keras", "losses"), name)(*tensors, *options)
    gradients = tape.gradient(value, tensors)
    return value.numpy(), [None if gradient is None else gradient.numpy() for gradient in gradients]


RUN = {"torch": _torch, "keras": _keras}


def arrays(name, shape):
    """Prediction, target and a mask with zeros, ones and fractions; for offsets, heatmaps with negative values.

    For networks of one person a weight of each keypoint.
    """
    rng = np.random.default_rng(len(name))
    prediction, target = rng.standard_normal((2, *shape))
    if name == "offset":
        third = rng.uniform(-0.2, 1, (*shape[:3], shape[3] // 2))
    elif name in PERSON:
        third = rng.choice([0.5, 1, 1.5], (len(prediction), 1, 1, shape[3]))
    else:
        third = rng.choice([0, 0.3, 0.75, 1], (*shape[:3], 1))
    return [array.astype(np.float32) for array in (prediction, target, third)]


def kind(name):
    """What a loss's third array is."""
    return "weights" if name in PERSON else "heatmaps" if name == "offset" else "mask"


def close(found, wanted):
    wanted = np.asarray(wanted)
    return found.shape == wanted.shape and np.abs(found - wanted).max() <= RELATIVE * np.abs(wanted).max()


@pytest.fixture(params=["torch", "keras"])
def run(request):
    return RUN[request.param]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FORMULAS)
def test_value_and_gradient_are_those_of_the_formula(run, name, shape):
    given = arrays(name, shape)
    exact = [array.astype(np.float64) for array in given]

    value, gradients = run(name, given)

    assert value.dtype == np.float32
    assert close(value, FORMULAS[name](*exact))
    assert close(gradients[0], GRADIENTS[name](*exact))


@pytest.mark.parametrize("name", FORMULAS)
def test_the_gradients_of_this_test_are_those_of_its_formulas(name):
    given = [array.astype(np.float64) for array in arrays(name, SHAPES[1])]
    step = np.zeros(SHAPES[1])
    step[1, 2, 1, 3] = 1e-4

    up, down = (FORMULAS[name](given[0] + sign * step, *given[1:]) for sign in (1, -1))

    assert (up - down) / 2e-4 == pytest.approx(GRADIENTS[name](*given)[1, 2, 1, 3], rel=1e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_the_formula_tells_a_loss_from_every_other(run, name):
    given = arrays(name, SHAPES[1])
    others = {other for other in FORMULAS if kind(other) == kind(name)} - {name}

    value, gradients = run(name, given)

    assert not close(value * len(given[0]), FORMULAS[name](*given))  # not divided by N
    assert not close(value * 2, FORMULAS[name](*given))
    assert not [other for other in others if close(value, FORMULAS[other](*given))]
    assert not [other for other in others if close(gradients[0], GRADIENTS[other](*given))]


def test_a_mask_of_zeros_and_ones_meets_the_target_once_or_twice_alike(run):
    prediction, target, mask = arrays("", SHAPES[1])
    binary, fractional = np.round(mask), mask

    once, twice = ([run(name, [prediction, target, m])[0] for m in (binary, fractional)] for name in list(FORMULAS)[:2])

    assert once[0] == pytest.approx(twice[0], rel=RELATIVE)
    assert once[1] != pytest.approx(twice[1], rel=1e-2)


@pytest.mark.parametrize(("channels", "factor"), [(38, 40_204), (19, 20_102)])
def test_sum_and_mean_differ_by_a_constant_on_46_by_46_cells(run, channels, factor):
    rng = np.random.default_rng(0)
    prediction, target = rng.standard_normal((2, 2, 46, 46, channels)).astype(np.float32)
    mask = np.ones((2, 46, 46, 1), np.float32)

    summed, mean = (run(name, [prediction, target, mask])[0] for name in ("euclidean", "mean"))

    assert summed / mean == pytest.approx(factor, rel=RELATIVE)


def test_the_heatmap_that_weighs_an_offset_gets_no_gradient(run):
    _, (by_prediction, by_target, by_heat) = run("offset", arrays("offset", SHAPES[1]))

    assert by_prediction.any()
    assert by_target.any()
    assert by_heat is None


@pytest.mark.parametrize("name", ["mean", "half_mean", "l2"])
def test_a_loss_without_a_mask_does_not_see_it(run, name):
    prediction, target, mask = arrays(name, SHAPES[0])

    values = [run(name, [prediction, target, m])[0] for m in (mask, 1 - mask)]

    assert values[0] == values[1]


def test_the_hardest_keypoints_are_those_of_each_sample(run):
    """Its mean is over the keypoints kept, whatever the other sample has."""
    shape = (2, 1, 1, 3)
    error = np.array([[0.1, 0.9, 0.4], [0.5, 0.2, 0.3]], np.float32).reshape(shape)
    weight = np.array([[1, 0, 1.5], [1, 1, 1]], np.float32).reshape(shape)
    squares = (error * weight).reshape(2, 3) ** 2 / 2

    value, _ = run("ohkm", [error, np.zeros(shape, np.float32), weight], 2)

    assert value == pytest.approx(np.sort(squares)[:, 1:].mean(), rel=RELATIVE)
    assert value != pytest.approx(np.sort(squares.ravel())[2:].mean(), rel=1e-2)  # of the batch as a whole


@pytest.mark.skipif(not GOLDEN.is_file(), reason="no ../shared/golden/topdown_golden.json here")
def test_losses_of_one_person_are_those_of_the_original_code(run):
    golden = json.loads(GOLDEN.read_text())["loss"]
    maps = [np.array(golden[name], np.float32).transpose(0, 2, 3, 1) for name in ("pred", "target")]
    weight = np.array(golden["weight"], np.float32)[:, None, None]

    values = {"joints_mse": run("joints_mse", [*maps, weight])[0], "ohkm_top2": run("ohkm", [*maps, weight], 2)[0]}

    assert values == {name: pytest.approx(golden[name], rel=RELATIVE) for name in values}
    assert run("joints_mse", [*maps, np.sqrt(weight)])[0] != pytest.approx(golden["joints_mse"], rel=1e-2)


def test_a_recipe_can_name_every_loss_with_a_mask_in_both_frameworks():
    modules = [framework.module(name, "losses") for name in ("torch", "keras")]

    for module in modules:
        assert list(module.LOSSES) == [name for name in FORMULAS if name != "offset"]
        assert all(function is getattr(module, name) for name, function in module.LOSSES.items())


def test_a_keras_loss_works_in_a_graph_whose_batch_is_free():
    import tensorflow as tf

    found = SimpleNamespace(shape=None)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, c)) for c in (4, 4, 1)])
    def graph(prediction, target, mask):
        found.shape = prediction.shape[0]
        return framework.module("keras", "losses").euclidean(prediction, target, mask)

    for shape in [(1, 5, 7, 4), (3, 3, 3, 4)]:
        given = arrays("", shape)

        assert close(graph(*given).numpy(), FORMULAS["euclidean"](*given))
    assert found.shape is None
