"""The convolutions of the networks for one person in Keras, against PyTorch's own, and their weights in a file."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from keras import ops
from torch.nn import functional

import keras_impl.models
import keras_impl.net
import keras_impl.residual as in_keras
import keras_impl.weights
from shared.arch import catalogue
from shared.arch.residual import Unit
from shared.weights import ModelInfo, write
from tests.parity import deterministic

ROOT = Path(__file__).parents[2]
ROUNDING = 1e-6  # as a share of the maximum
BACKENDS = 5e-5  # the same of a whole network, as converters.parity.GATE

UNITS = {
    "strided": Unit("u", 3, 6, 8, 0, stride=2),
    "strided 7x7": Unit("u", 7, 6, 8, 0, stride=2),
    "strided 1x1": Unit("u", 1, 6, 8, 0, stride=2),
    "depthwise": Unit("u", 3, 6, 6, 0, groups=6),
    "depthwise, two outputs each": Unit("u", 3, 6, 12, 0, stride=2, groups=6),
    "pairs": Unit("u", 3, 6, 6, 0, groups=3),
    "pairs, four outputs each": Unit("u", 3, 6, 12, 0, stride=2, groups=3),
    "transposed": Unit("u", 4, 6, 8, 0, stride=2, transposed=True),
    "transposed, depthwise": Unit("u", 4, 6, 6, 0, stride=2, groups=6, transposed=True),
    "transposed, pairs": Unit("u", 4, 6, 3, 0, stride=2, groups=3, transposed=True),
}


def difference(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


def in_both(unit, turn=lambda kernel: kernel):
    """A unit over random maps (2, 8, 12, C) in both frameworks, with one kernel; `turn` changes that of Keras."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 8, 12, unit.cin)).astype(np.float32)
    kernel = rng.standard_normal(unit.shape).astype(np.float32)
    nchw, weight = torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(kernel)
    if unit.transposed:
        a = functional.conv_transpose2d(nchw, weight, stride=2, padding=1, groups=unit.groups)
    else:
        a = functional.conv2d(nchw, weight, stride=unit.stride, padding=unit.kernel // 2, groups=unit.groups)
    images = keras.Input((None, None, unit.cin))
    network = keras.Model(images, in_keras.run_units([unit], images))
    keras_impl.weights.set_arrays(network, {"u.weight": turn(kernel)})
    return a.permute(0, 2, 3, 1).numpy(), np.asarray(network(x))


@pytest.mark.parametrize("kind", UNITS)
def test_every_kind_of_convolution_is_pytorchs(kind):
    a, b = in_both(UNITS[kind])

    assert difference(b, a) <= ROUNDING


def neighbours_exchanged(kernel):
    return kernel.reshape(-1, 2, *kernel.shape[1:])[:, ::-1].reshape(kernel.shape)


@pytest.mark.parametrize(
    ("kind", "turn"),
    [
        ("transposed, depthwise", lambda kernel: kernel[..., ::-1, ::-1]),
        ("transposed, pairs", neighbours_exchanged),
        ("pairs", neighbours_exchanged),
        ("depthwise, two outputs each", neighbours_exchanged),
        ("strided", lambda kernel: kernel[..., ::-1, :]),
    ],
)
def test_a_kernel_turned_or_exchanged_is_seen(kind, turn):
    a, b = in_both(UNITS[kind], turn=turn)

    assert difference(b, a) > 0.1


def test_padding_as_tensorflow_does_it_is_seen(monkeypatch):
    monkeypatch.setattr(keras.layers, "ZeroPadding2D", lambda _: lambda x: ops.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0))))

    a, b = in_both(UNITS["strided"])

    assert difference(b, a) > 0.1


def test_keras_own_file_gives_back_what_was_written(tmp_path):
    spec = catalogue.spec("lpn_18h", width=1 / 8)
    network = keras_impl.models.build(spec)
    path, arrays = tmp_path / "w.weights.h5", deterministic.arrays(spec)

    keras_impl.weights.set_arrays(network, arrays)
    keras_impl.weights.write_native(path, network, ModelInfo(spec))
    found = keras_impl.net.load(path)

    assert found.info.spec == spec
    again = keras_impl.weights.get_arrays(found.network)
    assert all(np.array_equal(again[name], array) for name, array in arrays.items())


@pytest.mark.slow
def test_the_networks_give_the_same_on_the_torch_backend_of_keras(tmp_path):
    names = ("pose_hrnet_w18_v1", "lpn_18h", "lpn_50", "pose_resnet_50")
    for name in names:
        spec = catalogue.spec(name, width=1 / 16, size=(64, 32))
        write(tmp_path / f"{name}.safetensors", deterministic.arrays(spec), ModelInfo(spec))
    images = np.random.default_rng(0).random((2, 64, 32, 3), np.float32)
    np.save(tmp_path / "images.npy", images)
    program = (
        "import sys, keras, numpy as np, keras_impl\n"
        "folder, *names = sys.argv[1:]\n"
        "nets = {name: keras_impl.load(f'{folder}/{name}.safetensors') for name in names}\n"
        "images = np.load(f'{folder}/images.npy')\n"
        "np.savez(f'{folder}/heat.npz', **{name: net(images)['heat'] for name, net in nets.items()})\n"
        "print(keras.backend.backend())"
    )
    command = [sys.executable, "-c", program, str(tmp_path), *names]
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.stdout.strip() == "torch", done.stderr
    with np.load(tmp_path / "heat.npz") as found:
        heat = {name: keras_impl.net.load(tmp_path / f"{name}.safetensors")(images)["heat"] for name in names}
        assert all(difference(found[name], heat[name]) <= BACKENDS for name in names)
        assert difference(found["lpn_50"], heat["lpn_18h"]) > 0.1
