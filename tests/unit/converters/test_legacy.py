"""The published PyTorch checkpoints: built here in their publishers' layout, read back equal, refused when unfit.

The names are typed out from the publishers' code, not taken from the tables under test.
"""

import argparse

import numpy as np
import pytest
import torch

from converters import legacy, sources
from shared.errors import UserError, WeightError
from shared.preprocess import CAFFE, IMAGENET

# Places in torch's Sequential, which counts ReLUs and pools.
TRUNK = {
    "conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7, "conv3_1": 10, "conv3_2": 12, "conv3_3": 14, "conv3_4": 16,
    "conv4_1": 19, "conv4_2": 21, "conv4_3_CPM": 23, "conv4_4_CPM": 25,
}  # fmt: skip
SLOPES = {"prelu4_2": 22, "prelu4_3_CPM": 24, "prelu4_4_CPM": 26}
STATES = ("stage0_L2", "stage1_L2", "stage2_L2", "stage3_L2", "stage0_L1", "stage1_L1")


def _branches(stages):
    """(layer, stage, branch, place in its branch from 1, whether it is the last) of the two-branch network."""
    for branch in (1, 2):
        for i in range(1, 6):
            yield f"conv5_{i}_CPM_L{branch}", 1, branch, i, i == 5
        for stage in range(2, stages + 1):
            for i in range(1, 8):
                yield f"Mconv{i}_stage{stage}_L{branch}", stage, branch, i, i == 7


def tensorboy(stages=6):
    names = {layer: f"model0.{place}" for layer, place in TRUNK.items()}
    return names | {layer: f"model{t}_{b}.{2 * i - 2}" for layer, t, b, i, _ in _branches(stages)}


def hliu_old(stages=6):
    names = {layer: f"block_0.{layer.replace('_CPM', '')}.con_layer" for layer in TRUNK}
    return names | {
        layer: f"block_{t}_{b}.conv{i}" + ("" if last else ".con_layer") for layer, t, b, i, last in _branches(stages)
    }


def hliu_new():
    names = {layer: f"state_0.{layer.replace('CPM', 'cmu')}" for layer in TRUNK}
    names |= {"prelu4_2": "state_0.relu4_2", "prelu4_3_CPM": "state_0.relu4_3", "prelu4_4_CPM": "state_0.relu4_4"}
    for n, state in enumerate(STATES, start=1):
        for b in range(1, 6):
            for i in range(3):
                names[f"Mconv{b}_{state}_{i}"] = f"state_{n}.block{b}.conv{i + 1}.0"
                names[f"Mprelu{b}_{state}_{i}"] = f"state_{n}.block{b}.conv{i + 1}.1"
        names |= {f"Mconv6_{state}": f"state_{n}.conv1.0", f"Mprelu6_{state}": f"state_{n}.conv1.1"}
        names[f"Mconv7_{state}"] = f"state_{n}.conv2"
    return names


def tensorboy_dense():
    names = {layer: f"feature_extractor.{place}" for layer, place in (TRUNK | SLOPES).items()}
    for state in STATES:
        module = f"l{state[-1]}_stages.{state[5]}"
        for place in [*(f"{b}_{i}" for b in range(1, 6) for i in range(3)), "6"]:
            b, _, i = place.partition("_")
            end = f"_{state}_{i}" if i else f"_{state}"
            names[f"Mconv{b}{end}"] = f"{module}.Mconv{place}.Mconv"
            names[f"Mprelu{b}{end}"] = f"{module}.Mconv{place}.MPrelu"
        names[f"Mconv7_{state}"] = f"{module}.Mconv7"
    return names


def _renamed(arrays, names, prefix=""):
    """The arrays as torch tensors under a publisher's names."""
    found = {}
    for name, array in arrays.items():
        layer, kind = name.rsplit(".", 1)
        found[f"{prefix}{names[layer]}.{kind}"] = torch.from_numpy(array)
    assert len(found) == len(arrays)
    return found


def _assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


def plain(tensors):
    return tensors


def hliu(tensors):
    return {"model_state": tensors, "epoch": 3, "opt_state": {"lr": 0.1}, "lr_state": {}}


def lightning(tensors):
    return {"state_dict": tensors, "epoch": 7, "hparams": argparse.Namespace(lr=1.0), "optimizer_states": [{"a": 1}]}


TORCH = [
    ("pose_model.pth", "coco18", tensorboy(), "", plain, CAFFE),
    ("best_pose.pth", "coco18", tensorboy(), "module.", plain, IMAGENET),
    ("_ckpt_epoch_5.ckpt", "coco18", tensorboy(), "model.", lightning, IMAGENET),
    ("parallel.ckpt", "coco18", tensorboy(), "model.module.", lightning, IMAGENET),
    ("openpose.pth", "coco18_dense", tensorboy_dense(), "", plain, CAFFE),
    ("openpose_trained.pth", "coco18_dense", tensorboy_dense(), "module.", plain, IMAGENET),
    ("train_final.pth", "coco18", hliu_old(), "module.", hliu, CAFFE),
    ("val_final.pth", "coco18_dense", hliu_new(), "module.", hliu, CAFFE),
]


