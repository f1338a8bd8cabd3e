"""kevinlin's six-channel HDF5: what a sample becomes, and one line for each way in which a file can be wrong."""

import json
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from itertools import count
from multiprocessing import get_context

import h5py
import numpy as np
import pytest

from shared.data.kevinlin_h5 import KevinlinH5
from shared.errors import UserError
from shared.scenes import generator

NEAR = 1e-9  # px: float64 arithmetic
SCENES = (2, 6, 12)  # with one, two and five people


@cache
def generate(split, index):
    return generator.generate(split, index)


def people_of(index):
    """The annotated people of a scene, the tallest first."""
    return sorted((a for a in generate("train", index).annotations if a["num_keypoints"]), key=lambda a: -a["bbox"][3])


def coded(person):
    """17 joints [x, y, code] as the originals store them: 1 visible, 0 hidden, 2 absent at (0, 0)."""
    return [[x, y, {2: 1, 1: 0, 0: 2}[v]] for x, y, v in np.reshape(person["keypoints"], (17, 3)).tolist()]


def sample_of(index, people=None):
    """(6, H, W) uint8 and the attribute, as kevinlin's generate_hdf5 writes them."""
    people = people_of(index) if people is None else people
    image = generate("train", index).image
    height, width = image.shape[:2]
    mask = np.full((height, width), 255, np.uint8)
    mask[10:30, 40:90] = 0
    planes = np.zeros((6, height, width), np.uint8)
    planes[:3], planes[3], planes[4] = image[..., ::-1].transpose(2, 0, 1), 77, mask
    meta = {
        "dataset": "COCO", "img_height": height, "img_width": width, "isValidation": 0,
        "numOtherPeople": len(people) - 1, "people_index": 0, "annolist_index": index, "count": index,
        "total_count": 2476,  # of the other file
        "objpos": [[x + w / 2, y + h / 2] for x, y, w, h in (p["bbox"] for p in people)],
        "scale_provided": [p["bbox"][3] / 368 for p in people],
        "joints": [coded(p) for p in people],
        "img_path": f"COCO_train2014_{index:012d}.jpg", "mask_all_path": "a.png", "mask_miss_path": "m.png",
    }  # fmt: skip
    return planes, meta


def write_sample(file, number, planes, meta):
    data = file.require_group("datum").create_dataset(f"{number:07d}", data=planes, chunks=None)
    if meta is not None:
        data.attrs["meta"] = meta if isinstance(meta, str | bytes | np.bytes_) else json.dumps(meta)


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


def changed(sample, **values):
    """The sample with other values in its JSON; None leaves one out."""
    planes, meta = sample
    return planes, {key: value for key, value in {**meta, **values}.items() if value is not None}


def refused(path, match, index=0):
    with pytest.raises(UserError, match=match) as caught:
        KevinlinH5(path)[index]
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 500
    return message


def test_a_sample_is_the_scene_that_was_written(written, samples):
    source = KevinlinH5(written(samples))

    assert len(source) == len(SCENES)
    for index, scene in enumerate(SCENES):
        raw, people = source[index], people_of(scene)
        np.testing.assert_array_equal(raw.image, generate("train", scene).image)
        np.testing.assert_array_equal(raw.points.reshape(len(people), 51), np.float32([p["keypoints"] for p in people]))
        np.testing.assert_array_equal(raw.mask, samples[index][0][4])
        assert raw.mask[20, 50] == 0
        assert raw.main
        assert f"sample {index:07d}" in raw.name
        assert f"{scene:012d}.jpg" in raw.name


def test_the_scenes_have_one_and_more_people():
    assert min(len(people_of(scene)) for scene in SCENES) == 1
    assert max(len(people_of(scene)) for scene in SCENES) > 2


def test_the_boxes_reproduce_objpos_and_scale_provided_of_everybody(written, samples):
    for raw, (_, meta) in zip(KevinlinH5(written(samples)), samples, strict=True):
        assert raw.centre == pytest.approx(meta["objpos"][0], abs=NEAR)
        assert raw.scale == pytest.approx(meta["scale_provided"][0], abs=NEAR)
        np.testing.assert_allclose(raw.boxes[:, :2] + raw.boxes[:, 2:] / 2, meta["objpos"], atol=NEAR)
        np.testing.assert_allclose(raw.boxes[:, 3] / 368, meta["scale_provided"], atol=NEAR)
        for box, joints in zip(raw.boxes, np.array(meta["joints"]), strict=True):
            labelled = joints[joints[:, 2] < 2]
            assert box[2] == pytest.approx(np.ptp(labelled[:, 0]), abs=1e-4)  # float32 points


