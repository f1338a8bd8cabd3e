"""Published recipes, changes of them, and the learning rate of every step."""

import math
from dataclasses import asdict, fields, replace

import pytest

from shared import augment
from shared.arch import catalogue
from shared.codec import targets
from shared.data.masks import MASK
from shared.data.rules import MAIN_PERSON, NECK
from shared.errors import UserError
from shared.groups import RULES
from shared.preprocess import CAFFE, IMAGENET
from shared.recipe import Recipe, Schedule, check, ema_decay, learning_rate, to_dict
from shared.recipes import BUILTIN_SMALL, HLIU, HRNET, KL, MODERN, RECIPES, TENSORBOY, ZC, recipe

EPOCH = 11_757  # steps of kevinlin's: 117,576 samples, 10 at a time


def test_zhe_caos_recipe_is_that_of_the_prototxt():
    assert (ZC.optimizer.name, ZC.optimizer.momentum, ZC.optimizer.nesterov) == ("sgd", 0.9, False)
    assert (ZC.schedule.base, ZC.schedule.gamma, ZC.optimizer.decay, ZC.batch) == (4e-5, 0.333, 5e-4, 10)
    assert (ZC.optimizer.groups, ZC.optimizer.velocity, ZC.loss, ZC.steps) == ("caffe", "caffe", "euclidean", 600_000)
    assert (ZC.samples, ZC.main, ZC.masks, ZC.neck) == ("person", "caffe", "caffe", "caffe")
    assert (ZC.targets, ZC.augment, ZC.preprocess) == (targets.CAFFE, augment.CAFFE, CAFFE)
    assert ZC.augment.joint_shift == -1
    assert ZC.init == "caffe"


def test_zhe_caos_rate_drops_every_136106_steps():
    """stepsize 136106: as often as there is room in 600,000 steps."""
    assert ZC.schedule.drops == tuple(136_106 * k for k in range(1, 5))
    assert ZC.steps < 136_106 * 5
    assert learning_rate(ZC, 136_105) == 4e-5
    assert learning_rate(ZC, 136_106) == pytest.approx(4e-5 * 0.333)
    assert learning_rate(ZC, 599_999) == pytest.approx(4e-5 * 0.333**4)


def test_kevinlins_rate_drops_at_epochs_18_36_53_71_and_89():
    assert KL.schedule.drops == tuple(EPOCH * epoch for epoch in (18, 36, 53, 71, 89))
    for first, last, power in ((0, 17, 0), (18, 35, 1), (36, 52, 2), (53, 70, 3), (71, 88, 4), (89, 99, 5)):
        for step in (EPOCH * first, EPOCH * (last + 1) - 1):
            assert learning_rate(KL, step) == pytest.approx(2e-5 * 0.333**power), step


@pytest.mark.parametrize("epoch", range(100))
def test_kevinlins_rate_is_his_formula(epoch):
    wanted = 2e-5 * 0.333 ** math.floor(epoch * EPOCH * 10 / (121_746 * 17))

    assert learning_rate(KL, epoch * EPOCH) == pytest.approx(wanted)


def test_kevinlins_recipe_is_that_of_his_code():
    assert (KL.optimizer.name, KL.optimizer.momentum, KL.optimizer.nesterov) == ("sgd", 0.9, False)
    assert (KL.optimizer.decay, KL.optimizer.groups, KL.batch, KL.loss) == (5e-4, "keras", 10, "euclidean")
    assert (KL.samples, KL.main, KL.masks, KL.neck) == ("person", "keras", "keras", "keras")
    assert (KL.targets, KL.augment, KL.validate) == (targets.KERAS, augment.KERAS, EPOCH)
    assert KL.steps == 100 * EPOCH


def test_hlius_recipe_is_adam_with_ten_milestones():
    assert (HLIU.optimizer.name, HLIU.optimizer.betas, HLIU.optimizer.epsilon) == ("adam", (0.9, 0.999), 1e-8)
    assert (HLIU.schedule.base, HLIU.schedule.gamma, HLIU.optimizer.decay, HLIU.batch) == (1e-4, 0.5, 5e-4, 10)
    assert HLIU.schedule.drops == tuple(1000 * k for k in (200, 300, 360, 420, 480, 540, 600, 700, 800, 900))
    assert HLIU.loss == "euclidean_squared_mask"
    assert HLIU.augment == augment.HL
    assert HLIU.steps == 300 * HLIU.validate
    assert learning_rate(HLIU, 359_999) == pytest.approx(1e-4 / 4)
    assert learning_rate(HLIU, 1_000_000) == pytest.approx(1e-4 / 2**10)


