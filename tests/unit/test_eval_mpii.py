"""MPII as an evaluation: people in the order of the truth, hand-computed numbers, and what is refused."""

import json

import cv2
import numpy as np
import pytest

from eval import data as sources
from eval.mpii import from_files
from shared import pckh
from shared.coco_ap import results
from shared.errors import UserError
from shared.pckh import Truth
from shared.person import Pose
from shared.skeleton import COCO17, MPII16

IMAGES = ("b.png", "a.png", "b.png", "c.png", "b.png")  # of the five people, those of one image apart
HEAD = 30.0  # px, of 0.6 times the diagonal of a box of 30 by 40


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))


def joints(number):
    """(16, 2) of person `number`, counted from 1."""
    k = np.arange(16)
    return np.stack([20.0 + 10 * number + 2 * k, 15 + 3.0 * k], axis=-1)


def truth(people=5):
    missing = np.zeros((people, 16), bool)
    missing[1, MPII16.index("left_wrist")] = True
    heads = np.tile(np.array([(5.0, 5), (35, 45)]), (people, 1, 1))
    return Truth(np.stack([joints(n) for n in range(people)]) * ~missing[..., None], missing, heads)


@pytest.fixture
def files(tmp_path):
    """Folder with valid.json, gt_valid.json and images/."""
    (tmp_path / "images").mkdir()
    for name in set(IMAGES):
        cv2.imwrite(str(tmp_path / "images" / name), np.full((96, 120, 3), 128, np.uint8))
    entries = []
    for n, name in enumerate(IMAGES):
        box = {"image": name, "center": [60 + 5 * n, 50], "scale": 0.4}
        entries.append({**box, "joints": joints(n).tolist(), "joints_vis": [1] * 16})
    (tmp_path / "valid.json").write_text(json.dumps(entries))
    pckh.write(truth(), tmp_path / "gt_valid.json")
    return tmp_path


def loaded(files, **options):
    return from_files(files / "valid.json", files / "images", options.get("truth"))


def predicted(found, change=lambda numbers, points: points, ids=None):
    """Poses of everybody, in COCO's results format: the truth, changed; people in the order of their boxes."""
    entries = []
    for image_id in [r.id for r in found.dataset.images] if ids is None else ids:
        rows = found.metric.rows[image_id]
        points = np.stack([joints(n) - 1 for n in rows])
        poses = [Pose(np.column_stack([p, np.ones(16)]), 0.5) for p in change(rows, points)]
        entries += results(image_id, poses, MPII16)
    return entries


def score(found, entries, ids=None):
    return found.metric.score(entries, [r.id for r in found.dataset.images] if ids is None else ids, "pycocotools")


def test_perfect_predictions_are_all_right(files):
    found = loaded(files)
    numbers = score(found, predicted(found))

    assert set(numbers.values()) == {100.0}
    assert list(numbers)[-3:] == ["Mean", "Mean@0.10", "Mean@0.11"]
    assert found.metric.main == "Mean"
    assert sum(found.metric.losses(predicted(found), range(3)).values()) == 0


def test_people_keep_the_numbers_of_the_file(files):
    found = loaded(files)

    assert [r.file_name for r in found.dataset.images] == ["b.png", "a.png", "c.png"]
    assert {i: rows.tolist() for i, rows in found.metric.rows.items()} == {0: [0, 2, 4], 1: [1], 2: [3]}
    # a square of 200 scale, 15 scale below the centre, from 0
    assert found.boxes[0].boxes.tolist() == [[19 + 5 * n, 15, 80, 80] for n in (0, 2, 4)]
    assert found.boxes[1].scores.tolist() == [1]
    other = predicted(found, lambda rows, points: points[::-1])
    assert score(found, other)["Mean"] < 60  # b.png's first and last are 40 px apart


def offset(person, joint, px):
    def change(rows, points):
        points[list(rows).index(person), MPII16.index(joint), 0] += px
        return points

    return lambda rows, points: change(rows, points) if person in rows else points


OFF = 100 * 68 / 69  # five people with 14 joints in the mean, one of which is missing; another one is off


@pytest.mark.parametrize(
    ("joint", "px", "changed"),
    [
        # of four left wrists, and five right ones
        ("left_wrist", HEAD / 2 + 0.01, {"Wrist": (100 + 75) / 2, "Mean": OFF, "Mean@0.10": OFF, "Mean@0.11": OFF}),
        ("left_wrist", HEAD / 2 - 0.01, {"Mean@0.10": OFF, "Mean@0.11": OFF}),
        ("head_top", -HEAD, {"Head": 80, "Mean": OFF, "Mean@0.10": OFF, "Mean@0.11": OFF}),
        ("head_top", 3.15, {"Mean@0.10": OFF}),  # between a tenth of a head and eleven hundredths
        ("pelvis", 90, {}),
    ],
)
def test_a_joint_that_is_off_costs_what_one_can_count(files, joint, px, changed):
    found = loaded(files)

    numbers = score(found, predicted(found, offset(4, joint, px)))

    assert numbers == pytest.approx({name: changed.get(name, 100.0) for name in numbers})


