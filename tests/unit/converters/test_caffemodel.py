"""Caffe's weight files: every format gives the same arrays, every fault a clear error."""

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters import caffe_h5, caffe_net, caffemodel, to_caffe
from converters.caffe_schema import messages
from shared.arch import catalogue
from shared.errors import WeightError

FORMATS = ("v2", "v2-4d", "v1", "v2-bare", "v2-nolayerparam", "v2-unpacked", "v2-double", "v2-diff", "v2-shuffled")
SAVED_BY_CAFFE = (
    "tiny_coco.caffesave.caffemodel",
    "tiny_body25.caffesave.caffemodel",
    "tiny_coco.caffesave.caffemodel.h5",
)


def _seeded(tool, prototxt, seed=0):
    """The parsed prototxt, its layers with blobs, and those under canonical names."""
    net = tool.parse_prototxt(prototxt.read_text())
    pairs = tool.blobs_for(net, seed)
    arrays = {
        f"{layer['name'][0]}.{kind}": blob
        for layer, blobs in pairs
        for kind, blob in zip(("weight", "bias"), blobs, strict=False)
    }
    return net, pairs, arrays


def _assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], array, err_msg=name, strict=True)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_arrays(tmp_path, tool, caffe_models, kind):
    prototxt = caffe_models / "tiny_mpi.prototxt"
    net, pairs, expected = _seeded(tool, prototxt, seed=3)
    path = tmp_path / "a.caffemodel"
    path.write_bytes(tool.build(net, pairs, kind))

    read = caffe_net.read(path, None, prototxt)

    _assert_same(read.arrays, expected)
    assert read.opencv == (kind != "v2-double")


@pytest.mark.parametrize("kind", ["v2", "v2-4d", "v2-unpacked"])
def test_slopes_of_prelus_are_vectors_in_every_format(tmp_path, tool, caffe_models, kind):
    net, pairs, expected = _seeded(tool, caffe_models / "tiny_body25.prototxt")
    path = tmp_path / "a.caffemodel"
    path.write_bytes(tool.build(net, pairs, kind))

    _assert_same(caffe_net.read(path).arrays, expected)


@pytest.mark.parametrize("name", SAVED_BY_CAFFE)
def test_files_saved_by_real_caffe_hold_the_seeded_weights(tool, caffe_models, name):
    prototxt = caffe_models / f"{name.split('.')[0]}.prototxt"
    golden = np.load(caffe_models.parents[1] / "golden" / "caffe" / f"{prototxt.stem}_64x80.npz")
    _, pairs, expected = _seeded(tool, prototxt, int(golden["seed"]))
    assert tool.fingerprint(pairs) == str(golden["fingerprint"])

    read = caffe_net.read(caffe_models / name, None, prototxt)

    _assert_same(read.arrays, expected)


def test_another_seed_gives_other_weights(tool, caffe_models):
    """The control of the two tests above."""
    prototxt = caffe_models / "tiny_coco.prototxt"
    _, _, other = _seeded(tool, prototxt, seed=1)

    found = caffe_net.read(caffe_models / SAVED_BY_CAFFE[0]).arrays

    assert not any(np.array_equal(found[name], other[name]) for name in other)


@pytest.fixture
def net(small):
    """A small COCO network as a message that tests may damage."""
    arrays, _ = small("coco18", stages=2)
    message = messages()["NetParameter"]()
    for name, blobs in caffemodel.from_canonical(arrays).layers.items():
        layer = message.layer.add(name=name.encode(), type=b"Convolution")
        for array in blobs:
            layer.blobs.add(data=[array.tobytes()]).shape.dim.extend(array.shape)
    return message


def _duplicate(net):
    net.layer.add().CopyFrom(net.layer[3])


def _rename(net):
    net.layer[4].name = b"conv3_1_renamed"


def _mix(net):
    net.layers.add(name=b"conv1_1").blobs.add(num=1, channels=1, height=1, width=1, data=[b"\0\0\0\0"])


def _nan(net):
    net.layer[2].blobs[1].data[0] = np.full(2, np.nan, "<f4").tobytes()


def _infinity(net):
    blob = net.layer[2].blobs[1]
    del blob.data[:]
    blob.double_data.append(np.full(2, 1e300, "<f8").tobytes())


def _short(net):
    net.layer[2].blobs[0].data[0] = net.layer[2].blobs[0].data[0][:-4]


def _stranger(net):
    net.layer.add(name=b"fc8").blobs.add(data=[b"\0\0\0\0"]).shape.dim.append(1)


def _transpose(net):
    net.layer[1].blobs[0].shape.dim[:] = [3, 3, 1, 1]


def _bad_name(net):
    net.layer[1].name = b"\xff\xfe"


