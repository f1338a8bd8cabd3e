"""VGG-19's layers by name from files in the publishers' layouts, whatever their order; the names are typed out here."""

import h5py
import numpy as np
import pytest
import torch

from shared import vgg19
from shared.arch import catalogue
from shared.errors import UserError, WeightError
from shared.initial import from_file
from shared.preprocess import CAFFE, IMAGENET
from shared.weights import ModelInfo

# Ours, torchvision's number, input and output width.
LAYERS = [
    ("conv1_1", 0, 3, 64), ("conv1_2", 2, 64, 64), ("conv2_1", 5, 64, 128), ("conv2_2", 7, 128, 128),
    ("conv3_1", 10, 128, 256), ("conv3_2", 12, 256, 256), ("conv3_3", 14, 256, 256), ("conv3_4", 16, 256, 256),
    ("conv4_1", 19, 256, 512), ("conv4_2", 21, 512, 512),
]  # fmt: skip
KERAS = {
    "conv1_1": "block1_conv1", "conv1_2": "block1_conv2", "conv2_1": "block2_conv1", "conv2_2": "block2_conv2",
    "conv3_1": "block3_conv1", "conv3_2": "block3_conv2", "conv3_3": "block3_conv3", "conv3_4": "block3_conv4",
    "conv4_1": "block4_conv1", "conv4_2": "block4_conv2",
}  # fmt: skip


@pytest.fixture(scope="module")
def wanted():
    rng = np.random.default_rng(0)
    found = {}
    for name, _, cin, cout in LAYERS:
        found[f"{name}.weight"] = rng.standard_normal((cout, cin, 3, 3), np.float32)
        found[f"{name}.bias"] = rng.standard_normal(cout, np.float32)
    return found


@pytest.fixture
def tensors(wanted):
    """A state dict of torchvision's, with layers that OpenPose has not."""
    numbers = {name: number for name, number, _, _ in LAYERS}
    found = {}
    for name, array in wanted.items():
        layer, kind = name.split(".")
        found[f"features.{numbers[layer]}.{kind}"] = torch.from_numpy(array)
    return {**found, "features.23.weight": torch.ones(4, 4, 3, 3), "classifier.6.bias": torch.zeros(1000)}


def keras_file(path, arrays, kernel="{0}_W_1:0", bias="{0}_b_1:0", root="", reverse=False):
    """A file of Keras applications; Keras 1's names, those of the published file, unless others are given."""
    names = list(KERAS)[:: -1 if reverse else 1]
    with h5py.File(path, "w") as file:
        top = file.require_group(root) if root else file
        top.attrs["layer_names"] = ["input_1", *(KERAS[name] for name in names), "fc1"]
        for name in names:
            group = top.create_group(KERAS[name], track_order=True)
            both = [(kernel, arrays[f"{name}.weight"].transpose(2, 3, 1, 0)), (bias, arrays[f"{name}.bias"])]
            both = both[::-1] if reverse else both
            group.attrs["weight_names"] = [pattern.format(KERAS[name]) for pattern, _ in both]
            for pattern, array in both:
                group[pattern.format(KERAS[name])] = array
        top["fc1/fc1_W_1:0"] = np.ones((8, 4), np.float32)
        top["block5_conv1/block5_conv1_W_1:0"] = np.ones((3, 3, 4, 4), np.float32)


def same(found, wanted):
    return list(found) == list(wanted) and all(np.array_equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before PyTorch 1.6"])
def test_torchvision_s_file_is_read_by_name(tmp_path, tensors, wanted, legacy):
    torch.save(tensors, tmp_path / "vgg19.pth", _use_new_zipfile_serialization=not legacy)

    found = vgg19.read(tmp_path / "vgg19.pth")

    assert same(found, wanted)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}


