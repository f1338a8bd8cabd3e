"""One step of training: losses over every branch of every stage, gradients, optimiser, moving average."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_impl import models, weights
from keras_impl.losses import LOSSES
from keras_impl.ranks import Ranks
from shared.errors import UserError, unknown
from shared.groups import Group, groups
from shared.recipe import Optimizer, Recipe
from shared.samples import Batch
from shared.weights import Arrays, ModelInfo


class Trainer:
    """A network in training; `shared.training` drives it.

    `step` and `losses` give the loss of every output by its layer's name, averaged over all processes.
    """

    def __init__(self, info: ModelInfo, arrays: Arrays, recipe: Recipe, ranks: Ranks) -> None:
        self.recipe = recipe
        self.ranks = ranks
        self.fields = info.spec.stage_outputs()
        if recipe.loss not in LOSSES:
            raise unknown("recipe: loss", recipe.loss, LOSSES)
        self.loss = LOSSES[recipe.loss]
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_bfloat16" if recipe.bf16 else "float32")
        with ranks.strategy.scope():
            self.network = ranks.together(models.build(info.spec))
            weights.set_arrays(self.network, arrays)
            self.layers = {name: layer for name, (layer, _) in weights.variables(self.network).items()}
            self.variables = {name: variable for name, (_, variable) in weights.variables(self.network).items()}
            self.trainable = {n: v for n, v in self.variables.items() if v.trainable}
            self.groups = groups(info.spec, recipe.optimizer.groups)
            self.optimizers = [self._optimizer(group) for group in self.groups]
            averaged = self.variables.values() if recipe.ema else ()
            # of an array: a variable that is made of another one's value is that value
            self.average = [keras.Variable(ops.convert_to_numpy(v.value), trainable=False) for v in averaged]
        keras.config.set_dtype_policy(policy)
        self.rate: float | None = None
        self._gradients = tf.function(self._gradients_of)
        self._forward = tf.function(lambda *arrays: self.ranks.run(lambda *a: self._losses(a, False), arrays))
        self._apply = tf.function(self._update)

    def step(self, batch: Batch, rate: float, ema: float) -> dict[str, float]:
        """One step on this process's share of a batch.  A loss that is not finite leaves the weights as they are."""
        parts = self.recipe.accumulate
        total, gradients = self._gradients(*self._arrays(batch.part(0, parts)))
        for part in range(1, parts):
            losses, further = self._gradients(*self._arrays(batch.part(part, parts)))
            total, gradients = total + losses, [a + b for a, b in zip(gradients, further, strict=True)]
        losses = np.asarray(total) / parts
        if np.isfinite(losses).all():
            change = 1.0 if self.rate is None or self.recipe.optimizer.velocity == "caffe" else rate / self.rate
            scalars = (tf.constant(value, tf.float32) for value in (1 / parts, rate, ema, change))
            self._apply(gradients, *scalars)
            self.rate = rate
        return dict(zip(self.fields, losses.tolist(), strict=True))

    def gradients(self, batch: Batch) -> Arrays:
        """The gradient of the summed losses by canonical name, without a step."""
        _, gradients = self._gradients(*self._arrays(batch))
        found = dict(zip(self.trainable, gradients, strict=True))
        return {name: weights.to_torch(self.layers[name], value) for name, value in found.items()}

    def losses(self, batch: Batch) -> dict[str, float]:
        """The losses as they are used after training: with the average of the weights, norms not learning."""
        with self._averaged():
            found = self._forward(*self._arrays(batch))
        return dict(zip(self.fields, np.asarray(found).tolist(), strict=True))

    def arrays(self) -> Arrays:
        """The weights to use: their moving average where there is one."""
        with self._averaged():
            return weights.get_arrays(self.network)

    def state(self) -> Arrays:
        """Everything that the next step depends on, as arrays by name."""
        arrays = {name: np.asarray(ops.convert_to_numpy(v.value)) for name, v in self._stateful().items()}
        return arrays if self.rate is None else {**arrays, "rate": np.array(self.rate, np.float64)}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` gave.  Raises KeyError for a state of another network."""
        self.rate = float(state["rate"]) if "rate" in state else None
        for name, variable in self._stateful().items():
            variable.assign(state[name])

    def _stateful(self) -> dict[str, Any]:
        found = {f"weights/{name}": variable for name, variable in self.variables.items()}
        if self.recipe.ema:
            found |= {f"average/{name}": v for name, v in zip(self.variables, self.average, strict=True)}
        for g, optimizer in enumerate(self.optimizers):
            found |= {f"optimizer/{g}/{i}": v for i, v in enumerate(optimizer.variables)}
        return found

    def _arrays(self, batch: Batch) -> list[Any]:
        return self.ranks.split([batch.images, batch.heat, batch.paf, batch.mask])

    def _losses(self, arrays: Any, training: bool) -> Any:
        """(outputs,) the loss of every output, float32."""
        images, heat, paf, mask = arrays
        outputs = self.network(images, training=training)
        targets = {"heat": heat, "paf": paf}
        return ops.stack(
            [self.loss(ops.cast(outputs[name], "float32"), targets[field], mask) for name, field in self.fields.items()]
        )

    def _gradients_of(self, *arrays: Any) -> tuple[Any, list[Any]]:
        values = [variable.value for variable in self.trainable.values()]

        def replica(*pieces: Any) -> tuple[Any, list[Any]]:
            with tf.GradientTape() as tape:
                found = self._losses(pieces, True)
                total = ops.sum(found)
            return found, tape.gradient(total, values)

        return self.ranks.run(replica, arrays)

    def _update(self, gradients: list[Any], share: Any, rate: Any, ema: Any, change: Any) -> None:
        gradients = [gradient * share for gradient in gradients]
        if self.recipe.clip:
            norm = ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in gradients))
            factor = ops.minimum(self.recipe.clip / (norm + 1e-6), 1.0)
            gradients = [gradient * factor for gradient in gradients]
        by_name = dict(zip(self.trainable, gradients, strict=True))
        for group, optimizer in zip(self.groups, self.optimizers, strict=True):
            decay = self.recipe.optimizer.decay * group.decay
            pairs = [(by_name[name], self.trainable[name]) for name in group.names]
            if decay and self.recipe.optimizer.name != "adamw":
                pairs = [(gradient + decay * variable, variable) for gradient, variable in pairs]
            if self.recipe.optimizer.name == "sgd" and self.recipe.optimizer.velocity == "torch":
                for velocity in optimizer.momentums:  # Keras and Caffe keep lr * gradient in the velocity
                    velocity.assign(velocity * change)
            optimizer.learning_rate.assign(rate * group.lr)
            optimizer.apply(*zip(*pairs, strict=True))
        if self.recipe.ema:
            for average, variable in zip(self.average, self.variables.values(), strict=True):
                average.assign(average + (ops.cast(variable, "float32") - average) * (1 - ema))

    def _optimizer(self, group: Group) -> keras.optimizers.Optimizer:
        optimizer = _optimizer(self.recipe.optimizer, self.recipe.optimizer.decay * group.decay)
        optimizer.build([self.trainable[name] for name in group.names])
        return optimizer

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The network has the average of its weights inside, its own again after."""
        if not self.recipe.ema:
            yield
            return
        own = [ops.convert_to_numpy(v.value).copy() for v in self.variables.values()]
        for variable, average in zip(self.variables.values(), self.average, strict=True):
            variable.assign(average.value)
        try:
            yield
        finally:
            for variable, value in zip(self.variables.values(), own, strict=True):
                variable.assign(value)


def deterministic() -> None:
    """Only algorithms whose result does not depend on timing; slower."""
    tf.config.experimental.enable_op_determinism()


def convolution(ranks: Ranks, bf16: bool) -> Callable[[], object]:
    """A function that computes a convolution and its gradient as a step does, for its time."""
    layer = keras.layers.Conv2D(32, 3, padding="same", dtype="mixed_bfloat16" if bf16 else "float32")
    images = ops.ones((2, 46, 46, 32))
    layer.build(images.shape)

    @tf.function
    def gradient() -> Any:
        with tf.GradientTape() as tape:
            loss = ops.mean(ops.square(ops.cast(layer(images), "float32")))
        return tape.gradient(loss, layer.kernel.value)

    return lambda: np.asarray(gradient())


class _Epsilon:
    """Adam's epsilon is added after the correction of the second moment, as in the paper's algorithm and in PyTorch.

    Keras adds it before, which makes it 1 / sqrt(1 - beta_2^t) times as large: 32 times in the first step.  Gradients
    of a mean over heatmaps are small enough to feel that.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        beta, step = (ops.cast(value, variable.dtype) for value in (self.beta_2, self.iterations + 1))  # type: ignore
        epsilon = self.epsilon  # type: ignore[has-type]
        self.epsilon = epsilon * ops.sqrt(1 - ops.power(beta, step))
        super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]
        self.epsilon = epsilon


class _Adam(_Epsilon, keras.optimizers.Adam):
    pass


class _AdamW(_Epsilon, keras.optimizers.AdamW):
    pass


def _optimizer(values: Optimizer, decay: float) -> keras.optimizers.Optimizer:
    if values.name == "sgd":
        return keras.optimizers.SGD(1.0, momentum=values.momentum, nesterov=values.nesterov)
    betas = {"beta_1": values.betas[0], "beta_2": values.betas[1], "epsilon": values.epsilon, "name": values.name}
    if values.name == "adam":
        return _Adam(1.0, **betas)
    if values.name == "adamw":
        return _AdamW(1.0, weight_decay=decay, **betas)
    raise UserError(f"recipe: optimizer.name {values.name}; expected sgd, adam or adamw")
