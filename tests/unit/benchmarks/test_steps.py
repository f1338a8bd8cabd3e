"""How far two frameworks are apart: tensor by tensor, whatever its scale."""

import numpy as np
import pytest

from benchmarks.steps import furthest

OURS = {"conv1.weight": np.array([2.0, -4.0]), "bn1.bias": np.array([1e-6]), "att.conv_mask.bias": np.zeros(1)}


def test_a_difference_is_a_share_of_its_tensors_largest_value():
    assert furthest(OURS, OURS) == 0
    assert furthest(OURS, {**OURS, "conv1.weight": np.array([2.1, -4.0])}) == pytest.approx(0.1 / 4)
    assert furthest(OURS, {**OURS, "bn1.bias": np.array([2e-6])}) == pytest.approx(1)


def test_a_bias_that_a_softmax_does_not_see_may_be_rounding_but_no_more():
    assert furthest(OURS, {**OURS, "att.conv_mask.bias": np.array([1e-9])}) == pytest.approx(1e-9 / 4e-4)
    assert furthest(OURS, {**OURS, "att.conv_mask.bias": np.array([1e-3])}) > 1


@pytest.mark.parametrize(("ours", "theirs"), [(OURS, {}), ({"conv1.weight": np.ones(1)}, OURS)])
def test_a_tensor_that_only_one_has_is_an_error(ours, theirs):
    with pytest.raises(KeyError, match=r"conv1|bn1|att"):
        furthest(ours, theirs)
