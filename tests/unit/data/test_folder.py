"""Samples from an annotation file and a folder of images: who is in them, and one line for whatever is wrong."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from shared import coco
from shared.data.folder import Folder, Options
from shared.data.masks import MASK, mask_of
from shared.data.rules import MAIN_PERSON, main_people
from shared.errors import UserError
from shared.scenes import dataset
from shared.skeleton import COCO17
from tests.unit.data.annotated import crowd, person, written

MINI = Path(__file__).parents[4] / "shared" / "data" / "coco_mini"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Eight drawn scenes as files."""
    where = tmp_path_factory.mktemp("scenes")
    dataset.write(where, "val", 8)
    return where / "annotations.json", where / "images"


def check_against_coco(source, annotations, options):
    """Every sample is what loops over `shared.coco`'s annotations give."""
    loaded = coco.load(annotations)
    by_image = {}
    for entry in loaded.raw["annotations"]:
        by_image.setdefault(entry["image_id"], []).append(entry)
    expected = {}
    for record in loaded.images:
        entries = by_image.get(record.id, [])
        posed = [e for e in entries if e["num_keypoints"]]
        columns = [np.array([e[key] for e in entries]) for key in ("bbox", "num_keypoints", "area", "iscrowd")]
        mains = main_people(*columns, MAIN_PERSON[options.main]) if options.samples == "person" and entries else []
        for k in mains:
            people = [entries[k], *(e for e in posed if e is not entries[k])]
            expected[f"{record.file_name}, annotation {entries[k]['id']}"] = (entries, people, record)
        if options.samples == "image" and (posed or options.empty):
            expected[record.file_name] = (entries, posed, record)
    found = {raw.name: raw for raw in source}
    assert len(found) == len(source)
    assert found.keys() == expected.keys()
    for name, (entries, people, record) in expected.items():
        raw = found[name]
        assert raw.main == (options.samples == "person")
        np.testing.assert_array_equal(raw.points, np.float32([e["keypoints"] for e in people]).reshape(-1, 17, 3))
        np.testing.assert_array_equal(raw.boxes, np.float32([e["bbox"] for e in people]).reshape(-1, 4))
        mask = mask_of(entries, (record.height, record.width), MASK[options.mask])
        assert (raw.mask is None) == (mask is None)
        assert mask is None or (raw.mask == mask).all()
        assert (raw.image.shape, raw.image.dtype) == ((record.height, record.width, 3), np.uint8)
    return found


CHOICES = [
    Options(),
    Options(main="keras", mask="keras"),
    Options(main="lightweight", mask="lightweight"),
    Options(samples="image", mask="caffe"),
    Options(samples="image", empty=True),
]


@pytest.mark.parametrize("options", CHOICES, ids=str)
def test_scenes_give_the_samples_of_their_annotations(scenes, options):
    source = Folder(*scenes, options)

    assert source.skeleton is COCO17
    check_against_coco(source, scenes[0], options)
    first = source[0]
    np.testing.assert_array_equal(first.image, dataset.read("val", int(first.name[4:10])))


@pytest.mark.skipif(not MINI.is_dir(), reason="no ../shared/data/coco_mini")
@pytest.mark.parametrize("options", CHOICES, ids=str)
def test_photographs_give_the_samples_of_their_annotations(options):
    source = Folder(MINI / "person_keypoints.json", MINI / "images", options)

    found = check_against_coco(source, MINI / "person_keypoints.json", options)
    assert any(raw.mask is not None for raw in found.values())


def test_the_main_person_comes_first_and_gives_centre_and_scale(tmp_path):
    people = [person(1, 20, n_keypoints=3), person(1, 50), person(1, 80, height=70.0), person(1, n_keypoints=0)]
    source = Folder(*written(tmp_path, people))

    assert [raw.name for raw in source] == ["001.png, annotation 2", "001.png, annotation 3"]
    second = source[1]
    assert (second.centre, second.scale) == ((80, 40), 70 / 368)
    assert second.boxes[:, 0].tolist() == [60, 0, 30]  # then the others in the file's order
    assert source[-1].name == second.name
    with pytest.raises(IndexError):
        source[2]


def test_images_without_people_are_left_out_or_asked_for(tmp_path):
    people = [person(1), person(2, n_keypoints=0), crowd(3, 0)]
    files = written(tmp_path, people, {1: (80, 100), 2: (80, 100), 3: (80, 100), 4: (80, 100)})

    assert len(Folder(*files, Options(samples="image"))) == 1
    every = [*Folder(*files, Options(samples="image", empty=True))]
    assert [raw.image[0, 0, 0] for raw in every] == [1, 2, 3, 4]
    assert [raw.points.shape for raw in every] == [(1, 17, 3), (0, 17, 3), (0, 17, 3), (0, 17, 3)]
    assert [raw.boxes.shape for raw in every][-1] == (0, 4)
    assert [raw.mask is None for raw in every] == [True, False, False, True]


def test_annotations_out_of_the_image_are_kept_as_they_are(tmp_path):
    people = [person(1, -300, -200), person(1, 95), person(1, 400, n_keypoints=0)]
    source = Folder(*written(tmp_path, people))

    assert [raw.points[0, 0].tolist() for raw in source] == [[-300, -200, 2], [95, 40, 2]]
    assert source[0].mask is None  # nothing inside the image is masked
    assert source[0].centre == (-300, -200)


