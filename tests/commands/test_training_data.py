"""Trainings from every kind of file: the same samples give the same weights, whatever they are stored in."""

import json

import cv2
import h5py
import numpy as np
import pytest

from shared.data.packed import pack
from shared.scenes import dataset
from shared.weights import read
from tests.commands import trainings
from tests.unit.data import anatolix, kevinlin

# One sample for each main person, as these files have them, and so small that the masked corner is in the crop.
PEOPLE = {"recipe": "kl", "samples": "person", "steps": 3, "augment__scale": "0.1,0.15"}


@pytest.fixture
def published(tmp_path):
    """A function that writes the same three scenes as kevinlin and as anatolix do: the options that name the file."""

    def write(kind, change=lambda file: None):
        path = tmp_path / f"{kind}.h5"
        if kind == "anatolix":
            anatolix.write(path, "arrays", change)
        else:
            with h5py.File(path, "w") as file:
                for number, scene in enumerate(kevinlin.SCENES):
                    kevinlin.write_sample(file, number, *kevinlin.sample_of(scene))
        return ("--data", kind, "--file", path)

    return write


def unmasked(file):
    for image in file["images"].values():
        image[..., 3] = 255


def test_kevinlins_and_anatolixs_files_of_the_same_people_train_the_same_weights(train, published):
    found = [train(*published(kind), out=kind, **PEOPLE) for kind in ("kevinlin", "anatolix")]
    other = train(*published("anatolix", unmasked), out="unmasked", **PEOPLE)

    assert found[0].weights == found[1].weights
    assert found[0].weights != other.weights
    assert [identity(each)["name"] for each in found] == ["kevinlin-h5", "anatolix-h5"]
    assert np.isfinite(trainings.losses(found[0].out)).all()
    assert len(trainings.losses(found[0].out)) == 3


def test_a_packed_file_trains_the_weights_of_its_pictures(train, coco, tmp_path):
    pack(coco[3], coco[5], tmp_path / "packed.h5")
    others = dataset.write(tmp_path / "others", "train", count=3)
    pack(others, tmp_path / "others/images", tmp_path / "others.h5")

    files = train(*coco, out="files")
    packed = train("--data", "packed", "--file", tmp_path / "packed.h5", out="packed")
    other = train("--data", "packed", "--file", tmp_path / "others.h5", out="other")

    assert packed.weights == files.weights
    assert packed.weights != other.weights


def identity(trained):
    """What the log says of the data."""
    assert trained.code == 0, trained.said
    return json.loads((trained.out / "log.jsonl").read_text().splitlines()[0])["data"]


@pytest.fixture
def mpii(tmp_path):
    """Two pictures of noise with a person each, annotated as MPII is: the annotations, and the folder."""
    rng = np.random.default_rng(0)
    entries = []
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (110, 110, 3), np.uint8))
        joints = rng.uniform(20, 90, (16, 2)).round(1).tolist()
        entries.append({"joints": joints, "joints_vis": [1] * 16, "image": name, "center": [55, 55], "scale": 0.5})
    (tmp_path / "train.json").write_text(json.dumps(entries))
    return tmp_path / "train.json", tmp_path


def test_mpii_trains_a_network_of_its_16_keypoints_and_is_validated_by_its_loss(train, mpii):
    files = ("--annotations", mpii[0], "--images", mpii[1])
    val = ("--val-annotations", mpii[0], "--val-images", mpii[1], "--validate-on", 2)
    values = ["width=0.0625", "size=64,64", "batch=2", "steps=2"]

    found = train("--data", "mpii", *files, *val, recipe="pose_resnet_mpii", values=values)

    assert identity(found)["name"] == "mpii"
    info = read(found.out / "weights.safetensors")[1]
    assert (info.spec.name, info.spec.skeleton) == ("pose_resnet_50", "mpii16")
    entries = trainings.log(found.out)
    assert len([entry for entry in entries if "loss" in entry]) == 2
    (validation,) = [entry["validation"] for entry in entries if "validation" in entry]
    assert list(validation) == ["loss"]
    assert 0 < validation["loss"] < np.inf


def test_a_network_of_coco_is_not_trained_on_mpii(train, mpii):
    found = train("--data", "mpii", "--annotations", mpii[0], "--images", mpii[1])

    assert found.code == 2
    assert "model coco18 learns coco18, but the data is mpii16" in found.said
