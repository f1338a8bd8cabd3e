"""Recipes of networks of one person: the published numbers, first weights, groups, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from shared import augment_person
from shared.arch import catalogue
from shared.codec import crops, heatmaps
from shared.data.rules import MAIN_PERSON
from shared.errors import UserError
from shared.groups import RULES, groups
from shared.initial import initial
from shared.preprocess import IMAGENET, IMAGENET_BGR
from shared.recipe import learning_rate, to_dict
from shared.recipes import RECIPES, recipe

COCO, MPII = 149_813, 22_246  # people
PUBLISHED = {  # model, skeleton, (height, width), sigma, colours, augmentation, people, batch, epochs, drops
    "hrnet": ("pose_hrnet_w32", "coco17", (256, 192), 2, IMAGENET, "coco", COCO, 128, 210, (170, 200)),
    "hrnet_384": ("pose_hrnet_w32", "coco17", (384, 288), 3, IMAGENET, "coco", COCO, 128, 210, (170, 200)),
    "hrnet_w18": ("pose_hrnet_w18_v2", "coco17", (256, 192), 2, IMAGENET, "coco", COCO, 512, 210, (170, 200)),
    "hrnet_mpii": ("pose_hrnet_w32", "mpii16", (256, 256), 2, IMAGENET, "mpii", MPII, 128, 210, (170, 200)),
    "lpn": ("lpn_50", "coco17", (256, 192), 2, IMAGENET, "coco", COCO, 512, 150, (90, 120)),
    "lpn_upstream": ("lpn_101", "coco17", (256, 192), 2, IMAGENET_BGR, "simple", COCO, 128, 150, (90, 120)),
    "pose_resnet": ("pose_resnet_50", "coco17", (256, 192), 2, IMAGENET_BGR, "simple", COCO, 128, 140, (90, 120)),
    "pose_resnet_384": ("pose_resnet_50", "coco17", (384, 288), 3, IMAGENET_BGR, "simple", COCO, 128, 140, (90, 120)),
    "pose_resnet_mpii": ("pose_resnet_50", "mpii16", (256, 256), 2, IMAGENET_BGR, "mpii", MPII, 128, 140, (90, 120)),
}
OURS = {"hrnet_builtin": (128, 96), "hrnet_builtin_192": (192, 128), "lpn_builtin": (128, 96)}
PERSON = [name for name, each in RECIPES.items() if catalogue.top_down(each.spec)]
FAMILIES = ("pose_hrnet_w18_v1", "lpn_18h", "lpn_50", "pose_resnet_50")


def test_every_recipe_of_one_person_is_looked_at_here():
    assert sorted(PERSON) == sorted([*PUBLISHED, *OURS])


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_has_its_numbers(name):
    model, skeleton, size, sigma, colours, augmentation, people, batch, epochs, drops = PUBLISHED[name]
    found = recipe(name)

    assert (found.model, found.spec.skeleton, found.spec.size) == (model, skeleton, size)
    assert (found.heatmaps.name, found.heatmaps.sigma, found.heatmaps.stride) == ("msra", sigma, 4)
    assert found.heatmaps == replace(heatmaps.MSRA, sigma=sigma)
    assert (found.crops, found.preprocess) == (crops.MSRA, colours)
    assert found.person == augment_person.PERSON_AUGMENTS[augmentation]
    assert found.batch == batch
    assert found.steps == pytest.approx(people * epochs / batch, abs=0.5)
    assert found.validate == pytest.approx(people / batch, abs=0.5)
    assert found.schedule.drops == pytest.approx([people * epoch / batch for epoch in drops], abs=0.5)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_recipes_are_adam_at_a_thousandth_without_decay(name):
    found = recipe(name)

    assert (found.optimizer.name, found.optimizer.betas, found.optimizer.epsilon) == ("adam", (0.9, 0.999), 1e-8)
    assert (found.optimizer.decay, found.optimizer.groups) == (0, "flat")
    rates = [learning_rate(found, step) for step in (0, *found.schedule.drops, found.steps - 1)]
    assert rates == pytest.approx([1e-3, 1e-4, 1e-5, 1e-5])
    before = [learning_rate(found, drop - 1) for drop in found.schedule.drops]
    assert before == pytest.approx([1e-3, 1e-4])
    assert (found.loss, found.init, found.masks) == ("joints_mse", "hrnet", "none")
    assert (found.samples, found.main) == ("person", "everyone")
    assert (found.ema, found.clip, found.bf16, found.accumulate, found.per_image) == (0, 0, False, 1, 1)


def test_everyone_is_whoever_has_a_keypoint_and_a_segment():
    rule = MAIN_PERSON["everyone"]

    assert (rule.keypoints, rule.distance) == (1, 0.0)
    assert 0 < rule.area < 1e-3


@pytest.mark.parametrize("name", OURS)
def test_ours_are_small_and_decoded_by_dark(name):
    found = recipe(name)

    assert (found.spec.size, found.decoder) == (OURS[name], "dark")
    assert (found.samples, found.per_image) == ("image", 3)
    assert found.loss == "joints_mse"


def test_heatmaps_choose_the_decoder_of_the_validations():
    chosen = {name: recipe("hrnet", [f"heatmaps={name}", *more]).decoder for name, more in (
        ("msra", ()), ("dark", ()), ("udp", ("crops=udp",)),
    )}  # fmt: skip

    assert chosen == {"msra": "argmax", "dark": "dark", "udp": "udp"}


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("hrnet", ["crops=udp"], "recipe: crops udp with heatmaps msra; expected both udp, or neither"),
        ("hrnet", ["heatmaps=udp"], "recipe: crops msra with heatmaps udp; expected both udp, or neither"),
        ("hrnet", ["size=250,192"], "model pose_hrnet_w32: size 250x192; expected height x width, multiples of 32"),
        ("hrnet", ["size=256"], "model pose_hrnet_w32: size 256; expected height x width"),
        ("hrnet", ["size=0,0"], "model pose_hrnet_w32: size 0x0; expected height x width"),
        ("hrnet", ["skeleton=coco18"], "model pose_hrnet_w32: skeleton coco18: unknown"),
        ("hrnet", ["stages=2"], "model pose_hrnet_w32: stages is fixed at 1; leave it out"),
        ("hrnet", ["norm=true"], "model pose_hrnet_w32: norm is fixed at False; leave it out"),
        ("hrnet", ["heatmaps.sigma=0"], "recipe: heatmaps.sigma is 0.0; expected a number above 0"),
        (
            "hrnet",
            ["heatmaps.joint_weights=1,x"],
            "--set heatmaps.joint_weights=1,x: expected none, or a number for each keypoint with commas, like 1,1.2",
        ),
        ("hrnet", ["heatmaps.joint_weights="], "--set heatmaps.joint_weights=: expected none, or a number for each"),
        (
            "hrnet",
            ["heatmaps.joint_weights=1,1.2"],
            "recipe: heatmaps.joint_weights is 1,1.2; expected 17 numbers of 0 or more, one for each keypoint of",
        ),
        ("hrnet", ["heatmaps.joint_weights=" + "1," * 16 + "-1"], "recipe: heatmaps.joint_weights is 1,1,"),
        ("hrnet", ["heatmaps.joint_weights=" + "1," * 16 + "nan"], "recipe: heatmaps.joint_weights is 1,1,"),
        ("hrnet", ["heatmaps.stride=8"], "recipe: heatmaps.stride is 8; expected 4, the network's"),
        ("hrnet", ["crops.padding=0"], "recipe: crops.padding is 0.0; expected a number above 0"),
        ("hrnet", ["person.scale=1"], "recipe: person.scale is 1.0; expected 0 or more and less than 1"),
        ("hrnet", ["accumulate=3"], "recipe: batch 128 in 3 parts; expected parts of one size"),
        ("hrnet", ["crops=udpp"], "--set crops: the profile udpp: unknown (did you mean udp?)"),
        ("zc", ["skeleton=mpii16"], "recipe: skeleton is of networks of one person, coco18 is none; leave it out"),
        ("zc", ["size=256,192"], "recipe: size is of networks of one person, coco18 is none; leave it out"),
    ],
)
def test_a_recipe_that_cannot_be_is_one_line(name, changes, message):
    with pytest.raises(UserError) as error:
        recipe(name, changes)

    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_recipe_of_another_network_can_be_made():
    found = recipe("hrnet", ["model=pose_hrnet_w48", "size=384,288", "heatmaps.sigma=3", "skeleton=mpii16"])

    assert found.spec == catalogue.spec("pose_hrnet_w48", size=(384, 288), skeleton="mpii16")
    assert to_dict(found)["size"] == (384, 288)
    assert recipe("hrnet_mpii", ["skeleton=", "size="]).spec.size == (256, 192)


@pytest.mark.parametrize(
    ("name", "changes", "sigma"),
    [
        ("hrnet_384", ["heatmaps=dark"], 3),
        ("hrnet_384", ["heatmaps=udp", "crops=udp"], 3),
        ("pose_resnet_384", ["heatmaps=msra"], 3),
        ("hrnet", ["heatmaps=dark"], 2),
        ("hrnet", ["size=384,288"], 3),
        ("hrnet", ["size=384,288", "heatmaps=dark"], 3),
        ("hrnet_384", ["size=256,192"], 2),
        ("hrnet_384", ["size="], 2),
        ("hrnet_mpii", ["size=384,384"], 2),
        ("hrnet", ["size=384,288", "heatmaps.sigma=2"], 2),
        ("hrnet_384", ["heatmaps.sigma=2.5", "heatmaps=dark"], 2.5),
        ("hrnet_384", ["heatmaps.sigma=2.5", "size=256,192", "heatmaps.sigma=1.5"], 1.5),
    ],
)
def test_sigma_is_that_of_the_size_in_every_profile_unless_it_is_set(name, changes, sigma):
    found = recipe(name, changes)

    profile = next((change.removeprefix("heatmaps=") for change in changes if change.startswith("heatmaps=")), "msra")
    assert found.heatmaps == replace(heatmaps.HEATMAPS[profile], sigma=sigma)


def test_keypoints_may_be_weighed():
    weights = ",".join(map(str, heatmaps.COCO_JOINT_WEIGHTS))
    found = recipe("hrnet", [f"heatmaps.joint_weights={weights}"]).heatmaps

    assert found == replace(heatmaps.MSRA, joint_weights=heatmaps.COCO_JOINT_WEIGHTS)
    points = np.full((1, 17, 3), 100.0)
    _, plain = heatmaps.encode(points, (256, 192))
    np.testing.assert_array_equal(
        heatmaps.encode(points, (256, 192), found)[1], plain * np.float32([found.joint_weights])
    )
    assert recipe("hrnet", [f"heatmaps.joint_weights={weights}", "heatmaps.joint_weights=none"]) == RECIPES["hrnet"]
    assert recipe("hrnet_mpii", ["heatmaps.joint_weights=" + "1," * 15 + "0"]).heatmaps.joint_weights[-1] == 0


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("model", FAMILIES)
def test_every_trainable_tensor_is_in_one_group(model, rule):
    spec = catalogue.spec(model)
    names = [name for group in groups(spec, rule) for name in group.names]

    assert len(names) == len(set(names))
    assert set(names) == {name for name in spec.tensors() if "running_" not in name}
    if rule == "flat":
        assert [(group.lr, group.decay) for group in groups(spec, rule)] == [(1, 1)]


def test_decay_leaves_out_norms_and_biases():
    decays = {n: g.decay for g in groups(catalogue.spec("lpn_50"), "modern") for n in g.names}

    for name in ("bn1.weight", "bn1.bias", "layer1.0.att.channel_add_conv.1.weight", "final_layer.bias"):
        assert decays[name] == 0, name
    for name in ("conv1.weight", "layer1.0.conv2.weight", "deconv_layers.0.weight", "final_layer.weight"):
        assert decays[name] == 1, name


def first(model, **changes):
    return initial(replace(RECIPES["hrnet"], model=model, width=1 / 4, **changes))[1]


@pytest.mark.parametrize("model", FAMILIES)
def test_norms_begin_with_one_and_zero_and_kernels_with_the_deviation_of_the_recipe(model):
    arrays, he = first(model), first(model, init="he")
    kernels = {name for name, array in arrays.items() if array.ndim == 4}

    for name in arrays.keys() - kernels:
        expected = 1 if name.endswith(("running_var", ".weight")) else 0
        np.testing.assert_array_equal(arrays[name], expected, err_msg=name)
        np.testing.assert_array_equal(he[name], expected, err_msg=name)
    deviation = np.concatenate([arrays[name].ravel() for name in kernels]).std()
    assert deviation == pytest.approx(1e-3, rel=0.01)
    for name in kernels:
        wanted = np.sqrt(2 / np.prod(he[name].shape[1:])) * (0.1 if name == "final_layer.weight" else 1)
        assert he[name].std() == pytest.approx(wanted, rel=4 / np.sqrt(he[name].size)), name
    assert all(array.dtype == np.float32 for array in arrays.values())


def test_a_prelu_begins_with_a_quarter():
    arrays = initial(replace(RECIPES["zc"], model="coco18_dense", width=1 / 8))[1]

    slopes = [array for name, array in arrays.items() if "prelu" in name]
    assert slopes
    assert all((slope == 0.25).all() for slope in slopes)


def test_first_weights_are_decided_by_the_seed():
    ours, same, other = (first("lpn_18h", seed=seed) for seed in (0, 0, 1))

    for name, array in ours.items():
        np.testing.assert_array_equal(array, same[name])
    assert (ours["conv1.weight"] != other["conv1.weight"]).any()
    info, _ = initial(RECIPES["pose_resnet_mpii"])
    assert (info.preprocess, info.spec.skeleton) == (IMAGENET_BGR, "mpii16")