def test_tensorboys_recipe_is_that_of_his_script():
    t = TENSORBOY
    assert (t.optimizer.name, t.optimizer.momentum, t.optimizer.nesterov, t.optimizer.decay) == ("sgd", 0.9, True, 0)
    assert (t.schedule.law, t.schedule.base, t.schedule.gamma, t.schedule.patience) == ("plateau", 1.0, 0.8, 5)
    assert (t.batch, t.loss, t.masks, t.neck, t.samples) == (72, "mean", "none", "tensorboy", "image")
    assert (t.preprocess, t.targets, t.augment) == (IMAGENET, targets.TENSORBOY, augment.TENSORBOY)
    assert RULES[t.optimizer.groups] == RULES["tensorboy"]
    assert t.optimizer.velocity == "torch"
    assert t.targets.head == "eye"
    assert learning_rate(t, 0) == learning_rate(t, t.steps - 1) == 1.0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("caffe", (4.6052, "sum_clipped", "last", "c", False, 0.0, "ear")),
        ("keras", (None, "max", "last", "python", False, 0.0, "ear")),
        ("hl", (None, "max", "last", "python", False, 0.0, "ear")),
        ("tensorboy", (4.6052, "sum_clipped", "average", "python", True, 0.0, "eye")),
        ("lightweight", (4.6052, "sum_clipped", "last", "truncate", False, 0.0, "ear")),
        ("paper", (None, "max", "average", "python", False, 3.5, "ear")),
    ],
)
def test_targets_are_those_of_the_profiles(name, expected):
    t = targets.TARGETS[name]

    assert (t.cutoff, t.overlap, t.paf_overlap, t.rounding, t.strict, t.paf_offset, t.head) == expected
    assert (t.sigma, t.limb_width, t.stride) == (7.0, 8.0, 8)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_trained_and_names_what_there_is(name):
    found = recipe(name)

    assert found == RECIPES[name]
    assert found.main in MAIN_PERSON
    assert found.masks in MASK
    assert found.neck in NECK
    assert found.optimizer.groups in RULES


@pytest.mark.parametrize(
    ("change", "name", "value"),
    [
        ("steps=100", "steps", 100),
        ("bf16=true", "bf16", True),
        ("bf16=False", "bf16", False),
        ("clip=1", "clip", 1.0),
        ("stages=3", "stages", 3),
        ("stages=none", "stages", None),
        ("masks=none", "masks", "none"),  # a rule's name
        ("schedule.base=1e-3", "schedule.base", 1e-3),
        ("schedule.drops=10,20", "schedule.drops", (10, 20)),
        ("schedule.drops=", "schedule.drops", ()),
        ("targets=keras", "targets", targets.KERAS),
        ("targets.cutoff=none", "targets.cutoff", None),
        ("targets.cutoff=4", "targets.cutoff", 4.0),
        ("targets.strict=true", "targets.strict", True),
        ("augment=hl", "augment", augment.HL),
        ("augment.crop=256", "augment.crop", 256),
        ("augment.scale=0.5,1", "augment.scale", (0.5, 1.0)),
        ("augment.decode=reduced", "augment.decode", "reduced"),
        ("augment.border=1,2,3", "augment.border", (1, 2, 3)),
        ("preprocess=imagenet", "preprocess", IMAGENET),
        ("optimizer.name=adam", "optimizer.name", "adam"),
        ("optimizer.betas=0.8,0.9", "optimizer.betas", (0.8, 0.9)),
    ],
)
def test_a_change_is_made_and_nothing_else(change, name, value):
    before, after = (flat(asdict(r)) for r in (ZC, recipe("zc", [change])))

    wanted = flat(asdict(value)) if hasattr(value, "__dataclass_fields__") else {"": value}
    wanted = {f"{name}.{key}".strip("."): v for key, v in wanted.items()}
    assert after == {**before, **wanted}
    assert [type(after[key]) for key in wanted] == [type(v) for v in wanted.values()]


def flat(values: dict, name: str = "") -> dict:
    found: dict = {}
    for key, value in values.items():
        found |= flat(value, f"{name}{key}.") if isinstance(value, dict) else {name + key: value}
    return found


