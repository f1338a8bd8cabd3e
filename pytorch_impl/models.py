"""From a spec to the network that it describes."""

from typing import Any

from torch import nn

from pytorch_impl.body25 import Body25
from pytorch_impl.cpm import Cpm
from pytorch_impl.hrnet import Hrnet
from pytorch_impl.lpn import Lpn
from pytorch_impl.mobilenet_v2_small import MobilenetV2Small
from pytorch_impl.openpose import OpenPose
from pytorch_impl.pose_resnet import PoseResnet

_FAMILIES = {
    "openpose": OpenPose,
    "body25": Body25,
    "cpm": Cpm,
    "mobilenet_v2_small": MobilenetV2Small,
    "hrnet": Hrnet,
    "lpn": Lpn,
    "pose_resnet": PoseResnet,
}


def build(spec: Any) -> nn.Module:
    """The untrained network of `spec`, with the framework's default initialisation."""
    return _FAMILIES[spec.family](spec)
