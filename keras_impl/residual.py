"""What the networks for one person share: convolutions with their norms, residual blocks, LPN's attention."""

from collections.abc import Iterable
from typing import Any

import keras
from keras import layers, ops

from shared.arch.residual import FINAL, NORM_EPSILON, Block, Context, TopDownSpec, Unit


class TopDown(keras.Model):
    """Images (N, H, W, 3) to {"final_layer": (N, H / 4, W / 4, K)}; H and W are multiples of 32."""

    def __init__(self, spec: TopDownSpec) -> None:
        images = keras.Input((None, None, 3), name="images")
        super().__init__(images, {FINAL: self.heat(spec, images)}, name=spec.name)
        self.spec = spec

    @staticmethod
    def heat(spec: Any, images: Any) -> Any:
        """The output, by the wiring of the family."""
        raise NotImplementedError


def run_units(units: Iterable[Unit], x: Any) -> Any:
    """Apply `units` in order to x (N, H, W, C)."""
    for unit in units:
        x = _convolution(unit, x)
        if unit.norm:
            x = layers.BatchNormalization(momentum=0.9, epsilon=NORM_EPSILON, name=_name(unit.norm))(x)
        if unit.relu:
            x = layers.ReLU()(x)
    return x


def run_blocks(blocks: Iterable[Block], x: Any) -> Any:
    """Apply `blocks` in order to x (N, H, W, C)."""
    for block in blocks:
        y = run_units(block.units, x)
        if block.context:
            y = attend(block.context, y)
        if block.downsample:
            x = run_units([block.downsample], x)
        x = layers.ReLU()(layers.Add()([y, x]))
    return x


def attend(context: Context, x: Any) -> Any:
    """x (N, H, W, C) with LPN's global context added to every cell."""
    mean = _WeightedMean(name=_name(context.name))([x, run_units([context.mask], x)])
    hidden = run_units([context.squeeze], mean)
    hidden = layers.Flatten()(hidden)  # (N, r): in ONNX, tf2onnx would mix up the axes of a 1x1 map
    hidden = layers.ReLU()(layers.LayerNormalization(epsilon=NORM_EPSILON, name=_name(context.norm))(hidden))
    hidden = layers.Reshape((1, 1, context.hidden))(hidden)
    return layers.Add()([x, run_units([context.expand], hidden)])


def pool(x: Any) -> Any:
    """The maximum of 3x3 cells, stride 2, after ReLU, so that zeros may pad it."""
    return layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))


def _name(name: str) -> str:
    """The name of a Keras layer, which must not have dots."""
    return name.replace(".", "__")


def _convolution(unit: Unit, x: Any) -> Any:
    name = _name(unit.name)
    if unit.transposed and unit.groups > 1:
        return _GroupedTranspose(unit.cout, name)(x)
    if unit.transposed:
        return layers.Conv2DTranspose(unit.cout, unit.kernel, 2, "same", use_bias=unit.bias, name=name)(x)
    padding = "same"
    if unit.stride > 1:  # "same" would pad an even side by (0, 1), PyTorch pads it by (1, 1)
        x, padding = layers.ZeroPadding2D(unit.kernel // 2)(x), "valid"
    options = {"strides": unit.stride, "padding": padding, "use_bias": unit.bias, "name": name}
    if unit.groups == unit.cin:
        return layers.DepthwiseConv2D(unit.kernel, depth_multiplier=unit.cout // unit.cin, **options)(x)
    if unit.groups > 1:
        return _GroupedConv(unit.cout, unit.kernel, groups=unit.groups, **options)(x)
    return layers.Conv2D(unit.cout, unit.kernel, **options)(x)


class _WeightedMean(layers.Layer):
    """[x (N, H, W, C), logits (N, H, W, 1)] to the mean of x (N, 1, 1, C) by the softmax of the logits over H, W."""

    def call(self, inputs: list[Any]) -> Any:
        x, logits = inputs
        weights = ops.exp(logits - ops.max(logits, axis=(1, 2), keepdims=True))
        weights /= ops.sum(weights, axis=(1, 2), keepdims=True)
        return ops.sum(x * weights, axis=(1, 2), keepdims=True)

    def compute_output_shape(self, shapes: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        (batch, *_, channels), _ = shapes
        return batch, 1, 1, channels


class _GroupedConv(layers.Conv2D):
    """Keras's own, without bias, as a depthwise convolution whose outputs are added for each group.

    On a CPU Keras has grouped ones compiled, again for each size, and they cannot become ONNX.
    """

    def call(self, x: Any) -> Any:
        *kernel, inside, cout = self.kernel.shape
        kernels = ops.reshape(self.kernel, (*kernel, inside, self.groups, cout // self.groups))
        kernels = ops.transpose(kernels, (0, 1, 3, 2, 4))
        kernels = ops.reshape(kernels, (*kernel, inside * self.groups, cout // self.groups))
        y = ops.depthwise_conv(x, kernels, self.strides, self.padding)
        _, height, width, _ = ops.shape(y)
        y = ops.reshape(y, (-1, height, width, self.groups, inside, cout // self.groups))
        return ops.reshape(ops.sum(y, axis=4), (-1, height, width, cout))


class _GroupedTranspose(layers.Layer):
    """PyTorch's ConvTranspose2d(cin, cout, 4, stride=2, padding=1, groups=cout, bias=False), which Keras lacks.

    Channel g of the output reads the cin / cout channels of the input from g * cin / cout on.  Row 2i of the output
    is kernel rows 3 and 1 on input rows i - 1 and i; row 2i + 1 is kernel rows 2 and 0 on i and i + 1; columns alike.
    So one depthwise convolution of 2x2 gives all four kinds of cells, to be interleaved.
    """

    def __init__(self, channels: int, name: str) -> None:
        super().__init__(name=name)
        self.channels = channels

    def build(self, shape: tuple[int | None, ...]) -> None:
        # As Conv2DTranspose has it: (height, width, out / groups, in)
        self.kernel = self.add_weight(name="kernel", shape=(4, 4, 1, shape[-1]), initializer="glorot_uniform")

    def call(self, x: Any) -> Any:
        height, width = ops.shape(x)[1], ops.shape(x)[2]
        cin = self.kernel.shape[-1]
        taps = ops.reshape(ops.flip(self.kernel, (0, 1)), (2, 2, 2, 2, cin))  # row / 2, row % 2, column / 2, column % 2
        taps = ops.reshape(ops.transpose(taps, (0, 2, 4, 1, 3)), (2, 2, cin, 4))
        cells = ops.depthwise_conv(ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), taps)
        cells = ops.reshape(cells, (-1, height + 1, width + 1, self.channels, cin // self.channels, 4))
        cells = ops.sum(cells, axis=4)
        rows = [
            ops.stack([cells[:, i : i + height, j : j + width, :, 2 * i + j] for j in (0, 1)], axis=3) for i in (0, 1)
        ]
        both = ops.stack(rows, axis=2)  # (N, H, 2, W, 2, C)
        return ops.reshape(both, (-1, 2 * height, 2 * width, self.channels))

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, height, width, _ = shape
        return batch, height and 2 * height, width and 2 * width, self.channels
