"""Blocks that two networks share."""

from collections.abc import Sequence
from typing import Any

from keras import layers

from shared.arch.rows import NORM_EPSILON, Conv, Row


def run_rows(rows: Sequence[Row], x: Any) -> Any:
    """Apply `rows` in order to x (N, H, W, C), one Keras layer per row under its published name."""
    for row in rows:
        if isinstance(row, Conv):
            x = layers.Conv2D(row.cout, row.kernel, padding="same", name=row.name)(x)
            if row.norm:
                x = layers.BatchNormalization(momentum=0.9, epsilon=NORM_EPSILON, name=row.norm_name)(x)
            if row.act == "relu":
                x = layers.ReLU(name=row.act_name)(x)
            elif row.act == "prelu":
                x = layers.PReLU(shared_axes=[1, 2], name=row.act_name)(x)
        else:
            x = layers.MaxPooling2D(2, padding="same", name=row.name)(x)  # "same" rounds up, as Caffe does
    return x
