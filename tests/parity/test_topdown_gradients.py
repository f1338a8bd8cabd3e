"""HRNet, LPN and PoseResNet in a training step: PyTorch against Keras in passes, gradients and norms, in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras import ops

import keras_impl.weights
import pytorch_impl.weights
from tests.parity import deterministic
from tests.parity.test_topdown_networks import FINAL, SMALL, difference, keras_network, small, torch_network

EXACT = 1e-9  # of a tensor's largest gradient

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("float64")]


@pytest.fixture
def float64():
    """Keras layers that are made inside compute in float64."""
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


def trained_once(name, keras_change=lambda network: None):
    """For each framework: the output of a pass in training, the gradients of sum(target * output), the arrays after."""
    spec = small(name)
    arrays = deterministic.arrays(spec)
    images = np.stack([deterministic.image(64, 96), -0.5 * deterministic.image(64, 96)]).astype(np.float64)
    target = np.random.default_rng(0).standard_normal((2, 16, 24, 17))

    first = torch_network(spec, arrays).double().train()
    heat = first(torch.from_numpy(images).permute(0, 3, 1, 2))[FINAL].permute(0, 2, 3, 1)
    (heat * torch.from_numpy(target)).sum().backward()
    gradients = {name: p.grad.numpy() for name, p in first.named_parameters()}
    results = {"torch": (heat.detach().numpy(), gradients, pytorch_impl.weights.get_arrays(first))}

    second = keras_network(spec, arrays)
    keras_change(second)
    known = keras_impl.weights.variables(second)
    trainable = {name: pair for name, pair in known.items() if pair[1].trainable}
    with tf.GradientTape() as tape:
        heat = second(images, training=True)[FINAL]
        total = ops.sum(heat * target)
    found = tape.gradient(total, [variable.value for _, variable in trainable.values()])
    gradients = {
        name: keras_impl.weights.to_torch(layer, gradient)
        for (name, (layer, _)), gradient in zip(trainable.items(), found, strict=True)
    }
    results["keras"] = (np.asarray(heat), gradients, keras_impl.weights.get_arrays(second))
    return spec, results["torch"], results["keras"]


def worst_gradient(a, b):
    """The largest difference, as a share of a tensor's largest; what is zero but for rounding counts by the whole."""
    largest = max(np.abs(value).max() for value in a.values())
    return max(np.abs(b[name] - a[name]).max() / max(np.abs(a[name]).max(), 1e-6 * largest) for name in a)


@pytest.mark.parametrize("name", SMALL)
def test_a_pass_in_training_and_its_gradients_are_the_same(name):
    spec, (a, gradients, arrays), (b, keras_gradients, keras_arrays) = trained_once(name)

    assert difference(b, a) <= EXACT
    assert gradients.keys() == keras_gradients.keys()
    assert worst_gradient(gradients, keras_gradients) <= EXACT
    before = deterministic.arrays(spec)
    for key, value in arrays.items():
        if not key.endswith("running_var"):
            np.testing.assert_allclose(keras_arrays[key], value, rtol=1e-9, atol=1e-12)
    # Of the variance of a batch of n values PyTorch learns n / (n - 1), Keras the variance itself.
    learnt, keras_learnt = (x["bn1.running_var"] - 0.9 * before["bn1.running_var"] for x in (arrays, keras_arrays))
    n = 2 * 32 * 48
    np.testing.assert_allclose(learnt * (n - 1) / n, keras_learnt, rtol=1e-6)


@pytest.mark.parametrize(("value", "wrong"), [("epsilon", 1.1e-5), ("momentum", 0.91)])
def test_another_norm_is_seen_in_training(value, wrong):
    def change(network):
        setattr(network.get_layer("bn1"), value, wrong)

    _, (_, gradients, arrays), (_, keras_gradients, keras_arrays) = trained_once("lpn_18", change)

    mean = np.abs(arrays["bn1.running_mean"] - keras_arrays["bn1.running_mean"]).max()
    assert (worst_gradient(gradients, keras_gradients) if value == "epsilon" else mean) > 10 * EXACT
