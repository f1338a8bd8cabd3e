"""Weights to Caffe and back: bit for bit, both files or neither, and OpenCV runs the result."""

import numpy as np
import pytest

from converters import caffe_graph, caffe_net, caffe_runtime, prototxt, sources, to_caffe
from shared.arch import catalogue
from shared.errors import UserError, WeightError
from shared.preprocess import CAFFE, IMAGENET
from shared.weights import ModelInfo

NETWORKS = [
    ("coco18", {}), ("coco18", {"stages": 1}), ("coco18", {"stages": 8}), ("coco18", {"width": 1 / 16}),
    ("mpi15", {}), ("mpi15_4stages", {}), ("body25", {}), ("coco18_dense", {}), ("hand21", {}), ("face70", {}),
    ("face70", {"stages": 2}),
]  # fmt: skip


@pytest.fixture
def pair(tmp_path):
    return tmp_path / "a.prototxt", tmp_path / "a.caffemodel"


@pytest.mark.parametrize(("name", "changes"), NETWORKS)
def test_weights_return_from_caffe_bit_for_bit(pair, small, name, changes):
    arrays, info = small(name, **changes)

    to_caffe.write(arrays, info, *pair)
    found = caffe_net.read(pair[1], None, pair[0])

    assert found.spec == info.spec
    assert {key: array.tobytes() for key, array in found.arrays.items()} == {
        key: array.tobytes() for key, array in arrays.items()
    }


@pytest.mark.parametrize("name", ["tiny_coco", "tiny_body25"])
def test_a_file_of_real_caffe_goes_through_us_unchanged(pair, caffe_models, name):
    source = caffe_models / f"{name}.caffesave.caffemodel"
    arrays, info = sources.read(source, prototxt=caffe_models / f"{name}.prototxt")

    to_caffe.write(arrays, info, *pair)
    again = caffe_net.read(pair[1], None, pair[0])

    assert all(again.arrays[key].tobytes() == array.tobytes() for key, array in arrays.items())


@pytest.mark.parametrize("name", ["op_coco", "op_mpi", "op_mpi4", "body25", "hand", "face"])
def test_the_prototxt_has_the_layers_of_the_published_one(pair, caffe_models, small, name):
    published = prototxt.read(caffe_models / f"{name}.prototxt")["layer"]
    spec = caffe_graph.read(caffe_models / f"{name}.prototxt").spec
    arrays, info = small(spec.name)

    to_caffe.write(arrays, info, *pair)
    written = prototxt.read(pair[0])["layer"]

    def told(layers):
        keys = ("type", "bottom", "top", "concat_param", "pooling_param")
        return {layer["name"][0]: [layer.get(key) for key in keys] for layer in layers}

    assert told(written) == told(published)


@pytest.mark.parametrize(("name", "changes"), NETWORKS)
def test_opencv_runs_every_written_network_for_any_batch_and_size(pair, small, name, changes):
    arrays, info = small(name, **changes)
    to_caffe.write(arrays, info, *pair)
    images = np.random.default_rng(0).random((2, 33, 50, 3), np.float32)

    net = caffe_runtime.load_caffe(pair[1])
    outputs = net(images, stages=True)

    channels = info.spec.channels
    assert {field: outputs[field].shape for field in channels} == {
        field: (2, 5, 7, count) for field, count in channels.items()
    }
    assert outputs.keys() == {*channels, *info.spec.stage_outputs()}
    np.testing.assert_allclose(net(images[1:])["heat"][0], outputs["heat"][1], atol=1e-5)


def test_opencv_runs_doubles_and_hdf5_from_a_copy_and_says_so(caffe_models, tool, tmp_path):
    text = caffe_models / "tiny_coco.prototxt"
    net = tool.parse_prototxt(text.read_text())
    double = tmp_path / "a.caffemodel"
    double.write_bytes(tool.build(net, tool.blobs_for(net, 0), "v2-double"))
    images = np.random.default_rng(0).random((1, 32, 40, 3), np.float32)

    nets = [
        caffe_runtime.load_caffe(path, prototxt=text)
        for path in (
            caffe_models / "tiny_coco.caffesave.caffemodel",
            double,
            caffe_models / "tiny_coco.caffesave.caffemodel.h5",
        )
    ]

    original, *copies = (net(images)["paf"] for net in nets)
    assert ["anew" in net.runtime for net in nets] == [False, True, True]
    assert all(np.array_equal(original, copy) for copy in copies)
    assert nets[1].weights_sha256 != nets[0].weights_sha256