def test_a_person_without_labelled_keypoints_has_a_box_without_width(written, samples):
    planes, meta = samples[1]
    joints = [meta["joints"][0], *([[[0, 0, 2]] * 17] * meta["numOtherPeople"])]

    raw = KevinlinH5(written([changed((planes, meta), joints=joints)]))[0]

    assert raw.boxes[0, 2] > 0
    assert (raw.boxes[1:, 2] == 0).all()
    assert not raw.points[1:, :, 2].any()


def collapsed(meta):
    """As jsonlab writes lists of one: without the list."""
    return {key: meta[key][0] for key in ("objpos", "scale_provided", "joints")}


def nested(meta):
    """The others in a list of their own, which is empty where there are none."""
    return {key: [meta[key][0], meta[key][1:]] for key in ("objpos", "scale_provided", "joints")}


@pytest.mark.parametrize(("n", "form"), [(1, collapsed), (1, nested), (2, nested)])
def test_jsonlabs_lists_of_one_and_none_are_understood(written, n, form):
    sample = sample_of(12, people_of(12)[:n])
    plain = KevinlinH5(written([sample]))[0]

    raw = KevinlinH5(written([changed(sample, **form(sample[1]))]))[0]

    assert len(raw.points) == n
    np.testing.assert_array_equal(raw.points, plain.points)
    np.testing.assert_array_equal(raw.boxes, plain.boxes)


@pytest.mark.parametrize("kind", [str, str.encode, lambda text: np.bytes_(text.encode())])
def test_the_attribute_may_be_text_or_bytes(written, samples, kind):
    planes, meta = samples[0]

    assert len(KevinlinH5(written([(planes, kind(json.dumps(meta)))]))[0].points) == meta["numOtherPeople"] + 1


def test_what_was_filled_up_to_64_px_is_cut_off(written, samples):
    planes, meta = samples[0]
    narrow = planes[..., :64].copy()
    narrow[:3, :, 50:], narrow[4:, :, 50:] = 128, 0

    raw = KevinlinH5(written([(narrow, {**meta, "img_width": 50})]))[0]

    assert raw.image.shape == (368, 50, 3)
    np.testing.assert_array_equal(raw.image, generate("train", SCENES[0]).image[:, :50])
    np.testing.assert_array_equal(raw.mask, planes[4, :, :50])


def test_exchanged_totals_do_not_matter(written, samples):
    path = written([changed(sample, total_count=117_576, count=99) for sample in samples])

    assert len(KevinlinH5(path)) == len(SCENES)


def test_the_numbers_may_begin_at_one(written, samples):
    assert "0000001" in KevinlinH5(written(samples, first=1))[0].name


def test_indices_count_from_the_end_and_stop(written, samples):
    source = KevinlinH5(written(samples))

    assert source[-1].name == source[2].name
    with pytest.raises(IndexError):
        source[3]


def _total(source, index):
    return int(source[index].image.sum())


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("default::DeprecationWarning")  # of forks, from threads of other tests
def test_other_processes_read_the_same(written, samples, method):
    source = KevinlinH5(written(samples))
    expected = [_total(source, index) for index in range(3)]

    with ProcessPoolExecutor(2, mp_context=get_context(method)) as pool:
        assert list(pool.map(_total, [source] * 3, range(3))) == expected
    assert [_total(source, index) for index in range(3)] == expected
    assert len(pickle.dumps(source)) < 1000


def test_threads_read_the_same(written, samples):
    source = KevinlinH5(written(samples))

    with ThreadPoolExecutor(4) as pool:
        totals = list(pool.map(lambda i: _total(source, i % 3), range(24)))

    assert totals == [_total(source, i % 3) for i in range(24)]


def test_the_identity_tells_files_apart(written, samples):
    identity = KevinlinH5(written(samples)).identity()

    assert identity == KevinlinH5(written(samples)).identity()
    assert identity["samples"] == 3
    assert identity != KevinlinH5(written(samples[::-1])).identity()


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
