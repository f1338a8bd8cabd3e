"""tf-pose-estimation's mobilenet_v2_small, as rows read off its frozen graph.

A MobileNet-v2 trunk gives 16 channels at stride 8 and 48 at stride 16; the latter are enlarged and both are what six
stages of two branches read (L1 the PAF, L2 the heatmap), each five depthwise-separable convolutions.

Names are the graph's with `.` for `/`: `MobilenetV2/Conv/weights` is `MobilenetV2.Conv.weight`, and a norm's gamma,
beta, moving_mean and moving_variance are weight, bias, running_mean and running_var as in PyTorch.
"""

from dataclasses import dataclass

from shared import skeleton

EPSILON = 0.001  # of every norm
FIELDS = ("paf", "heat")  # branch L1, branch L2
_BRANCH = {"paf": "L1", "heat": "L2"}
_FIRST = 16  # channels of the first convolution
_EXPANSION = 6
# Output channels and stride of the trunk's blocks; the first block alone does not expand.
_BLOCKS = (
    (8, 1), (16, 2), (16, 1), (16, 2), (16, 1), (16, 1),
    (32, 2), (32, 1), (32, 1), (32, 1), (48, 1), (48, 1), (48, 1),
)  # fmt: skip
# The blocks whose outputs the stages read, at stride 8 and 16.
FINE, COARSE = 5, 12
_STAGE_1 = (64, 64, 64, 256)
_LATER = (64, 64, 64, 64)
_KERNELS = (3, 3, 3, 1, 1)


@dataclass(frozen=True)
class Unit:
    """A convolution without bias, padded as TensorFlow's "SAME", then its norm and its activation, if any.

    `norm` is "image" (the statistics of the image at hand), "stored" (fixed statistics, no scale) or None.
    """

    name: str
    kernel: int
    cin: int
    cout: int
    stride: int = 1
    depthwise: bool = False
    norm: str | None = None
    act: str | None = None

    @property
    def norm_name(self) -> str:
        return f"{self.name}.BatchNorm"

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each weight, in torch's axis order (out, in / groups, height, width)."""
        cin = 1 if self.depthwise else self.cin
        kinds = {None: (), "image": ("weight", "bias"), "stored": ("bias", "running_mean", "running_var")}
        return {
            f"{self.name}.weight": (self.cout, cin, self.kernel, self.kernel),
            **{f"{self.norm_name}.{kind}": (self.cout,) for kind in kinds[self.norm]},
        }


@dataclass(frozen=True)
class Block:
    """An inverted residual: expand, filter each channel, project; with `add`, its input is added to the result."""

    name: str
    units: tuple[Unit, ...]
    add: bool


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis of that size in TensorFlow's "SAME": as few as give ceil(size / stride) outputs.

    The odd one goes to the end, so that a stride of 2 over an even size pads (0, 1) where Caffe would pad (1, 1).
    """
    # No negative operand of //: ONNX, to which PyTorch exports this, rounds those towards zero.
    total = (size - 1) // stride * stride + kernel - size
    if kernel < stride:  # else it cannot be negative, and the exporter is spared a maximum of symbols
        total = max(total, 0)
    return total // 2, total - total // 2


@dataclass(frozen=True)
class MobilenetV2SmallSpec:
    """The published network; its widths and its number of stages are fixed."""

    name: str = "mobilenet_v2_small"
    skeleton: str = "coco18"

    family = "mobilenet_v2_small"
    stride = 8
    width = 1.0
    stages = 6

    @property
    def channels(self) -> dict[str, int]:
        body = skeleton.skeleton(self.skeleton)
        return {"paf": body.n_paf, "heat": body.n_heat}

    @property
    def feature(self) -> int:
        """Channels of the trunk's output, which every stage reads."""
        return _BLOCKS[FINE][0] + _BLOCKS[COARSE][0]

    def first(self) -> Unit:
        return Unit("MobilenetV2.Conv", 3, 3, _FIRST, 2, norm="image", act="relu6")

    def blocks(self) -> list[Block]:
        """The trunk after its first convolution."""
        found: list[Block] = []
        cin = _FIRST
        for index, (cout, stride) in enumerate(_BLOCKS):
            name = f"MobilenetV2.expanded_conv_{index}" if index else "MobilenetV2.expanded_conv"
            hidden = cin * _EXPANSION if index else cin
            expand = Unit(f"{name}.expand", 1, cin, hidden, norm="image", act="relu6")
            units = (
                Unit(f"{name}.depthwise", 3, hidden, hidden, stride, depthwise=True, norm="image", act="relu6"),
                Unit(f"{name}.project", 1, hidden, cout, norm="image"),
            )
            found.append(Block(name, (expand, *units) if index else units, add=stride == 1 and cin == cout))
            cin = cout
        return found

    def branch(self, stage: int, field: str) -> list[Unit]:
        """The units of one branch of one stage; `stage` counts from 1."""
        cin = self.feature if stage == 1 else self.feature + sum(self.channels.values())
        widths = [cin, *(_STAGE_1 if stage == 1 else _LATER), self.channels[field]]
        units = []
        for index, kernel in enumerate(_KERNELS):
            name = f"Openpose.MConv_Stage{stage}_{_BRANCH[field]}_{index + 1}"
            last = index == len(_KERNELS) - 1
            cin, cout = widths[index], widths[index + 1]
            units += [
                Unit(f"{name}_depthwise", kernel, cin, cin, depthwise=True),
                Unit(f"{name}_pointwise", 1, cin, cout, norm="stored", act=None if last else "relu"),
            ]
        return units

    def stage_outputs(self) -> dict[str, str]:
        """Layer name -> field, for the output of every branch of every stage, in the order of the forward pass."""
        return {self.branch(stage, field)[-1].name: field for stage in range(1, self.stages + 1) for field in FIELDS}

    def units(self) -> list[Unit]:
        trunk = [unit for block in self.blocks() for unit in block.units]
        branches = [self.branch(stage, field) for stage in range(1, self.stages + 1) for field in FIELDS]
        return [self.first(), *trunk, *(unit for branch in branches for unit in branch)]

    def tensors(self) -> dict[str, tuple[int, ...]]:
        return {name: shape for unit in self.units() for name, shape in unit.tensors().items()}
