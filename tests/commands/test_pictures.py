"""eval/pictures.py: what a run found, drawn over its images, or one line and nothing."""

import json
import shutil

import cv2
import numpy as np
import pytest

from eval import data
from eval.cli import main as evaluate
from eval.picturing import main
from shared import draw, draw_styles, pckh
from shared.person import Pose
from shared.scenes import dataset
from shared.skeleton import COCO17, MPII16

TITLE, GAP = 28, 6  # px of `shared.draw.tile`


@pytest.fixture(scope="module")
def scenes(coco):
    """Three drawn scenes, of which the second has nobody: their data and the options that name their files."""
    _, _, _, annotations, _, images = coco
    return data.from_files(annotations, images), ("--annotations", annotations, "--images", images)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, nets, coco):
    """A run of a network of one person over the scenes, on the boxes of the annotations."""
    out = tmp_path_factory.mktemp("runs") / "run"
    options = ("--weights", nets / "coco17.safetensors", *coco, "--boxes", "gt", "--out", out)
    assert evaluate([str(option) for option in options]) == 0
    return out


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "run")


def pictures(run, *options):
    """The pictures that the command wrote by the image's id."""
    assert main([str(option) for option in (run, *options)]) == 0
    return {int(path.stem.split("_")[3]): path for path in sorted((run / "pictures").glob("*"))}


def rgb(path):
    return cv2.imread(str(path))[..., ::-1]


def predict(run, people, score=0.9):
    """Put these people, keypoints (17, 3) by image id, into a run in place of what it found."""
    entries = [
        {"image_id": i, "category_id": 1, "keypoints": np.ravel(k).tolist(), "score": score}
        for i, several in people.items()
        for k in several
    ]
    (run / "predictions.json").write_text(json.dumps(entries))


def annotated(scenes):
    """The annotated people as if each had been found."""
    people = {
        r.id: [p.keypoints for p in scenes[0].dataset.persons(r.id) if p.n_keypoints] for r in scenes[0].dataset.images
    }
    return {i: [np.column_stack([k[:, :2], k[:, 2] > 0]) for k in several] for i, several in people.items()}


def test_found_people_stand_beside_the_annotated_ones(run, scenes, capsys):
    found = pictures(run, *scenes[1])

    predictions = json.loads((run / "predictions.json").read_text())
    assert set(found) == {1, 2, 3}
    assert capsys.readouterr().out == f"3 pictures in {run / 'pictures'}\n"
    for record in scenes[0].dataset.images:
        image, picture = scenes[0].read(record), rgb(found[record.id])
        entries = [p for p in predictions if p["image_id"] == record.id]
        poses = [Pose(np.reshape(p["keypoints"], (17, 3)).astype(np.float32), p["score"]) for p in entries]
        height, width = image.shape[:2]
        assert picture.shape == (height + TITLE, 2 * width + GAP, 3)
        np.testing.assert_array_equal(picture[TITLE:, :width], draw.draw_poses(image, poses, COCO17))
        people = scenes[0].dataset.persons(record.id)
        np.testing.assert_array_equal(picture[TITLE:, width + GAP :], draw.draw_persons(image, people))
        assert bool(entries) == (record.id != 2)


@pytest.mark.parametrize("style", ["chunhua", "xiaochu"])
def test_the_published_styles_draw_as_published(run, scenes, style):
    people = annotated(scenes)
    predict(run, people)

    found = pictures(run, *scenes[1], "--style", style, "--no-beside")

    assert [path.name for path in found.values()] == ["score_900_id_1_val_000000.png", "score_900_id_3_val_000002.png"]
    for i, path in found.items():
        record = scenes[0].dataset.images[i - 1]
        poses = [Pose(k.astype(np.float32), 0.9) for k in people[i]]
        image, persons = scenes[0].read(record), scenes[0].dataset.persons(i)
        expected = draw_styles.draw_poses(image, poses, persons, draw_styles.style(style))
        np.testing.assert_array_equal(rgb(path), expected)
        assert (rgb(path) != image).any()


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ((), {1, 2, 3}),
        (("--style", "chunhua"), set()),
        (("--style", "chunhua", "--score", 0.1), {1, 3}),
        (("--score", 0.9), {1, 2, 3}),
    ],
)
def test_people_below_the_least_score_are_not_drawn(run, scenes, options, ids):
    predict(run, annotated(scenes), score=0.2)

    found = pictures(run, *scenes[1], *options)

    assert set(found) == ids
    if options == ("--score", 0.9):
        assert {path.name.split("_")[1] for path in found.values()} == {"0"}