def test_an_image_narrower_than_68_px_is_one_like_others(tmp_path):
    people = [person(1, 10, width=35.0), person(1, n_keypoints=0)]
    (raw,) = Folder(*written(tmp_path, people, {1: (90, 20)}))

    assert raw.image.shape == (90, 20, 3)
    assert raw.mask.shape == (90, 20)
    assert (raw.mask == 0).sum() == 60 * 10


def test_several_crowd_regions_are_masked_ignored_or_refused_before_the_first_sample(tmp_path):
    files = written(tmp_path, [person(1, 60), crowd(1, 0), crowd(1, 400), person(2), crowd(2, 0), person(3)])

    assert [(raw.mask == 0).sum() if raw.mask is not None else 0 for raw in Folder(*files)] == [100, 50, 0]
    assert [raw.mask is None for raw in Folder(*files, Options(mask="caffe"))] == [True, False, True]
    with pytest.raises(UserError, match=r"1 images have more than one crowd region, .* refuses as its original does"):
        Folder(*files, Options(mask="keras"))


def test_missing_images_are_counted_at_once(tmp_path):
    annotations, images = written(tmp_path, [person(k) for k in range(1, 7)] + [person(7, n_keypoints=0)])
    for k in (2, 3, 5, 6, 7):
        (images / f"{k:03d}.png").unlink()
    (images / "006.png").mkdir()

    with pytest.raises(UserError, match=r"4 of 6 images are missing, first 002.png, 003.png, 005.png; give the folder"):
        Folder(annotations, images)
    with pytest.raises(UserError, match="6 of 6 images are missing"):
        Folder(annotations, tmp_path / "elsewhere")


def test_images_may_be_in_folders_of_their_folder(tmp_path):
    annotations, images = written(tmp_path, [person(1), person(2)])
    for k in (1, 2):
        (images / "deeper").mkdir(exist_ok=True)
        (images / f"{k:03d}.png").rename(images / "deeper" / f"{k:03d}.png")
    annotations.write_text(annotations.read_text().replace('"00', '"deeper/00'))

    assert len([*Folder(annotations, images)]) == 2


def test_a_link_out_of_the_folder_is_refused_and_one_inside_is_not(tmp_path):
    annotations, images = written(tmp_path, [person(1), person(2)])
    (images / "001.png").rename(images / "one.png")
    (images / "001.png").symlink_to(images / "one.png")
    assert len([*Folder(annotations, images)]) == 2

    (images / "001.png").unlink()
    (images / "one.png").rename(tmp_path / "one.png")
    (images / "001.png").symlink_to(tmp_path / "one.png")
    with pytest.raises(UserError, match=r"'001.png' is a link out of its folder; refused"):
        Folder(annotations, images)


def test_a_corrupt_image_is_named_when_it_is_read(tmp_path):
    annotations, images = written(tmp_path, [person(1), person(2), person(3)])
    whole = (images / "002.png").read_bytes()
    (images / "002.png").write_bytes(whole[:-30])
    source = Folder(annotations, images)

    assert source[0].image[0, 0, 0] == 1
    with pytest.raises(UserError, match=r"002\.png: the picture is cut off"):
        source[1]
    assert source[2].image[0, 0, 0] == 3


def test_an_image_of_another_size_than_annotated_is_refused(tmp_path):
    annotations, images = written(tmp_path, [person(1)])
    cv2.imwrite(str(images / "001.png"), np.zeros((100, 80), np.uint8))

    with pytest.raises(UserError, match=r"001\.png: 80x100 px, but .*annotations\.json says 100x80; give the images"):
        Folder(annotations, images)[0]


@pytest.mark.parametrize(
    ("people", "options"),
    [
        ([person(1, n_keypoints=4)], Options()),
        ([person(1, n_keypoints=0)], Options(samples="image")),
        ([person(1)], Options(split="official", part="training")),
        ([person(1)], Options(split="zc", part="training")),
    ],
)
def test_a_choice_without_samples_is_refused(tmp_path, people, options):
    with pytest.raises(UserError, match="no samples among its 1 images and 1 annotations"):
        Folder(*written(tmp_path, people), options)


@pytest.mark.parametrize("name", ["samples", "main", "mask", "split", "part"])
def test_an_unknown_rule_lists_the_known_ones(name):
    with pytest.raises(UserError, match=f"^{name} cafe: unknown.*; choose one of "):
        Options(**{name: "cafe"})


def test_a_source_pickles_small_and_reads_in_threads(scenes):
    source = Folder(*scenes)
    text = pickle.dumps(source)
    again = pickle.loads(text)

    assert len(text) < 2000
    assert again.identity() == source.identity()
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(again.__getitem__, range(len(source)))]
    assert [raw.name for raw in found] == [raw.name for raw in source]
    assert all((a.image == b.image).all() for a, b in zip(found, source, strict=True))


def test_the_identity_follows_the_annotations_and_the_options(tmp_path):
    files = written(tmp_path, [person(1), person(1, 80)])
    first = Folder(*files).identity()

    assert json.loads(json.dumps(first)) == first
    assert first == Folder(*files).identity()
    assert first != Folder(*files, Options(mask="caffe")).identity()
    files[0].write_text(files[0].read_text().replace("2400", "2401"))
    assert first != Folder(*files).identity()
