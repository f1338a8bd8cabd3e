"""The large annotation file is COCO's in kind and in numbers, and is measured in processes of their own."""

from collections import Counter
from types import SimpleNamespace

import pytest

from benchmarks import annotation_file, index
from shared import coco, image
from shared.errors import UserError

IMAGES, PEOPLE = 130, 290


@pytest.fixture(scope="module", autouse=True)
def few_scenes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(annotation_file, "_SCENES", 24)
        yield


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return coco.load(*annotation_file.write(tmp_path_factory.mktemp("large"), IMAGES, PEOPLE))


def test_it_has_exactly_so_many_images_and_people(loaded):
    people = [person for record in loaded.images for person in loaded.persons(record.id)]

    assert len(loaded.images) == IMAGES
    assert len(people) == PEOPLE
    assert all(person.segmentation for person in people)


def test_images_have_nobody_or_several(loaded):
    counts = Counter(len(loaded.persons(record.id)) for record in loaded.images[:-1])

    assert counts[0] > IMAGES / 4
    assert not counts[1] + counts[2]


def test_everything_is_inside_its_image_with_its_polygons(loaded):
    for record in loaded.images:
        for person in loaded.persons(record.id):
            x, y, width, height = person.box
            assert 0 <= x <= x + width <= record.width
            assert 0 <= y <= y + height <= record.height
            if isinstance(person.segmentation, list):
                xs = [value for polygon in person.segmentation for value in polygon[::2]]
                assert (min(xs), max(xs)) == (x, x + width)


def test_copies_of_a_scene_differ_unless_a_run_length_mask_ties_them(loaded):
    groups = [loaded.persons(record.id) for record in loaded.images]
    free = [group for group in groups if group and not any(person.crowd for person in group)]

    assert len({group[0].box for group in free}) > 0.9 * len(free) > 20


@pytest.mark.parametrize(("images", "people"), [(0, 0), (10, 31), (10, -1)])
def test_numbers_that_scenes_cannot_give_are_refused(images, people, tmp_path):
    with pytest.raises(UserError, match="expected an image or more, and 0 to 3 people each"):
        annotation_file.write(tmp_path, images, people)

    assert not list(tmp_path.iterdir())


def test_every_image_has_a_picture_of_its_size(loaded):
    coco.require_files(loaded.images)
    for record in loaded.images[::10]:
        assert image.read(record.path).shape == (record.height, record.width, 3)


def test_it_can_be_written_over_an_earlier_one(tmp_path):
    annotation_file.write(tmp_path, 20, 40)
    path, _ = annotation_file.write(tmp_path, 20, 40)

    assert len(coco.load(path).images) == 20


@pytest.mark.slow
def test_each_step_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "_STEPS", dict(list(index._STEPS.items())[:3]))

    report = index.report(SimpleNamespace(images=40, people=90, folder=tmp_path))

    assert [row["work"] for row in report.rows] == list(index._STEPS)
    assert all(row["s"] > 0 and 0.01 < row["peak GB"] < 2 for row in report.rows)
    assert "40 images, 90 people" in report.of


def test_a_process_that_fails_is_reported(tmp_path):
    with pytest.raises(UserError, match=r"the measured process failed: [\s\S]*no such column"):
        index._run("raise KeyError('no such column')", (), str(tmp_path))
