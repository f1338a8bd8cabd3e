"""The built-in benchmark: same seed, same bytes; annotations that say what is in the picture."""

import hashlib
import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from shared.scenes import __main__ as command
from shared.scenes import generator
from shared.scenes.body import Camera, draw_build, pose_body
from shared.scenes.canvas import BACKGROUND, PARTS, Canvas, box
from shared.scenes.clothing import draw_outfit
from shared.scenes.dataset import SPLITS, annotations, read, statistics, write
from shared.scenes.generator import HEIGHT, SCALES, WIDTHS, generate
from shared.scenes.paint import draw_person
from shared.scenes.poses import Angles, Arm, Leg
from shared.scenes.visibility import person_annotation, run_lengths

# Of the pixels and the annotations; recorded on x86-64 with NumPy 2.4 and OpenCV 4.14.  A change that alters
# them raises dataset.VERSION, for numbers measured on the old scenes no longer compare.
SHA256 = {
    ("val", 0): "cd9d13868fc4476cbbaf850de4e68f6138900dc6f6466f996369bae488ee548b",
    ("train", 7): "8d2e3dc69ecd280b0a793e46a936c4769dcd6da44c6f039ba91b7ed753f31c34",
}
NOSE, LEFT_EYE, RIGHT_EYE, LEFT_SHOULDER, RIGHT_SHOULDER = 0, 1, 2, 5, 6
LEFT_HIP, LEFT_KNEE, LEFT_ANKLE = 11, 13, 15
AREA_RATIO = 0.9  # polygons have no holes and their corners are simplified by 0.8 px
STANDING = Angles("standing", (Arm(0, 12, 10, 0), Arm(0, 12, 10, 0)), (Leg(0, 5, 2), Leg(0, 5, 2)))


@pytest.fixture(scope="module")
def coco() -> dict:
    return annotations("train", range(96))


def _digest(split: str, index: int) -> str:
    scene = generate(split, index)
    text = json.dumps(scene.annotations, sort_keys=True)
    return hashlib.sha256(scene.image.tobytes() + text.encode()).hexdigest()


def _people(coco: dict) -> list[dict]:
    return [a for a in coco["annotations"] if not a["iscrowd"]]


def _standing(yaw: float, cover: np.ndarray | None = None, foot: tuple[float, float] = (150, 340)) -> np.ndarray:
    """(17, 3) keypoints of somebody 300 px tall in an empty 368 x 300 image, perhaps behind a cover."""
    rng = np.random.default_rng(3)
    canvas = Canvas(np.full((368, 300, 3), 128, np.uint8), (0.0, -0.5))
    body = pose_body(draw_build(rng), STANDING, Camera(yaw, 5, 0, 300), foot)
    draw_person(canvas, body, draw_outfit(rng), 1)
    if cover is not None:
        canvas.hull(cover, (0, 0, 0), BACKGROUND)
    found = person_annotation(canvas, body, 1)
    assert found is not None
    return np.array(found["keypoints"]).reshape(17, 3)


@pytest.mark.parametrize("scene", SHA256)
def test_a_scene_has_the_recorded_bytes(scene):
    assert _digest(*scene) == SHA256[scene]


def test_scenes_do_not_depend_on_opencv_threads():
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        one = _digest("val", 3)
        cv2.setNumThreads(4)
        four = _digest("val", 3)
    finally:
        cv2.setNumThreads(threads)

    assert one == four


def test_split_index_and_seed_all_matter():
    images = [generate(*which).image for which in (("val", 0), ("train", 0), ("val", 1), ("val", 0, 1))]

    assert len({image.tobytes() for image in images}) == 4


def test_images_are_rgb_bytes_of_the_promised_sizes(coco):
    image = read("val", 5)

    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert {i["height"] for i in coco["images"]} == {HEIGHT}
    assert {i["width"] for i in coco["images"]} == set(WIDTHS)


def test_the_benchmark_is_as_varied_as_promised(coco):
    found = statistics(coco)

    assert found["images_without_people"] == 6  # one of sixteen
    assert found["crowd_regions"] > 0
    assert 6 <= found["most_people_in_an_image"] <= 8
    assert found["visible_height_min"] < 60
    assert 250 < found["visible_height_max"] <= HEIGHT
    assert found["keypoints_not_seen"] >= 0.15
    assert found["keypoints_hidden"] >= 0.05


def test_people_are_40_to_360_px_tall(monkeypatch):
    scales = []

    def spy(yaw, pitch, roll, scale):
        scales.append(scale)
        return Camera(yaw, pitch, roll, scale)

    monkeypatch.setattr(generator, "Camera", spy)
    monkeypatch.setattr(generator, "_CROWDED", 0.0)
    for index in range(40):
        generate("train", index)

    assert SCALES[0] <= min(scales) < 80
    assert 280 < max(scales) <= SCALES[1]


def test_keypoints_are_coco_triples_inside_the_image(coco):
    width = {i["id"]: i["width"] for i in coco["images"]}
    for annotation in coco["annotations"]:
        x, y, v = np.array(annotation["keypoints"], float).reshape(17, 3).T

        assert annotation["num_keypoints"] == (v > 0).sum()
        assert set(v) <= {0, 1, 2}
        assert not x[v == 0].any()
        assert not y[v == 0].any()
        assert (x[v > 0] <= width[annotation["image_id"]] - 1).all()
        assert (y[v > 0] <= HEIGHT - 1).all()


