"""Losses of one output, each with its original's exact normalisation: every original divides by something else.

`prediction` and `target` are (N, C, h, w), `mask` is (N, 1, h, w), 1 where the loss counts, or for
networks of one person (N, K, 1, 1), the weight of each keypoint; the result is a scalar.
"""

from collections.abc import Callable

import torch

HARDEST = 8  # keypoints that `ohkm` keeps


def euclidean(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Caffe's EuclideanLoss under a mask: sum of (mask * (prediction - target))^2 / 2N."""
    return _per_sample(((prediction - target) * mask).square()) / 2


def euclidean_squared_mask(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """H-Liu's CMU_2b_mask: his loader has masked the target already, so that it meets the mask twice.

    Differs from `euclidean` where the mask is between 0 and 1.
    """
    return euclidean(prediction * mask, target * mask.square(), torch.ones_like(mask))


def log_focus(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """H-Liu's focus_mask, which lets go of large errors: sum of log(1 + |mask * (prediction - target)|) / 4N."""
    return _per_sample(((prediction - target) * mask).abs().log1p()) / 4


def quartic(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """H-Liu's earlier focus, which clings to large errors: sum of (mask * (prediction - target))^4 / N."""
    return _per_sample(((prediction - target) * mask).square().square())


def mean(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """tensorboy's: the mean of the squares over every element, without the mask.

    That is `euclidean` over C * h * w / 2, at 46x46 cells 40,204 (PAF) and 20,102 (heat), so that a learning rate for
    one is none for the other.
    """
    del mask
    return (prediction - target).square().mean()


def half_mean(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """H-Liu's for his FPN: half of `mean`."""
    return mean(prediction, target, mask) / 2


def l2(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """tf-pose-estimation's: `euclidean` without the mask."""
    return euclidean(prediction, target, torch.ones_like(mask))


def offset(prediction: torch.Tensor, target: torch.Tensor, heat: torch.Tensor) -> torch.Tensor:
    """H-Liu's for offsets: sum of |(prediction - target)^2 * heat| / 2N, channels in pairs (x, y) of one heatmap.

    `heat` (N, C / 2, h, w), what the last stage predicts with its background, weighs in the mask's place and gets no
    gradient; it can be negative, hence the absolute value.
    """
    weight = heat.detach().repeat_interleave(2, dim=1)  # (N, C, h, w)
    return _per_sample(((prediction - target).square() * weight).abs()) / 2


def joints_mse(prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """HRNet's JointsMSELoss: half the mean of (weight * (prediction - target))^2 over every element.

    `weight` (N, K, 1, 1) stands in the mask's place and is squared, as published; what it leaves out still counts in
    the mean.
    """
    return ((prediction - target) * weight).square().mean() / 2


def ohkm(prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, hardest: int = HARDEST) -> torch.Tensor:
    """HRNet's JointsOHKMMSELoss: `joints_mse` of the keypoints of each sample that are furthest off."""
    each = ((prediction - target) * weight).square().mean(dim=(2, 3)) / 2  # (N, K)
    return each.topk(min(hardest, each.shape[1])).values.mean()


Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
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


def _per_sample(values: torch.Tensor) -> torch.Tensor:
    """The sum of all values / N."""
    return values.sum() / values.shape[0]
