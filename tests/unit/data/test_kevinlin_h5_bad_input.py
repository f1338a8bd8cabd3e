"""kevinlin's six-channel HDF5: one line for each way in which a file can be wrong."""

import json

import h5py
import numpy as np
import pytest

from shared.data.kevinlin_h5 import KevinlinH5
from shared.errors import UserError
from tests.unit.data.kevinlin import SCENES, changed, people_of, sample_of, write_sample


def refused(path, match, index=0):
    with pytest.raises(UserError, match=match) as caught:
        KevinlinH5(path)[index]
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 500
    return message


JOINTS = [[1.0, 2.0, 1]] * 17
BAD = {
    "no joints": ({"joints": None}, "no 'joints'"),
    "no objpos": ({"objpos": None}, "no 'objpos'"),
    "16 joints": ({"joints": [JOINTS[:16]]}, "not understood"),
    "18 joints": ({"joints": [JOINTS + JOINTS[:1]]}, "not understood"),
    "two people, one announced": ({"joints": [JOINTS, JOINTS]}, "joints of 2 people, objpos of 1"),
    "one person, two announced": ({"numOtherPeople": 1}, r"numOtherPeople \+ 1 = 2"),
    "nobody": ({"joints": [], "objpos": [], "scale_provided": [], "numOtherPeople": -1}, "at least 1"),
    "NaN joint": ({"joints": [[[float("nan"), 2, 1], *JOINTS[1:]]]}, "NaN or infinity"),
    "jsonlab's NaN": ({"joints": [[["_NaN_", 2, 1], *JOINTS[1:]]]}, "'_NaN_' is not a number"),
    "infinite objpos": ({"objpos": [[float("inf"), 2]]}, "NaN or infinity"),
    "null": ({"scale_provided": [[None]]}, "None is not a number"),
    "a number beyond floats": ({"scale_provided": [10**400]}, "not understood"),
    "an unknown code": ({"joints": [[[1, 2, 5], *JOINTS[1:]]]}, "visibility code 5"),
    "no scale": ({"scale_provided": [0]}, "scale_provided 0"),
    "negative scale": ({"scale_provided": [-0.5]}, "scale_provided -0.5"),
    "another width": ({"img_width": 99}, "expected the same"),
    "another height": ({"img_height": 99}, "expected the same"),
    "a width that is none": ({"img_width": "wide"}, "expected the same"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_description_is_refused_in_one_line(written, name):
    values, match = BAD[name]
    sample = sample_of(SCENES[0], people_of(SCENES[0])[:1])

    message = refused(written([sample, changed(sample, **values)]), match, index=1)

    assert "sample 0000001" in message


def test_the_one_person_of_the_bad_descriptions_is_good(written):
    """The control: what the cases above change is accepted before the change."""
    assert len(KevinlinH5(written([sample_of(SCENES[0], people_of(SCENES[0])[:1])]))[0].points) == 1


@pytest.mark.parametrize(
    ("meta", "match"),
    [(None, "no attribute 'meta'"), ("{", "not whole"), ("[]", "expected an object"), (b"\xff{}", "not whole")],
)
def test_a_missing_or_broken_attribute_is_refused(written, samples, meta, match):
    refused(
        written([(samples[0][0], np.bytes_(meta) if isinstance(meta, bytes) else meta)]), f"sample 0000000.*{match}"
    )


def test_arrays_of_another_kind_are_refused(written, samples):
    planes, meta = samples[0]

    refused(written([(planes[:5], meta)]), r"expected uint8 \(6, H, W\)")
    refused(written([(planes.astype(np.float32), meta)]), r"float32 .* expected uint8")
    refused(written([(planes[0], meta)]), "expected uint8")
    grey = planes.copy()
    grey[4, 5, 5] = 128
    refused(written([(grey, meta)]), "the mask holds 128")


def test_a_missing_sample_is_noticed(written, samples):
    path = written(samples)
    with h5py.File(path, "a") as file:
        del file["datum/0000001"]

    refused(path, "2 samples in 'datum', first strange one 0000002")


def test_a_sample_that_was_never_written_is_refused(written, samples):
    """HDF5 reads it as zeros."""
    path = written(samples[:1])
    with h5py.File(path, "a") as file:
        file["datum"].create_dataset("0000001", (6, 368, 64), np.uint8).attrs["meta"] = json.dumps(samples[0][1])

    refused(path, "sample 0000001: .* was never written", index=1)


def test_links_out_of_the_file_are_refused(written, samples, tmp_path):
    outside = tmp_path / "outside.h5"
    with h5py.File(outside, "w") as file:
        write_sample(file, 0, *samples[0])
    path = written(samples[:1])
    with h5py.File(path, "a") as file:
        file["datum/0000001"] = h5py.ExternalLink(str(outside), "/datum/0000000")
        file["datum/0000002"] = h5py.SoftLink("/datum/0000000")
        layout = h5py.VirtualLayout((6, 368, 64), np.uint8)
        layout[:] = h5py.VirtualSource(str(outside), "datum/0000000", samples[0][0].shape)[:, :, :64]
        file.create_virtual_dataset("datum/0000003", layout)

    for index in (1, 2):
        refused(path, f"sample 000000{index}: no array", index)
    refused(path, "sample 0000003: .* was never written", 3)


def test_a_truncated_file_is_refused(written, samples):
    path = written(samples)
    whole = path.read_bytes()

    for n_bytes in (0, 7, 2000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:n_bytes])
        refused(path, "empty" if not n_bytes else "cannot be read")


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other.h5"
    refused(path, "no such file")
    path.write_text("text " * 100)
    refused(path, "cannot be read")
    with h5py.File(path, "w") as file:
        file["weights"] = np.zeros(3)
    refused(path, "0 samples in 'datum'")
