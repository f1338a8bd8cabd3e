"""Precisions, fewer stages and int8 files, in every runtime, against the plain network."""

import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from converters import parity, quantise, to_onnx
from shared import framework as frameworks
from shared.errors import UserError, WeightError
from shared.net import Preset, warm_up
from shared.runtimes import load_onnx
from shared.weights import first_stages, write

pytestmark = [pytest.mark.parity, pytest.mark.slow]
HALF = Preset("bfloat16")
ROUGH = 0.1  # of a stage's maximum: bfloat16 has 8 bits, and a pose network's errors add up over its stages
openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed (requirements-dev.txt)")
RUNTIMES = ["onnx", pytest.param("openvino", marks=openvino)]


def noise(*shape):
    return np.random.default_rng(1).random((*shape, 3), np.float32) - 0.5


def difference(expected, found):
    """The largest difference, as a share of its stage's maximum."""
    return parity.worst(parity.compare(expected, found)).ratio


@pytest.fixture
def saved(small, tmp_path):
    """A function from a model to a weight file of it, and its weights."""

    def save(name, **changes):
        weights = small(name, **changes)
        write(tmp_path / f"{name}.safetensors", *weights)
        return tmp_path / f"{name}.safetensors", weights

    return save


@pytest.mark.parametrize(("name", "stages"), [("coco18", 2), ("mpi15", 1), ("mpi15_4stages", 3), ("body25", 5)])
def test_a_network_that_stops_early_gives_the_stages_of_the_whole_one(framework, saved, name, stages):
    path, (arrays, info) = saved(name)
    whole = frameworks.load(framework, path)(noise(1, 64, 80), stages=True)

    net = frameworks.load(framework, path, preset=Preset(stages=stages))
    found = net(noise(1, 64, 80), stages=True)

    assert net.runtime.endswith(f"stopped after stage {stages}")
    layers = list(net.info.spec.stage_outputs())
    assert layers == list(info.spec.stage_outputs())[: len(layers)]
    assert difference({name: whole[name] for name in layers}, {name: found[name] for name in layers}) <= parity.GATE
    for field, layer in {field: layer for layer, field in net.info.spec.stage_outputs().items()}.items():
        np.testing.assert_array_equal(found[field], found[layer])
        assert np.abs(found[field] - whole[field]).max() > 0.01 or stages == info.spec.stages or name == "body25"
    assert len(net.info.spec.tensors()) < len(arrays)


@pytest.mark.parametrize("suffix", [".pth", ".weights.h5"])
def test_files_of_the_frameworks_themselves_stop_early_too(saved, tmp_path, suffix):
    kind = {".pth": "torch", ".weights.h5": "keras"}[suffix]
    path, (arrays, info) = saved("coco18", stages=3)
    network = frameworks.module(kind, "models").build(info.spec)
    frameworks.module(kind, "weights").set_arrays(network, arrays)
    frameworks.module(kind, "weights").write_native(tmp_path / f"w{suffix}", network, info)

    found = frameworks.load(kind, tmp_path / f"w{suffix}", preset=Preset(stages=2))(noise(1, 64, 80))

    expected = frameworks.load(kind, path, preset=Preset(stages=2))(noise(1, 64, 80))
    assert difference(expected, found) <= parity.GATE


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_exported_network_of_fewer_stages_is_the_same(runtime, saved, tmp_path):
    path, weights = saved("coco18", stages=3)
    to_onnx.write(*first_stages(*weights, 2), tmp_path / "n.onnx")

    net = frameworks.load(runtime, tmp_path / "n.onnx")

    expected = frameworks.load("torch", path, preset=Preset(stages=2))(noise(2, 65, 83), stages=True)
    assert net.info.spec.stages == 2
    assert difference(expected, net(noise(2, 65, 83), stages=True)) <= parity.GATE


def test_bfloat16_is_near_float32_and_not_equal_to_it(framework, saved):
    path, _ = saved("coco18", stages=3)
    plain, half = frameworks.load(framework, path), frameworks.load(framework, path, preset=HALF)

    found = half(noise(2, 65, 83), stages=True)

    assert (plain.precision, half.precision) == ("float32", "bfloat16")
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    assert 10 * parity.GATE < difference(plain(noise(2, 65, 83), stages=True), found) < ROUGH


@pytest.mark.parametrize("name", ["body25", "mobilenet_v2_small"])
def test_other_blocks_run_in_bfloat16_as_well(framework, saved, name):
    path, _ = saved(name)
    plain, half = frameworks.load(framework, path), frameworks.load(framework, path, preset=HALF)
    image = plain.info.preprocess(np.random.default_rng(1).integers(0, 256, (1, 64, 88, 3), np.uint8))

    expected, found = plain(image), half(image)

    assert difference(expected, found) > 10 * parity.GATE
    for name in found:  # some cells of a net that normalises noise by its own statistics are far off
        assert np.corrcoef(found[name].ravel(), expected[name].ravel())[0, 1] > 0.9


def test_the_precision_of_one_network_is_not_that_of_the_next(framework, saved):
    path, _ = saved("coco18", stages=1)
    first = frameworks.load(framework, path)(noise(1, 64, 80))
    frameworks.load(framework, path, preset=HALF)

    again = frameworks.load(framework, path)(noise(1, 64, 80))

    for name in first:
        np.testing.assert_array_equal(again[name], first[name])


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_compiled_network_gives_the_same(saved, precision):
    path, _ = saved("coco18", stages=1)
    net = frameworks.load("torch", path, preset=Preset(precision, compiled=True))

    warm_up(net)

    gate = parity.GATE if precision == "float32" else ROUGH
    for shape in ((1, 64, 80), (2, 65, 83)):
        expected = frameworks.load("torch", path)(noise(*shape), stages=True)
        assert difference(expected, net(noise(*shape), stages=True)) <= gate


