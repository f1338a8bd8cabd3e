"""Losses, with the originals' exact normalisation."""

from typing import Any

from keras import ops


def euclidean(prediction: Any, target: Any, mask: Any) -> Any:
    """Caffe's EuclideanLoss under a mask: sum of (mask * (prediction - target))^2 / 2 for each sample, (N,).

    `prediction` and `target` are (N, h, w, C), `mask` is (N, h, w, 1), 1 where the loss counts.  Keras takes the
    mean over N, which makes it the sum / 2N of Caffe.
    """
    return ops.sum(ops.square((prediction - target) * mask), axis=(1, 2, 3)) / 2
