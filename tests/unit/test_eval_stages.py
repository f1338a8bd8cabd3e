"""Stages that overlap give what one image after the other gives, in little memory, and leave no threads."""

import threading
from contextlib import closing

import numpy as np
import pytest

from eval import stages
from shared.coco import ImageRecord
from shared.coco_ap import results
from shared.errors import UserError
from shared.inference import BottomUp
from shared.skeleton import COCO18
from tests.unit.arithmetic import Arithmetic, ramp
from tests.unit.test_inference_places import seeing

SIZES = ((240, 248), (240, 248), (248, 240), (240, 248), (160, 248), (248, 240), (240, 248))
RECORDS = [ImageRecord(i, f"{i}.png", *size) for i, size in enumerate(SIZES, start=1)]


def read(record):
    image = ramp(record.height, record.width)
    image[: 8 * record.id] = 0  # so that every image is its own: the people's heads are covered one by one
    return image


def nobody(image):
    """The maps of an image without people, of any size."""
    cells = tuple(-(-side // 8) for side in image.shape[:2])
    return {"heat": np.zeros((*cells, COCO18.n_heat), np.float32), "paf": np.zeros((*cells, COCO18.n_paf), np.float32)}


def predictor(rule=seeing, **kwargs):
    return BottomUp(Arithmetic(rule), "reference-tensorboy", **kwargs)


def overlapped(predictor, batch=1, threads=3, read=read, records=RECORDS):
    groups = stages.groups(records, predictor.input_sizes, batch)
    return stages.predictions(groups, read, predictor, stages.Clock(), threads)


def one_by_one(predictor):
    return {r.id: results(r.id, predictor(read(r)), predictor.skeleton) for r in RECORDS}


@pytest.mark.parametrize("options", [{}, {"flip": True, "scales": (0.5, 1)}, {"fit": "hl", "scales": (0.5, 1)}])
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("batch", [1, 3])
def test_overlapped_stages_give_what_one_image_after_the_other_gives(batch, threads, options):
    expected = one_by_one(predictor(**options))

    found = list(overlapped(predictor(**options), batch, threads))

    assert dict(found) == expected
    assert len({str([{**e, "image_id": 0} for e in entries]) for entries in expected.values()}) > 3  # not all alike
    assert batch > 1 or [image_id for image_id, _ in found] == [r.id for r in RECORDS]


def ids(groups):
    return [[record.id for record in group] for group in groups]


def sizes(size):
    return (size,)


def test_images_of_one_input_size_share_a_group():
    assert ids(stages.groups(RECORDS, sizes, 1)) == [[n] for n in range(1, 8)]
    assert ids(stages.groups(RECORDS, sizes, 3)) == [[1, 2, 4], [3, 6], [5], [7]]
    assert ids(stages.groups(RECORDS, sizes, 9)) == [[1, 2, 4, 7], [3, 6], [5]]


@pytest.mark.parametrize("fit", ["kl", "hl", "openpose", "plain"])
@pytest.mark.parametrize("options", [{"height": 64}, {"height": 64, "scales": (0.5, 1, 1.5), "flip": True}])
def test_a_group_is_one_batch_of_the_network_for_each_size(fit, options):
    """One size gives inputs of one size for each scale, or of one for all where they share a canvas."""
    chosen = predictor(nobody, fit=fit, **options)
    group = [RECORDS[0], RECORDS[1], RECORDS[3]]
    assert len(stages.groups(group, chosen.input_sizes, 3)) == 1
    images = [chosen.prepare(read(record)) for record in group]
    expected = {f.input.shape[:2] for f in images[0].fitted}
    if fit != "hl":
        assert tuple(f.input.shape[:2] for f in images[0].fitted) == chosen.input_sizes((240, 248))

    chosen.forward(images)

    assert len(chosen.net.calls) == len(expected)
    assert sum(shape[0] for shape in chosen.net.calls) == 3 * len(chosen.scales) * (1 + chosen.flip)


def test_few_images_are_in_memory_whatever_their_number():
    alive, most = set(), []
    records = [ImageRecord(i, f"{i}.png", 16, 16) for i in range(1, 201)]

    def reading(record):
        alive.add(record.id)
        most.append(len(alive))
        return np.zeros((16, 16, 3), np.uint8)

    with closing(overlapped(predictor(nobody, height=16), threads=2, read=reading, records=records)) as found:
        for image_id, _ in found:
            alive.discard(image_id)

    assert max(most) <= 2 * (2 + 1)  # two queues of threads + 1


def threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("evaluation")]


def test_no_thread_is_left_after_the_end_an_error_or_a_stop_in_the_middle():
    list(overlapped(predictor()))
    assert threads() == []

    def faulty(record):
        if record.id == 4:
            raise UserError(f"{record.file_name}: cut off")
        return read(record)

    with pytest.raises(UserError, match=r"^4\.png: cut off$"):
        list(overlapped(predictor(), read=faulty))
    assert threads() == []

    with closing(overlapped(predictor())) as found:
        next(found)
        assert threads() != []
    assert threads() == []


@pytest.mark.parametrize("step", ["prepare", "forward", "finish"])
def test_an_error_of_any_step_comes_after_the_images_before_it(step):
    chosen = predictor()
    whole, calls = getattr(chosen, step), iter(range(2))

    def failing(*arguments):
        if next(calls, None) is None:
            raise ArithmeticError("the third")
        return whole(*arguments)

    setattr(chosen, step, failing)
    found = []
    with pytest.raises(ArithmeticError, match="the third"):
        found.extend(image_id for image_id, _ in overlapped(chosen, threads=1))

    assert found == [1, 2]


def test_seconds_are_kept_for_every_stage():
    clock = stages.Clock()
    list(stages.predictions([RECORDS[:1]], read, predictor(), clock))

    assert tuple(clock.seconds) == stages.STAGES
    assert min(clock.seconds.values()) > 0
