"""What the speed of the training data is measured on, and that each piece of it runs."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import data
from benchmarks.__main__ import parser
from shared.errors import UserError
from shared.recipes import recipe
from shared.scenes import dataset


@pytest.fixture(scope="module")
def scenes():
    return data.JpegScenes(12)


def test_crops_hold_2_8_people_on_average_inside_of_them(scenes):
    found = data.crops(scenes)

    assert sum(map(len, found)) / len(found) == pytest.approx(2.8)
    for points in found:
        known = points[points[..., 2] > 0]
        assert len(known)
        assert (known[:, :2] > -20).all()
        assert (known[:, :2] < data.CROP + 20).all()  # a keypoint may be a little outside of its person's box


def test_crops_are_the_same_every_time(scenes):
    for one, other in zip(data.crops(scenes), data.crops(scenes), strict=True):
        np.testing.assert_array_equal(one, other)


def test_jpegs_are_the_scenes(scenes):
    difference = scenes[3].image.astype(int) - dataset.read("train", 3)

    assert 0 < np.abs(difference).mean() < 4


@pytest.mark.parametrize("name", data.RECIPES)
def test_the_whole_pipeline_makes_batches_one_after_the_other(name, scenes):
    work = data.pipeline_callable(name, lambda _: scenes)
    one, other = work(), work()

    assert one.images.shape == (8, data.CROP, data.CROP, 3)
    assert one.heat.shape == (8, 46, 46, 19)
    assert np.abs(one.images - other.images).max() > 0.1


def options(*arguments: str):
    return parser().parse_args(["data", "--seconds", "0.01", *arguments])


@pytest.mark.slow
def test_a_report_has_the_ratio_to_the_plain_version_and_what_a_network_eats(monkeypatch, scenes):
    points = data.crops(scenes)[:1]
    monkeypatch.setattr(data, "JpegScenes", lambda: scenes)
    monkeypatch.setattr(data, "crops", lambda scenes: points)
    monkeypatch.setattr(data, "_CROPS", 1)
    small = {"width": 0.125, "stages": 1}
    monkeypatch.setattr(data, "recipe", lambda *of: replace(recipe(*of), **small))

    report = data.report(options("--framework", "torch", "--batch", "2"))
    rows = {row["work"]: row for row in report.rows}

    slow, fast = rows["targets, plain Python"], rows["targets"]
    assert fast["times the plain version"] == pytest.approx(slow["ms per sample"] / fast["ms per sample"])
    fed, eats = rows["JPEG to batch, modern"], rows["training step, modern"]
    assert eats["times fed by one core"] == pytest.approx(fed["samples/s"] / eats["samples/s"])
    assert "training steps of torch on cpu" in report.of


def test_photographs_take_the_place_of_the_scenes(monkeypatch, scenes, tmp_path):
    asked = []
    monkeypatch.setattr(data, "Folder", lambda *of: asked.append(of))

    assert data._source(options(), scenes)("zc") is scenes
    data._source(options("--annotations", "a.json", "--images", "b"), scenes)("modern")

    assert [str(part) for part in asked[0][:2]] == ["a.json", "b"]
    assert asked[0][2].samples == "image"


@pytest.mark.parametrize("arguments", [("--images", "b"), ("--annotations", "a.json")])
def test_half_of_a_data_set_is_refused(arguments):
    with pytest.raises(UserError, match="--annotations and --images belong together"):
        data.report(options(*arguments))


@pytest.mark.parametrize("seconds", ["0", "nan", "3601"])
def test_a_time_that_cannot_be_is_refused(seconds):
    with pytest.raises(UserError, match="expected a number above 0"):
        data.report(options("--seconds", seconds))
