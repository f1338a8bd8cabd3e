"""Losses of one output, each with its original's exact normalisation: every original divides by something else.

`prediction` and `target` are (N, h, w, C), `mask` is (N, h, w, 1), 1 where the loss counts, or for
networks of one person (N, 1, 1, K), the weight of each keypoint; the result is a scalar.
"""

from collections.abc import Callable
from typing import Any

from keras import ops

HARDEST = 8  # keypoints that `ohkm` keeps


def euclidean(prediction: Any, target: Any, mask: Any) -> Any:
    """Caffe's EuclideanLoss under a mask: sum of (mask * (prediction - target))^2 / 2N."""
    return _per_sample(ops.square((prediction - target) * mask)) / 2


def euclidean_squared_mask(prediction: Any, target: Any, mask: Any) -> Any:
    """H-Liu's CMU_2b_mask: his loader has masked the target already, so that it meets the mask twice.

    Differs from `euclidean` where the mask is between 0 and 1.
    """
    return euclidean(prediction * mask, target * ops.square(mask), ops.ones_like(mask))


def log_focus(prediction: Any, target: Any, mask: Any) -> Any:
    """H-Liu's focus_mask, which lets go of large errors: sum of log(1 + |mask * (prediction - target)|) / 4N."""
    return _per_sample(ops.log1p(ops.abs((prediction - target) * mask))) / 4


def quartic(prediction: Any, target: Any, mask: Any) -> Any:
    """H-Liu's earlier focus, which clings to large errors: sum of (mask * (prediction - target))^4 / N."""
    return _per_sample(ops.square(ops.square((prediction - target) * mask)))


def mean(prediction: Any, target: Any, mask: Any) -> Any:
    """tensorboy's: the mean of the squares over every element, without the mask.

    That is `euclidean` over C * h * w / 2, at 46x46 cells 40,204 (PAF) and 20,102 (heat), so that a learning rate for
    one is none for the other.
    """
    del mask
    return ops.mean(ops.square(prediction - target))


def half_mean(prediction: Any, target: Any, mask: Any) -> Any:
    """H-Liu's for his FPN: half of `mean`."""
    return mean(prediction, target, mask) / 2


def l2(prediction: Any, target: Any, mask: Any) -> Any:
    """tf-pose-estimation's: `euclidean` without the mask."""
    return euclidean(prediction, target, ops.ones_like(mask))


def offset(prediction: Any, target: Any, heat: Any) -> Any:
    """H-Liu's for offsets: sum of |(prediction - target)^2 * heat| / 2N, channels in pairs (x, y) of one heatmap.

    `heat` (N, h, w, C / 2), what the last stage predicts with its background, weighs in the mask's place and gets no
    gradient; it can be negative, hence the absolute value.
    """
    weight = ops.repeat(ops.stop_gradient(heat), 2, axis=-1)  # (N, h, w, C)
    return _per_sample(ops.abs(ops.square(prediction - target) * weight)) / 2


def joints_mse(prediction: Any, target: Any, weight: Any) -> Any:
    """HRNet's JointsMSELoss: half the mean of (weight * (prediction - target))^2 over every element.

    `weight` (N, 1, 1, K) stands in the mask's place and is squared, as published; what it leaves out still counts in
    the mean.
    """
    return ops.mean(ops.square((prediction - target) * weight)) / 2


def ohkm(prediction: Any, target: Any, weight: Any, hardest: int = HARDEST) -> Any:
    """HRNet's JointsOHKMMSELoss: `joints_mse` of the keypoints of each sample that are furthest off."""
    each = ops.mean(ops.square((prediction - target) * weight), axis=(1, 2)) / 2  # (N, K)
    return ops.mean(ops.top_k(each, min(hardest, each.shape[1]))[0])


Loss = Callable[[Any, Any, Any], Any]
# What a recipe's `loss` names.  `offset` is not among them: its third argument is no mask.
LOSSES: dict[str, Loss] = {
    "euclidean": euclidean,
    "euclidean_squared_mask": euclidean_squared_mask,
    "log_focus": log_focus,
    "quartic": quartic,
    "mean": mean,
    "half_mean": half_mean,
    "l2": l2,
    "joints_mse": joints_mse,
    "ohkm": ohkm,
}


def _per_sample(values: Any) -> Any:
    """The sum of all values / N, which is not known before the step in a graph with a free batch."""
    return ops.sum(values) / ops.cast(ops.shape(values)[0], values.dtype)
