"""The reader of frozen graphs: a whole graph is read exactly, anything else is one clear error."""

import dataclasses

import numpy as np
import pytest

from converters import frozen_graph, mobilenet_graph, tensorflow_graph
from converters.tensorflow_graph import Node
from shared.arch.mobilenet_v2_small import MobilenetV2SmallSpec
from shared.errors import WeightError
from shared.preprocess import RAW_BGR
from shared.weights import sha256

SPEC = MobilenetV2SmallSpec()
FIRST = "MobilenetV2/Conv"
CHANNELWISE = "MobilenetV2/expanded_conv/depthwise"
HEAD = "Openpose/MConv_Stage1_L1_1_pointwise"
NORM = f"{FIRST}/BatchNorm/FusedBatchNorm"
RESIZE = "base/layer_14/output/upsample"


def tensorflow_shape(name, shape):
    if len(shape) != 4:
        return shape
    out, cin, height, width = shape
    return (height, width, out, cin) if name.endswith("/depthwise_weights") else (height, width, cin, out)


@pytest.fixture(scope="module")
def whole():
    """The graph's constants (seeded weights in TensorFlow's axes) and its other nodes, both by name."""
    rng = np.random.default_rng(0)
    shapes = SPEC.tensors()
    constants = {
        name: rng.standard_normal(tensorflow_shape(name, shapes[canonical])).astype(np.float32)
        for name, canonical in mobilenet_graph.weights(SPEC).items()
    }
    return {**constants, **mobilenet_graph.constants(SPEC)}, mobilenet_graph.ops(SPEC)


@pytest.fixture
def graph(whole):
    """A copy that a test may change."""
    return tuple(map(dict, whole))


def set_attribute(packed, key, value):
    entry = packed.attr.add(key=key.encode())
    if isinstance(value, list):
        entry.value.list.i.extend(value)
    else:
        kind = {bytes: "s", bool: "b", int: "i", float: "f"}[type(value)]
        setattr(entry.value, kind, value)


def set_tensor(packed, array, listed=False):
    tensor = packed.attr.add(key=b"value").value.tensor
    tensor.dtype = {"float32": 1, "float64": 2, "int32": 3}[array.dtype.name]
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if listed:
        (tensor.float_val if array.dtype == np.float32 else tensor.int_val).extend(array.ravel()[:1].tolist())
    else:
        tensor.tensor_content = array.tobytes()


def write(path, graph, edit=lambda packed: None):
    """Write a graph as TensorFlow's optimiser does: folded weights get a suffix, other constants are listed."""
    constants, ops = graph
    weights = mobilenet_graph.weights(SPEC)
    packed = tensorflow_graph.graph_class()()
    for index, (name, array) in enumerate(constants.items()):
        weight = name in weights
        suffix = f"/read/_{index}__cf__{index}" if weight else ""
        set_tensor(packed.node.add(name=(name + suffix).encode(), op=b"Const"), array, listed=not weight)
    for name, op in ops.items():
        inputs = [source.encode() for source in op.inputs]
        node = packed.node.add(name=name.encode(), op=op.op.encode(), input=inputs)
        for key, value in op.attributes.items():
            set_attribute(node, key, value)
    edit(packed)
    path.write_bytes(packed.SerializeToString())
    return path


def changed(op, **values):
    """A node with other attributes."""
    return dataclasses.replace(op, attributes={**op.attributes, **values})


def test_weights_come_out_in_torchs_axes(graph, tmp_path):
    constants, _ = graph

    arrays, _ = frozen_graph.read(write(tmp_path / "g.pb", graph))

    kernel, channelwise = constants[f"{FIRST}/weights"], constants[f"{CHANNELWISE}/depthwise_weights"]
    assert {name: array.shape for name, array in arrays.items()} == SPEC.tensors()
    assert list(arrays) == list(SPEC.tensors())
    assert np.array_equal(arrays["MobilenetV2.Conv.weight"][5, 2], kernel[:, :, 2, 5])
    assert np.array_equal(arrays["MobilenetV2.expanded_conv.depthwise.weight"][7, 0], channelwise[:, :, 7, 0])
    for kind, ours in (("gamma", "weight"), ("beta", "bias")):
        assert np.array_equal(arrays[f"MobilenetV2.Conv.BatchNorm.{ours}"], constants[f"{FIRST}/BatchNorm/{kind}"])
    for kind, ours in (("moving_mean", "running_mean"), ("moving_variance", "running_var")):
        assert np.array_equal(
            arrays[f"Openpose.MConv_Stage1_L1_1_pointwise.BatchNorm.{ours}"], constants[f"{HEAD}/BatchNorm/{kind}"]
        )


