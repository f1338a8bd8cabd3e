"""What decoding is timed on, and that every decoder, also another's, gets the same maps."""

import numpy as np
import pytest

from benchmarks import candidates, decode, harness
from benchmarks.__main__ import parser
from benchmarks.candidates import candidate
from shared import jit
from shared.codec import decoders
from shared.codec.spec import STRIDE, Maps
from shared.errors import UserError
from shared.skeleton import COCO18

SIZE = (46, 82)


@pytest.mark.parametrize("count", [1, 30])
def test_people_are_as_many_as_asked_inside_the_maps_and_the_same_every_time(count):
    people = decode.people(count, SIZE)

    known = people[..., 2] > 0
    assert (known.sum(axis=1) > 6).all()
    assert (people[known][:, :2] >= -1e-3).all()
    assert (people[known][:, :2] <= np.array(SIZE[::-1]) * STRIDE + 1e-3).all()
    np.testing.assert_array_equal(people, decode.people(count, SIZE))


def test_every_decoder_finds_most_people_of_the_same_maps():
    entry = decode.drawn(10, SIZE)

    found = {
        name: decode.work(candidate(name), [entry, entry])() for name in ("fast", "reference-tensorboy", "reference")
    }

    assert found["fast"] in range(18, 23)
    assert all(12 < n < 26 for n in found.values())


def as_poses(heat, paf, skeleton):
    return decoders.decode("fast", heat, paf, skeleton)


def as_arrays(heat, paf, skeleton):
    return [pose.keypoints for pose in as_poses(heat, paf, skeleton)]


def shifted(heat, paf, skeleton):
    return [pose.keypoints + np.array((8, 0, 0), np.float32) for pose in as_poses(heat, paf, skeleton)]


def off(monkeypatch, function):
    """How far another's people are from ours, px of an image twice as large as the network's input."""
    monkeypatch.setattr(candidates.importlib, "import_module", lambda name: {"others": decode_module}[name])
    decode_module = type("module", (), {"decode": staticmethod(function)})
    maps = decode.drawn(3, SIZE).maps
    image = Maps(maps["heat"], maps["paf"], (2.0, 2.0), (0.5, 0.5), STRIDE)
    ours, theirs = (candidate(name).run(image, COCO18) for name in ("fast", "others:decode"))
    assert len(ours) == len(theirs) == 3
    assert all(pose.score > 1 for pose in theirs)
    return np.stack([a.keypoints - b.keypoints for a, b in zip(ours, theirs, strict=True)])


@pytest.mark.parametrize("function", [as_poses, as_arrays])
def test_another_s_people_are_brought_to_the_image(monkeypatch, function):
    assert np.abs(off(monkeypatch, function)).max() < 1e-3


def test_another_s_that_are_elsewhere_are_elsewhere(monkeypatch):
    assert np.abs(off(monkeypatch, shifted)[..., 0]).max() == pytest.approx(16, abs=0.01)


def test_a_slow_decoder_is_measured_once_and_left_out_with_more_people(monkeypatch):
    monkeypatch.setattr(decode, "MAPS", ((8, 12),))
    monkeypatch.setattr(decode, "SIZES", ())
    monkeypatch.setattr(decode, "PEOPLE", (1, 2))
    monkeypatch.setattr(decode, "_ONCE", 0.0)
    monkeypatch.setattr(decode, "_PATIENCE", 0.0)
    measured = [candidate("fast"), candidate("reference-tensorboy")]

    rows = decode.rows_of(measured, [], 0.001)

    assert [(row["people"], row["decoder"], row["rounds"]) for row in rows] == [
        (1, "fast", 1), (1, "reference-tensorboy", 1),
    ]  # fmt: skip


def options(*arguments):
    return parser().parse_args(["decode", "--seconds", "0.001", *arguments])


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(decode, "MAPS", ((12, 20),))
    monkeypatch.setattr(decode, "SIZES", ((8, 14),))
    monkeypatch.setattr(decode, "PEOPLE", (1, 10))
    monkeypatch.setattr(decode, "first_call", lambda: 0.5)


def test_a_report_has_ratios_curves_and_the_time_of_each_step(small, monkeypatch):
    plain = {"map": "12x20", "people": 1, "decoder": decode.PLAIN, "ms": 5.0, "found": 1, "rounds": 5}
    monkeypatch.setattr(decode, "without_numba", lambda options: [plain])
    monkeypatch.setattr(jit, "available", lambda: True)

    report = decode.report(options("--decoders", "fast,reference"))

    first = [row for row in report.rows if row["map"] == "12x20" and row["people"] == 1]
    ours, theirs, without = first
    assert without["decoder"] == decode.PLAIN
    assert ours["times reference"] == pytest.approx(theirs["ms"] / ours["ms"])
    assert theirs["times reference"] == 1
    assert [[*panel.series] for panel in report.panels[:2]] == [
        ["fast", "reference", decode.PLAIN], ["fast", "reference"],
    ]  # fmt: skip
    assert {"peaks", "pairs", "assemble"} <= {*report.panels[2].series}
    assert "0.50 s" in report.of
    assert "times reference" in harness.text(report)


def test_without_the_yardstick_there_are_no_ratios(small, monkeypatch):
    monkeypatch.setattr(jit, "available", lambda: False)

    report = decode.report(options("--decoders", "fast"))

    assert {row["times reference"] for row in report.rows} == {"-"}
    assert {row["decoder"] for row in report.rows} == {"fast"}


@pytest.mark.slow
@pytest.mark.skipif(not jit.available(), reason="numba is not installed, or turned off")
def test_the_first_call_imports_numba_and_reads_what_was_compiled():
    assert 0.1 < decode.first_call() < 60


@pytest.mark.parametrize("seconds", ["0", "nan", "61"])
def test_a_time_that_cannot_be_is_refused(seconds):
    with pytest.raises(UserError, match="expected a number above 0, at most 60"):
        decode.report(options("--seconds", seconds))