def test_without_a_compiler_it_is_said_in_one_line(saved, monkeypatch):
    path, _ = saved("coco18", stages=1)
    monkeypatch.setenv("CXX", "no-such-compiler")

    with pytest.raises(UserError, match="--compile: needs a C\\+\\+ compiler, no-such-compiler is not here"):
        frameworks.load("torch", path, preset=Preset(compiled=True))


def test_threads_are_those_that_were_asked_for(saved):
    path, _ = saved("coco18", stages=1)
    before = torch.get_num_threads()
    try:
        frameworks.load("torch", path, preset=Preset(threads=1))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@openvino
def test_openvino_gives_what_pytorch_gives_at_any_batch_and_size(small, tmp_path):
    arrays, info = small("coco18", stages=2)
    to_onnx.write(arrays, info, tmp_path / "n.onnx")
    net, ours = (
        frameworks.load("openvino", tmp_path / "n.onnx"),
        frameworks.module("torch", "net").LoadedNet(arrays, info),
    )

    results = {shape: net(noise(*shape), stages=True) for shape in ((1, 64, 80), (2, 65, 83), (3, 8, 120))}

    assert net.info == info
    assert net.precision == "float32"
    for shape, found in results.items():  # the first results are still what they were
        assert difference(ours(noise(*shape), stages=True), found) <= parity.GATE
    wrong = {**arrays, "conv3_1.weight": np.ascontiguousarray(arrays["conv3_1.weight"].swapaxes(2, 3))}
    other = frameworks.module("torch", "net").LoadedNet(wrong, info)
    assert difference(other(noise(1, 64, 80), stages=True), results[1, 64, 80]) > parity.GATE


@openvino
def test_openvino_runs_bfloat16_or_says_that_the_processor_has_none(small, tmp_path):
    import openvino

    arrays, info = small("coco18", stages=2)
    to_onnx.write(arrays, info, tmp_path / "n.onnx")
    plain = frameworks.load("openvino", tmp_path / "n.onnx")(noise(1, 64, 80), stages=True)
    preset = Preset("bfloat16", threads=1)

    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(UserError, match="--precision bfloat16: OpenVINO has none on this processor"):
            frameworks.load("openvino", tmp_path / "n.onnx", preset=preset)
        return
    half = frameworks.load("openvino", tmp_path / "n.onnx", preset=preset)(noise(1, 64, 80), stages=True)
    assert 10 * parity.GATE < difference(plain, half) < ROUGH


@openvino
def test_openvino_refuses_in_one_line(small, tmp_path):
    to_onnx.write(*small("coco18", stages=1), tmp_path / "n.onnx")
    (tmp_path / "text.onnx").write_text("not onnx at all")

    with pytest.raises(UserError, match="--device tpu: OpenVINO here runs on cpu"):
        frameworks.load("openvino", tmp_path / "n.onnx", device="tpu")
    with pytest.raises(WeightError, match="OpenVINO cannot read it"):
        frameworks.load("openvino", tmp_path / "text.onnx")
    with pytest.raises(UserError, match=r"cannot run it on .* its input is"):
        frameworks.load("openvino", tmp_path / "n.onnx")(np.zeros((1, 16, 16, 4), np.float32))


@pytest.mark.parametrize(
    ("preset", "match"),
    [
        (Preset(stages=1), "write one of fewer stages with python converters/convert.py"),
        (Preset(compiled=True), "--compile: is PyTorch's"),
        (HALF, "ONNX Runtime has none on a CPU; use torch, keras or openvino"),
    ],
)
def test_what_a_runtime_cannot_do_is_refused(tmp_path, preset, match):
    with pytest.raises(UserError, match=match):
        load_onnx(tmp_path / "not_even_there.onnx", preset=preset)


def test_keras_refuses_to_be_compiled(saved):
    with pytest.raises(UserError, match="--compile: is PyTorch's; Keras runs"):
        frameworks.load("keras", saved("coco18", stages=1)[0], preset=Preset(compiled=True))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_int8_file_is_smaller_near_to_float32_and_says_what_it_is(runtime, small, tmp_path):
    arrays, info = small("coco18", stages=2)
    for name in ("n.onnx", "n.int8.onnx"):
        to_onnx.write(arrays, info, tmp_path / name)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), np.uint8)
    quantise.quantise(tmp_path / "n.int8.onnx", iter(pictures), info)

    plain, net = (frameworks.load(runtime, tmp_path / name) for name in ("n.onnx", "n.int8.onnx"))

    assert (tmp_path / "n.int8.onnx").stat().st_size < 0.5 * (tmp_path / "n.onnx").stat().st_size
    assert (plain.precision, net.precision, net.info) == ("float32", "int8", info)
    assert net.runtime.endswith(", int8")
    image = info.preprocess(pictures[:1])
    assert 10 * parity.GATE < difference(plain(image, stages=True), net(image, stages=True)) < 0.2


def test_a_folder_without_pictures_cannot_set_the_scales(tmp_path):
    with pytest.raises(UserError, match=r"no pictures there; expected a folder of \.jpg or \.png files"):
        quantise.pictures(str(tmp_path))
