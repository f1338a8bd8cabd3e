"""kevinlin's six-channel HDF5: what a sample becomes, in whatever form it is stored and whoever reads it."""

import json
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from shared.data.kevinlin_h5 import KevinlinH5
from tests.unit.data.kevinlin import SCENES, changed, generate, people_of, sample_of

NEAR = 1e-9  # px: float64 arithmetic


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
