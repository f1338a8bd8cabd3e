"""One convolution of a Caffe pose network, as a row: its published name, kernel, channels and activation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class Conv:
    """A stride-1 convolution with bias and padding (kernel - 1) / 2, followed by `act` (relu, prelu or none).

    `name` and `act_name` are the layer names of the published prototxt.  With `norm` a batch norm stands between
    the convolution and its activation: no published network has one, but a small network trained from nothing
    needs it, and `fold_norms` takes it out again.
    """

    name: str
    kernel: int
    cin: int
    cout: int
    act: str | None = "relu"
    act_name: str = ""
    norm: bool = False

    @property
    def norm_name(self) -> str:
        return f"{self.name}_bn"

    @property
    def output(self) -> str:
        """The layer after which the value is final: the activation where there is one."""
        return self.act_name if self.act else self.name

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each weight, in torch's axis order (out, in, height, width)."""
        found: dict[str, tuple[int, ...]] = {
            f"{self.name}.weight": (self.cout, self.cin, self.kernel, self.kernel),
            f"{self.name}.bias": (self.cout,),
        }
        if self.norm:
            kinds = ("weight", "bias", "running_mean", "running_var")
            found.update({f"{self.norm_name}.{kind}": (self.cout,) for kind in kinds})
        if self.act == "prelu":
            found[f"{self.act_name}.weight"] = (self.cout,)
        return found


@dataclass(frozen=True)
class Pool:
    """A 2x2 maximum, stride 2, that rounds the size up as Caffe does."""

    name: str


Row = Conv | Pool

# The ten layers that every OpenPose network shares with VGG-19: name, input and output width.
_VGG = (
    ("conv1_1", 3, 64), ("conv1_2", 64, 64), "pool1",
    ("conv2_1", 64, 128), ("conv2_2", 128, 128), "pool2",
    ("conv3_1", 128, 256), ("conv3_2", 256, 256), ("conv3_3", 256, 256), ("conv3_4", 256, 256), "pool3",
    ("conv4_1", 256, 512), ("conv4_2", 512, 512),
)  # fmt: skip


def scaled(width: float, channels: int) -> int:
    """A hidden width times the width factor; the image's 3 channels stay."""
    return channels if channels == 3 else max(1, round(channels * width))


def vgg(width: float, pool_suffix: str = "_stage1", relu: str = "relu{}") -> list[Row]:
    """VGG-19 up to conv4_2 in Caffe's names; `relu` turns a layer number ("1_1") into the name of its ReLU."""
    rows: list[Row] = []
    for entry in _VGG:
        if isinstance(entry, str):
            rows.append(Pool(entry + pool_suffix))
        else:
            name, cin, cout = entry
            act_name = relu.format(name.removeprefix("conv"))
            rows.append(Conv(name, 3, scaled(width, cin), scaled(width, cout), "relu", act_name))
    return rows


def tensors(rows: Iterable[Row]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of `rows`, in order."""
    return {name: shape for row in rows if isinstance(row, Conv) for name, shape in row.tensors().items()}


def fold_norms(arrays: Mapping[str, np.ndarray], rows: Iterable[Row]) -> dict[str, np.ndarray]:
    """The weights of the same network without its batch norms, which become part of the convolutions before them.

    Gives what the norms give outside training: gamma (x - mean) / sqrt(var + epsilon) + beta.
    """
    folded = dict(arrays)
    for row in rows:
        if isinstance(row, Conv) and row.norm:
            gamma, beta, mean, var = (
                folded.pop(f"{row.norm_name}.{kind}").astype(np.float64)
                for kind in ("weight", "bias", "running_mean", "running_var")
            )
            scale = gamma / np.sqrt(var + NORM_EPSILON)
            weight, bias = folded[f"{row.name}.weight"], folded[f"{row.name}.bias"]
            folded[f"{row.name}.weight"] = (weight * scale[:, None, None, None]).astype(np.float32)
            folded[f"{row.name}.bias"] = ((bias - mean) * scale + beta).astype(np.float32)
    return folded
