"""Losses, with the originals' exact normalisation."""

import torch


def euclidean(prediction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Caffe's EuclideanLoss under a mask: sum of (mask * (prediction - target))^2 / 2N, a scalar.

    `prediction` and `target` are (N, C, h, w), `mask` is (N, 1, h, w), 1 where the loss counts.
    """
    return ((prediction - target) * mask).square().sum() / (2 * prediction.shape[0])