def test_later_changes_win_and_parts_of_a_profile_can_be_changed_after_it():
    found = recipe("zc", ["augment.crop=256", "augment=hl", "augment.flip=0", "steps=1", "steps=2"])

    assert found.augment == replace(augment.HL, flip=0.0)
    assert found.steps == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("steps", "--set steps: expected KEY=VALUE, such as steps=1000 or augment.crop=256"),
        ("setps=3", "--set setps: the name setps: unknown (did you mean steps?); choose one of accumulate, augment,"),
        ("augment.corp=3", "--set augment.corp: the name corp: unknown (did you mean crop?); choose one of border,"),
        ("steps.x=3", "--set steps.x: steps has no parts; give it a value itself"),
        (
            "targets=kreas",
            "--set targets: the profile kreas: unknown (did you mean keras?); choose one of paper, caffe",
        ),
        ("augment=none", "--set augment: the profile none: unknown"),
        ("steps=many", "--set steps=many: expected a value like 600000"),
        ("steps=1.5", "--set steps=1.5: expected a value like 600000"),
        ("steps=none", "--set steps=none: expected a value like 600000"),
        ("bf16=maybe", "--set bf16=maybe: expected a value like False"),
        ("stages=two", "--set stages=two: expected a value like None"),
        ("optimizer=adam", "--set optimizer=adam: expected a value like Optimizer("),
        ("optimizer=none", "--set optimizer=none: expected a value like Optimizer("),
        ("augment.scale=0.5", "--set augment.scale=0.5: expected a value like (0.5, 1.1)"),
        ("augment.scale=a,b", "--set augment.scale=a,b: expected a value like (0.5, 1.1)"),
        ("augment.border=1,2", "--set augment.border=1,2: expected a value like (128, 128, 128)"),
    ],
)
def test_a_change_that_is_not_understood_is_one_line(change, message):
    with pytest.raises(UserError) as error:
        recipe("zc", [change])

    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_an_unknown_recipe_is_refused():
    with pytest.raises(UserError, match=r"--recipe modren: unknown \(did you mean modern\?\); choose one of zc, kl"):
        recipe("modren")


def test_every_part_of_a_recipe_is_in_its_dictionary():
    found, person = to_dict(MODERN), to_dict(HRNET)

    assert [name for name in (field.name for field in fields(Recipe)) if name in {**found, **person}] == [
        field.name for field in fields(Recipe)
    ]
    assert found.keys() - person.keys() == {"neck", "targets", "augment", "stages", "norm"}
    assert person.keys() - found.keys() == {"skeleton", "size", "crops", "heatmaps", "person", "per_image"}
    assert found["augment"]["crop"] == 368
    assert found["schedule"]["law"] == "cosine"


def test_the_learning_rate_warms_up_and_ends_at_zero():
    rates = [learning_rate(BUILTIN_SMALL, step) for step in range(BUILTIN_SMALL.steps)]
    warmup, base = BUILTIN_SMALL.schedule.warmup, BUILTIN_SMALL.schedule.base

    assert rates[:3] == pytest.approx([base / warmup, 2 * base / warmup, 3 * base / warmup])
    assert rates[warmup - 1] == rates[warmup] == max(rates) == base
    assert rates[(warmup + BUILTIN_SMALL.steps) // 2] == pytest.approx(base / 2)
    assert 0 < rates[-1] < base * 1e-6
    assert all(a >= b for a, b in zip(rates[warmup:], rates[warmup + 1 :], strict=False))


def test_a_constant_rate_stays_and_warms_up_too():
    found = replace(ZC, schedule=Schedule("constant", base=0.5, warmup=2))

    assert [learning_rate(found, step) for step in (0, 1, 2, 10**6)] == [0.25, 0.5, 0.5, 0.5]


def test_an_unknown_law_has_no_rate():
    with pytest.raises(UserError, match=r"schedule\.law sine: unknown"):
        learning_rate(replace(ZC, schedule=Schedule("sine")), 0)
    with pytest.raises(UserError, match=r"schedule\.law sine: unknown"):
        check(replace(ZC, schedule=Schedule("sine")))


def test_the_moving_average_forgets_its_first_weights():
    found = replace(ZC, ema=0.99)

    assert ema_decay(found, 0) == pytest.approx(0.1)
    assert ema_decay(found, 8) == pytest.approx(0.5)
    assert ema_decay(found, 10**6) == 0.99
    assert ema_decay(ZC, 10**6) == 0
    left = math.prod(ema_decay(found, step) for step in range(500))
    assert left < 1e-6  # of the untrained weights; 0.99 ** 500 would be 0.007


@pytest.mark.parametrize("name", [name for name, each in RECIPES.items() if not catalogue.top_down(each.spec)])
def test_published_recipes_decode_their_images_whole_and_do_not_say_so(name):
    assert RECIPES[name].augment.decode == "full"
    assert "decode" not in to_dict(RECIPES[name])["augment"]  # as in checkpoints from before there was a choice
    assert to_dict(recipe(name, ["augment.decode=reduced"]))["augment"]["decode"] == "reduced"
