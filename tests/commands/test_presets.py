"""The options that say how a network is run: what they change, and what is refused."""

import json

import pytest

from converters.cli import convert
from shared.weights import SHIPPED

SMALL = ("--limit", 1, "--height", 64)


@pytest.fixture
def protocol(evaluate, tmp_path):
    """A function from options to the protocol's hash and the metrics of a run."""

    def run(*options):
        assert evaluate(*SMALL, *options) == 0
        out = (tmp_path / "out").rename(tmp_path / "-".join(["run", *map(str, options)]))
        metrics = json.loads((out / "metrics.json").read_text())
        return metrics["protocol_sha256"], metrics

    return run


def test_what_changes_a_result_is_in_the_protocol_and_threads_are_not(protocol):
    plain, first = protocol()
    threads, _ = protocol("--threads", 2)
    half, second = protocol("--precision", "bfloat16")
    fewer, third = protocol("--stages", 2)

    assert threads == plain
    assert len({plain, half, fewer}) == 3
    assert "precision" not in first["protocol"]["model"]
    assert second["protocol"]["model"]["precision"] == "bfloat16"
    assert third["protocol"]["model"]["spec"]["stages"] == 2
    assert third["runtime"].endswith("stopped after stage 2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--stages", 4), "--stages 4: coco18 has 3 here; expected 1 to 3"),
        (("--precision", "int8"), "int8 is a file for onnx and openvino"),
        (("--threads", 0), "--threads 0: expected 1 or more"),
        (("--framework", "openvino"), "cannot read the shipped network; convert it"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(evaluate, capsys, tmp_path, options, message):
    pytest.importorskip("openvino", reason="openvino is not installed (requirements-dev.txt)")

    assert evaluate(*options) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--out", "w.pth", "--int8", "builtin"), "--int8: is for --out NAME.onnx"),
        (("--out", "w.onnx", "--int8", "builtin", "--check"), "without --check"),
        (("--out", "w.onnx", "--int8", "."), "no pictures there"),
        (("--out", "w.onnx", "--stages", "2", "--check"), "leave --check out"),
        (("--out", "w.pth", "--stages", "9"), "coco18 has 3 here"),
    ],
)
def test_a_conversion_that_makes_no_sense_is_refused(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)

    assert convert([str(SHIPPED), *options]) == 2

    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_conversion_of_fewer_stages_is_a_network_of_its_own(tmp_path, evaluate, capsys):
    assert convert([str(SHIPPED), "--out", str(tmp_path / "w.safetensors"), "--stages", "1"]) == 0
    assert "the first 1 stages: 530,921 parameters" in capsys.readouterr().out

    assert evaluate(*SMALL, "--weights", tmp_path / "w.safetensors") == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["protocol"]["model"]["spec"]["stages"] == 1
