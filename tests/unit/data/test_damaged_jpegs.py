"""A damaged JPEG among the images: skipped and named in training; packing and checking stop at it."""

from dataclasses import replace

import pytest

from shared.data.folder import Folder
from shared.data.packed import Packed, pack, verify
from shared.image import Encoded
from shared.recipes import BUILTIN_SMALL
from shared.samples import Pipeline
from tests.unit.damage import DAMAGE, jpeg, scene
from tests.unit.data.annotated import person, written
from tests.unit.data.packs import refused

N, BROKEN = 5, "003.jpg"
SIZE = (240, 320)
TINY = replace(BUILTIN_SMALL, batch=N, augment=replace(BUILTIN_SMALL.augment, crop=64))


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Annotations and a folder of JPEGs, all of them whole."""
    monkeypatch.setenv("POSE_CACHE", str(tmp_path / "cache"))
    identities = range(1, N + 1)
    found = written(tmp_path, [person(i) for i in identities], dict.fromkeys(identities, SIZE), pattern="{:03d}.jpg")
    for path in found[1].iterdir():
        path.write_bytes(jpeg(scene(*SIZE)))
    return found


@pytest.fixture(params=DAMAGE)
def damaged(pictures, request):
    """The same with one that is damaged."""
    path = pictures[1] / BROKEN
    path.write_bytes(DAMAGE[request.param](path.read_bytes()))
    return pictures


def seen(source):
    """Names of an epoch's samples, and what was skipped."""
    batch = Pipeline(source, TINY).batch(range(N))
    return {name.split(",")[0] for name in batch.names}, batch.skipped


def packed(path):
    file = Packed(path)
    return Folder(file.annotations_file(), file)


def check_is_skipped(source):
    names, skipped = seen(source)

    assert names == {f"{i:03d}.jpg" for i in range(1, N + 1)} - {BROKEN}
    assert len(skipped) == 1
    assert f"{BROKEN}: its " in skipped[0]
    assert "bytes cannot be decoded (Corrupt JPEG data: " in skipped[0]


def test_whole_images_are_trained_on_packed_and_verified(pictures, tmp_path):
    pack(*pictures, tmp_path / "data.h5")

    verify(tmp_path / "data.h5")
    for source in (Folder(*pictures), packed(tmp_path / "data.h5")):
        assert seen(source) == ({f"{i:03d}.jpg" for i in range(1, N + 1)}, ())


def test_a_damaged_one_is_skipped_and_named_in_training(damaged):
    check_is_skipped(Folder(*damaged))


def test_a_damaged_one_is_not_packed(damaged, tmp_path):
    out = tmp_path / "data.h5"

    refused(lambda: pack(*damaged, out), rf"{BROKEN}: its \d+ bytes cannot be decoded \(Corrupt JPEG data: ")
    assert not out.exists()


def test_a_damaged_one_that_was_packed_is_found(damaged, tmp_path, monkeypatch):
    """A file of earlier days, whose checksums are those of the damaged image."""
    out = tmp_path / "data.h5"
    with monkeypatch.context() as patch:
        patch.setattr(Encoded, "check", lambda picture: None)
        pack(*damaged, out)

    refused(lambda: verify(out), rf"data.h5: {BROKEN}: its \d+ bytes cannot be decoded \(Corrupt JPEG data: ")
    check_is_skipped(packed(out))
