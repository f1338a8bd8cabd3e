"""The training data that a command's options name."""

import argparse
import json

import h5py
import numpy as np
import pytest

from shared.data import sources
from shared.data.arguments import add_arguments
from shared.data.builtin import Builtin
from shared.data.packed import pack
from shared.errors import UserError
from shared.recipes import BUILTIN_SMALL, HRNET_MPII, MODERN, ZC
from shared.samples import Pipeline
from shared.scenes import dataset

N = 6


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    return dataset.write(folder, "val", count=N), folder / "images"


def options(*arguments):
    p = argparse.ArgumentParser()
    add_arguments(p)
    p.add_argument("--val-annotations")
    p.add_argument("--val-images")
    p.add_argument("--validate-on", type=int, default=3)
    return p.parse_args([str(a) for a in arguments])


def arrays(source, recipe=MODERN):
    pipeline = Pipeline(source, recipe)
    return [pipeline.plain(i) for i in range(len(pipeline))]


def test_the_built_in_benchmark_validates_on_its_own_split():
    source, benchmark = sources.training(options(), BUILTIN_SMALL)

    assert len(source) == dataset.SPLITS["train"]
    assert [record.id for record in benchmark.dataset.images] == [1, 2, 3]
    np.testing.assert_array_equal(benchmark.read(benchmark.dataset.images[1]), dataset.read("val", 1))
    np.testing.assert_array_equal(benchmark.source[1].image, dataset.read("val", 1))


def test_nothing_to_validate_on_is_no_benchmark(scenes):
    assert sources.training(options("--validate-on", 0), BUILTIN_SMALL)[1] is None
    named = options("--data", "coco", "--annotations", scenes[0], "--images", scenes[1])
    assert sources.training(named, MODERN)[1] is None


def test_files_packed_files_and_drawn_scenes_give_the_same_samples(scenes, tmp_path):
    pack(scenes[0], scenes[1], tmp_path / "packed.h5")
    files = arrays(
        sources.source_of(options("--data", "coco", "--annotations", scenes[0], "--images", scenes[1]), MODERN)
    )
    packed = arrays(sources.source_of(options("--data", "packed", "--file", tmp_path / "packed.h5"), MODERN))
    drawn = {sample.name: sample for sample in arrays(Builtin("val", N))}

    assert files
    for a, b in zip(files, packed, strict=True):
        c = drawn[f"scene {int(a.name[4:10])} of val"]
        for field in ("image", "heat", "paf", "mask"):
            np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
            np.testing.assert_allclose(getattr(a, field), getattr(c, field), atol=1e-4)


def test_another_image_gives_another_sample(scenes):
    found = arrays(
        sources.source_of(options("--data", "coco", "--annotations", scenes[0], "--images", scenes[1]), MODERN)
    )

    assert np.abs(found[0].heat - found[1].heat).max() > 0.5


def test_coco_as_it_unpacks_has_its_own_validation(scenes, tmp_path):
    (tmp_path / "annotations").mkdir()
    for part in ("train", "val"):
        (tmp_path / f"{part}2017").symlink_to(scenes[1])
        (tmp_path / f"annotations/person_keypoints_{part}2017.json").write_bytes(scenes[0].read_bytes())

    source, benchmark = sources.training(options("--data", "coco", "--root", tmp_path), ZC)

    assert len(source) == len(sources.source_of(options("--data", "coco", "--root", tmp_path), ZC))
    assert len(benchmark.dataset.images) == 3
    assert benchmark.read(benchmark.dataset.images[0]).shape[2] == 3


def test_mpii_validates_on_mpii_by_its_loss(tmp_path):
    made(tmp_path)
    given = ("--annotations", tmp_path / "train.json", "--images", tmp_path)
    val = ("--val-annotations", tmp_path / "train.json", "--val-images", tmp_path)

    source, benchmark = sources.training(options("--data", "mpii", *given, *val), HRNET_MPII)

    assert len(source) == len(benchmark.source) == 1
    assert benchmark.dataset is None
    with pytest.raises(UserError, match="expected COCO"):
        sources.training(options("--data", "builtin", *val), HRNET_MPII)


def made(tmp_path):
    """MPII's annotations of one person, and the picture."""
    import cv2

    joints = np.random.default_rng(0).uniform(20, 90, (16, 2)).round(1).tolist()
    entry = {"joints": joints, "joints_vis": [1] * 16, "image": "a.png", "center": [55, 55], "scale": 0.5}
    (tmp_path / "train.json").write_text(json.dumps([entry]))
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((110, 110, 3), np.uint8))


def test_mpii_trains_its_own_skeleton(tmp_path):
    from dataclasses import replace

    made(tmp_path)

    recipe = replace(ZC, model="mpi15")
    source = sources.source_of(
        options("--data", "mpii", "--annotations", tmp_path / "train.json", "--images", tmp_path), recipe
    )

    (sample,) = arrays(source, recipe)
    assert sample.heat.shape == (46, 46, 16)
    assert (sample.points[0, :, 2] > 0).all()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--data", "packed"), "--file"),
        (("--data", "mpii"), "--annotations"),
        (("--data", "coco", "--root", "/nowhere", "--split", "zd"), "zd"),
        (("--data", "coco", "--root", "/nowhere"), "/nowhere"),
        (("--data", "nothing"), "nothing"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(arguments, word):
    with pytest.raises(UserError, match=word):
        sources.source_of(options(*arguments), MODERN)


def test_a_file_of_people_is_refused_by_a_recipe_of_images(tmp_path):
    with h5py.File(tmp_path / "some.h5", "w"):
        pass
    with pytest.raises(UserError, match="one sample for each person"):
        sources.source_of(options("--data", "kevinlin", "--file", tmp_path / "some.h5"), MODERN)
