"""HRNet, LPN and PoseResNet as ONNX: the same maps at every size, from either framework."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import keras_impl.export
import keras_impl.models
import keras_impl.weights
import pytorch_impl.export
import pytorch_impl.models
import pytorch_impl.weights
from shared.arch import catalogue
from tests.parity import deterministic

GATE = 5e-6  # of the maximum
NAMES = ("pose_hrnet_w18_v1", "lpn_18h", "lpn_50", "pose_resnet_50")

pytestmark = [pytest.mark.parity, pytest.mark.slow]


def torch_network(spec) -> tuple[Any, Callable[[np.ndarray], np.ndarray]]:
    network = pytorch_impl.models.build(spec).eval()
    pytorch_impl.weights.set_arrays(network, deterministic.arrays(spec))

    def run(images):
        with torch.inference_mode():
            return network(torch.from_numpy(images))["final_layer"].numpy()

    return network, run


def keras_network(spec) -> tuple[Any, Callable[[np.ndarray], np.ndarray]]:
    network = keras_impl.models.build(spec)
    keras_impl.weights.set_arrays(network, deterministic.arrays(spec))
    return network, lambda images: np.asarray(network(images, training=False)["final_layer"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_an_exported_network_gives_the_same_at_every_size(name, framework, tmp_path):
    build, export = {
        "torch": (torch_network, pytorch_impl.export.export_onnx),
        "keras": (keras_network, keras_impl.export.export_onnx),
    }[framework]
    network, run = build(catalogue.spec(name, width=1 / 8))

    export(network, tmp_path / "w.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "w.onnx")

    for n, height, width in ((1, 64, 96), (2, 128, 64)):
        images = np.stack([deterministic.image(height, width)] * n) * np.float32(0.5)
        images = images.transpose(0, 3, 1, 2) if framework == "torch" else images
        expected = run(images)
        found = session.run(None, {"image": images})[0]
        assert np.abs(found - expected).max() <= GATE * np.abs(expected).max()
        assert np.abs(found - run(images[..., ::-1, :].copy())).max() > 100 * GATE * np.abs(expected).max()
