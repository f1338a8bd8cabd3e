"""How a network wants its colours: channel order, scale, mean and deviation.  Stored with the weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Preprocess:
    """The network reads `(x * scale - mean) / std`, x in 0..255, channels in `order` ("rgb" or "bgr")."""

    order: str
    scale: float
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """An RGB image (..., H, W, 3), uint8 or float in 0..255, as the network's (..., H, W, 3) float32 input."""
        if image.dtype == np.uint8:
            out = np.empty(image.shape, np.float32)
            self.into(image.reshape(-1, *image.shape[-2:]), out.reshape(-1, *image.shape[-2:]))
            return out
        x = image[..., ::-1] if self.order == "bgr" else image
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return (x.astype(np.float32) * np.float32(self.scale) - mean) / std

    def into(self, image: np.ndarray, out: np.ndarray) -> None:
        """Write the input for an image (H, W, 3) uint8 into `out` (H, W, 3) float32, one look-up for each value."""
        import cv2

        table = self(np.arange(256, dtype=np.float32)[None, :, None].repeat(3, axis=2))
        cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if self.order == "bgr" else image, table, out)

    def value(self, colour: float) -> np.ndarray:
        """(3,) What a grey of that brightness (0..255) becomes, channel by channel in the network's order."""
        return self(np.full((1, 1, 3), colour, np.float32))[0, 0]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocess":
        return cls(values["order"], values["scale"], tuple(values["mean"]), tuple(values["std"]))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


# Every weight that comes from Caffe: x / 256 - 0.5, so that an image of 128 is 0.
CAFFE = Preprocess("bgr", 1 / 256, (0.5, 0.5, 0.5))
# What tensorboy's own training calls "vgg": torchvision's ImageNet statistics.
IMAGENET = Preprocess("rgb", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Microsoft's PoseResNet and lpn-pytorch on COCO: OpenCV's colours with the statistics of the other order.
IMAGENET_BGR = Preprocess("bgr", 1 / 255, IMAGENET.mean, IMAGENET.std)
# tf-pose-estimation's graphs: the image as OpenCV reads it; mobilenet_v2_small normalises inside.
RAW_BGR = Preprocess("bgr", 1.0)

PREPROCESS = {"caffe": CAFFE, "imagenet": IMAGENET, "imagenet_bgr": IMAGENET_BGR, "raw_bgr": RAW_BGR}

# lpn-pytorch published these for COCO; humanpose.pytorch, whose LPN reads red first, published no file of any.
LPN_BGR = ("lpn_50", "lpn_101", "lpn_152")


def published(spec: Any) -> Preprocess:
    """How the published weights of a network want their colours, for a file that does not say it."""
    if spec.family == "mobilenet_v2_small":
        return RAW_BGR
    if spec.family == "pose_resnet" or (spec.name in LPN_BGR and spec.skeleton == "coco17"):
        return IMAGENET_BGR
    return IMAGENET if spec.family in ("hrnet", "lpn") else CAFFE
