"""The fast decoder on odd maps, without numba, and on real ones; its ceiling."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ceiling
from benchmarks.candidates import candidate, steps
from shared import coco, coco_ap, jit, merging
from shared.codec import decoders, fast, fast_numpy
from shared.codec.spec import DECODERS, FAST, STRIDE
from shared.skeleton import COCO18
from tests.unit.people import COCO_MINI, crowd, drawn, needs_coco_mini, part, people, person, poses, stored

ROOT = Path(__file__).parents[2]
VAL = COCO_MINI.parent / "val2017_keypoints_240.json"
SAME = 1e-9  # float64 in another order

needs_numba = pytest.mark.skipif(not jit.available(), reason="numba is not installed, or turned off")
needs_val = pytest.mark.skipif(not VAL.is_file(), reason=f"no {VAL}: the project's sample of COCO's annotations")


def noise(size, seed=0):
    """Peaks everywhere, and so many zeros between them that they do not count as noise."""
    rng = np.random.default_rng(seed)
    heat = rng.random((*size, COCO18.n_heat), np.float32)
    return {"heat": heat * (heat > 0.4), "paf": rng.normal(0, 1, (*size, COCO18.n_paf)).astype(np.float32)}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2)])
def test_the_smallest_maps_are_decoded(size, compiled, monkeypatch):
    monkeypatch.setenv(jit.OFF, "1" if compiled else "0")

    for pose in poses(noise(size)):
        assert np.isfinite(pose.keypoints).all()
        assert (
            np.abs(pose.keypoints[:, :2]) <= STRIDE * (max(size) + 1)
        ).all()  # a peak outside is a cell away at most


@pytest.mark.parametrize("compiled", [True, False])
def test_values_that_are_not_numbers_end_in_no_such_people(compiled, monkeypatch):
    monkeypatch.setenv(jit.OFF, "1" if compiled else "0")
    maps = noise((20, 30))
    maps["heat"][3:6, 4:9], maps["heat"][10, 10], maps["paf"][5, 5] = np.nan, np.inf, np.nan

    found = poses(maps)

    assert found
    assert all(np.isfinite(pose.keypoints).all() and np.isfinite(pose.score) for pose in found)


def test_equal_values_everywhere_are_one_peak():
    points, firsts = fast.peaks(np.full((20, 30, 19), 0.5, np.float32), 18, replace(FAST, noise=0.0))

    np.testing.assert_array_equal(np.diff(firsts), 1)
    assert len(points) == 18


def test_noise_has_more_peaks_and_limbs_than_room_was_made_for():
    maps = noise((40, 60))
    maps["paf"][:] = np.abs(maps["paf"])

    points, firsts = fast.peaks(maps["heat"], 18, FAST)
    ends, owners, scores = fast.pairs(points, firsts, maps["paf"], COCO18, FAST)

    assert len(points) > 1024
    assert len(ends) == len(owners) == len(scores) > 1024
    kinds = np.repeat(np.arange(18), np.diff(firsts))
    np.testing.assert_array_equal(kinds[ends], np.array(COCO18.limbs)[owners])
    assert len(poses(maps)) > 10


def test_each_peak_belongs_to_one_person_at_most():
    maps = noise((30, 40))
    points, firsts = fast.peaks(maps["heat"], 18, FAST)

    slots, _ = fast.people(points, firsts, fast.pairs(points, firsts, maps["paf"], COCO18, FAST), COCO18, FAST)

    used = slots[slots >= 0]
    assert len(np.unique(used)) == len(used) == len(points)


def noisy(maps, sigma, seed=0):
    rng = np.random.default_rng(seed)
    return {name: (field + rng.normal(0, sigma, field.shape)).astype(np.float32) for name, field in maps.items()}


@pytest.mark.parametrize("size", [(46, 82), (92, 164), (13, 17)])
def test_the_threshold_is_three_deviations_of_the_noise(size):
    heat = noisy({"heat": np.zeros((*size, 19))}, 0.05)["heat"]

    assert fast_numpy.threshold(heat, 18, FAST) == pytest.approx(0.15, rel=0.1)
    assert fast_numpy.threshold(heat, 18, replace(FAST, noise=0.0)) == np.float32(0.05)
    assert fast_numpy.threshold(heat / 100, 18, FAST) == np.float32(0.05)


@pytest.mark.parametrize("count", [1, 30])
def test_people_are_no_noise(count):
    assert fast_numpy.threshold(drawn(COCO18, crowd(COCO18, count))["heat"], 18, FAST) == np.float32(0.05)


@pytest.mark.parametrize("compiled", [True, False])
def test_noise_hides_nobody_and_invents_nobody(compiled, monkeypatch):
    monkeypatch.setenv(jit.OFF, "1" if compiled else "0")
    maps = drawn(COCO18, crowd(COCO18, 3))
    spoilt = noisy(maps, 0.05)

    assert len(poses(spoilt)) == len(poses(maps)) == 3
    assert len(fast.peaks(spoilt["heat"], 18, replace(FAST, noise=0.0))[0]) > 10 * len(
        fast.peaks(maps["heat"], 18, FAST)[0]
    )


def everything(maps, **changes):
    return [(pose.score, *pose.keypoints.ravel()) for pose in poses(maps, **changes)]


def test_the_same_maps_give_the_same_people_and_stay_as_they_are():
    maps = noise((30, 40))
    before = {name: field.copy() for name, field in maps.items()}

    assert everything(maps) == everything(maps)
    assert everything(maps) != everything(noise((30, 40), seed=1))
    for name, field in maps.items():
        np.testing.assert_array_equal(field, before[name])


@pytest.mark.parametrize("compiled", [True, False])
def test_maps_of_any_layout_and_type_are_accepted(compiled, monkeypatch):
    monkeypatch.setenv(jit.OFF, "1" if compiled else "0")
    maps = drawn(COCO18, crowd(COCO18, 2))
    strided = {k: np.moveaxis(np.ascontiguousarray(np.moveaxis(v, -1, 0)), 0, -1) for k, v in maps.items()}

    assert everything(strided) == everything(maps)
    for kind, away in ((np.float64, 1e-5), (np.float16, 0.5)):
        other = {name: field.astype(kind) for name, field in maps.items()}
        np.testing.assert_allclose(people(other), people(maps), atol=away)


@needs_numba
@pytest.mark.parametrize("maps", [noise((30, 40)), drawn(COCO18, crowd(COCO18, 3))], ids=["noise", "people"])
@pytest.mark.parametrize("refine", ["gaussian", None])
def test_peaks_and_limbs_are_the_same_without_numba(maps, refine, monkeypatch):
    spec = replace(FAST, refine=refine)

    def found():
        points, firsts = fast.peaks(maps["heat"], 18, spec)
        return points, firsts, *fast.pairs(points, firsts, maps["paf"], COCO18, spec)

    compiled = found()
    monkeypatch.setattr(jit, "available", lambda: False)
    monkeypatch.delattr("shared.codec.fast_kernels.pairs")  # not called

    for ours, theirs in zip(compiled, found(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=SAME)
        assert len(ours) > 18


@needs_numba
def test_the_threshold_itself_is_no_peak_either_way(monkeypatch):
    heat = np.zeros((9, 9, 19), np.float32)
    heat[4, 4, 0], heat[4, 4, 1] = FAST.peak_threshold, np.nextafter(np.float32(FAST.peak_threshold), np.float32(1))

    for value in ("1", "0"):
        monkeypatch.setenv(jit.OFF, value)
        assert np.diff(fast.peaks(heat, 18, FAST)[1]).tolist() == [0, 1] + 16 * [0]


DECODE = """
import json, sys, numpy as np
from shared import jit
from shared.codec.decoders import decode
from shared.skeleton import COCO18
with np.load(sys.argv[1]) as file:
    found = decode("fast", file["heat"], file["paf"], COCO18)
