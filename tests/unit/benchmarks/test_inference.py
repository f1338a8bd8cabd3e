"""What the table of inference compares, and that each way of it runs."""

import argparse

import pytest

from benchmarks import inference
from benchmarks.inference import Variant
from shared import framework
from shared.errors import UserError
from shared.net import Preset
from shared.weights import SHIPPED


def test_every_variant_is_one_row_of_the_table():
    found = inference.variants(3, threads=2)
    rows = [tuple(variant.row(3).values()) for variant in found]

    assert len(set(rows)) == len(rows)
    assert {variant.preset.threads for variant in found} == {2}
    assert [row for row in rows if row[2] < 3] == [("torch", "float32", 2, 1), ("torch", "float32", 1, 1)]
    assert ("onnx", "int8", 3, 1) in rows
    assert ("torch --compile", "bfloat16", 3, 1) in rows


def test_a_runtime_that_is_not_installed_is_left_out_and_named(monkeypatch, capsys):
    def require(name):
        if name == "openvino":
            raise UserError("--framework openvino needs the package openvino")

    monkeypatch.setattr(framework, "require", require)

    assert "openvino" not in {variant.framework for variant in inference.variants(3, None)}
    assert "left out: --framework openvino needs the package" in capsys.readouterr().err


def test_a_precision_that_there_is_none_of_is_left_out_and_named(monkeypatch, capsys):
    def load(name, path, preset):
        raise UserError(f"--precision {preset.precision}: {name} has none on this processor")

    monkeypatch.setattr(framework, "load", load)

    assert inference._load(Variant("torch", Preset("bfloat16")), SHIPPED, {}) is None
    assert "left out: --precision bfloat16: torch has none" in capsys.readouterr().err
    with pytest.raises(UserError, match="--precision float32"):
        inference._load(Variant("torch"), SHIPPED, {})


@pytest.mark.slow
def test_a_report_has_the_ap_and_the_time_of_each(monkeypatch):
    chosen = [Variant("torch"), Variant("torch", Preset(stages=1), batch=2), Variant("onnx", int8=True)]
    monkeypatch.setattr(inference, "variants", lambda stages, threads: chosen)
    monkeypatch.setattr(inference, "HEIGHT", 64)
    options = argparse.Namespace(weights=SHIPPED, full=False, threads=None, seconds=0.01, limit=3, decoder="reference")

    report = inference.report(options)

    plain, short, small = report.rows
    assert plain["of the best float32"] == 1
    assert 0.3 < plain["AP"] < 1
    assert (short["stages"], short["batch"], small["precision"]) == (1, 2, "int8")
    assert short["AP"] != plain["AP"]
    assert all(row["ms per image"] > 0 for row in report.rows)
    assert "1,900,571 parameters" in report.of
