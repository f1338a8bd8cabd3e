"""Values of a recipe that nobody can train with, and those at the edge, with which one can."""

import pytest

from shared.errors import UserError
from shared.recipes import recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("batch=0", "recipe: batch is 0; expected 1 or more"),
        ("steps=-1", "recipe: steps is -1; expected 1 or more"),
        ("accumulate=0", "recipe: accumulate is 0; expected 1 or more"),
        ("validate=0", "recipe: validate is 0; expected 1 or more"),
        ("targets.stride=0", "recipe: targets.stride is 0; expected 1 or more"),
        ("seed=-1", "recipe: seed is -1; expected 0 or more and less than 2^32"),
        ("clip=nan", "recipe: clip is nan; expected 0 or more"),
        ("accumulate=3", "recipe: batch 10 in 3 parts; expected parts of one size"),
        ("augment.crop=100", "recipe: augment.crop 100; expected a multiple of the stride 8"),
        ("augment.crop=0", "recipe: augment.crop 0; expected a multiple of the stride 8"),
        ("schedule.base=0", "recipe: schedule.base is 0.0; expected a number above 0"),
        ("schedule.base=nan", "recipe: schedule.base is nan; expected a number above 0"),
        ("targets.sigma=0", "recipe: targets.sigma is 0.0; expected a number above 0"),
        ("augment.scale=0,1", "recipe: augment.scale is 0 to 1; expected the lower factor first, both above 0"),
        ("augment.scale=2,1", "recipe: augment.scale is 2 to 1; expected the lower factor first, both above 0"),
        ("samples=persons", "recipe: samples persons: unknown (did you mean person?); choose one of person, image"),
        ("main=none", "recipe: main none: unknown; choose one of caffe, keras, lightweight, everyone"),
        ("neck=none", "recipe: neck none: unknown; choose one of paper, caffe, keras, tensorboy, lightweight"),
        ("optimizer.velocity=c", "recipe: optimizer.velocity c: unknown; choose one of caffe, torch"),
        ("schedule.law=x", "recipe: schedule.law x: unknown; choose one of steps, cosine, constant, plateau"),
        ("targets.overlap=sum", "recipe: targets.overlap sum: unknown; choose one of max, sum_clipped"),
        ("targets.paf_overlap=max", "recipe: targets.paf_overlap max: unknown; choose one of last, average"),
        ("targets.rounding=up", "recipe: targets.rounding up: unknown; choose one of c, python, truncate"),
        ("targets.head=nose", "recipe: targets.head nose: unknown; choose one of ear, eye"),
        ("augment.follow=", "recipe: augment.follow : unknown; choose one of main, anywhere, people"),
        ("augment.law=x", "recipe: augment.law x: unknown; choose one of uniform, log"),
        ("augment.shift_in=x", "recipe: augment.shift_in x: unknown; choose one of crop, image"),
        (
            "augment.mirror=pixle",
            "recipe: augment.mirror pixle: unknown (did you mean pixel?); choose one of pixel, edge",
        ),
        ("augment.interpolation=x", "recipe: augment.interpolation x: unknown; choose one of cubic, linear"),
        ("augment.mask=x", "recipe: augment.mask x: unknown; choose one of cubic, area"),
        ("augment.outside=x", "recipe: augment.outside x: unknown; choose one of keep, drop"),
        ("preprocess.order=bgra", "recipe: preprocess.order bgra: unknown (did you mean bgr?); choose one of rgb, bgr"),
        ("preprocess.mean=0,nan,0", "recipe: preprocess.mean is 0.0,nan,0.0; expected a finite number"),
        ("preprocess.std=0,1,1", "recipe: preprocess.std is 0.0,1.0,1.0; expected a number above 0"),
        ("preprocess.scale=-1", "recipe: preprocess.scale is -1.0; expected a number above 0"),
        ("seed=4294967296", "recipe: seed is 4294967296; expected 0 or more and less than 2^32"),
        ("ema=1", "recipe: ema is 1.0; expected 0 or more and less than 1"),
        ("optimizer.momentum=nan", "recipe: optimizer.momentum is nan; expected 0 or more and less than 1"),
        ("optimizer.betas=0.9,1", "recipe: optimizer.betas is 0.9,1.0; expected 0 or more and less than 1"),
        ("optimizer.epsilon=0", "recipe: optimizer.epsilon is 0.0; expected a number above 0"),
        ("optimizer.decay=-1", "recipe: optimizer.decay is -1.0; expected 0 or more"),
        ("schedule.warmup=-3", "recipe: schedule.warmup is -3; expected 0 or more"),
        ("schedule.gamma=0", "recipe: schedule.gamma is 0.0; expected a number above 0"),
        ("schedule.drops=10,-1", "recipe: schedule.drops is 10,-1; expected 0 or more"),
        ("targets.cutoff=0", "recipe: targets.cutoff is 0.0; expected a number above 0"),
        ("targets.limb_width=inf", "recipe: targets.limb_width is inf; expected a number above 0"),
        ("targets.paf_offset=nan", "recipe: targets.paf_offset is nan; expected a finite number"),
        ("augment.power=0", "recipe: augment.power is 0; expected 1 or more"),
        ("augment.rotation=-10", "recipe: augment.rotation is -10.0; expected 0 or more"),
        ("augment.flip=7", "recipe: augment.flip is 7.0; expected a number from 0 to 1"),
        ("augment.jpeg=-0.1", "recipe: augment.jpeg is -0.1; expected a number from 0 to 1"),
        ("augment.border=0,0,256", "recipe: augment.border is 0,0,256; expected numbers from 0 to 255"),
        ("augment.joint_shift=inf", "recipe: augment.joint_shift is inf; expected a finite number"),
    ],
)
def test_a_value_that_cannot_be_trained_with_is_one_line(change, message):
    with pytest.raises(UserError) as error:
        recipe("zc", [change])

    assert str(error.value) == message


@pytest.mark.parametrize(
    "change",
    [
        "seed=4294967295", "ema=0", "clip=0", "optimizer.momentum=0", "optimizer.betas=0,0", "schedule.warmup=0",
        "targets.cutoff=none", "augment.flip=1", "augment.gain=0", "augment.border=0,0,255", "augment.joint_shift=-1",
        "width=0.015625",
    ],
)  # fmt: skip
def test_a_value_at_the_edge_can_be_trained_with(change):
    assert recipe("zc", [change])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("person.half_body=2", "a number from 0 to 1"),
        ("person.half_body_keypoints=-1", "0 or more"),
        ("person.rotation=inf", "0 or more"),
        ("person.rotated=-1", "a number from 0 to 1"),
        ("person.flip=1.5", "a number from 0 to 1"),
        ("crops.pixel_std=0", "a number above 0"),
    ],
)
def test_those_of_networks_of_one_person_too(change, expected):
    with pytest.raises(UserError, match=f"recipe: {change.partition('=')[0]} is .*; expected {expected}$"):
        recipe("hrnet", [change])