@pytest.mark.parametrize(("score", "ids"), [(0.19, set()), (0.2, {1, 3})])
def test_keypoints_below_the_published_score_are_not_drawn_in_the_published_styles(run, scenes, score, ids):
    faint = {i: [k * (1, 1, score) for k in several] for i, several in annotated(scenes).items()}
    predict(run, faint)

    assert set(pictures(run, *scenes[1], "--style", "chunhua")) == ids


def test_people_far_from_every_annotated_one_have_no_picture_in_the_published_styles(run, scenes):
    far = np.column_stack([np.linspace(5000, 5010, 17), np.linspace(5000, 5010, 17), np.ones(17)])
    predict(run, {1: [far], 3: annotated(scenes)[3]})

    assert set(pictures(run, *scenes[1], "--style", "chunhua")) == {3}


def test_the_worst_are_first_and_the_faultless_left_out(run, scenes):
    people = annotated(scenes)
    predict(run, {1: people[1], 3: people[3][:-1]})
    assert set(pictures(run, *scenes[1], "--worst")) == {3}

    predict(run, {1: [], 3: people[3][:-1]})
    shutil.rmtree(run / "pictures")
    lost = {1: len(people[1]), 3: 1}
    assert set(pictures(run, *scenes[1], "--worst", "--limit", 1)) == {max(lost, key=lambda i: (lost[i], -i))}


def test_only_the_first_images_on_demand_into_another_folder(run, scenes, tmp_path):
    assert main([str(o) for o in (run, *scenes[1], "--limit", 2, "--out", tmp_path / "a" / "b")]) == 0

    assert {path.name.split("_")[3] for path in (tmp_path / "a" / "b").iterdir()} == {"1", "2"}
    assert not (run / "pictures").exists()


def test_a_run_over_the_built_in_benchmark_needs_no_files(tmp_path, nets, benchmark, monkeypatch):
    monkeypatch.setattr(data, "builtin", lambda: benchmark)
    out = tmp_path / "run"
    options = ("--weights", nets / "coco17.safetensors", "--boxes", "gt", "--limit", 1, "--out", out)
    assert evaluate([str(option) for option in options]) == 0

    assert set(pictures(out)) == {1}