def test_details_tell_left_from_right_at_every_threshold(files):
    found = loaded(files)
    entries = predicted(found, offset(4, "left_wrist", 3.15))  # between a tenth of a head and eleven hundredths

    details = found.metric.details(entries, [0, 1])

    off = {("left_wrist", "@0.10"): 200 / 3, ("Wrist", "@0.10"): (100 + 200 / 3) / 2, ("Mean", "@0.10"): 100 * 54 / 55}
    assert {(name, at): value for name, row in details.items() for at, value in row.items() if value != 100} == (
        pytest.approx(off)
    )
    assert len(details) == 8 + 16
    assert found.metric.details(entries, [1])["left_wrist"] == {"@0.50": -1, "@0.10": -1, "@0.11": -1}


def test_a_missing_joint_counts_nowhere(files):
    found = loaded(files)

    numbers = score(found, predicted(found, offset(1, "left_wrist", 500)))

    assert set(numbers.values()) == {100.0}


@pytest.mark.parametrize("ids", [[0], [2], [0, 2]])
def test_a_part_of_the_images_is_judged_by_its_own_people(files, ids):
    found = loaded(files)
    entries = predicted(found, offset(3, "head_top", HEAD), ids)  # c.png's only person

    numbers = score(found, entries, ids)

    people = sum(len(found.metric.rows[i]) for i in ids)
    assert numbers["Head"] == pytest.approx(100 * (people - (2 in ids)) / people)
    listed = files / "ids.txt"
    listed.write_text("\n".join(map(str, ids)))
    name, records = sources.subset(found, str(listed), files / "valid.json")
    assert (name, [r.id for r in records]) == ("listed", ids)


def test_a_number_that_is_none_is_minus_one(files):
    absent = truth()
    absent.missing[:, MPII16.index("head_top")] = True
    pckh.write(absent, files / "gt_valid.json")
    found = loaded(files)

    assert score(found, predicted(found))["Head"] == -1


def test_people_without_a_prediction_are_wrong(files):
    found = loaded(files)
    ids = [0, 1, 2]

    assert score(found, predicted(found, ids=[0, 1]), ids)["Mean"] == pytest.approx(100 * 55 / 69)
    assert found.metric.losses(predicted(found, ids=[0, 1]), ids) == {0: 0, 1: 0, 2: 16}


def test_the_losses_are_joints_farther_off_than_half_a_head(files):
    found = loaded(files)
    entries = predicted(found, offset(2, "right_knee", HEAD / 2 + 0.01))

    assert found.metric.losses(entries, [0, 2]) == {0: 1, 2: 0}
    assert found.metric.losses(predicted(found, offset(1, "left_wrist", 99)), [1]) == {1: 0}


def test_the_data_are_identified_by_both_files(files):
    before = loaded(files)
    changed = truth()
    changed.points[0, 0] += 1
    pckh.write(changed, files / "other.json")
    after = loaded(files, truth=files / "other.json")

    assert before.identity == after.identity
    assert before.identity["name"] == "mpii"
    assert before.metric.about["truth_sha256"] != after.metric.about["truth_sha256"]
    assert before.metric.skeleton == MPII16 != COCO17
    assert before.read(before.dataset.images[0]).shape == (96, 120, 3)  # valid.json does not tell sizes
    assert [p.id for p in before.dataset.persons(0)] == [0, 2, 4]


def test_gt_valid_mat_is_the_same_truth(files):
    pytest.importorskip("scipy", reason="optional: MATLAB files need SciPy")
    from scipy.io import savemat

    before = loaded(files)
    wanted = score(before, predicted(before, offset(0, "head_top", HEAD)))
    points = truth()
    names = np.empty((1, 16), object)
    names[0] = pckh.NAMES
    savemat(files / "gt_valid.mat", {
        "dataset_joints": names, "jnt_missing": points.missing.T.astype(float),
        "pos_gt_src": points.points.transpose(1, 2, 0), "headboxes_src": points.heads.transpose(1, 2, 0),
    })  # fmt: skip
    (files / "gt_valid.json").unlink()
    found = loaded(files)

    assert score(found, predicted(found, offset(0, "head_top", HEAD))) == pytest.approx(wanted)
    assert found.metric.about == before.metric.about


def test_a_truth_of_other_people_is_refused(files):
    pckh.write(truth(4), files / "gt_valid.json")

    with pytest.raises(UserError, match=r"gt_valid.json: 4 people, .*valid.json has 5; expected the truth of these"):
        loaded(files)


def test_files_that_are_not_there_are_refused(files):
    (files / "gt_valid.json").unlink()
    with pytest.raises(UserError, match=r"--data mpii: no gt_valid.json or gt_valid.mat beside .*give the truth with"):
        loaded(files)
    with pytest.raises(UserError, match=r"none.json: No such file or directory; expected MPII's gt_valid.mat"):
        loaded(files, truth=files / "none.json")
    with pytest.raises(UserError, match=r"none.json: No such file"):
        from_files(files / "none.json", files / "images", None)
    with pytest.raises(UserError, match="no such folder; expected the folder of the pictures"):
        from_files(files / "valid.json", files / "none", None)
    for arguments in ((None, files / "images"), (files / "valid.json", None)):
        with pytest.raises(UserError, match=r"--data mpii needs --annotations valid.json and --images DIR"):
            from_files(*arguments, None)


def test_a_subset_of_coco_is_refused(files):
    with pytest.raises(UserError, match="--subset 1160: is one of COCO's"):
        sources.subset(loaded(files), "1160", files / "valid.json")
