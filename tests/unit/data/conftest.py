"""Files that several tests of training data read: packed scenes, and kevinlin's samples."""

import shutil
from itertools import count
from pathlib import Path

import h5py
import pytest

from shared.data import packing
from shared.data.packed import pack
from shared.scenes import dataset
from tests.unit.data.kevinlin import SCENES, sample_of, write_sample
from tests.unit.data.packs import N, mask_of


@pytest.fixture(scope="module")
def masks_and_cache(tmp_path_factory):
    """Masks that are known, in the place of those of the annotations, and a cache of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "loss_mask", mask_of)
        patch.setenv("POSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def scenes(masks_and_cache, tmp_path_factory):
    """Seven drawn scenes as COCO files: the annotations and the folder of the images."""
    folder = tmp_path_factory.mktemp("scenes")
    return dataset.write(folder, "val", count=N), folder / "images"


@pytest.fixture(scope="module")
def whole(scenes, tmp_path_factory):
    """The packed file of an undisturbed run."""
    out = tmp_path_factory.mktemp("whole") / "data.h5"
    pack(*scenes, out)
    return out


@pytest.fixture
def copied(scenes, tmp_path):
    """The scenes, to be changed."""
    shutil.copytree(scenes[1], tmp_path / "images")
    return Path(shutil.copy(scenes[0], tmp_path / "annotations.json")), tmp_path / "images"


@pytest.fixture
def often_flushed(monkeypatch):
    """A packing that keeps every second image for good."""
    monkeypatch.setattr(packing, "_FLUSH", 2)


@pytest.fixture(scope="module")
def samples():
    """Scenes with one, two and more people."""
    return [sample_of(index) for index in SCENES]


@pytest.fixture
def written(tmp_path):
    """A function that writes samples into an HDF5 file and gives its path."""

    numbers = count()

    def write(samples, first=0):
        path = tmp_path / str(next(numbers)) / "train_dataset_2014.h5"
        path.parent.mkdir()
        with h5py.File(path, "w") as file:
            for number, (planes, meta) in enumerate(samples, start=first):
                write_sample(file, number, planes, meta)
        return path

    return write
