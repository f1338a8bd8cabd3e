"""OpenPose as in the paper (CVPR 2017): a trunk, then stages of two branches that read each other's maps."""

import keras
from keras import layers

from keras_impl.layers import run_rows
from shared.arch.openpose import OpenPoseSpec


class OpenPose(keras.Model):
    """Images (N, H, W, 3) to {layer name: (N, h, w, C)} for both branches of every stage."""

    def __init__(self, spec: OpenPoseSpec) -> None:
        images = keras.Input((None, None, 3), name="images")
        feature = x = run_rows(spec.trunk(), images)
        outputs = {}
        for stage in range(1, spec.stages + 1):
            paf_rows, heat_rows = spec.branch(stage, "paf"), spec.branch(stage, "heat")
            paf = outputs[paf_rows[-1].name] = run_rows(list(paf_rows), x)
            heat = outputs[heat_rows[-1].name] = run_rows(list(heat_rows), x)
            if stage < spec.stages:
                x = layers.Concatenate(name=f"concat_stage{stage + 1}")([paf, heat, feature])
        super().__init__(images, outputs, name=spec.name)
        self.spec = spec
