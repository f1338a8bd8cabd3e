"""The shipped network says the same in every runtime, and on both backends of Keras."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from converters import cli, parity
from shared import framework as frameworks
from shared.scenes.dataset import read
from shared.weights import SHIPPED

ROOT = Path(__file__).parents[2]
TARGETS = {"keras": "w.weights.h5", "onnx": "w.onnx", "caffe": "w.caffemodel"}

pytestmark = [pytest.mark.parity, pytest.mark.slow]


@pytest.fixture(scope="module")
def torch_net():
    return frameworks.load("torch", SHIPPED)


@pytest.fixture(scope="module")
def images(torch_net):
    """A scene with people, its sides multiples of 8."""
    scene = read("val", 7)
    return torch_net.info.preprocess(scene[: scene.shape[0] // 8 * 8, : scene.shape[1] // 8 * 8][None])


@pytest.mark.parametrize("framework", TARGETS)
def test_every_stage_is_the_same_in_every_runtime(framework, torch_net, images, tmp_path, figure):
    assert cli.convert([str(SHIPPED), "--out", str(tmp_path / TARGETS[framework])]) == 0
    net = frameworks.load(framework, tmp_path / TARGETS[framework])
    expected = torch_net(images, stages=True)
    assert expected["heat"][..., :-1].max() > 0.5, "somebody is seen"

    worst = parity.worst(parity.compare(expected, net(images, stages=True), list(net.info.spec.stage_outputs())))

    figure(f"{'shipped, a scene':20} {framework:6} {worst.ratio:.1e}  {worst.stage}")
    assert worst.ratio <= parity.GATE


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_keras_runs_on_both_backends(backend, torch_net, images, tmp_path, figure):
    program = (
        "import sys, numpy as np, keras_impl\n"
        "net = keras_impl.load(sys.argv[1])\n"
        "np.savez(sys.argv[3], runtime=net.runtime, **net(np.load(sys.argv[2]), stages=True))"
    )
    np.save(tmp_path / "images.npy", images)
    command = [sys.executable, "-c", program, SHIPPED, tmp_path / "images.npy", tmp_path / "maps.npz"]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(list(map(str, command)), cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    with np.load(tmp_path / "maps.npz") as maps:
        assert str(maps["runtime"]).endswith(f"on {backend}")
        stages = list(torch_net.info.spec.stage_outputs())
        worst = parity.worst(parity.compare(torch_net(images, stages=True), dict(maps), stages))
    figure(f"{'shipped, a scene':20} keras on {backend} {worst.ratio:.1e}  {worst.stage}")
    assert worst.ratio <= parity.GATE
