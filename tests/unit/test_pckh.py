"""PCKh against the published numbers, and its truth from MATLAB and JSON."""

import json
import sys

import numpy as np
import pytest

from shared import pckh
from shared.errors import UserError
from shared.pckh import NAMES, Truth
from shared.skeleton import MPII16

EXACT = 1e-12
JOINTS_AT_HALF = [100.0] * 8 + [100 / 3, 0.0] + [100 / 3] * 6


def truth():
    """Three people; the first lacks joint 0, the last joint 9.  Head sizes 30, 60 and 30 px."""
    person, joint = np.mgrid[:3, :16]
    points = np.stack([100 * (person + 1) + 5 * joint, 50 + 10 * person + 3 * joint], axis=-1).astype(float)
    missing = np.zeros((3, 16), bool)
    missing[0, 0] = missing[2, 9] = True
    heads = np.array([[(10, 20), (40, 60)], [(10, 20), (70, 100)], [(10, 20), (50, 50)]], float)
    return Truth(points, missing, heads)


def predictions():
    """Counted from 0; off by 0 to 30, 60 and 9.45 px."""
    found = truth().points - 1
    found[0, :, 0] += np.linspace(0, 30, 16)
    found[1, :, 1] += np.linspace(0, 60, 16)
    found[2, :, 0] += np.linspace(0, 9.45, 16)
    return found


def test_head_sizes_are_the_published_ones():
    np.testing.assert_allclose(truth().head_sizes, [30, 60, 30])


def test_joints_and_mean_are_the_published_ones():
    found = pckh.pckh(predictions(), truth())

    np.testing.assert_allclose(found.joints, JOINTS_AT_HALF, atol=EXACT)
    assert found.columns["Mean"] == pytest.approx(60, abs=EXACT)


def test_the_published_tenth_is_eleven_hundredths():
    row = pckh.score(predictions(), truth())

    assert row["Mean@0.10"] == pytest.approx(20, abs=EXACT)
    assert row["Mean@0.11"] == pytest.approx(22.5, abs=EXACT)
    assert np.arange(0, 0.51, 0.01)[11] == pckh.PUBLISHED_TENTH  # the row that the originals take
    assert list(row) == [
        "Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean", "Mean@0.10", "Mean@0.11",
    ]  # fmt: skip


def test_the_table_has_each_joint_at_each_threshold():
    found = pckh.table(predictions(), truth())

    assert list(found) == [*pckh.COLUMNS, "Mean", *MPII16.keypoints]
    assert list(found["Mean"].items()) == [("@0.50", pytest.approx(60)), ("@0.10", 20), ("@0.11", 22.5)]
    for threshold in pckh.THRESHOLDS:
        scores = pckh.pckh(predictions(), truth(), threshold)
        column = {name: row[f"@{threshold:.2f}"] for name, row in found.items()}
        assert column == {**scores.columns, **dict(zip(MPII16.keypoints, scores.joints, strict=True))}
    assert found["right_ankle"]["@0.50"] == 100 != found["head_top"]["@0.50"]


def test_a_column_is_the_mean_of_left_and_right():
    found = pckh.pckh(predictions(), truth())

    assert found.columns["Head"] == found.joints[9] == 0
    for name, (left, right) in {"Hip": (3, 2), "Knee": (4, 1), "Ankle": (5, 0), "Wrist": (15, 10)}.items():
        assert found.columns[name] == pytest.approx((found.joints[left] + found.joints[right]) / 2)
    assert found.columns["Ankle"] == 100
    assert found.columns["Shoulder"] == found.columns["Elbow"] == pytest.approx(100 / 3)


def wrong(name):
    points, found = truth(), predictions()
    if name == "counted from 1":
        return found + 1, points
    if name == "axes":
        return found[..., ::-1], points
    if name == "people":
        return found[::-1], points
    if name == "joints":
        return found[:, list(MPII16.flip)], points
    if name == "heads":
        return found, Truth(points.points, points.missing, points.heads * 0.9)
    return found, Truth(points.points, np.zeros((3, 16), bool), points.heads)


@pytest.mark.parametrize("name", ["counted from 1", "axes", "people", "joints", "heads", "missing"])
def test_a_mistake_would_be_seen(name):
    found = [pckh.pckh(*wrong(name), threshold).columns["Mean"] for threshold in (0.5, 0.10, 0.11)]

    assert max(np.abs(np.subtract(found, [60, 20, 22.5]))) > 0.5


def test_the_threshold_itself_is_right():
    points = truth()
    found = points.points - 1
    found[..., 0] += points.head_sizes[:, None] / 2

    assert pckh.pckh(found, points).columns["Mean"] == 100
    found[..., 0] += 1e-9
    assert pckh.pckh(found, points).columns["Mean"] == 0


def test_pelvis_and_thorax_do_not_count_in_the_mean():
    points = truth()
    found = points.points - 1
    found[:, 6:8] += 1000

    assert pckh.pckh(found, points).columns["Mean"] == 100
    found[:, 8] += 1000
    assert pckh.pckh(found, points).columns["Mean"] == pytest.approx(100 * (40 - 3) / 40)


def test_a_joint_that_nobody_has_is_no_number():
    points = truth()
    points.missing[:, 15] = True

    found = pckh.pckh(predictions(), points)

    assert np.isnan(found.joints[15])
    assert np.isnan(found.columns["Wrist"])
    assert np.isfinite(found.columns["Mean"])


def test_a_third_column_is_ignored_and_no_number_is_wrong():
    found = np.concatenate([predictions(), np.ones((3, 16, 1))], axis=-1)
    assert pckh.score(found, truth()) == pckh.score(predictions(), truth())

    found[1] = np.nan
    assert pckh.pckh(found, truth()).columns["Mean"] < 60