@pytest.mark.parametrize(
    ("file", "model", "names", "prefix", "wrap", "preprocess"), TORCH, ids=[row[0] for row in TORCH]
)
def test_a_published_torch_checkpoint_is_read_back_equal(tmp_path, small, file, model, names, prefix, wrap, preprocess):
    arrays, info = small(model)
    path = tmp_path / file
    torch.save(wrap(_renamed(arrays, names, prefix)), path)

    found, found_info = sources.read(path)

    _assert_same(found, arrays)
    assert found_info.spec == info.spec
    assert found_info.preprocess == preprocess
    assert found_info.licence == "not stated by the publisher"
    assert (found_info.source, len(found_info.source_sha256)) == (file, 64)


@pytest.mark.parametrize("layout", legacy.TORCH, ids=lambda layout: layout.mark)
def test_every_table_is_undone_by_its_inverse(small, layout):
    arrays, _ = small(layout.model)
    names = {legacy.TENSORBOY: tensorboy, legacy.HLIU_OLD: hliu_old}.get(layout, dict)()
    table = layout.weight_map(names.values())

    published = table.inverse().apply(arrays, "x")

    assert len(published) == len(arrays)
    _assert_same(table.apply(published, "x"), arrays)


@pytest.mark.parametrize(("stages", "names"), [(2, tensorboy(2)), (3, hliu_old(3))])
def test_the_number_of_stages_is_read_off_the_names(tmp_path, small, stages, names):
    arrays, info = small("coco18", stages=stages)
    torch.save(_renamed(arrays, names), tmp_path / "a.pth")

    found, found_info = sources.read(tmp_path / "a.pth")

    _assert_same(found, arrays)
    assert found_info.spec == info.spec


def test_tensorboys_network_with_mpi_outputs_is_recognised_by_its_shapes(tmp_path, small):
    arrays, info = small("mpi15")
    torch.save(_renamed(arrays, tensorboy()), tmp_path / "a.pth")

    assert sources.read(tmp_path / "a.pth")[1].spec == info.spec


def test_a_missing_and_a_left_over_tensor_are_named(tmp_path, small):
    tensors = _renamed(small("coco18")[0], tensorboy())
    tensors["model9.weight"] = tensors.pop("model3_2.4.weight")
    torch.save(tensors, tmp_path / "a.pth")

    with pytest.raises(WeightError, match=r"183 of the 184 .*missing model3_2.4.weight; left over model9.weight"):
        sources.read(tmp_path / "a.pth")


def test_a_tensor_of_another_shape_is_named_as_we_call_it(tmp_path, small):
    tensors = _renamed(small("coco18")[0], tensorboy())
    tensors["model2_1.0.weight"] = tensors["model2_1.0.weight"].transpose(0, 1)
    torch.save(tensors, tmp_path / "a.pth")

    with pytest.raises(WeightError, match=r"of another shape: Mconv1_stage2_L1.weight \(59, 2, 7, 7\)"):
        sources.read(tmp_path / "a.pth")


def test_numbers_that_are_no_floats_are_refused(tmp_path, small):
    tensors = _renamed(small("coco18")[0], tensorboy())
    tensors["model0.0.bias"] = tensors["model0.0.bias"].to(torch.int64)
    torch.save(tensors, tmp_path / "a.pth")

    with pytest.raises(WeightError, match=r"model0.0.bias holds int64, expected an array of float32"):
        sources.read(tmp_path / "a.pth")


def test_h_lius_network_with_offset_maps_is_told_apart(tmp_path, small):
    tensors = _renamed(small("coco18_dense")[0], hliu_new(), "module.")
    for state in (5, 6):
        tensors[f"module.state_{state}.conv2.weight"] = torch.zeros(57, 4, 1, 1)
        tensors[f"module.state_{state}.conv2.bias"] = torch.zeros(57)
    torch.save(hliu(tensors), tmp_path / "train_final.pth")

    with pytest.raises(WeightError, match=r"H-Liu's network with offset maps .57 maps.*another architecture"):
        sources.read(tmp_path / "train_final.pth")


def test_h_lius_network_with_batch_norms_is_told_apart(tmp_path, small):
    tensors = _renamed(small("coco18_dense")[0], hliu_new(), "module.")
    tensors["module.state_0.bn1.running_mean"] = torch.zeros(4)
    torch.save(hliu(tensors), tmp_path / "train_final.pth")

    with pytest.raises(WeightError, match="holds batch norms"):
        sources.read(tmp_path / "train_final.pth")


def test_a_checkpoint_of_another_network_is_refused_with_what_is_readable(tmp_path):
    torch.save({"state_dict": {"backbone.weight": torch.zeros(2)}, "optimizer": {}}, tmp_path / "a.pth")

    with pytest.raises(WeightError, match=r"another network \(keys state_dict, optimizer\); readable are: .caffemodel"):
        sources.read(tmp_path / "a.pth")


def test_a_checkpoint_with_code_is_refused(tmp_path):
    torch.save({"model0.0.weight": torch.zeros(2), "run": print}, tmp_path / "a.pth")

    with pytest.raises(WeightError, match="holds pickled code"):
        sources.read(tmp_path / "a.pth")


def test_the_preprocessing_can_be_overridden_by_name(tmp_path, small):
    torch.save(_renamed(small("coco18")[0], tensorboy()), tmp_path / "a.pth")

    assert sources.read(tmp_path / "a.pth", preprocess="imagenet")[1].preprocess == IMAGENET
    with pytest.raises(UserError, match=r"--preprocess imagnet: unknown .did you mean imagenet"):
        sources.read(tmp_path / "a.pth", preprocess="imagnet")