FAULTS = {
    "two layers named conv2_2": _duplicate,
    "missing conv3_1.weight, conv3_1.bias; left over conv3_1_renamed.weight": _rename,
    "mixes 36 layers of Caffe's format with 1 of its old one": _mix,
    "conv2_1.bias holds NaN or infinity": _nan,
    "conv2_1.bias holds NaN": _infinity,
    r"blob 0 of layer conv2_1 has 17 numbers for a shape of \(2, 1, 3, 3\)": _short,
    "has 9 numbers for a shape of": lambda net: net.layer[1].blobs[0].ClearField("shape"),
    "missing conv1_2.bias": lambda net: net.layer[1].blobs.pop(),
    "missing conv1_2.weight, conv1_2.bias": lambda net: net.layer.pop(1),
    "left over fc8.weight": _stranger,
    r"of another shape: conv1_2.weight \(3, 3, 1, 1\)": _transpose,
    r"named b'\\xff\\xfe', expected a readable name": _bad_name,
    r"layer conv1_2 has 3 blobs": lambda net: net.layer[1].blobs.add().CopyFrom(net.layer[1].blobs[1]),
    "no layer has weights": lambda net: [layer.ClearField("blobs") for layer in net.layer],
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_in_the_file_is_one_clear_line(tmp_path, net, message):
    FAULTS[message](net)
    path = tmp_path / "a.caffemodel"
    path.write_bytes(net.SerializeToString())

    with pytest.raises(WeightError, match=message) as caught:
        caffe_net.read(path)
    assert "\n" not in str(caught.value)


def test_the_undamaged_file_is_read(tmp_path, net, small):
    """The control of the faults above."""
    path = tmp_path / "a.caffemodel"
    path.write_bytes(net.SerializeToString())

    _assert_same(caffe_net.read(path).arrays, small("coco18", stages=2)[0])


def test_a_foreign_layer_without_weights_is_ignored(tmp_path, net):
    net.layer.add(name=b"loss", type=b"EuclideanLoss")
    path = tmp_path / "a.caffemodel"
    path.write_bytes(net.SerializeToString())

    assert caffe_net.read(path).spec.name == "coco18"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "is HDF5, expected a .caffemodel"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "it is a PNG image"),
        (b'name: "a"\nlayer { name: "b" }\n', "looks like text"),
        (b"PK\x03\x04" + bytes(50), "zip archive"),
        (b"\xa2\x06", "not a whole caffemodel"),
    ],
)
def test_another_file_under_this_name_is_recognised(tmp_path, data, message):
    path = tmp_path / "a.caffemodel"
    path.write_bytes(data)

    with pytest.raises(WeightError, match=message):
        caffe_net.read(path)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(WeightError, match="no such file"):
        caffe_net.read(tmp_path / "a.caffemodel")
    with pytest.raises(WeightError, match="is a folder"):
        caffe_net.read(tmp_path)


def test_a_truncated_file_is_refused(tmp_path, net):
    path = tmp_path / "a.caffemodel"
    path.write_bytes(net.SerializeToString()[:-5])

    with pytest.raises(WeightError, match="not a whole caffemodel"):
        caffe_net.read(path)


def test_vectors_of_a_single_channel_are_told_from_kernels():
    blobs = caffemodel.Blobs(
        {"conv": [np.ones((1, 1, 1, 1), np.float32)] * 2, "prelu": [np.ones((1, 1, 1, 1), np.float32)]}
    )

    shapes = {name: array.shape for name, array in caffemodel.canonical(blobs, "x").items()}

    assert shapes == {"conv.weight": (1, 1, 1, 1), "conv.bias": (1,), "prelu.weight": (1,)}


def test_canonical_is_undone_by_from_canonical(small):
    arrays, _ = small("body25")

    _assert_same(caffemodel.canonical(caffemodel.from_canonical(arrays), "x"), arrays)


def test_caffes_hdf5_with_a_gap_between_blobs_is_refused(tmp_path):
    path = tmp_path / "a.caffemodel.h5"
    with h5py.File(path, "w") as file:
        file["data/conv1_1/0"] = np.zeros((1, 3, 3, 3))
        file["data/conv1_1/2"] = np.zeros(1)

    with pytest.raises(WeightError, match=r"layer conv1_1 has blobs \['0', '2'\], expected \['0', '1'\]"):
        caffe_h5.read(path)


def test_caffes_hdf5_without_data_is_refused(tmp_path):
    path = tmp_path / "a.caffemodel.h5"
    with h5py.File(path, "w") as file:
        file["weights"] = np.zeros(3)

    with pytest.raises(WeightError, match="without Caffe's group `data`"):
        caffe_h5.read(path)


@pytest.fixture(scope="module")
def intact(small, tmp_path_factory):
    """A file of two stages, and the place that its damaged copies take."""
    folder = tmp_path_factory.mktemp("damaged")
    arrays, info = small("coco18", stages=2)
    to_caffe.write(arrays, info, folder / "a.prototxt", folder / "a.caffemodel")
    return (folder / "a.caffemodel").read_bytes(), folder / "b.caffemodel", info.spec


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_reads_as_the_same_network_or_is_refused(intact, data):
    original, path, spec = intact
    damaged = bytearray(original)
    # Names and lengths are few among so many weights: half of the damage goes to the start of the file.
    places = st.one_of(st.integers(0, 2000), st.integers(0, len(original) - 1))
    for position, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        damaged[position] = value
    end = data.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged))))
    path.write_bytes(damaged[:end])

    try:
        found = caffe_net.read(path)
    except WeightError as error:
        assert "\n" not in str(error)  # noqa: PT017 (either outcome is right)
    else:
        assert found.spec.tensors() == catalogue.spec("coco18", width=spec.width, stages=2).tensors()