def test_the_prototxt_is_found_beside_the_weights_or_missed(pair, small):
    arrays, info = small("hand21")
    to_caffe.write(arrays, info, *pair)
    pair[0].rename(pair[0].with_name("other.prototxt"))

    with pytest.raises(WeightError, match=r"a.prototxt: no such file; expected a prototxt"):
        caffe_runtime.load_caffe(pair[1])


def test_a_prototxt_of_another_network_is_refused(pair, small, caffe_models):
    arrays, info = small("mpi15", width=1 / 16)
    to_caffe.write(arrays, info, *pair)

    with pytest.raises(
        WeightError, match=r"of the 184 arrays of coco18 found; of another shape: conv5_5_CPM_L1.weight"
    ):
        caffe_runtime.load_caffe(pair[1], prototxt=caffe_models / "tiny_coco.prototxt")


def test_six_stages_serve_the_prototxt_of_four(tmp_path, small):
    six, info = small("mpi15")
    four = ModelInfo(catalogue.spec("mpi15_4stages", width=1 / 64))
    to_caffe.write(six, info, tmp_path / "six.prototxt", tmp_path / "six.caffemodel")
    to_caffe.write(
        {name: six[name] for name in four.spec.tensors()},
        four,
        tmp_path / "four.prototxt",
        tmp_path / "four.caffemodel",
    )

    by_prototxt = caffe_net.read(tmp_path / "six.caffemodel", None, tmp_path / "four.prototxt")
    by_name = caffe_net.read(tmp_path / "six.caffemodel", "mpi15_4stages")

    for found in (by_prototxt, by_name):
        assert found.spec == four.spec
        assert all(np.array_equal(found.arrays[name], six[name]) for name in four.spec.tensors())
    with pytest.raises(WeightError, match=r"missing Mconv1_stage5_L1.weight"):
        caffe_net.read(tmp_path / "four.caffemodel", None, tmp_path / "six.prototxt")
    with pytest.raises(WeightError, match="holds mpi15_4stages, expected mpi15"):
        caffe_net.read(tmp_path / "four.caffemodel", "mpi15")


def test_batch_norms_are_folded_into_the_convolutions(pair, small):
    arrays, info = small("coco18", stages=2, norm=True)
    arrays = {name: np.abs(array) if "running_var" in name else array for name, array in arrays.items()}

    to_caffe.write(arrays, info, *pair)
    found = caffe_net.read(pair[1], None, pair[0])

    assert found.spec == catalogue.spec("coco18", width=1 / 64, stages=2)


@pytest.mark.parametrize("preprocess", [CAFFE, IMAGENET])
def test_the_preprocessing_travels_with_the_prototxt(pair, small, preprocess):
    arrays, info = small("coco18")

    to_caffe.write(arrays, ModelInfo(info.spec, preprocess), *pair)

    assert sources.read(pair[1], prototxt=pair[0])[1].preprocess == preprocess


def test_nothing_is_left_where_the_second_file_cannot_be_written(pair, small, monkeypatch):
    arrays, info = small("hand21")
    monkeypatch.setattr(to_caffe, "_weights", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        to_caffe.write(arrays, info, *pair)
    assert list(pair[0].parent.iterdir()) == []


def test_a_folder_in_the_place_of_a_file_is_refused_before_anything_is_written(pair, small):
    arrays, info = small("hand21")
    pair[1].mkdir()

    with pytest.raises(UserError, match="is a folder"):
        to_caffe.write(arrays, info, *pair)
    assert not pair[0].exists()


def test_a_network_that_caffe_lacks_is_refused(pair):
    info = ModelInfo(catalogue.spec("mobilenet_v2_small"))
    arrays = {name: np.zeros(shape, np.float32) for name, shape in info.spec.tensors().items()}

    with pytest.raises(UserError, match="mobilenet_v2_small never was a Caffe network"):
        to_caffe.write(arrays, info, *pair)
    assert not pair[0].exists()


def test_caffe_runs_on_the_cpu_only(pair):
    with pytest.raises(UserError, match="--device cuda: OpenCV runs Caffe networks on the CPU"):
        caffe_runtime.load_caffe(pair[1], device="cuda")