def test_a_head_without_size_makes_joints_wrong():
    points = truth()
    points.heads[:] = 5

    assert pckh.pckh(points.points - 1, points).columns["Mean"] == 0


@pytest.mark.parametrize("shape", [(2, 16, 2), (3, 17, 2), (0, 16, 2)])
def test_another_number_of_people_or_joints_is_refused(shape):
    with pytest.raises(UserError, match=r"expected \(3, 16, 2\): one for each person"):
        pckh.pckh(np.zeros(shape), truth())


def same(one, other):
    np.testing.assert_array_equal(one.points, np.where(other.missing[..., None], 0, other.points))
    np.testing.assert_array_equal(one.missing, other.missing)
    np.testing.assert_array_equal(one.heads, other.heads)


def test_json_comes_back(tmp_path):
    pckh.write(truth(), tmp_path / "valid.json")

    same(pckh.read(tmp_path / "valid.json"), truth())
    assert json.loads((tmp_path / "valid.json").read_text())["names"] == list(NAMES)


def content():
    source = truth()
    return {
        "names": list(NAMES), "missing": source.missing.astype(int).tolist(), "points": source.points.tolist(),
        "heads": source.heads.tolist(),
    }  # fmt: skip


def written(tmp_path, value):
    path = tmp_path / "truth.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_joints_are_found_by_their_names(tmp_path):
    order, entry = np.random.default_rng(0).permutation(16), content()
    entry["names"] = [NAMES[k] for k in order]
    for key in ("missing", "points"):
        entry[key] = np.array(entry[key])[:, order].tolist()

    same(pckh.read(written(tmp_path, entry)), truth())


def test_the_short_names_are_mpii16s():
    parts = {"ank": "ankle", "kne": "knee", "wri": "wrist", "elb": "elbow", "sho": "shoulder"}
    whole = {"pelv": "pelvis", "thor": "thorax", "neck": "upper_neck", "head": "head_top"}
    sides = {"r": "right", "l": "left"}

    for short, name in zip(NAMES, MPII16.keypoints, strict=True):
        assert name == (whole.get(short) or f"{sides[short[0]]}_{parts.get(short[1:], short[1:])}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ["nose", *NAMES[1:]]}, "joints nose rkne .*; expected rank rkne"),
        ({"names": 3}, "not understood"),
        ({"missing": [[0] * 16] * 2}, "shapes that do not fit"),
        ({"missing": [[2] * 16] * 3}, "missing holds 2; expected 0 or 1"),
        ({"points": [[[0, 0]] * 15] * 3}, "shapes that do not fit"),
        ({"points": [[[0, 0], [0]] * 8] * 3}, "shapes that do not fit"),
        ({"heads": [[[0, 0], [float("nan"), 0]]] * 3}, "NaN or infinity"),
        ({"missing": [], "points": [], "heads": []}, "nobody, NaN"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        pckh.read(written(tmp_path, {**content(), **change}))


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", '{"names": []}', "\x80"])
def test_what_is_no_truth_is_refused(tmp_path, text):
    with pytest.raises(UserError, match=r"expected MPII's gt_valid\.mat, or JSON"):
        pckh.read(written(tmp_path, text))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(UserError, match=r"No such file.*expected MPII's gt_valid.mat"):
        pckh.read(tmp_path / "gt_valid.mat")


def matlab(path, **changes):
    """gt_valid.mat as MPII's toolkit lays it out, its joints in another order than MPII16."""
    io = pytest.importorskip("scipy.io", reason="SciPy is not installed (needed for gt_valid.mat only)")
    source, order = truth(), np.arange(16)[::-1]
    names = np.empty((1, 16), object)
    names[0] = [np.array([NAMES[k]]) for k in order]
    fields = {
        "dataset_joints": names,
        "jnt_missing": source.missing[:, order].T.astype(np.uint8),
        "pos_gt_src": source.points[:, order].transpose(1, 2, 0),
        "headboxes_src": source.heads.transpose(1, 2, 0),
    }
    io.savemat(path, {key: value for key, value in {**fields, **changes}.items() if value is not None})
    return path


def test_matlabs_file_gives_the_same(tmp_path):
    found = pckh.read(matlab(tmp_path / "gt_valid.mat"))

    same(found, truth())
    assert pckh.score(predictions(), found) == pckh.score(predictions(), truth())


def test_the_truth_is_known_by_its_numbers_and_not_by_its_file(tmp_path):
    found = pckh.read(matlab(tmp_path / "gt_valid.mat"))
    pckh.write(found, tmp_path / "gt_valid.json")
    (tmp_path / "gt_valid.json").write_text((tmp_path / "gt_valid.json").read_text().replace(", ", ",\n"))

    assert pckh.read(tmp_path / "gt_valid.json").sha256 == found.sha256
    changed = [truth() for _ in range(3)]
    changed[0].points[2, 15, 1] += 1e-9
    changed[1].missing[0, 1] = True
    changed[2].heads[1, 0] += 1
    assert len({found.sha256, *(each.sha256 for each in changed)}) == 4
    assert truth().part(np.array([1, 0, 2])).sha256 != truth().sha256


def test_a_broken_or_other_matlab_file_is_refused(tmp_path):
    path = matlab(tmp_path / "gt_valid.mat", headboxes_src=None)
    with pytest.raises(UserError, match="holds no 'headboxes_src'"):
        pckh.read(path)

    whole = matlab(path).read_bytes()
    for size in (10, 200, len(whole) - 300):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"expected MPII's gt_valid\.mat"):
            pckh.read(path)


def test_without_scipy_a_matlab_file_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    path = tmp_path / "gt_valid.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))

    with pytest.raises(UserError, match="need SciPy, which is not installed here: pip install scipy; or make JSON"):
        pckh.read(path)
