"""mobilenet_v2_small: its rows, and the three parts that no other network has, in both frameworks."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import keras_impl.mobilenet_v2_small as in_keras
import keras_impl.net
import keras_impl.weights
import pytorch_impl.mobilenet_v2_small as in_torch
import pytorch_impl.net
import pytorch_impl.weights
from shared.arch import catalogue
from shared.arch.mobilenet_v2_small import EPSILON, MobilenetV2SmallSpec, same_padding
from shared.preprocess import RAW_BGR
from shared.weights import ModelInfo

ROOT = Path(__file__).parents[2]
SPEC = MobilenetV2SmallSpec()


@pytest.fixture(scope="module")
def arrays():
    """Random weights; kernels and norms keep the size of the values."""
    rng = np.random.default_rng(0)
    made = {}
    for name, shape in SPEC.tensors().items():
        if len(shape) == 4:
            made[name] = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        elif name.endswith((".weight", ".running_var")):
            made[name] = rng.uniform(0.5, 1.5, shape)
        else:
            made[name] = rng.standard_normal(shape) * 0.1
    return {name: array.astype(np.float32) for name, array in made.items()}


@pytest.fixture(scope="module")
def nets(arrays):
    info = ModelInfo(SPEC, RAW_BGR)
    return {"torch": pytorch_impl.net.LoadedNet(arrays, info), "keras": keras_impl.net.LoadedNet(arrays, info)}


def images(n, height, width):
    return np.random.default_rng(1).integers(0, 256, (n, height, width, 3)).astype(np.float32)


def test_the_network_has_the_published_size():
    norms = [unit.norm for unit in SPEC.units() if unit.norm]

    assert (len(SPEC.units()), norms.count("image"), norms.count("stored")) == (159, 39, 60)
    assert sum(unit.depthwise for unit in SPEC.units()) == 73
    assert sum(block.add for block in SPEC.blocks()) == 8
    assert (len(SPEC.tensors()), catalogue.n_parameters(SPEC)) == (417, 473_472)


def test_names_are_the_graphs_with_dots():
    tensors = SPEC.tensors()

    assert tensors["MobilenetV2.Conv.weight"] == (16, 3, 3, 3)
    assert tensors["MobilenetV2.expanded_conv_1.depthwise.weight"] == (48, 1, 3, 3)
    assert tensors["MobilenetV2.expanded_conv_1.depthwise.BatchNorm.bias"] == (48,)
    assert tensors["Openpose.MConv_Stage2_L1_1_pointwise.weight"] == (64, 16 + 48 + 38 + 19, 1, 1)
    assert "Openpose.MConv_Stage2_L1_1_pointwise.BatchNorm.weight" not in tensors


def test_every_stage_gives_a_paf_and_then_a_heatmap():
    outputs = SPEC.stage_outputs()

    assert list(outputs.values()) == ["paf", "heat"] * 6
    assert catalogue.final_outputs(SPEC) == {
        "paf": "Openpose.MConv_Stage6_L1_5_pointwise",
        "heat": "Openpose.MConv_Stage6_L2_5_pointwise",
    }


def test_the_catalogue_recognises_its_weights():
    assert catalogue.infer(SPEC.tensors(), "weights") == SPEC
    assert catalogue.from_dict(catalogue.to_dict(SPEC)) == SPEC


@given(size=st.integers(1, 500), kernel=st.sampled_from([1, 3, 5]), stride=st.sampled_from([1, 2]))
def test_same_padding_gives_one_output_per_stride_and_pads_the_end_first(size, kernel, stride):
    before, after = same_padding(size, kernel, stride)

    assert (before + size + after - kernel) // stride + 1 == -(-size // stride)
    assert after - before in (0, 1)


def test_same_padding_of_stride_two_depends_on_the_size():
    assert same_padding(368, 3, 2) == (0, 1)
    assert same_padding(245, 3, 2) == (1, 1)
    assert same_padding(368, 3, 1) == (1, 1)


def test_both_frameworks_hold_exactly_the_named_weights(nets, arrays):
    held = {
        "torch": pytorch_impl.weights.get_arrays(nets["torch"].network),
        "keras": keras_impl.weights.get_arrays(nets["keras"].network),
    }

    for found in held.values():
        assert {name: array.shape for name, array in found.items()} == SPEC.tensors()
        assert all(np.array_equal(found[name], array) for name, array in arrays.items())


def apply(framework, layer, x):
    """A layer over x (N, H, W, C), whatever the framework's own axes; also a list of several such x."""
    if framework == "keras":
        return keras.ops.convert_to_numpy(layer(x))
    xs = [torch.from_numpy(array).permute(0, 3, 1, 2) for array in (x if isinstance(x, list) else [x])]
    with torch.inference_mode():
        return layer(*xs).permute(0, 2, 3, 1).numpy()