LAYOUTS = {
    "Keras 1, published": {},
    "Keras 2": {"kernel": "{0}/kernel:0", "bias": "{0}/bias:0"},
    "Keras 3, a whole model": {"kernel": "{0}/kernel", "bias": "{0}/bias", "root": "model_weights"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_keras_files_are_read_by_name(tmp_path, wanted, layout):
    keras_file(tmp_path / "vgg19.h5", wanted, **LAYOUTS[layout])

    assert same(vgg19.read(tmp_path / "vgg19.h5"), wanted)


def test_what_keras_3_writes_itself_is_read_by_name(tmp_path, wanted):
    import keras

    layers = [keras.layers.Conv2D(cout, 3, name=KERAS[name]) for name, _, _, cout in LAYERS[::-1]]
    for layer, (name, _, cin, _) in zip(layers, LAYERS[::-1], strict=True):
        layer.build((None, None, None, cin))
        layer.set_weights([wanted[f"{name}.weight"].transpose(2, 3, 1, 0), wanted[f"{name}.bias"]])
    inputs = [keras.Input((None, None, cin)) for _, _, cin, _ in LAYERS[::-1]]
    network = keras.Model(inputs, [layer(x) for layer, x in zip(layers, inputs, strict=True)])
    network.save_weights(tmp_path / "vgg19.weights.h5")

    assert same(vgg19.read(tmp_path / "vgg19.weights.h5"), wanted)


def test_the_order_of_a_file_does_not_matter(tmp_path, tensors, wanted):
    turned = dict(reversed(tensors.items()))
    torch.save(turned, tmp_path / "vgg19.pth")
    keras_file(tmp_path / "vgg19.h5", wanted, reverse=True)

    assert same(vgg19.read(tmp_path / "vgg19.pth"), wanted)
    assert same(vgg19.read(tmp_path / "vgg19.h5"), wanted)


def test_by_order_three_layers_would_change_places_unseen(tmp_path, tensors, wanted):
    names = list(tensors)
    names[10:16] = names[14:16] + names[12:14] + names[10:12]  # conv3_4, conv3_3, conv3_2
    torch.save({name: tensors[name] for name in names}, tmp_path / "vgg19.pth")

    by_order = dict(zip(wanted, (tensors[name].numpy() for name in names), strict=False))

    assert {name: array.shape for name, array in by_order.items()} == vgg19.SHAPES
    assert not same(by_order, wanted)
    assert same(vgg19.read(tmp_path / "vgg19.pth"), wanted)


def test_exactly_the_ten_layers_of_a_network_are_replaced(wanted):
    spec = catalogue.spec("coco18", stages=1, norm=True)
    arrays = {name: np.broadcast_to(np.float32(7), shape) for name, shape in spec.tensors().items()}

    found = vgg19.apply(arrays, wanted)

    assert list(found) == list(arrays)
    assert same({name: found[name] for name in wanted}, wanted)
    assert all(found[name] is arrays[name] for name in arrays if name not in wanted)
    assert "conv1_1_bn.weight" in list(arrays)[:20]  # by order, the norms would have got kernels
    assert arrays["conv1_1.bias"][0] == 7  # what was given is as it was


@pytest.fixture(params=["torchvision", "keras"])
def published(request, tmp_path, tensors, wanted):
    """A file of either publisher, and the order of the colours that its first layer reads."""
    if request.param == "torchvision":
        torch.save(tensors, tmp_path / "vgg19.pth")
        return tmp_path / "vgg19.pth", "rgb"
    keras_file(tmp_path / "vgg19.h5", wanted)
    return tmp_path / "vgg19.h5", "bgr"


@pytest.mark.parametrize("preprocess", [CAFFE, IMAGENET], ids=lambda p: p.order)
def test_a_network_that_starts_from_it_sees_every_colour_as_it_did(published, wanted, preprocess):
    """Each of the colours alone, at the place where the network's input has it and where the file's own had it."""
    path, order = published
    info = ModelInfo(catalogue.spec("coco18", stages=1, norm=True), preprocess)
    arrays = {name: np.broadcast_to(np.float32(7), shape) for name, shape in info.spec.tensors().items()}

    found = from_file(path, arrays, info)

    theirs, ours = wanted["conv1_1.weight"], found["conv1_1.weight"]
    for colour in "rgb":
        pure = np.uint8([[[255 * (colour == each) for each in "rgb"]]])
        place = int((preprocess(pure) - preprocess(0 * pure))[0, 0].argmax())
        np.testing.assert_array_equal(ours[:, place], theirs[:, order.index(colour)])
    assert ours.flags.c_contiguous
    assert not np.array_equal(theirs[:, 0], theirs[:, 2])
    assert list(found) == list(arrays)
    others = [name for name in wanted if name != "conv1_1.weight"]
    assert same({name: found[name] for name in others}, {name: wanted[name] for name in others})
    assert all(found[name] is arrays[name] for name in arrays if name not in wanted)


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        ("coco18", {"width": 0.25}, r"conv1_1.weight has shape \(16, 3, 3, 3\); expected \(64, 3, 3, 3\).*set width=1"),
        ("mobilenet_v2_small", {}, r"a network without conv1_1.weight; expected its layers conv1_1 to conv4_2"),
    ],
)
def test_a_network_of_another_kind_is_refused(wanted, model, changes, message):
    spec = catalogue.spec(model, **changes)
    arrays = {name: np.broadcast_to(np.float32(0), shape) for name, shape in spec.tensors().items()}

    with pytest.raises(UserError, match=message):
        vgg19.apply(arrays, wanted)


