"""HRNet, LPN and PoseResNet: published forward passes, and PyTorch against Keras in passes."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import keras_impl.models
import keras_impl.weights
import pytorch_impl.hrnet
import pytorch_impl.models
import pytorch_impl.weights
from shared.arch import catalogue, hrnet
from shared.weights import check
from tests.parity import deterministic

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "topdown_forward_golden.json"
RESULTS = json.loads(GOLDEN.read_text())["results"] if GOLDEN.is_file() else {}
GATE = 1e-5  # of the published pass's standard deviation
BETWEEN = 5e-5  # PyTorch against Keras, as a share of the maximum
SMALL = ("pose_hrnet_w18_v1", "pose_hrnet_w18_v2", "lpn_18", "lpn_18h", "lpn_50", "pose_resnet_50")
FINAL = "final_layer"
LAST_CODE = "_headcode"  # what humanpose.pytorch's last code builds for w18 v1

pytestmark = pytest.mark.parity
needs_golden = pytest.mark.skipif(not RESULTS, reason="no ../shared/golden/topdown_forward_golden.json here")


def small(name):
    return catalogue.spec(name, width=1 / 8)


def torch_network(spec, arrays=None):
    network = pytorch_impl.models.build(spec)
    pytorch_impl.weights.set_arrays(network, arrays or deterministic.arrays(spec))
    return network.eval()


def keras_network(spec, arrays=None):
    network = keras_impl.models.build(spec)
    keras_impl.weights.set_arrays(network, arrays or deterministic.arrays(spec))
    return network


def run_torch(network, images):
    """Images (N, H, W, 3) to heat (N, h, w, K)."""
    with torch.inference_mode():
        return network(torch.from_numpy(images).permute(0, 3, 1, 2))[FINAL].permute(0, 2, 3, 1).numpy()


def run_keras(network, images):
    return np.asarray(network(images, training=False)[FINAL])


def difference(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


def golden_spec(name):
    golden = RESULTS[name]
    model = name.removesuffix(LAST_CODE).removesuffix("_coco").removesuffix("_mpii")
    skeleton = {17: "coco17", 16: "mpii16"}[golden["out_shape"][1]]
    width, height = golden["input_wh"]
    return catalogue.spec(model, skeleton=skeleton, size=(height, width))


def golden_input(spec):
    return deterministic.image(*spec.size)[None]


@pytest.fixture
def last_code(monkeypatch):
    layout = replace(hrnet.LAYOUTS["pose_hrnet_w18_v1"], hidden=64)
    monkeypatch.setitem(hrnet.LAYOUTS, "pose_hrnet_w18_v1", layout)


@needs_golden
@pytest.mark.slow
@pytest.mark.parametrize("name", RESULTS)
def test_the_published_pass_is_repeated_in_both_frameworks(name, figure, request):
    if name.endswith(LAST_CODE):
        request.getfixturevalue("last_code")
    golden, spec = RESULTS[name], golden_spec(name)
    arrays, images = deterministic.arrays(spec, golden["gain"]), golden_input(spec)
    in_torch = run_torch(torch_network(spec, arrays), images)
    in_keras = run_keras(keras_network(spec, arrays), images)

    from_published = {
        "torch": deterministic.distance(in_torch[0], golden),
        "keras": deterministic.distance(in_keras[0], golden),
    }
    between = difference(in_keras, in_torch)
    figure(f"{name}: torch {from_published['torch']:.0e}, keras {from_published['keras']:.0e} of the published")
    figure(f"{name}: keras against torch {between:.0e}")
    assert max(from_published.values()) <= GATE
    assert between <= BETWEEN


def no_relu_after_a_fusion(monkeypatch, network):
    without = SimpleNamespace(relu=lambda x: x, interpolate=functional.interpolate)
    monkeypatch.setattr(pytorch_impl.hrnet, "functional", without)


def enlarged_linearly(monkeypatch, network):
    def interpolate(x, size, mode):
        return functional.interpolate(x, size, mode="bilinear")

    monkeypatch.setattr(
        pytorch_impl.hrnet, "functional", SimpleNamespace(relu=functional.relu, interpolate=interpolate)
    )


def default_epsilon_of_keras(monkeypatch, network):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3


def no_attention(monkeypatch, network):
    monkeypatch.setattr("pytorch_impl.residual.attend", lambda network, context, x: x)


def default_epsilon_of_the_layer_norm(monkeypatch, network):
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-3


def exchanged_pairs(monkeypatch, network):
    """Output channel g reads g and g + 256 instead of 2g and 2g + 1."""
    weight = network.parts["deconv_layers.0"].weight
    half = weight.shape[0] // 2
    with torch.no_grad():
        weight.copy_(weight.reshape(half, 2, *weight.shape[1:]).transpose(0, 1).reshape(weight.shape))


def stride_on_the_first_convolution(monkeypatch, network):
    """As Caffe's ResNet has it."""
    for name, module in network.parts.items():
        if name.endswith("conv2") and module.stride == (2, 2):
            module.stride = (1, 1)
            network.parts[name.replace("conv2", "conv1")].stride = (2, 2)