def test_the_file_is_described(graph, tmp_path):
    path = write(tmp_path / "g.pb", graph)

    _, info = frozen_graph.read(path)

    assert (info.spec, info.preprocess, info.licence) == (SPEC, RAW_BGR, "Apache-2.0")
    assert (info.source, info.source_sha256) == ("g.pb", sha256(path))


def test_the_input_may_name_its_first_output(graph, tmp_path):
    conv = graph[1][f"{FIRST}/Conv2D"]
    graph[1][f"{FIRST}/Conv2D"] = dataclasses.replace(conv, inputs=("image:0", conv.inputs[1]))

    arrays, _ = frozen_graph.read(write(tmp_path / "g.pb", graph))

    assert len(arrays) == 417


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "not a whole TensorFlow graph|holds no TensorFlow graph"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(64)), "not a whole TensorFlow graph|holds no TensorFlow graph"),
        (b"a text about a graph\n" * 10, "not a whole TensorFlow graph|holds no TensorFlow graph"),
        (b"\x08\x07\x12\x07pytorch", "holds no TensorFlow graph"),
        (b"\x0a\x00", "holds no TensorFlow graph"),
    ],
    ids=["empty", "hdf5", "png", "text", "onnx", "a node without a name"],
)
def test_a_file_that_is_no_graph_is_refused(tmp_path, content, message):
    path = tmp_path / "g.pb"
    path.write_bytes(content)

    with pytest.raises(WeightError, match=message):
        frozen_graph.read(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WeightError, match="no such file"):
        frozen_graph.read(tmp_path / "g.pb")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.9999])
def test_a_truncated_graph_is_refused(graph, tmp_path, share):
    path = write(tmp_path / "g.pb", graph)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    with pytest.raises(
        WeightError, match=r"not a whole TensorFlow graph|arrays of mobilenet_v2_small found|is missing"
    ):
        frozen_graph.read(path)


def test_another_network_is_refused_with_counts(tmp_path):
    other = ({"conv1/weights": np.zeros((3, 3, 3, 8), np.float32)}, {"image": Node("Placeholder")})

    with pytest.raises(WeightError, match=r"0 of the 417 arrays .* left over conv1/weights"):
        frozen_graph.read(write(tmp_path / "g.pb", other))


def lose(name):
    return lambda constants, _: constants.pop(name)


def put(name, array):
    return lambda constants, _: constants.update({name: np.asarray(array)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose(f"{FIRST}/weights"), r"416 of the 417 .* missing MobilenetV2\.Conv\.weight"),
        (put("extra/weights", np.zeros(3, np.float32)), "left over extra/weights"),
        (put(f"{FIRST}/weights", np.zeros((3, 3, 3, 8), np.float32)), r"of another shape: MobilenetV2\.Conv\.weight"),
        (put(f"{HEAD}/BatchNorm/beta", np.full(64, np.nan, np.float32)), "NaN or infinity"),
        (put(f"{HEAD}/BatchNorm/beta", np.zeros(64, np.float64)), "dtype number 2, expected float32"),
        (put(f"{HEAD}/BatchNorm/beta", np.zeros(64, np.int32)), "is int32, expected float32"),
        (put(f"{HEAD}/BatchNorm/Const", np.full(64, 2, np.float32)), r"is not \(64,\) of 1\.0"),
        (put(f"{FIRST}/BatchNorm/Const", np.zeros(16, np.float32)), r"of shape \(16,\) is not \(0,\) of nothing"),
        (put("feat_concat/axis", np.array(1, np.int32)), r"feat_concat/axis of shape \(\) is not \(\) of 3"),
        (lose("feat_concat/axis"), "the constant feat_concat/axis is missing"),
    ],
)
def test_a_wrong_constant_is_refused_by_name(graph, tmp_path, change, message):
    change(*graph)

    with pytest.raises(WeightError, match=message):
        frozen_graph.read(write(tmp_path / "g.pb", graph))