FAULTS = {
    "missing": (
        lambda t: t.pop("features.12.bias"),
        r"19 of the 20 arrays of VGG-19 up to conv4_2 found; conv3_2.bias",
    ),
    "misshapen": (
        lambda t: t.update({"features.0.weight": t["features.0.weight"][:, :1]}),
        r"conv1_1.weight of shape \(64, 1, 3, 3\) instead of \(64, 3, 3, 3\)",
    ),
    "of integers": (lambda t: t.update({"features.0.bias": torch.ones(64).int()}), "conv1_1.bias of int32 instead"),
    "not finite": (lambda t: t.update({"features.0.bias": torch.ones(64) / 0}), "conv1_1.bias with NaN or infinity"),
    "of VGG-16": (
        lambda t: [t.update({f"features.17.{k}": t.pop(f"features.16.{k}")}) for k in ("weight", "bias")],
        r"18 of the 20 .* conv3_4.weight missing, conv3_4.bias missing",
    ),
    "of vgg19_bn": (lambda t: t.update({"features.1.running_mean": torch.zeros(64)}), r"holds batch norms .*vgg19_bn"),
    "of another network": (dict.clear, r"0 of the 20 .* conv1_1.weight missing, .* and 17 more"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_torch_file_is_refused_in_one_line(tmp_path, tensors, fault):
    change, message = FAULTS[fault]
    change(tensors)
    torch.save(tensors, tmp_path / "vgg19.pth")

    with pytest.raises(WeightError, match=message) as caught:
        vgg19.read(tmp_path / "vgg19.pth")
    assert "\n" not in str(caught.value)


def test_kernels_in_theano_s_order_are_refused(tmp_path, wanted):
    turned = {name: a.transpose(3, 2, 0, 1) if a.ndim == 4 else a for name, a in wanted.items()}
    keras_file(tmp_path / "th_kernels.h5", turned)

    with pytest.raises(WeightError, match=r"10 of the 20 .* conv1_1.weight of shape"):
        vgg19.read(tmp_path / "th_kernels.h5")


def test_a_faulty_keras_file_is_refused(tmp_path, wanted):
    path = tmp_path / "vgg19.h5"
    keras_file(path, wanted)
    with h5py.File(path, "r+") as file:
        file.move("block3_conv2/block3_conv2_b_1:0", "block3_conv2/spare")
        file["block3_conv2/block3_conv2_b_1:0"] = wanted["conv3_2.bias"] + 1

    with pytest.raises(WeightError, match=r"two arrays could be conv3_2.bias"):
        vgg19.read(path)
    with h5py.File(path, "r+") as file:
        del file["block3_conv2"]
    with pytest.raises(WeightError, match=r"18 of the 20 .* conv3_2.weight missing, conv3_2.bias missing"):
        vgg19.read(path)
    with h5py.File(path, "r+") as file:
        file["block3_conv2"] = h5py.ExternalLink("elsewhere.h5", "/")
    with pytest.raises(WeightError, match="external link"):
        vgg19.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"", "empty"), (b"\x89PNG\r\n\x1a\n" + bytes(99), "neither a PyTorch nor an HDF5 file")],
)
def test_a_file_that_is_none_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "vgg19.pth").write_bytes(content)

    with pytest.raises(WeightError, match=message):
        vgg19.read(tmp_path / "vgg19.pth")


class Code:
    def __reduce__(self):
        return print, ("run",)


def test_a_file_with_code_is_refused_unrun(tmp_path, tensors, capsys):
    torch.save({**tensors, "extra": Code()}, tmp_path / "vgg19.pth")

    with pytest.raises(WeightError, match="holds pickled code"):
        vgg19.read(tmp_path / "vgg19.pth")
    assert capsys.readouterr().out == ""
