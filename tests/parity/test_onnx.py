"""ONNX files from both frameworks, in ONNX Runtime."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from converters import parity, sources, to_onnx
from shared import framework as frameworks
from shared.errors import UserError, WeightError
from shared.runtimes import ONNX_INFO, load_onnx

pytestmark = [pytest.mark.parity, pytest.mark.slow]
GRAPH = Path(__file__).parents[3] / "shared" / "data" / "mobilenet_v2_small_graph_opt.pb"


@pytest.fixture(scope="module")
def weights(small):
    return small("coco18", stages=2)


@pytest.fixture(scope="module")
def exported(framework, weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    to_onnx.write(*weights, path, framework)
    return path


def test_any_batch_and_size_gives_what_the_framework_gives(framework, weights, exported):
    net, ours = load_onnx(exported), frameworks.module(framework, "net").LoadedNet(*weights)

    for shape in ((1, 64, 80), (2, 65, 83), (3, 8, 120)):
        images = np.random.default_rng(1).random((*shape, 3), np.float32) - 0.5
        expected = ours(images, stages=True)
        found = net(images, stages=True)
        assert found.keys() == expected.keys()
        assert parity.worst(parity.compare(expected, found)).ratio <= parity.GATE


def test_a_wrong_kernel_fails_the_gate(framework, weights, exported):
    arrays, info = weights
    name = "conv3_1.weight"
    wrong = {**arrays, name: np.ascontiguousarray(arrays[name].swapaxes(2, 3))}
    images = np.random.default_rng(1).random((1, 64, 80, 3), np.float32) - 0.5
    expected = frameworks.module(framework, "net").LoadedNet(wrong, info)(images, stages=True)

    assert parity.worst(parity.compare(expected, load_onnx(exported)(images, stages=True))).ratio > parity.GATE


def test_the_file_is_one_and_says_what_it_is(weights, exported):
    model = onnx.load(exported, load_external_data=False)

    assert [path.name for path in exported.parent.iterdir()] == ["small.onnx"]
    assert load_onnx(exported).info == weights[1]
    assert [node.name for node in model.graph.input] == ["image"]
    assert {node.name for node in model.graph.output} == set(weights[1].spec.stage_outputs())
    assert model.opset_import[0].version == 18
    assert str(exported.parents[1]) not in str(model.graph.node)
    assert "site-packages" not in str(model.graph.node)


def test_prelu_and_dense_blocks_export_as_well(framework, small, tmp_path):
    arrays, info = small("body25")
    to_onnx.write(arrays, info, tmp_path / "n.onnx", framework)
    images = np.random.default_rng(1).random((1, 65, 83, 3), np.float32) - 0.5
    expected = frameworks.module(framework, "net").LoadedNet(arrays, info)(images, stages=True)

    found = load_onnx(tmp_path / "n.onnx")(images, stages=True)

    assert parity.worst(parity.compare(expected, found)).ratio <= parity.GATE


@pytest.mark.skipif(not GRAPH.is_file(), reason="no ../shared/data/mobilenet_v2_small_graph_opt.pb here")
def test_padding_and_resizing_that_depend_on_the_size_export_as_well(framework, tmp_path):
    arrays, info = sources.read(GRAPH)
    to_onnx.write(arrays, info, tmp_path / "n.onnx", framework)
    net, ours = load_onnx(tmp_path / "n.onnx"), frameworks.module(framework, "net").LoadedNet(arrays, info)

    # At stride 8 and 16 the sides are even and odd, so that every way of padding comes up.
    for shape in ((64, 80), (88, 136), (104, 72)):
        images = info.preprocess(np.random.default_rng(1).integers(0, 256, (1, *shape, 3), np.uint8))
        worst = parity.worst(parity.compare(ours(images, stages=True), net(images, stages=True)))
        assert worst.ratio <= parity.FAMILY_GATES[info.spec.family]


def test_exporting_is_silent(framework, weights, tmp_path, capfd):
    to_onnx.write(*weights, tmp_path / "n.onnx", framework)

    assert capfd.readouterr() == ("", "")


def test_weights_that_do_not_fit_leave_no_file(framework, weights, tmp_path):
    arrays, info = weights
    fewer = {name: array for name, array in arrays.items() if name != "conv1_1.bias"}

    with pytest.raises(WeightError, match=r"missing conv1_1\.bias"):
        to_onnx.write(fewer, info, tmp_path / "n.onnx", framework)

    assert not list(tmp_path.iterdir())


def edited(exported, path, change):
    model = onnx.load(exported)
    change(model)
    onnx.save(model, path)
    return path


def test_a_file_without_a_description_needs_the_name_of_the_model(exported, tmp_path):
    bare = edited(exported, tmp_path / "bare.onnx", lambda model: model.ClearField("metadata_props"))

    with pytest.raises(WeightError, match="name it with --model"):
        load_onnx(bare)
    with pytest.raises(UserError, match="did you mean coco18"):
        load_onnx(bare, model="coco")
    with pytest.raises(WeightError, match="are not those of body25"):
        load_onnx(bare, model="body25")(np.zeros((1, 16, 16, 3), np.float32))


def test_the_wrong_model_is_refused(exported):
    with pytest.raises(WeightError, match="holds coco18, expected body25"):
        load_onnx(exported, model="body25")


def test_a_broken_description_is_refused(exported, tmp_path):
    broken = json.dumps({"spec": {"name": "coco18"}})
    path = edited(exported, tmp_path / "b.onnx", lambda m: onnx.helper.set_model_props(m, {ONNX_INFO: broken}))

    with pytest.raises(WeightError, match="metadata not understood"):
        load_onnx(path)


def test_a_device_that_is_not_there_is_refused(exported):
    with pytest.raises(UserError, match="--device tpu: ONNX Runtime here runs on cpu"):
        load_onnx(exported, device="tpu")


def test_an_image_of_the_wrong_kind_is_refused(exported):
    with pytest.raises(UserError, match="its input is"):
        load_onnx(exported)(np.zeros((1, 16, 16, 4), np.float32))


@pytest.mark.parametrize("content", [b"", b"not onnx at all", None], ids=["empty", "text", "missing"])
def test_a_file_that_is_not_onnx_is_refused(tmp_path, content):
    path = tmp_path / "w.onnx"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(WeightError, match="expected an ONNX file"):
        load_onnx(path)
