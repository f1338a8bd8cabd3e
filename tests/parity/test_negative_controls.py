"""Known conversion mistakes must fail the parity gate: a gate that lets one pass proves nothing."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest

from converters import parity
from converters.check import check_images
from shared import framework as frameworks
from shared.arch.openpose import OpenPoseSpec
from shared.preprocess import CAFFE

pytestmark = pytest.mark.parity
OTHER = {"torch": "keras", "keras": "torch"}


def transpose_kernels(arrays):
    return {name: a.swapaxes(2, 3) if a.ndim == 4 else a for name, a in arrays.items()}


def flip_kernels(arrays):
    return {name: a[:, :, ::-1, ::-1] if a.ndim == 4 else a for name, a in arrays.items()}


def reverse_input_channels(arrays):
    return arrays | {"conv1_1.weight": arrays["conv1_1.weight"][:, ::-1]}


def swap_branches(arrays):
    """Every array of L1 for that of L2 where the shapes allow it: there nothing else would notice."""
    other = {name: re.sub("_L([12])", lambda m: f"_L{3 - int(m[1])}", name) for name in arrays}
    return {name: arrays[other[name]] if arrays[other[name]].shape == a.shape else a for name, a in arrays.items()}


def shift_stages(arrays):
    """The weights of stage 2 in stage 3."""
    return {name: arrays[name.replace("_stage3", "_stage2")] for name in arrays}


def concatenate_heat_first(arrays):
    """A refinement that reads [heat, paf, feature]; the published order is [paf, heat, feature]."""
    order = np.r_[38:57, 0:38, 57:65]
    return {name: a[:, order] if name.startswith("Mconv1_") and a.ndim == 4 else a for name, a in arrays.items()}


def zero_one_bias(arrays):
    return arrays | {"Mconv5_stage2_L2.bias": np.zeros_like(arrays["Mconv5_stage2_L2.bias"])}


MISTAKES = (
    transpose_kernels, flip_kernels, reverse_input_channels, swap_branches, shift_stages,
    concatenate_heat_first, zero_one_bias,
)  # fmt: skip


@dataclass(frozen=True)
class MissingRelu(OpenPoseSpec):
    """The network with one activation forgotten."""

    def trunk(self):
        return [replace(row, act=None) if row.name == "conv3_4" else row for row in super().trunk()]


@pytest.fixture(scope="module")
def weights(small):
    return small("coco18", stages=3)


@pytest.fixture(scope="module")
def candidate(framework, weights):
    return frameworks.module(framework, "net").LoadedNet(*weights)


@pytest.fixture(scope="module")
def images(weights):
    return check_images(weights[1].spec)


@pytest.fixture(scope="module")
def expected(framework, weights, images):
    """What the other framework says with the right weights."""
    net = frameworks.module(OTHER[framework], "net").LoadedNet(*weights)
    return {name: net(CAFFE(image), stages=True) for name, image in images.items()}


def worst_ratio(net, images, expected, preprocess=CAFFE):
    ratios = [
        parity.worst(parity.compare(expected[name], net(preprocess(image), stages=True))).ratio
        for name, image in images.items()
    ]
    return max(ratios)


def test_the_right_weights_pass_the_gate(candidate, images, expected):
    assert worst_ratio(candidate, images, expected) <= parity.GATE


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda function: function.__name__)
def test_a_mistake_in_the_weights_fails_the_gate(mistake, framework, weights, images, expected):
    arrays, info = weights
    wrong = {name: np.ascontiguousarray(array) for name, array in mistake(arrays).items()}
    net = frameworks.module(framework, "net").LoadedNet(wrong, info)

    assert worst_ratio(net, images, expected) > 10 * parity.GATE


@pytest.mark.parametrize(
    "preprocess",
    [replace(CAFFE, order="rgb"), replace(CAFFE, scale=1 / 255), replace(CAFFE, mean=(0.485, 0.456, 0.406))],
    ids=["rgb", "divided by 255", "another mean"],
)
def test_a_mistake_in_the_preprocessing_fails_the_gate(preprocess, candidate, images, expected):
    assert worst_ratio(candidate, images, expected, preprocess) > 10 * parity.GATE


def test_a_missing_relu_fails_the_gate(framework, weights, images, expected):
    arrays, info = weights
    spec = MissingRelu(stages=info.spec.stages, width=info.spec.width)
    net = frameworks.module(framework, "net").LoadedNet(arrays, replace(info, spec=spec))

    assert worst_ratio(net, images, expected) > 10 * parity.GATE


def test_swapped_prelu_slopes_fail_the_gate(framework, small, images):
    arrays, info = small("body25")
    wrong = arrays | {"Mprelu2_stage0_L2_0.weight": arrays["Mprelu2_stage0_L2_1.weight"]}
    image = CAFFE(images["shapes 1x96x64"])
    right = frameworks.module(OTHER[framework], "net").LoadedNet(arrays, info)(image, stages=True)

    net = frameworks.module(framework, "net").LoadedNet(wrong, info)

    assert parity.worst(parity.compare(right, net(image, stages=True))).ratio > 10 * parity.GATE