@pytest.fixture(scope="module")
def mpii(tmp_path_factory, nets):
    """A run over two scenes as MPII has them: its folder, and the options that name the files."""
    folder = tmp_path_factory.mktemp("mpii")
    (folder / "images").mkdir()
    entries, points = [], []
    for image, centre in (("a.png", (150, 160)), ("b.png", (200, 180)), ("b.png", (320, 200))):
        cv2.imwrite(str(folder / "images" / image), dataset.read("val", 0)[..., ::-1])
        joints = np.array(centre) + np.stack(
            [10.0 * (np.arange(16) % 4) - 15, 12.0 * (np.arange(16) // 4) - 18], axis=1
        )
        seen = [1] * 16
        entries.append({"image": image, "center": centre, "scale": 0.6, "joints": joints.tolist(), "joints_vis": seen})
        points.append(joints)
    (folder / "valid.json").write_text(json.dumps(entries))
    heads = np.tile([[0.0, 0.0], [30.0, 40.0]], (3, 1, 1))
    pckh.write(pckh.Truth(np.array(points), np.zeros((3, 16), bool), heads), folder / "gt_valid.json")
    options = ("--annotations", folder / "valid.json", "--images", folder / "images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSE_CACHE", str(folder / "cache"))
        command = (
            "--weights",
            nets / "mpii16.safetensors",
            "--data",
            "mpii",
            *options,
            "--out",
            folder / "run",
        )
        assert evaluate([str(option) for option in command]) == 0
        yield folder / "run", options


def test_mpii_has_pictures_of_its_sixteen_keypoints(mpii):
    run, options = mpii

    found = pictures(run, *options)

    assert [path.name for path in found.values()] == ["score_1000_id_0_a.png", "score_1000_id_1_b.png"]
    image, predictions = dataset.read("val", 0), json.loads((run / "predictions.json").read_text())
    poses = [Pose(np.reshape(p["keypoints"], (16, 3)).astype(np.float32), 1) for p in predictions if p["image_id"] == 1]
    assert len(poses) == 2
    left = rgb(found[1])[TITLE:, : image.shape[1]]
    np.testing.assert_array_equal(left, draw.draw_poses(image, poses, MPII16))
    right = rgb(found[1])[TITLE:, image.shape[1] + GAP :]
    assert (right[150:220, 180:220] != image[150:220, 180:220]).any()


def bad(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_mpii_has_no_published_style(mpii, capsys):
    run, options = mpii

    assert "--style chunhua: is of COCO's keypoints" in bad(capsys, run, *options, "--style", "chunhua")


BAD = {
    "no files": ((), "is of coco; give its --annotations FILE and --images DIR"),
    "unknown style": (("--style", "chunhau"), "did you mean chunhua?"),
    "no images": (("--limit", 0), "--limit 0: expected 1 or more"),
    "no score": (("--score", "nan"), "--score nan: expected a finite number"),
    "truth of mpii": (("--truth", "gt_valid.mat", "files"), "--truth: is for runs over mpii"),
    "a file as the folder": (("--out", "predictions.json", "files"), "is a file; expected a folder"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_options_are_one_line_and_leave_nothing(fault, run, scenes, capsys, monkeypatch):
    monkeypatch.chdir(run)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    options, message = BAD[fault]
    given = [*options[:-1], *scenes[1]] if options and options[-1] == "files" else options

    assert message in bad(capsys, run, *given)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


DAMAGED = {
    "no predictions": (None, "no such file; expected the folder of a finished run"),
    "half a file": ('[{"image_id": 1', "not understood"),
    "an object": ("{}", "not understood (a JSON dict)"),
    "too few keypoints": (json.dumps([{"image_id": 1, "score": 1, "keypoints": [1.0] * 48}]), "expected 17 keypoints"),
    "unlike lengths": (
        json.dumps([{"image_id": 1, "score": 1, "keypoints": [1.0] * n} for n in (51, 48)]),
        "not understood",
    ),
    "no number": (json.dumps([{"image_id": 1, "score": 1, "keypoints": [float("nan")] * 51}]), "finite x, y and v"),
    "another image": (
        json.dumps([{"image_id": 99, "score": 1, "keypoints": [1.0] * 51}]),
        "image 99 is none of the run's",
    ),
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_damaged_predictions_are_refused(fault, run, scenes, capsys):
    text, message = DAMAGED[fault]
    (run / "predictions.json").unlink()
    if text is not None:
        (run / "predictions.json").write_text(text)

    assert message in bad(capsys, run, *scenes[1])
    assert not (run / "pictures").exists()


def test_the_annotations_of_another_set_are_refused(run, scenes, capsys, tmp_path):
    content = json.loads(scenes[1][1].read_text())
    content["annotations"] = content["annotations"][:-1]
    (tmp_path / "annotations.json").write_text(json.dumps(content))

    error = bad(capsys, run, "--annotations", tmp_path / "annotations.json", *scenes[1][2:])

    assert "is of other data: annotations_sha256: " in error
    assert not (run / "pictures").exists()
