"""Every trainable tensor in one group, with the multipliers of the published training code."""

from collections import Counter
from types import SimpleNamespace

import pytest

from shared.arch import catalogue
from shared.errors import UserError
from shared.groups import RULES, Group, groups

NORMED = catalogue.spec("coco18", norm=True)
SPECS = [*catalogue.SPECS.values(), NORMED]
# Rule -> {(lr, decay): number of tensors}.  coco18: 22 convolutions in trunk and stage 1, 70 in the refinement;
# coco18_dense: 12 in the trunk with 3 slopes, 6 stages of 17 with 16 slopes each.
COCO18 = {
    "caffe": {(1, 1): 22, (2, 0): 22, (4, 1): 70, (8, 0): 70},
    "keras": {(1, 2): 22, (2, 0): 22, (4, 2): 70, (8, 0): 70},
    "hliu": {(1, 1): 22, (2, 0): 22, (4, 1): 70, (8, 0): 70},
    "lightweight": {(1, 1): 22, (2, 0): 22, (4, 1): 70, (8, 0): 70},
    "flat": {(1, 1): 184},
    "tensorboy": {(1, 1): 184},
    "modern": {(1, 1): 92, (1, 0): 92},
}
DENSE = {
    "caffe": {(1, 1): 12 + 3 + 96, (2, 0): 12, (4, 1): 102, (8, 0): 102},
    "keras": {(1, 2): 12, (2, 0): 12, (1, 0): 99, (4, 2): 102, (8, 0): 102},
    "hliu": {(1, 1): 12 + 3, (2, 0): 12, (4, 1): 102 + 96, (8, 0): 102},
    "lightweight": {(1, 1): 12, (2, 0): 12, (1, 0): 99, (4, 1): 102, (8, 0): 102},
    "flat": {(1, 1): 327},
    "tensorboy": {(1, 1): 327},
    "modern": {(1, 1): 114, (1, 0): 114 + 99},
}


def of(spec, rule):
    """Tensor -> (lr, decay)."""
    return {name: (group.lr, group.decay) for group in groups(spec, rule) for name in group.names}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.name}{'_bn' * (spec is NORMED)}")
def test_every_trainable_tensor_is_in_one_group(spec, rule):
    names = Counter(name for group in groups(spec, rule) for name in group.names)

    assert set(names.values()) == {1}
    assert set(names) == {name for name in spec.tensors() if "running" not in name}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("model", "counts"), [("coco18", COCO18), ("coco18_dense", DENSE)])
def test_the_groups_have_the_published_sizes(model, counts, rule):
    found = groups(catalogue.spec(model), rule)

    assert {(group.lr, group.decay): len(group.names) for group in found} == counts[rule]
    assert len(found) == len(counts[rule])


@pytest.mark.parametrize("rule", ["caffe", "hliu", "lightweight"])
def test_the_refinement_learns_four_times_as_fast_and_biases_twice(rule):
    found = of(catalogue.spec("coco18"), rule)

    for layer in ("conv1_1", "conv4_4_CPM", "conv5_5_CPM_L1"):
        assert (found[f"{layer}.weight"], found[f"{layer}.bias"]) == ((1, 1), (2, 0))
    for layer in ("Mconv1_stage2_L1", "Mconv3_stage4_L2", "Mconv7_stage6_L2"):
        assert (found[f"{layer}.weight"], found[f"{layer}.bias"]) == ((4, 1), (8, 0))


@pytest.mark.parametrize(("rule", "early", "late"), [("hliu", (1, 1), (4, 1)), ("caffe", (1, 1), (1, 1))])
def test_the_dense_network_s_first_stages_and_slopes_learn_as_published(rule, early, late):
    """H-Liu's groups know `state_0` and the rest; BODY_25's prototxt leaves the slopes at 1."""
    found = of(catalogue.spec("coco18_dense"), rule)

    assert found["conv4_4_CPM.weight"] == (1, 1)
    assert found["Mconv1_stage0_L2_0.weight"] == found["Mconv7_stage0_L1.weight"] == (4, 1)
    assert found["Mconv1_stage0_L2_0.bias"] == (8, 0)
    assert found["prelu4_3_CPM.weight"] == early
    assert found["Mprelu1_stage0_L2_0.weight"] == found["Mprelu6_stage1_L1.weight"] == late


def test_hand_and_face_have_17_layers_before_the_refinement():
    for model in ("hand21", "face70"):
        sizes = {(g.lr, g.decay): len(g.names) for g in groups(catalogue.spec(model), "caffe")}

        assert sizes == {(1, 1): 17, (2, 0): 17, (4, 1): 35, (8, 0): 35}  # as their prototxt files say


def test_norms_decay_only_where_everything_does():
    decays = {rule: {of(NORMED, rule)[f"conv1_1_bn.{kind}"][1] for kind in ("weight", "bias")} for rule in RULES}

    assert decays == {rule: {1} if rule in ("flat", "tensorboy") else {0} for rule in RULES}


def test_lightweight_decays_dense_kernels_only_and_leaves_norms_alone():
    found = of(catalogue.spec("mobilenet_v2_small"), "lightweight")

    assert found["MobilenetV2.expanded_conv_1.expand.weight"] == (1, 1)
    assert found["MobilenetV2.expanded_conv_1.depthwise.weight"] == (1, 0)
    assert found["MobilenetV2.expanded_conv_1.depthwise.BatchNorm.weight"] == (1, 0)
    assert found["MobilenetV2.expanded_conv_1.depthwise.BatchNorm.bias"] == (2, 0)
    assert found["Openpose.MConv_Stage1_L2_3_pointwise.weight"] == (1, 1)
    assert found["Openpose.MConv_Stage2_L2_3_pointwise.weight"] == (4, 1)
    assert found["Openpose.MConv_Stage2_L2_3_pointwise.BatchNorm.bias"] == (2, 0)


def test_the_groups_keep_the_order_of_the_network():
    found = groups(catalogue.spec("coco18", stages=2), "modern")

    assert [group.names[:2] for group in found] == [
        ("conv1_1.weight", "conv1_2.weight"),
        ("conv1_1.bias", "conv1_2.bias"),
    ]
    assert found[0] == Group(1, 1, found[0].names)


@pytest.mark.parametrize(
    "name", ["Mconv1_stge2_L1.weight", "fc6.weight", "conv1_1.gamma", "conv1_1_in.weight", "weight"]
)
@pytest.mark.parametrize("rule", ["caffe", "flat"])
def test_a_tensor_that_no_rule_knows_is_refused(rule, name):
    spec = SimpleNamespace(name="other", tensors=lambda: {"conv1_1.weight": (64, 3, 3, 3), name: (1,)})

    with pytest.raises(UserError, match=rf"other: {name}: no group has a tensor of that name"):
        groups(spec, rule)


def test_an_unknown_rule_is_refused():
    with pytest.raises(UserError, match=r"optimizer.groups cafe: unknown .did you mean caffe"):
        groups(catalogue.spec("coco18"), "cafe")
