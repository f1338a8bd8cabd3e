"""tf-pose-estimation's mobilenet_v2_small: a MobileNet-v2 trunk, then six stages of two separable branches."""

from collections.abc import Iterable
from typing import Any

import keras
from keras import layers, ops

from shared.arch.mobilenet_v2_small import COARSE, EPSILON, FIELDS, FINE, MobilenetV2SmallSpec, Unit


class MobilenetV2Small(keras.Model):
    """Images (N, H, W, 3) to {layer name: (N, h, w, C)} for both branches of every stage.

    The trunk normalises every image by its own statistics.  The original normalises by those of the batch, which is
    the same for its one image.
    """

    def __init__(self, spec: MobilenetV2SmallSpec) -> None:
        images = keras.Input((None, None, 3), name="images")
        feature = x = _trunk(spec, images)
        outputs = {}
        for stage in range(1, spec.stages + 1):
            maps = []
            for field in FIELDS:
                units = spec.branch(stage, field)
                maps.append(_run(units, x))
                outputs[units[-1].name] = maps[-1]
            if stage < spec.stages:
                x = layers.Concatenate(name=f"concat_stage{stage + 1}")([*maps, feature])
        super().__init__(images, outputs, name=spec.name)
        self.spec = spec


def _trunk(spec: MobilenetV2SmallSpec, images: Any) -> Any:
    x = _run([spec.first()], images)
    ends = []
    for block in spec.blocks():
        y = _run(block.units, x)
        x = layers.Add()([x, y]) if block.add else y
        ends.append(x)
    fine, coarse = ends[FINE], ends[COARSE]
    return layers.Concatenate(name="feature")([fine, Enlarge(name="enlarge")([coarse, fine])])


def _run(units: Iterable[Unit], x: Any) -> Any:
    """Apply `units` in order to x (N, H, W, C); `__` stands for the dots of their names."""
    for unit in units:
        name = unit.name.replace(".", "__")
        # Keras's "same" is TensorFlow's: `same_padding` says what it adds.
        options = {"strides": unit.stride, "padding": "same", "use_bias": False, "name": name}
        if unit.depthwise:
            x = layers.DepthwiseConv2D(unit.kernel, **options)(x)
        else:
            x = layers.Conv2D(unit.cout, unit.kernel, **options)(x)
        if unit.norm:
            norm = ImageNorm if unit.norm == "image" else StoredNorm
            x = norm(EPSILON, name=unit.norm_name.replace(".", "__"))(x)
        if unit.act:
            x = layers.ReLU(max_value=6.0 if unit.act == "relu6" else None)(x)
    return x


class ImageNorm(layers.Layer):
    """Each channel of each image to mean 0 and variance 1 (biased, as TensorFlow normalises), then scale and shift."""

    def __init__(self, epsilon: float, name: str | None = None) -> None:
        super().__init__(name=name)
        self.epsilon = epsilon

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.gamma = self.add_weight(name="gamma", shape=shape[-1:], initializer="ones")
        self.beta = self.add_weight(name="beta", shape=shape[-1:], initializer="zeros")

    def call(self, x: Any) -> Any:
        mean, variance = ops.moments(x, axes=(1, 2), keepdims=True)
        return (x - mean) * (self.gamma * ops.rsqrt(variance + self.epsilon)) + self.beta


class StoredNorm(layers.Layer):
    """A batch norm without scale whose mean and variance stay as stored, in training too."""

    def __init__(self, epsilon: float, name: str | None = None) -> None:
        super().__init__(name=name)
        self.epsilon = epsilon

    def build(self, shape: tuple[int | None, ...]) -> None:
        channels = shape[-1:]
        self.beta = self.add_weight(name="beta", shape=channels, initializer="zeros")
        self.moving_mean = self.add_weight(name="moving_mean", shape=channels, initializer="zeros", trainable=False)
        self.moving_variance = self.add_weight(
            name="moving_variance", shape=channels, initializer="ones", trainable=False
        )

    def call(self, x: Any) -> Any:
        return ops.batch_normalization(
            x, self.moving_mean, self.moving_variance, axis=-1, offset=self.beta, epsilon=self.epsilon
        )


class Enlarge(layers.Layer):
    """[x (N, H, W, C), like] to x at the size of `like`, bilinear as TensorFlow 1's ResizeBilinear.

    Output pixel i reads at i * H / height: corners are not aligned, and neither are pixel centres.
    """

    def call(self, inputs: list[Any]) -> Any:
        x, like = inputs
        for axis in (1, 2):
            x = _enlarge_axis(x, axis, ops.shape(like)[axis])
        return x

    def compute_output_shape(self, shapes: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        (batch, *_, channels), (_, height, width, _) = shapes
        return batch, height, width, channels


def _enlarge_axis(x: Any, axis: int, length: Any) -> Any:
    size = ops.shape(x)[axis]
    position = ops.arange(length, dtype="int32") * size  # in units of 1 / length, so that it is exact
    before = position // length
    after = ops.minimum(before + 1, size - 1)
    part = ops.cast(position % length, x.dtype) / ops.cast(length, x.dtype)
    low = ops.take(x, before, axis=axis)
    return low + (ops.take(x, after, axis=axis) - low) * ops.reshape(part, (-1, 1, 1) if axis == 1 else (-1, 1))