def image_norm(framework, channels):
    return in_torch.ImageNorm(channels, EPSILON) if framework == "torch" else in_keras.ImageNorm(EPSILON)


def enlarge(framework):
    return in_torch.Enlarge() if framework == "torch" else in_keras.Enlarge()


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_the_image_norm_divides_by_the_biased_deviation_of_each_image(framework):
    x = np.random.default_rng(0).normal(50, 20, (2, 5, 7, 3)).astype(np.float32)
    mean, variance = x.mean(axis=(1, 2), keepdims=True), x.var(axis=(1, 2), keepdims=True)

    found = apply(framework, image_norm(framework, 3), x)

    np.testing.assert_allclose(found, (x - mean) / np.sqrt(variance + EPSILON), rtol=0, atol=2e-6)


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_the_image_norm_of_a_single_pixel_is_its_shift(framework):
    assert not apply(framework, image_norm(framework, 2), np.full((1, 1, 1, 2), 9, np.float32)).any()


@pytest.mark.parametrize("framework", ["torch", "keras"])
@pytest.mark.parametrize(
    ("length", "expected"),
    [(4, [0, 5, 10, 10]), (3, [0, 20 / 3, 10]), (2, [0, 10]), (1, [0])],
)
def test_enlarging_reads_from_the_corner_and_repeats_the_last_value(framework, length, expected):
    x = np.array([0, 10], np.float32)

    tall = apply(framework, enlarge(framework), [x.reshape(1, 2, 1, 1), np.zeros((1, length, 1, 1), np.float32)])
    wide = apply(framework, enlarge(framework), [x.reshape(1, 1, 2, 1), np.zeros((1, 1, length, 1), np.float32)])

    np.testing.assert_allclose(tall.ravel(), expected, rtol=1e-6)
    np.testing.assert_allclose(wide.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize("framework", ["torch", "keras"])
@pytest.mark.parametrize("size", [(64, 80), (72, 40), (65, 83), (1, 9)])
def test_maps_have_an_eighth_of_the_size_rounded_up(nets, framework, size):
    found = nets[framework](images(1, *size))

    height, width = (-(-side // 8) for side in size)
    assert found["heat"].shape == (1, height, width, 19)
    assert found["paf"].shape == (1, height, width, 38)


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_a_batch_gives_what_each_image_gives_alone(nets, framework):
    batch = images(3, 40, 56)

    together = nets[framework](batch)

    for i in range(3):
        alone = nets[framework](batch[i : i + 1])
        for name in ("heat", "paf"):
            np.testing.assert_allclose(together[name][i], alone[name][0], rtol=0, atol=1e-4 * abs(alone[name]).max())


@pytest.mark.parametrize("size", [(64, 80), (72, 40), (65, 83)])
def test_both_frameworks_agree_at_every_stage(nets, size):
    x = images(2, *size)
    a, b = nets["torch"](x, stages=True), nets["keras"](x, stages=True)

    assert a.keys() == b.keys() == {"heat", "paf", *SPEC.stage_outputs()}
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=0, atol=5e-5 * abs(b[name]).max())


def test_stored_statistics_stay_in_training(arrays):
    network = in_torch.MobilenetV2Small(SPEC).train()
    pytorch_impl.weights.set_arrays(network, arrays)
    before = {name: value.clone() for name, value in network.named_buffers()}
    with torch.inference_mode():
        network(torch.from_numpy(images(1, 32, 32)).permute(0, 3, 1, 2))
    stored = [layer for layer in in_keras.MobilenetV2Small(SPEC).layers if isinstance(layer, in_keras.StoredNorm)]

    assert all(torch.equal(before[name], value) for name, value in network.named_buffers())
    assert len(before) == 2 * len(stored) == 120
    assert all(len(layer.trainable_weights) == 1 for layer in stored)


@pytest.mark.slow
def test_the_keras_network_also_runs_on_the_torch_backend():
    program = (
        "import numpy as np; from keras_impl import models; from shared.arch import catalogue\n"
        "network = models.build(catalogue.spec('mobilenet_v2_small'))\n"
        "maps = network.predict_on_batch(np.ones((1, 40, 56, 3), np.float32))\n"
        "print(sorted({value.shape for value in maps.values()}))"
    )
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert done.stdout.strip().endswith("[(1, 5, 7, 19), (1, 5, 7, 38)]"), done.stderr
