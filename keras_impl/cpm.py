"""OpenPose's hand and face networks: a convolutional pose machine with one branch."""

import keras
from keras import layers

from keras_impl.layers import run_rows
from shared.arch.cpm import CpmSpec


class Cpm(keras.Model):
    """Images (N, H, W, 3) to {layer name: (N, h, w, C)} for every stage."""

    def __init__(self, spec: CpmSpec) -> None:
        images = keras.Input((None, None, 3), name="images")
        feature = x = run_rows(spec.trunk(), images)
        outputs = {}
        for stage in range(1, spec.stages + 1):
            rows = spec.branch(stage)
            heat = outputs[rows[-1].name] = run_rows(list(rows), x)
            if stage < spec.stages:
                x = layers.Concatenate(name=f"concat_stage{stage + 1}")([heat, feature])
        super().__init__(images, outputs, name=spec.name)
        self.spec = spec
