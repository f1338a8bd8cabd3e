"""Converted weights against the outputs of real Caffe, for every golden file, in both frameworks."""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import keras_impl
import pytorch_impl
from converters import cli, parity
from converters.caffe_runtime import load_caffe

SHARED = Path(__file__).parents[3] / "shared"
MODELS = SHARED / "data" / "caffe_models"
FILES = sorted((SHARED / "golden" / "caffe").glob("*.npz"))
COMMANDS = {"torch": cli.caffe_to_torch, "keras": cli.caffe_to_keras}
NETWORKS = sorted({path.stem.rpartition("_")[0] for path in FILES})

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(not FILES, reason="no ../shared/golden/caffe here"),
]
quick_or_slow = [pytest.param(name, marks=() if name == "tiny_hand" else pytest.mark.slow) for name in NETWORKS]


@cache
def tool():
    """The maker of seeded caffemodels, which shares nothing with our reader and writer."""
    spec = importlib.util.spec_from_file_location("make_caffemodel", SHARED / "tools" / "make_caffemodel.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_caffemodel(network, path, seed=0, kind="v2"):
    """Write the seeded caffemodel of a prototxt; the fingerprint of its weights."""
    net = tool().parse_prototxt((MODELS / f"{network}.prototxt").read_text())
    layers = tool().blobs_for(net, seed)
    path.write_bytes(tool().build(net, layers, kind))
    return tool().fingerprint(layers)


def convert(framework, network, caffemodel, out, *options):
    """Run the command of that framework on a caffemodel (`tests/commands` does so in a process of its own)."""
    arguments = ["--out", out, "--prototxt", MODELS / f"{network}.prototxt", "--caffemodel", caffemodel, *options]
    assert COMMANDS[framework](list(map(str, arguments))) == 0
    return out


def both_nets(network, caffemodel, folder, *options):
    return {
        "torch": pytorch_impl.load(convert("torch", network, caffemodel, folder / "w.safetensors", *options)),
        "keras": keras_impl.load(convert("keras", network, caffemodel, folder / "w.weights.h5", *options)),
    }


def trunk_outputs(net, framework, images, wanted):
    """The trunk's outputs under Caffe's blob names: in Caffe the activation works in place."""
    rows = {row.name: row for row in net.info.spec.trunk() if row.name in wanted}
    if framework == "keras":
        import keras

        layers = {name: net.network.get_layer(row.output).output for name, row in rows.items()}
        return {name: np.asarray(out) for name, out in keras.Model(net.network.inputs[0], layers)(images).items()}
    found = {}

    def keep(name, array):
        found[name] = array.detach().permute(0, 2, 3, 1).numpy()

    hooks = [
        net.network.get_submodule(row.act_name if row.act == "prelu" else row.name).register_forward_hook(
            lambda _, __, out, name=name, act=row.act: keep(name, out.relu() if act == "relu" else out)
        )
        for name, row in rows.items()
    ]
    net(images)
    for hook in hooks:
        hook.remove()
    return found


def outputs_as_caffe(net, framework, images, names):
    """Every blob of `names`, channels last; `net_output` is the final [heat, paf]."""
    outputs = net(images, stages=True)
    outputs |= trunk_outputs(net, framework, images, set(names) - outputs.keys())
    final = [outputs[field] for field in ("heat", "paf") if field in outputs]
    return outputs | {"net_output": np.concatenate(final, axis=-1)}


@pytest.mark.parametrize("network", quick_or_slow)
def test_every_stage_is_what_caffe_computes(network, tmp_path, figure):
    fingerprint = make_caffemodel(network, tmp_path / "w.caffemodel")
    nets = both_nets(network, tmp_path / "w.caffemodel", tmp_path)

    for file in (path for path in FILES if path.stem.rpartition("_")[0] == network):
        with np.load(file) as golden:
            assert (str(golden["fingerprint"]), int(golden["seed"])) == (fingerprint, 0)
            names = [str(name) for name in golden["names"]]
            expected = {name: golden[name].transpose(0, 2, 3, 1) for name in names}
            images = np.ascontiguousarray(golden["input"].transpose(0, 2, 3, 1))
        for framework, net in nets.items():
            worst = parity.worst(parity.compare(expected, outputs_as_caffe(net, framework, images, names)))
            figure(f"{file.stem:20} {framework:6} {worst.ratio:.1e}  {worst.stage}")
            assert worst.ratio <= parity.GATE, (file.stem, framework, worst)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["v1", "v2-4d"])
def test_old_formats_give_the_same_outputs(kind, tmp_path):
    make_caffemodel("tiny_coco", tmp_path / "w.caffemodel", kind=kind)

    nets = both_nets("tiny_coco", tmp_path / "w.caffemodel", tmp_path)

    with np.load(SHARED / "golden" / "caffe" / "tiny_coco_64x80.npz") as golden:
        images = np.ascontiguousarray(golden["input"].transpose(0, 2, 3, 1))
        expected = {name: golden[name].transpose(0, 2, 3, 1) for name in nets["torch"].info.spec.stage_outputs()}
    for net in nets.values():
        assert parity.worst(parity.compare(expected, net(images, stages=True))).ratio <= parity.GATE


@pytest.mark.slow
@pytest.mark.parametrize("network", ["tiny_coco", "tiny_body25", "tiny_hand"])
@pytest.mark.parametrize("shape", [(1, 65, 83), (2, 41, 64)], ids=str)
def test_odd_sizes_and_batches_agree_with_opencv(network, shape, tmp_path):
    make_caffemodel(network, tmp_path / "w.caffemodel", seed=3)
    images = np.random.default_rng(5).random((*shape, 3), np.float32) - 0.5
    oracle = load_caffe(tmp_path / "w.caffemodel", prototxt=MODELS / f"{network}.prototxt")

    nets = both_nets(network, tmp_path / "w.caffemodel", tmp_path)

    expected = oracle(images, stages=True)
    assert expected["heat"].shape[1:3] == (-(-shape[1] // 8), -(-shape[2] // 8))
    for net in nets.values():
        assert parity.worst(parity.compare(expected, net(images, stages=True))).ratio <= parity.GATE


def test_weights_of_another_seed_fail_the_gate(tmp_path):
    make_caffemodel("tiny_hand", tmp_path / "w.caffemodel", seed=1)
    net = pytorch_impl.load(convert("torch", "tiny_hand", tmp_path / "w.caffemodel", tmp_path / "w.safetensors"))

    with np.load(SHARED / "golden" / "caffe" / "tiny_hand_64x80.npz") as golden:
        images = np.ascontiguousarray(golden["input"].transpose(0, 2, 3, 1))
        names = [str(name) for name in golden["names"]]
        expected = {name: golden[name].transpose(0, 2, 3, 1) for name in names}

    assert (
        parity.worst(parity.compare(expected, outputs_as_caffe(net, "torch", images, names))).ratio > 10 * parity.GATE
    )