people = [[pose.score, *map(float, pose.keypoints.ravel())] for pose in found]
print(json.dumps([jit.available(), "numba" in sys.modules, people]))
"""


@needs_numba
@pytest.mark.parametrize("peaks", ["noise", "people", "one low peak"])
def test_people_are_the_same_in_a_process_without_numba(peaks, tmp_path):
    maps = drawn(COCO18, np.stack([person(COCO18, 117.6, ("neck",)), part(366.7, ["left_knee", "left_ankle"])]))
    if peaks == "noise":
        maps = noise((12, 16))
    elif peaks == "one low peak":  # nothing is left to be joined
        maps = {name: np.zeros_like(field) for name, field in maps.items()}
        maps["heat"][10, 12, 3] = 0.2
    np.savez(tmp_path / "maps.npz", **maps)
    command = [sys.executable, "-c", DECODE, str(tmp_path / "maps.npz")]

    done = subprocess.run(command, cwd=ROOT, env={**os.environ, jit.OFF: "0"}, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    compiled, imported, found = json.loads(done.stdout)
    assert not compiled
    assert not imported
    ours = everything(maps)
    assert len(found) == len(ours)
    if ours:
        np.testing.assert_allclose(found, ours, atol=1e-4)  # float32 px


def real(name):
    """AP, and how many people were found where there is none, of a decoder on the stored maps of a real network."""
    spec, predictions = DECODERS[name], []
    for image_id, fitted, maps, size in stored():
        merged = merging.merge([fitted], [maps], [], size, spec.resolution, COCO18)
        predictions += coco_ap.results(image_id, decoders.run(merged, COCO18, spec), COCO18)
    annotations = json.loads((COCO_MINI / "person_keypoints.json").read_text(encoding="utf-8"))
    images = [entry[0] for entry in stored()]
    evaluation = coco_ap._evaluation(predictions, annotations, images)
    evaluation.params.iouThrs, evaluation.params.areaRng = np.array([0.5]), [[0, 1e10]]
    evaluation.evaluate()
    items = [item for item in evaluation.evalImgs if item]
    false = sum(((item["dtMatches"][0] == 0) & ~item["dtIgnore"][0]).sum() for item in items)
    return coco_ap.score(predictions, annotations, images)["AP"], false


@needs_coco_mini
@pytest.mark.slow
def test_on_real_maps_it_is_better_than_every_reference_and_sees_no_more_false_people():
    found = {name: real(name) for name in DECODERS if name == "fast" or name.startswith("reference")}

    ap, false = found.pop("fast")

    assert ap >= 0.15
    assert ap > max(each for each, _ in found.values())
    assert false <= found["reference-openpose"][1]


@needs_val
@pytest.mark.slow
def test_the_ceiling_on_people_that_it_was_not_tuned_on_is_high_and_each_rule_has_its_share():
    data = coco.load(VAL)
    half = sorted(data.images, key=lambda record: record.id)[1::2]
    measured = [candidate("fast"), *steps()]

    rows = ceiling.run(data, half, ["paper"], [8], measured, 368)

    ap = {row["decoder"]: row["AP"] for row in rows}
    assert ap["fast"] >= 0.86
    assert ap["fast, join=None"] < 0.86
    assert ap["fast, refine=None"] < 0.7
    assert ap["fast, all of these"] < 0.6