def turned_kernels(monkeypatch, network):
    for name, module in network.parts.items():
        if name.startswith("deconv_layers") and isinstance(module, nn.ConvTranspose2d):
            module.weight.data = module.weight.data.flip(2, 3)


MISTAKES = [
    ("pose_hrnet_w18_v1_coco", no_relu_after_a_fusion),
    ("pose_hrnet_w18_v1_coco", enlarged_linearly),
    ("pose_hrnet_w18_v1_coco", default_epsilon_of_keras),
    ("lpn_18", no_attention),
    ("lpn_18", default_epsilon_of_keras),
    ("lpn_18", default_epsilon_of_the_layer_norm),
    ("lpn_18", exchanged_pairs),
    ("pose_resnet_50_coco", stride_on_the_first_convolution),
    ("pose_resnet_50_coco", default_epsilon_of_keras),
    ("pose_resnet_50_coco", turned_kernels),
]


@needs_golden
@pytest.mark.slow
@pytest.mark.parametrize(("name", "mistake"), MISTAKES, ids=lambda value: getattr(value, "__name__", value))
def test_a_mistake_misses_the_published_pass(name, mistake, monkeypatch):
    golden, spec = RESULTS[name], golden_spec(name)
    network = torch_network(spec, deterministic.arrays(spec, golden["gain"]))

    mistake(monkeypatch, network)

    assert deterministic.distance(run_torch(network, golden_input(spec))[0], golden) > 10 * GATE


@pytest.mark.parametrize("name", SMALL)
def test_both_frameworks_hold_and_return_exactly_the_named_weights(name):
    spec = small(name)
    arrays = deterministic.arrays(spec)
    first, second = torch_network(spec, arrays), keras_network(spec)

    from_torch = pytorch_impl.weights.get_arrays(first)
    keras_impl.weights.set_arrays(second, from_torch)
    from_keras = keras_impl.weights.get_arrays(second)

    assert list(from_torch) == list(spec.tensors())
    for found in (from_torch, from_keras):
        check(found, spec, "here")
        assert all(np.array_equal(found[name], array) for name, array in arrays.items())


@pytest.mark.parametrize("name", SMALL)
def test_small_networks_give_the_same_for_any_size_and_batch(name):
    spec = small(name)
    first, second = torch_network(spec), keras_network(spec)

    for n, height, width in ((1, 32, 32), (2, 64, 96), (1, 128, 32)):
        images = np.stack([deterministic.image(height, width) * scale for scale in (1, -0.5)[:n]])
        a, b = run_torch(first, images), run_keras(second, images)
        assert a.shape == (n, height // 4, width // 4, 17)
        assert difference(b, a) <= BETWEEN


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_another_epsilon_in_one_framework_is_seen(name, monkeypatch):
    images = deterministic.image(64, 96)[None]
    first, second = torch_network(small(name)), keras_network(small(name))

    default_epsilon_of_keras(monkeypatch, first)

    assert difference(run_keras(second, images), run_torch(first, images)) > BETWEEN
