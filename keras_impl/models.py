"""From a spec to the network that it describes."""

from typing import Any

import keras

from keras_impl.body25 import Body25
from keras_impl.cpm import Cpm
from keras_impl.hrnet import Hrnet
from keras_impl.lpn import Lpn
from keras_impl.mobilenet_v2_small import MobilenetV2Small
from keras_impl.openpose import OpenPose
from keras_impl.pose_resnet import PoseResnet

_FAMILIES = {
    "openpose": OpenPose,
    "body25": Body25,
    "cpm": Cpm,
    "mobilenet_v2_small": MobilenetV2Small,
    "hrnet": Hrnet,
    "lpn": Lpn,
    "pose_resnet": PoseResnet,
}


def build(spec: Any) -> keras.Model:
    """The untrained network of `spec`, with the framework's default initialisation."""
    return _FAMILIES[spec.family](spec)
