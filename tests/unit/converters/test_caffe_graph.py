"""A prototxt is accepted for exactly the network that it computes."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters import caffe_graph, prototxt
from shared.errors import UserError, WeightError

PUBLISHED = {
    "rt_coco": "coco18", "rt_mpi": "mpi15", "op_coco": "coco18", "op_mpi": "mpi15", "op_mpi4": "mpi15_4stages",
    "body25": "body25", "hand": "hand21", "face": "face70", "tiny_coco": "coco18", "tiny_body25": "body25",
    "tiny_hand": "hand21", "tiny_mpi": "mpi15",
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_prototxt_is_the_network_of_its_spec(caffe_models, name):
    spec = caffe_graph.read(caffe_models / f"{name}.prototxt").spec

    assert spec.name == PUBLISHED[name]
    assert spec.width == (1 / 16 if name.startswith("tiny") else 1)


@pytest.fixture
def changed(caffe_models, tmp_path):
    """A function that reads a prototxt after replacing text in it, which must occur."""

    def read(name, old, new, count=1):
        text = (caffe_models / f"{name}.prototxt").read_text()
        assert re.search(old, text)
        path = tmp_path / f"{name}.prototxt"
        path.write_text(re.sub(old, new, text, count=count), newline="\r\n")
        return caffe_graph.read(path)

    return read


_WIRING = {
    "the inputs of a stage exchanged": (
        r'bottom: "conv5_5_CPM_L1"(\s+)bottom: "conv5_5_CPM_L2"',
        r'bottom: "conv5_5_CPM_L2"\1bottom: "conv5_5_CPM_L1"',
        r"Mconv1_stage2_L1 is Convolution\(Concat\(conv5_5_CPM_L2, conv5_5_CPM_L1, ReLU\(conv4_4_CPM\)\).*; expected "
        r"Convolution\(Concat\(conv5_5_CPM_L1, conv5_5_CPM_L2, ReLU\(conv4_4_CPM\)\)",
    ),
    "a ReLU missing": (
        r'layer \{\s+name: "relu2_1".*?\n\}\n', "",
        r"conv2_2 is Convolution\(conv2_1.*; expected Convolution\(ReLU\(conv2_1",
    ),
    "a leaky ReLU": (
        r'(name: "relu2_1")', r"\1 relu_param { negative_slope: 0.1 }", r"ReLU\(conv2_1, negative_slope 0.1\)",
    ),
    "average pooling": ("pool: MAX", "pool: AVE", "Pooling.*pool AVE"),
    "a larger stride": (r"(kernel_size: 3)", r"\1 stride: 2", r"conv1_1 is Convolution\(.*stride 2\)"),
    "no padding": (r"pad: 1", "pad: 0", r"conv1_1 is .*expected Convolution\(image.*, pad 1\)"),
    "a dilation": (r"(kernel_size: 3)", r"\1 dilation: 2", "dilation 2"),
    "a batch norm": (
        r'(layer \{\s+name: "relu1_1")', r'layer { name: "bn" type: "BatchNorm" bottom: "conv1_1" top: "conv1_1" } \1',
        r"BatchNorm\(conv1_1\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", _WIRING)
def test_another_wiring_is_told_layer_by_layer(changed, fault):
    old, new, message = _WIRING[fault]

    with pytest.raises(WeightError, match=message):
        changed("tiny_coco", f"(?s){old}", new)


_OTHER = {
    "a layer renamed": ('"conv3_1"', '"conv3_one"', "missing conv3_1.weight"),
    "another width": ("num_output: 8", "num_output: 9", "of another shape"),
    "no bias": ("(kernel_size: 3)", r"\1 bias_term: false", "missing conv1_1.bias"),
    "an unknown input": ('bottom: "data"', 'bottom: "picture"', "layer conv1_1 reads picture, which no layer above"),
    "a grey image": ("input_dim: 3\n", "input_dim: 1\n", "1 inputs, expected one of 3 channels"),
    "too few dimensions": ("input_dim: 368\n", "", "3 input dimensions for 1 inputs"),
    "a side of its own": ("kernel_size: 3", "kernel_h: 3 kernel_w: 1", r"kernel_size is \[3, 1\]"),
    "a text for a number": ("num_output: 4", 'num_output: "4"', "num_output is"),
    "a layer twice": ('name: "conv3_2"', 'name: "conv3_1"', "two layers are named conv3_1"),
    "no type": ('type: "Convolution"', "", "lacks its name, type or top"),
    "a loss at the end": (
        r"\Z", '\nlayer { name: "loss" type: "EuclideanLoss" bottom: "conv1_1" top: "loss" }', "ends in .*conv1_1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", _OTHER)
def test_another_network_is_refused(changed, fault):
    old, new, message = _OTHER[fault]

    with pytest.raises(UserError, match=message):
        changed("tiny_coco", old, new)


_SAME = {
    "an Input layer": (
        r'input: "data"\s+(input_dim: \d+\s+){4}',
        'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 9 dim: 9 } } }\n',
    ),
    "an input_shape": (r"(input_dim: \d+\s+){4}", "input_shape { dim: [1, 3, 9, 9] }\n"),
    "one kernel size for each axis": ("kernel_size: 3", "kernel_h: 3 kernel_w: 3"),
    "a dropout": (
        r'(layer \{\s+name: "conv2_2")',
        r'layer { name: "drop" type: "Dropout" bottom: "conv2_1" top: "conv2_1" } \1',
    ),
}


@pytest.mark.parametrize("change", _SAME)
def test_what_computes_the_same_is_accepted(changed, change):
    old, new = _SAME[change]

    assert changed("tiny_coco", old, new).spec.name == "coco18"


def test_layers_of_the_old_format_are_accepted(caffe_models, tmp_path):
    message = prototxt.read(caffe_models / "tiny_coco.prototxt")
    message["layers"] = message.pop("layer")
    for layer in message["layers"]:
        layer["type"] = [prototxt.Word(layer["type"][0].upper())]
    path = tmp_path / "old.prototxt"
    path.write_text(prototxt.write(message))

    assert caffe_graph.read(path).spec.name == "coco18"


def test_a_prototxt_without_layers_is_refused(tmp_path):
    path = tmp_path / "a.prototxt"
    path.write_text('name: "nothing"\n')

    with pytest.raises(UserError, match="describes no layers"):
        caffe_graph.read(path)


@pytest.fixture(scope="module")
def intact(caffe_models, tmp_path_factory):
    """The text of a prototxt, and the place that its damaged copies take."""
    return (caffe_models / "tiny_hand.prototxt").read_text(), tmp_path_factory.mktemp("damaged") / "a.prototxt"


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_damaged_prototxt_reads_as_the_same_network_or_is_refused(intact, data):
    text, path = intact
    words = list(re.finditer(r"[^\s{}:]+|[{}:]", text))
    for match in sorted(data.draw(st.lists(st.sampled_from(words), max_size=3)), key=lambda m: -m.start()):
        new = data.draw(st.sampled_from(["", "0", "-1", "2.5", "{", "}", '""', "[1, 2]", "true", "MAX", "99999999999"]))
        text = text[: match.start()] + new + text[match.end() :]
    path.write_text(text)

    try:
        found = caffe_graph.read(path)
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017 (either outcome is right)
    else:
        assert found.spec.name == "hand21"
