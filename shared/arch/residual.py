"""What the networks for one person share: a convolution with its norm, residual blocks, and their spec, as rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from shared import skeleton
from shared.arch.rows import scaled
from shared.errors import UserError, unknown

NORM_EPSILON = 1e-5  # of every norm, the context's too
SKELETONS = ("coco17", "mpii16")
MULTIPLE = 32  # of both sides of the input: the coarsest map has stride 32
FINAL = "final_layer"
_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Unit:
    """A convolution padded by (kernel - 1) / 2, then its batch norm and its ReLU, if any.

    `norm` is the name of the batch norm, "" for none.  `transposed`: a 4x4 transposed convolution of stride 2 and
    padding 1, which doubles both sides.  `cell` is the side of an output cell in px of the input image, 0 if there is
    one cell for the whole image.
    """

    name: str
    kernel: int
    cin: int
    cout: int
    cell: int
    norm: str = ""
    relu: bool = False
    stride: int = 1
    groups: int = 1
    bias: bool = False
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the kernel, in torch's axis order: (out, in / groups, h, w); transposed, (in, out / groups, h, w)."""
        first, second = (self.cin, self.cout) if self.transposed else (self.cout, self.cin)
        return first, second // self.groups, self.kernel, self.kernel

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each array."""
        bias = {f"{self.name}.bias": (self.cout,)} if self.bias else {}
        norm = {f"{self.norm}.{kind}": (self.cout,) for kind in _NORM if self.norm}
        return {f"{self.name}.weight": self.shape, **bias, **norm}


@dataclass(frozen=True)
class Context:
    """LPN's attention: a mean of the map, weighted by a softmax over all cells, through two layers onto every cell."""

    name: str
    channels: int
    hidden: int
    cell: int

    @property
    def mask(self) -> Unit:
        """Its output, softmaxed, are the weights of the cells."""
        return Unit(f"{self.name}.conv_mask", 1, self.channels, 1, self.cell, bias=True)

    @property
    def squeeze(self) -> Unit:
        """Reads the mean; a layer norm and a ReLU follow."""
        return Unit(f"{self.name}.channel_add_conv.0", 1, self.channels, self.hidden, 0, bias=True)

    @property
    def norm(self) -> str:
        """The name of the layer norm, whose arrays are (hidden, 1, 1)."""
        return f"{self.name}.channel_add_conv.1"

    @property
    def expand(self) -> Unit:
        """Its output is added to every cell."""
        return Unit(f"{self.name}.channel_add_conv.3", 1, self.hidden, self.channels, 0, bias=True)

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each array."""
        norm = {f"{self.norm}.{kind}": (self.hidden, 1, 1) for kind in ("weight", "bias")}
        return {**self.mask.tensors(), **self.squeeze.tensors(), **norm, **self.expand.tensors()}


Row = Unit | Context


@dataclass(frozen=True)
class Block:
    """`units` in series, then `context`, then the block's input is added, through `downsample` if any; then ReLU."""

    units: tuple[Unit, ...]
    downsample: Unit | None = None
    context: Context | None = None

    def rows(self) -> list[Row]:
        return [*self.units, *(row for row in (self.downsample, self.context) if row)]


def basic(name: str, cin: int, cout: int, cell: int, stride: int = 1, groups: tuple[int, int] = (1, 1)) -> Block:
    """Two 3x3 convolutions, the first with the stride."""
    first = Unit(f"{name}.conv1", 3, cin, cout, cell, f"{name}.bn1", True, stride, groups[0])
    second = Unit(f"{name}.conv2", 3, cout, cout, cell, f"{name}.bn2", groups=groups[1])
    return Block((first, second), _downsample(name, cin, cout, cell, stride))


def bottleneck(name: str, cin: int, hidden: int, cout: int, cell: int, stride: int = 1, groups: int = 1) -> Block:
    """1x1, 3x3 with the stride (as in PyTorch; Caffe has it on the first), 1x1."""
    before = cell // stride
    units = (
        Unit(f"{name}.conv1", 1, cin, hidden, before, f"{name}.bn1", True),
        Unit(f"{name}.conv2", 3, hidden, hidden, cell, f"{name}.bn2", True, stride, groups),
        Unit(f"{name}.conv3", 1, hidden, cout, cell, f"{name}.bn3"),
    )
    return Block(units, _downsample(name, cin, cout, cell, stride))


def _downsample(name: str, cin: int, cout: int, cell: int, stride: int) -> Unit | None:
    if stride == 1 and cin == cout:
        return None
    return Unit(f"{name}.downsample.0", 1, cin, cout, cell, f"{name}.downsample.1", stride=stride)


def enlarging(index: int, cin: int, cout: int, cell: int, groups: int = 1) -> Unit:
    """The transposed convolution that is number `index` of `deconv_layers`; its norm is the next."""
    return Unit(
        f"deconv_layers.{index}", 4, cin, cout, cell, f"deconv_layers.{index + 1}", True, 2, groups, transposed=True
    )


@dataclass(frozen=True)
class TopDownSpec:
    """A network that sees one person; families derive from it.

    `skeleton` is coco17 or mpii16.  `size` (height, width) of the input it is trained for; it runs on every multiple
    of 32.  `width` scales every hidden layer, 1 being the published one.
    """

    name: str
    skeleton: str = "coco17"
    size: tuple[int, int] = (256, 192)
    width: float = 1.0

    stride = 4
    stages = 1

    def __post_init__(self) -> None:
        if self.skeleton not in SKELETONS:
            raise unknown(f"model {self.name}: skeleton", self.skeleton, SKELETONS)
        if len(self.size) != 2 or any(side <= 0 or side % MULTIPLE for side in self.size):
            raise UserError(
                f"model {self.name}: size {'x'.join(map(str, self.size))}; expected height x width, multiples of "
                f"{MULTIPLE}, as 256x192"
            )
        if not self.width > 0:
            raise UserError(f"model {self.name}: width {self.width:g}; expected more than 0")

    @property
    def channels(self) -> dict[str, int]:
        return {"heat": skeleton.skeleton(self.skeleton).n_keypoints}  # and no background

    def scaled(self, channels: int) -> int:
        """A published number of channels at this width."""
        return scaled(self.width, channels)

    def final(self, cin: int) -> Unit:
        return Unit(FINAL, 1, cin, self.channels["heat"], self.stride, bias=True)

    def stage_outputs(self) -> dict[str, str]:
        """The one output: layer name -> field."""
        return {FINAL: "heat"}

    def rows(self) -> list[Row]:
        """Every row, in the order of the published state dict."""
        raise NotImplementedError

    def tensors(self) -> dict[str, tuple[int, ...]]:
        return {name: shape for row in self.rows() for name, shape in row.tensors().items()}

    def widths(self, shapes: Mapping[str, tuple[int, ...]]) -> list[float]:
        """At which widths a file may have been made, by its widest layer; none if it lacks that layer."""
        plain = replace(self, width=1.0).tensors()
        widest = max((n for n in plain if len(plain[n]) == 4), key=lambda n: plain[n][0])
        found = shapes.get(widest, (0,))
        width = found[0] / plain[widest][0] if found else 0.0
        return [w for w in (width, *(round(width, digits) for digits in (1, 2, 3))) if w > 0]


def rows_of(blocks: Iterable[Block]) -> list[Row]:
    return [row for block in blocks for row in block.rows()]
