"""The comparison behind every parity claim."""

import json
import math

import numpy as np
import pytest

from converters import parity
from shared.errors import WeightError

ONE = np.array([[0.5, -2.0]], np.float32)


def report(*rows):
    side = parity.Side("w.safetensors", "0" * 64, "torch 2.13")
    return parity.Report("coco18", side, side, {"noise": rows})


def test_the_ratio_is_relative_to_the_references_maximum():
    (row,) = parity.compare({"s": ONE}, {"s": ONE + 0.5})

    assert row == parity.Row("s", difference=0.5, maximum=2.0, ratio=0.25)


def test_equal_outputs_have_ratio_zero_even_when_all_zero():
    assert parity.compare({"s": 0 * ONE}, {"s": 0 * ONE})[0].ratio == 0


def test_a_difference_from_zero_is_infinite():
    assert parity.compare({"s": 0 * ONE}, {"s": ONE})[0].ratio == math.inf


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_never_pass(value):
    broken = {"s": np.full_like(ONE, value)}

    assert not report(*parity.compare({"s": ONE}, broken)).passed
    assert not report(*parity.compare(broken, {"s": ONE})).passed
    assert not report(*parity.compare(broken, broken)).passed


def test_the_gate_is_on_the_worst_stage_of_the_worst_input():
    fine, bad = parity.Row("a", 0, 1, 0.9 * parity.GATE), parity.Row("b", 0, 1, 1.1 * parity.GATE)

    assert report(fine, fine).passed
    assert not report(fine, bad, fine).passed
    assert report(fine, bad).worst.stage == "b"


def test_a_missing_stage_is_an_error():
    with pytest.raises(WeightError, match="the converted network has no stage s, expected it among t"):
        parity.compare({"s": ONE}, {"t": ONE})


def test_another_shape_is_an_error():
    with pytest.raises(WeightError, match=r"shape \(2, 1\) after conversion, expected \(1, 2\)"):
        parity.compare({"s": ONE}, {"s": ONE.T})


def test_the_file_is_plain_json_whatever_was_found(tmp_path):
    report(*parity.compare({"s": ONE}, {"s": ONE * np.nan})).write(tmp_path / "parity.json")

    values = json.loads((tmp_path / "parity.json").read_text())
    assert values["passed"] is False
    assert values["worst"] == {"stage": "s", "difference": None, "maximum": None, "ratio": None}
    assert values["gate"] == parity.GATE
