"""A packed file that is damaged, or another one in its place: no damage goes unseen."""

import shutil

import h5py
import numpy as np
import pytest

from shared.data import packing
from shared.data.packed import Packed, verify
from shared.errors import UserError
from tests.unit.data.packs import by_image, refused

STEP, UNUSED = 101, 4096  # bytes: HDF5 leaves some of a file unused


def test_a_whole_file_is_verified(whole):
    verify(whole)


def flipped(whole, tmp_path, place):
    data = bytearray(whole.read_bytes())
    data[place] ^= 0x41
    path = tmp_path / "flipped.h5"
    path.write_bytes(data)
    return path


def test_one_wrong_byte_in_an_image_or_mask_is_found_and_named(scenes, whole, tmp_path):
    with h5py.File(whole) as file:
        start, rows = file["bytes"].id.get_offset(), file["rows"][()]
    names = [entry["file_name"] for entry in by_image(scenes[0])[0]["images"]]
    for number, (row, name) in enumerate(zip(rows, names, strict=True)):
        path = flipped(whole, tmp_path, start + int(row["start"]) + 1234 * number)
        refused(lambda path=path: verify(path), f"flipped.h5: {name} does not match its sha256")
        refused(lambda path=path, name=name: Packed(path).read(name), f"{name} does not match")
        if row["mask"]:
            path = flipped(whole, tmp_path, start + int(row["start"] + row["image"]) + 50)
            refused(lambda path=path: verify(path), f"the mask of {name} does not match its sha256")


def contents(path):
    packed = Packed(path)
    data = [(i, packed.image_bytes(i), packed.mask_bytes(i)) for i in packed.ids]
    return data, packed.names, packed.annotations()


def test_one_wrong_byte_before_the_images_is_found_or_changes_nothing(whole, tmp_path):
    with h5py.File(whole) as file:
        start = file["bytes"].id.get_offset()
    expected, n_found = contents(whole), 0

    for place in range(0, start, STEP):
        path = flipped(whole, tmp_path, place)
        try:
            verify(path)
        except UserError:
            n_found += 1
        else:
            assert contents(path) == expected, place
    assert n_found > 0.8 * (start - UNUSED) / STEP


def test_a_file_cut_off_anywhere_is_refused(whole, tmp_path):
    data, path = whole.read_bytes(), tmp_path / "cut.h5"

    for n_bytes in (0, 1, 512, 600, 3000, 9000, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:n_bytes])
        refused(lambda: Packed(path), "cut.h5: ")
    path.write_bytes(data + b"\0")
    refused(lambda: Packed(path), "cut.h5: ")


def test_other_files_are_refused(whole, tmp_path):
    path = tmp_path / "other.h5"
    refused(lambda: Packed(path), "no such file")
    path.write_text("text " * 1000)
    refused(lambda: Packed(path), "not a whole HDF5 file")
    with h5py.File(path, "w") as file:
        file["datum"] = np.zeros(3)
    refused(lambda: Packed(path), "other.h5: .*expected a packed data set")
    shutil.copy(whole, path)
    with h5py.File(path, "a") as file:
        file.attrs["format"] = "pose-packed-9"
    refused(lambda: Packed(path), "the format is 'pose-packed-9'; expected a packed data set")
    with h5py.File(path, "a") as file:
        file["images2"] = h5py.ExternalLink(str(whole), "/images")
    refused(lambda: Packed(path), "external link")


@pytest.mark.parametrize("name", ["rows", "bytes", "annotations", "images"])
def test_arrays_of_another_kind_or_not_in_the_file_are_refused(whole, tmp_path, name):
    path = tmp_path / "other.h5"
    for options in (
        {"data": np.zeros(5, np.float32)},
        {"shape": (1 << 40,), "dtype": np.uint8 if name != "rows" else packing.ROW},  # never written
        {"shape": (10,), "dtype": np.uint8 if name != "rows" else packing.ROW, "chunks": (5,)},
        {"shape": (0,), "dtype": np.uint8 if name != "rows" else packing.ROW},
    ):
        shutil.copy(whole, path)
        with h5py.File(path, "a") as file:
            del file[name]
            file.create_dataset(name, **options)
        refused(lambda: verify(path), "other.h5: ")