def test_seen_keypoints_lie_in_the_box(coco):
    for annotation in _people(coco):
        x, y, w, h = annotation["bbox"]
        seen = np.array(annotation["keypoints"], float).reshape(17, 3)
        seen = seen[seen[:, 2] == 2]

        assert (seen[:, 0] >= x - 1).all()
        assert (seen[:, 0] <= x + w).all()
        assert (seen[:, 1] >= y - 1).all()
        assert (seen[:, 1] <= y + h).all()


def test_pycocotools_reads_the_annotations_and_agrees_on_the_areas(coco, tmp_path):
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(coco))
    loaded = COCO(str(path))

    for annotation in loaded.loadAnns(loaded.getAnnIds()):
        mask = loaded.annToMask(annotation)
        x, y, w, h = annotation["bbox"]
        inside = mask[y : y + h, x : x + w].sum()

        assert inside >= 0.98 * mask.sum()
        if annotation["iscrowd"]:
            assert mask.sum() == annotation["area"]
        elif annotation["area"] > 2000:
            assert AREA_RATIO < annotation["area"] / mask.sum() < 1 / AREA_RATIO


def test_run_lengths_are_decoded_by_pycocotools():
    mask = np.random.default_rng(0).random((7, 5)) < 0.5
    mask[0, 0] = True

    rle = run_lengths(mask)

    assert rle["counts"][0] == 0
    np.testing.assert_array_equal(coco_mask.decode(coco_mask.frPyObjects(rle, *rle["size"])), mask)


def test_ids_are_unique_and_names_follow_the_index(coco):
    assert coco["images"][7]["file_name"] == "train_000007.png"
    assert coco["images"][7]["id"] == 8
    assert len({a["id"] for a in coco["annotations"]}) == len(coco["annotations"])
    assert {a["category_id"] for a in coco["annotations"]} == {1}


def test_left_is_at_larger_x_from_the_front_and_smaller_x_from_the_back():
    front, back = _standing(0), _standing(180)

    assert front[LEFT_SHOULDER, 0] > front[RIGHT_SHOULDER, 0] + 30
    assert back[LEFT_SHOULDER, 0] < back[RIGHT_SHOULDER, 0] - 30


def test_a_face_is_seen_from_the_front_only():
    front, back = _standing(0), _standing(180)

    assert (front[[NOSE, LEFT_EYE, RIGHT_EYE], 2] == 2).all()
    assert (back[[NOSE, LEFT_EYE, RIGHT_EYE], 2] == 0).all()


def test_the_far_eye_is_not_seen_from_the_side():
    right_profile = _standing(-90)  # the person looks to image left: its left side is near

    assert right_profile[LEFT_EYE, 2] == 2
    assert right_profile[RIGHT_EYE, 2] < 2


def test_what_stands_before_a_person_hides_keypoints():
    free = _standing(0)
    x, y, _ = free[LEFT_HIP]

    hidden = _standing(0, cover=box(x - 20, y - 20, 40, 40))

    assert free[LEFT_HIP, 2] == 2
    assert hidden[LEFT_HIP, 2] == 1
    assert tuple(hidden[LEFT_HIP, :2]) == (x, y)
    np.testing.assert_array_equal(hidden[NOSE], free[NOSE])


def test_a_keypoint_with_no_neighbour_in_sight_is_not_labelled():
    hidden = _standing(0, cover=box(0, _standing(0)[LEFT_HIP, 1] + 30, 300, 300))

    assert hidden[LEFT_KNEE, 2] == 1
    assert hidden[LEFT_ANKLE, 2] == 0


def test_what_lies_outside_the_image_is_not_labelled():
    assert (_standing(0, foot=(150, 500))[[LEFT_KNEE, LEFT_ANKLE]] == 0).all()


def test_a_nearer_person_hides_a_farther_one():
    rng = np.random.default_rng(4)
    canvas = Canvas(np.full((368, 300, 3), 128, np.uint8), (0.0, -0.5))
    bodies = [pose_body(draw_build(rng), STANDING, Camera(0, 5, 0, s), (150, 350)) for s in (150, 300)]
    for slot, body in enumerate(bodies, 1):
        draw_person(canvas, body, draw_outfit(rng), slot)

    far = person_annotation(canvas, bodies[0], 1)

    assert far is None or far["num_keypoints"] < 17
    assert (canvas.ids >= 2 * PARTS).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("test", 0), "split 'test': unknown; choose one of train, val"),
        (("val", -1), "index -1: val has scenes 0 to 159"),
        (("val", SPLITS["val"]), "index 160: val has scenes 0 to 159"),
        (("val", 0, -1), "seed -1: expected a whole number"),
    ],
)
def test_a_scene_that_does_not_exist_is_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        generate(*arguments)


@pytest.mark.parametrize("workers", [1, 2])
def test_written_images_and_annotations_are_the_generated_ones(tmp_path, workers):
    path = write(tmp_path / "scenes", "val", count=3, workers=workers)

    written = json.loads(path.read_text())
    assert written == json.loads(json.dumps(annotations("val", range(3))))
    assert sorted(p.name for p in path.parent.iterdir()) == ["annotations.json", "images"]
    for index, image in enumerate(written["images"]):
        pixels = cv2.imread(str(path.parent / "images" / image["file_name"]))
        np.testing.assert_array_equal(pixels[..., ::-1], read("val", index))


def test_write_refuses_more_scenes_than_there_are(tmp_path):
    with pytest.raises(ValueError, match="count 161: val has 160 scenes; choose 1 to 160"):
        write(tmp_path, "val", count=161)


def test_the_command_prints_statistics_and_reports_a_bad_count(capsys):
    assert command.main(["statistics", "--split", "val", "--count", "4"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 4

    assert command.main(["statistics", "--split", "val", "--count", "200"]) == 2
    assert capsys.readouterr().err.startswith("error: index 160: val has scenes 0 to 159")
