"""The evaluation's benchmark compares like with like, and its stub stands for a network."""

import json

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import annotation_file, evaluation, startup
from eval import stages
from shared import coco_ap
from shared.errors import UserError
from shared.inference import BottomUp


@pytest.fixture(scope="module")
def stub():
    return evaluation.Stub(0.0, every=2)


def predictor(stub):
    return BottomUp(stub, "reference-tensorboy")


def test_the_stub_finds_its_people_in_any_picture(stub, tmp_path):
    (record,) = evaluation.pictures(tmp_path, 1, evaluation.STUB_IMAGE)

    prepared = predictor(stub).prepare(evaluation.read(record))

    assert prepared.fitted[0].input.shape[:2] == evaluation.STUB_INPUT
    assert len(predictor(stub).finish(prepared, *predictor(stub).forward([prepared]))) == evaluation.STUB_PEOPLE


def test_the_stub_keeps_a_curve():
    stub = evaluation.Stub(0.0, every=4)
    for n in (1, 3, 2, 2):
        assert stub(np.zeros((n, 8, 8, 3), np.float32))["heat"].shape[0] == n

    assert [images for images, _, _ in stub.curve] == [4, 8]
    assert all(seconds > 0 and gigabytes > 0 for _, seconds, gigabytes in stub.curve)


def test_both_ways_are_measured_and_compared(stub, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "_CHUNK", 2)
    records = evaluation.pictures(tmp_path, 3, evaluation.STUB_IMAGE)

    rows = evaluation.overlap(predictor(stub), records, tmp_path, 1)

    assert [row["images"] for row in rows] == [3] * (2 + len(stages.STAGES))
    assert rows[0]["times faster"] == "1.00"

    monkeypatch.setattr(evaluation, "one_by_one", lambda *_: {})
    (tmp_path / "again").mkdir()
    with pytest.raises(RuntimeError, match="gave other predictions"):
        evaluation.overlap(predictor(stub), records, tmp_path / "again", 1)


def test_made_up_results_are_neither_perfect_nor_hopeless(tmp_path, monkeypatch):
    monkeypatch.setattr(annotation_file, "_SCENES", 20)
    raw, found, ids = evaluation.made_up(tmp_path, 40)

    numbers = coco_ap.score(found, raw, ids)

    assert len(raw["annotations"]) == round(40 * evaluation.PEOPLE)
    assert 0.1 < numbers["AP"] < 0.9


@pytest.mark.slow
def test_the_command_prints_saves_and_draws(tmp_path, capsys):
    arguments = f"eval --images 2 --many 20 --wait 0 --decoder reference-tensorboy --out {tmp_path / 'e.json'}"

    assert command.main([*arguments.split(), "--plot", str(tmp_path / "e.svg")]) == 0

    assert "Of 2 drawn scenes" in capsys.readouterr().out
    assert [n for n, _, _ in json.loads((tmp_path / "e.json").read_text())["settings"]["curve"]] == list(range(1, 21))
    assert "own memory, GB" in (tmp_path / "e.svg").read_text()


def test_a_command_is_timed_to_its_end_and_its_failure_is_told():
    assert startup.seconds_of(["-c", "pass"]) > 0
    with pytest.raises(UserError, match=r"(?s)python -c 1/0 failed: .*ZeroDivisionError"):
        startup.seconds_of(["-c", "1/0"])


def test_an_evaluation_that_fails_before_its_first_image_is_told(tmp_path):
    with pytest.raises(UserError, match="failed: error: --limit 0: expected 1 or more"):
        startup.first_image_seconds(["--limit", "0", "--out", str(tmp_path)])
