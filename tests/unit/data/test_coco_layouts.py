"""COCO as it unpacks: files of a year, and the splits that share them out."""

import pickle

import pytest

from shared.data import folder
from shared.data.folder import Joined, Options, coco2014, coco2017
from shared.errors import UserError
from shared.skeleton import COCO17
from tests.unit.data.annotated import person, written


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A COCO 2014 of five and six images, of which the splits take two (zc) and three (kl)."""
    monkeypatch.setitem(folder.SPLITS, "zc", folder.replace(folder.SPLITS["zc"], first=2))
    monkeypatch.setitem(folder.SPLITS, "kl", folder.replace(folder.SPLITS["kl"], first=3))
    for name, ids, empty in (("train2014", (1, 2, 3, 4, 5), ()), ("val2014", (19, 16, 12, 18, 14, 11), (16, 11))):
        written(
            tmp_path, [person(k) for k in ids if k not in empty], dict.fromkeys(ids, (80, 100)),
            name=f"annotations/person_keypoints_{name}.json", folder=name, pattern=f"COCO_{name}_{{:012d}}.jpg",
        )  # fmt: skip
    return tmp_path


def ids(source):
    return [int(raw.name.split(".")[0][-12:]) for raw in source]


def test_the_splits_of_2014_share_out_val2014(published):
    found = {
        split: [ids(coco2014(published, part, Options(split=split))) for part in ("training", "validation")]
        for split in ("official", "zc", "kl")
    }

    assert found == {
        "official": [[1, 2, 3, 4, 5], [19, 12, 18, 14]],
        "zc": [[1, 2, 3, 4, 5, 19, 18], [12, 14]],  # the first two annotated ones by id
        "kl": [[1, 2, 3, 4, 5, 18, 14], [19, 12]],  # the first three of the file: 19, 16 (nobody), 12
    }


def test_joined_sources_are_one(published):
    source = coco2014(published, options=Options(split="zc"))

    assert isinstance(source, Joined)
    assert source.skeleton is COCO17
    assert source[-1].name == source[6].name == "COCO_val2014_000000000018.jpg, annotation 3"
    assert [part["part"] for part in source.identity()["sources"]] == ["all", "training"]
    assert ids(pickle.loads(pickle.dumps(source))) == ids(source)
    with pytest.raises(IndexError):
        source[7]


def test_a_split_of_another_year_or_another_place_is_refused(published):
    with pytest.raises(UserError, match="split zc: is one of COCO 2014, not 2017; choose one of official, anatolix"):
        coco2017(published, options=Options(split="zc"))
    with pytest.raises(
        UserError, match="train2017: not there; expected COCO as it unpacks: train2017/ and annotations/"
    ):
        coco2017(published)
    (published / "annotations" / "person_keypoints_val2014.json").unlink()
    with pytest.raises(UserError, match=r"person_keypoints_val2014\.json: not there"):
        coco2014(published, "validation")


def test_images_may_be_one_folder_deeper(published):
    (published / "images").mkdir()
    (published / "train2014").rename(published / "images" / "train2014")

    assert len(coco2014(published)) == 5
