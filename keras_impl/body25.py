"""BODY_25: PAF stages first, then heatmap stages; each a chain of dense blocks with PReLU."""

from typing import Any

import keras
from keras import layers

from keras_impl.layers import run_rows
from shared.arch.body25 import BLOCKS, Body25Spec


class Body25(keras.Model):
    """Images (N, H, W, 3) to {layer name: (N, h, w, C)} for every stage."""

    def __init__(self, spec: Body25Spec) -> None:
        images = keras.Input((None, None, 3), name="images")
        feature = run_rows(spec.trunk(), images)
        outputs = {}
        maps: dict[str, Any] = {}  # the latest map of each field
        for field, stage in spec.sequence:
            previous = [maps[name] for name in ("heat", "paf") if name in maps]
            x = layers.Concatenate()([feature, *previous]) if previous else feature
            maps[field] = _stage(spec, field, stage, x)
            outputs[spec.head(field, stage)[-1].name] = maps[field]
        super().__init__(images, outputs, name=spec.name)
        self.spec = spec


def _stage(spec: Body25Spec, field: str, stage: int, x: Any) -> Any:
    for block in BLOCKS:
        parts = []
        for row in spec.block(field, stage, block):
            x = run_rows([row], x)
            parts.append(x)
        x = layers.Concatenate()(parts)
    return run_rows(list(spec.head(field, stage)), x)