def test_a_tensor_with_too_few_bytes_is_refused(graph, tmp_path):
    def edit(packed):
        tensor = packed.node[0].attr[0].value.tensor
        tensor.tensor_content = tensor.tensor_content[:-4]

    with pytest.raises(WeightError, match=r"Conv/weights holds 1724 bytes and 0 numbers, expected 432 of float32"):
        frozen_graph.read(write(tmp_path / "g.pb", graph, edit))


def test_two_nodes_of_one_name_are_refused(graph, tmp_path):
    with pytest.raises(WeightError, match="two nodes are named image"):
        frozen_graph.read(write(tmp_path / "g.pb", graph, lambda packed: packed.node.add(name=b"image", op=b"Relu")))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (NORM, {"is_training": False}, "has is_training False, expected True"),
        (f"{HEAD}/BatchNorm/FusedBatchNorm", {"is_training": True}, "has is_training True, expected False"),
        (NORM, {"epsilon": 1e-5}, "has epsilon .*, expected 0.001"),
        (NORM, {"data_format": b"NCHW"}, "has data_format"),
        (f"{FIRST}/Conv2D", {"strides": [1, 1, 1, 1]}, r"has strides \[1, 1, 1, 1\], expected \[1, 2, 2, 1\]"),
        (f"{FIRST}/Conv2D", {"padding": b"VALID"}, "has padding b'VALID', expected b'SAME'"),
        (f"{FIRST}/Conv2D", {"dilations": [1, 2, 2, 1]}, "has dilations"),
        (RESIZE, {"align_corners": True}, "has align_corners True, expected False"),
        (RESIZE, {"half_pixel_centers": True}, "has half_pixel_centers True, expected False"),
    ],
)
def test_an_attribute_that_changes_the_network_is_refused(graph, tmp_path, name, values, message):
    graph[1][name] = changed(graph[1][name], **values)

    with pytest.raises(WeightError, match=message):
        frozen_graph.read(write(tmp_path / "g.pb", graph))


def test_attributes_that_old_files_leave_out_have_tensorflows_defaults(graph, tmp_path):
    for name in (f"{FIRST}/Conv2D", RESIZE):
        kept = {k: v for k, v in graph[1][name].attributes.items() if k in ("strides", "padding", "align_corners")}
        graph[1][name] = dataclasses.replace(graph[1][name], attributes=kept)

    assert frozen_graph.read(write(tmp_path / "g.pb", graph))


def test_a_missing_epsilon_is_refused(graph, tmp_path):
    graph[1][NORM] = dataclasses.replace(graph[1][NORM], attributes={"is_training": True})

    with pytest.raises(WeightError, match="has epsilon None"):
        frozen_graph.read(write(tmp_path / "g.pb", graph))


def rewire(name, **values):
    return lambda ops: ops.update({name: dataclasses.replace(ops[name], **values)})


OUT = mobilenet_graph.OUTPUT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ops: ops.pop(RESIZE), f"{RESIZE} is missing"),
        (lambda ops: ops.update(extra=Node("Sigmoid", ("image",))), r"extra \(Sigmoid\) is left over"),
        (rewire(f"{FIRST}/Relu6", op="Relu"), f"{FIRST}/Relu6 is Relu, expected Relu6"),
        (rewire(OUT, inputs=("a", "b", f"{OUT}/axis")), f"{OUT} reads a, b, {OUT}/axis, expected Openpose"),
        (lambda ops: ops.update({f"x{i}": Node("Relu") for i in range(9)}), "x2 .* and 6 more"),
    ],
)
def test_other_wiring_is_refused(graph, tmp_path, change, message):
    change(graph[1])

    with pytest.raises(WeightError, match=message):
        frozen_graph.read(write(tmp_path / "g.pb", graph))
