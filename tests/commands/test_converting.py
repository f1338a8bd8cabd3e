"""The converting commands: whole outputs with a report, or one line and nothing."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pytorch_impl.models
from converters import check, cli, sources, to_caffe
from shared import weights
from shared.arch import catalogue
from shared.errors import WeightError
from shared.initial import initial
from shared.recipes import recipe
from shared.weights import ModelInfo

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def caffe(tmp_path):
    """A small network as prototxt and caffemodel, its arrays, and an empty folder for outputs."""
    spec = catalogue.spec("coco18", width=1 / 64, stages=2)
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in spec.tensors().items()}
    prototxt, caffemodel = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    to_caffe.write(arrays, ModelInfo(spec), prototxt, caffemodel)
    (tmp_path / "out").mkdir()
    return prototxt, caffemodel, arrays, tmp_path / "out"


def _convert(source, out, *options):
    return cli.convert([str(source), "--out", str(out), *map(str, options)])


def _from_caffe(command, caffe, out, *options):
    return command(["--prototxt", str(caffe[0]), "--caffemodel", str(caffe[1]), "--out", str(out), *options])


def test_caffe_to_torch_writes_the_weights_and_a_report(caffe, capsys):
    out = caffe[3] / "new" / "w.safetensors"

    assert _from_caffe(cli.caffe_to_torch, caffe, out) == 0

    found, info = weights.read(out)
    report = json.loads((out.parent / "w.safetensors.report.json").read_text())
    assert all(np.array_equal(found[name], array) for name, array in caffe[2].items())
    assert (info.source, info.licence) == ("net.caffemodel", sources.CMU_LICENCE)
    assert report["arrays"] == len(caffe[2])
    assert report["parameters"] == catalogue.n_parameters(info.spec)
    assert report["source"]["sha256"] == weights.sha256(caffe[1])
    assert report["written"]["w.safetensors"]["sha256"] == weights.sha256(out)
    assert sum(report["shapes"].values()) == len(caffe[2])
    assert sorted(path.name for path in out.parent.iterdir()) == ["w.safetensors", "w.safetensors.report.json"]
    printed = capsys.readouterr().out
    assert "coco18, 2 stages, width 0.015625; 72 arrays" in printed
    assert weights.sha256(out) in printed


def test_screen_and_report_count_what_is_learnt_and_no_statistics_of_norms(tmp_path, capsys):
    info, arrays = initial(recipe("hrnet_builtin", ["width=0.125", "size=64,64"]))
    weights.write(tmp_path / "w.safetensors", arrays, info)

    assert _convert(tmp_path / "w.safetensors", tmp_path / "w.pth") == 0

    learnt = sum(parameter.numel() for parameter in pytorch_impl.models.build(info.spec).parameters())
    assert learnt < sum(array.size for array in arrays.values())
    assert json.loads((tmp_path / "w.pth.report.json").read_text())["parameters"] == learnt
    assert f"{len(arrays)} arrays, {learnt:,} parameters\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["w.weights.h5", "w.pth", "w.pt", "w.safetensors", "w.caffemodel", "w.prototxt"])
def test_weights_return_from_every_target_bit_for_bit(caffe, name):
    out = caffe[3] / name

    assert _convert(caffe[1], out, "--prototxt", caffe[0]) == 0

    read = out.with_suffix(".caffemodel") if out.suffix == ".prototxt" else out
    found, info = sources.read(read)
    assert info.spec.name == "coco18"
    assert {key: array.tobytes() for key, array in found.items()} == {
        key: array.tobytes() for key, array in caffe[2].items()
    }


def test_a_checked_conversion_carries_its_proof(caffe, capsys):
    out = caffe[3] / "w.safetensors"

    assert _from_caffe(cli.caffe_to_torch, caffe, out, "--check") == 0

    assert json.loads(check.report_path(out).read_text())["passed"]
    assert "check passed" in capsys.readouterr().out


def test_a_failed_check_leaves_nothing(caffe, capsys, monkeypatch):
    def fail(source, target, **_):
        check.report_path(target).write_text("{}")
        raise WeightError(f"{target.name}: stage conv5_5_CPM_L1 differs")

    monkeypatch.setattr(check, "check", fail)
    out = caffe[3] / "w.safetensors"

    assert _from_caffe(cli.caffe_to_torch, caffe, out, "--check") == 2

    assert list(caffe[3].iterdir()) == []
    assert f"error: {out}: not written, because it failed the check: stage conv5_5_CPM_L1" in capsys.readouterr().err


def test_a_failed_conversion_leaves_the_older_output_as_it_was(caffe, capsys):
    out = caffe[3] / "w.safetensors"
    out.write_bytes(b"older")
    caffe[1].write_bytes(caffe[1].read_bytes()[:-9])

    assert _from_caffe(cli.caffe_to_torch, caffe, out) == 2

    assert out.read_bytes() == b"older"
    assert capsys.readouterr().err.count("\n") == 1


# source, target and what the line says; relative to the folder that holds net.caffemodel and out/
FAULTS = {
    "missing source": ("none.h5", "out/a.pth", "no such file"),
    "unknown target": ("net.caffemodel", "out/a.ckpt", "unknown kind of file; end its name in one of"),
    "no name": ("net.caffemodel", "out/.pth", "unknown kind of file"),
    "source as target": ("net.caffemodel", "net.caffemodel", "would overwrite the source"),
    "prototxt beside the source": ("net.caffemodel", "net.prototxt", "would overwrite the source"),
    "folder as target": ("net.caffemodel", "out", "unknown kind of file"),
    "a file where a folder should be": ("net.caffemodel", "net.prototxt/a.pth", "cannot be written"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_arguments_are_one_line_and_exit_code_2(caffe, capsys, fault):
    source, out, message = FAULTS[fault]
    folder, before = caffe[1].parent, caffe[1].read_bytes()

    assert _convert(folder / source, folder / out) == 2

    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert caffe[1].read_bytes() == before
    assert list(caffe[3].iterdir()) == []


@pytest.mark.parametrize("name", ["caffe_to_torch", "caffe_to_keras", "convert"])
def test_every_command_starts_as_a_file(name):
    command = [sys.executable, str(ROOT / "converters" / f"{name}.py"), "--help"]

    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT.parent)

    assert f"{name}.py" in done.stdout
    assert "--check" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("name", "target"), [("caffe_to_torch", "w.safetensors"), ("caffe_to_keras", "w.weights.h5")])
def test_a_caffe_converter_works_as_a_file_from_any_folder(name, target, caffe):
    command = [sys.executable, ROOT / "converters" / f"{name}.py", "--prototxt", caffe[0], "--caffemodel", caffe[1]]
    command += ["--out", caffe[3] / target, "--check"]

    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True, cwd=caffe[3])

    assert "check passed" in done.stdout
    assert done.stderr == ""
    assert all(np.array_equal(sources.read(caffe[3] / target)[0][key], array) for key, array in caffe[2].items())
