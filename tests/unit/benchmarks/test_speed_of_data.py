"""What the speed of the training data is measured on, and that each piece of it runs."""

import numpy as np
import pytest

from benchmarks import data
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
    work = data.pipeline_callable(scenes, name)
    one, other = work(), work()

    assert one.images.shape == (8, data.CROP, data.CROP, 3)
    assert one.heat.shape == (8, 46, 46, 19)
    assert np.abs(one.images - other.images).max() > 0.1


@pytest.mark.slow
def test_a_report_has_the_ratio_to_the_plain_version(monkeypatch, scenes):
    points = data.crops(scenes)[:1]
    monkeypatch.setattr(data, "JpegScenes", lambda: scenes)
    monkeypatch.setattr(data, "crops", lambda scenes: points)

    report = data.report(0.01)
    rows = {row["work"]: row for row in report.rows}

    slow, fast = rows["targets, plain Python"], rows["targets"]
    assert fast["times the plain version"] == pytest.approx(slow["ms per sample"] / fast["ms per sample"])
    assert rows["JPEG to batch, modern"]["samples/s"] > 0
