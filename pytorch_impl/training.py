"""One step of training: losses over every branch of every stage, gradients, optimiser, moving average."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from pytorch_impl import models, weights
from pytorch_impl.losses import LOSSES
from pytorch_impl.ranks import Ranks
from shared.errors import UserError, unknown
from shared.groups import groups
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
        self.network = models.build(info.spec)
        weights.set_arrays(self.network, arrays)
        self.network.to(ranks.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.joint = ranks.together(self.network)
        self.optimizer = _optimizer(self.network, info.spec, recipe.optimizer)
        self.rate: float | None = None
        self.average = {name: value.clone() for name, value in self._values().items()} if recipe.ema else None

    def step(self, batch: Batch, rate: float, ema: float) -> dict[str, float]:
        """One step on this process's share of a batch.  A loss that is not finite leaves the weights as they are."""
        self.optimizer.zero_grad(set_to_none=True)
        parts = self.recipe.accumulate
        totals = []
        for part in range(parts):
            with _unsynchronised(self.joint, apart=part < parts - 1):
                found = self._losses(self.joint, batch.part(part, parts))
                (found.sum() / parts).backward()
            totals.append(found.detach())
        losses = self.ranks.mean(torch.stack(totals).mean(0))
        if bool(torch.isfinite(losses).all()):
            self._update(rate, ema)
        return dict(zip(self.fields, losses.tolist(), strict=True))

    def gradients(self, batch: Batch) -> Arrays:
        """The gradient of the summed losses by canonical name, without a step."""
        self.optimizer.zero_grad(set_to_none=True)
        self._losses(self.joint, batch).sum().backward()
        named = self.network.named_parameters()
        return {name: value.grad.numpy(force=True).copy() for name, value in named if value.grad is not None}

    def losses(self, batch: Batch) -> dict[str, float]:
        """The losses as they are used after training: with the average of the weights, norms not learning."""
        with self._averaged(), torch.no_grad():
            self.network.eval()
            found = self._losses(self.network, batch)
            self.network.train()
        return dict(zip(self.fields, self.ranks.mean(found).tolist(), strict=True))

    def arrays(self) -> Arrays:
        """The weights to use: their moving average where there is one."""
        with self._averaged():
            return weights.get_arrays(self.network)

    def state(self) -> Arrays:
        """Everything that the next step depends on, as arrays by name."""
        found = {f"weights/{name}": value for name, value in self._values().items()}
        found |= {f"average/{name}": value for name, value in (self.average or {}).items()}
        for name, parameter in self.network.named_parameters():
            for slot, value in self.optimizer.state.get(parameter, {}).items():
                found[f"{slot}/{name}"] = value
        arrays = {name: value.numpy(force=True) for name, value in found.items() if value is not None}
        return arrays if self.rate is None else {**arrays, "rate": np.array(self.rate, np.float64)}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` gave.  Raises KeyError for a state of another network."""
        state = dict(state)
        rate = state.pop("rate", None)
        self.rate = None if rate is None else float(rate)
        with torch.no_grad():
            for prefix, values in (("weights", self._values()), ("average", self.average or {})):
                for name, value in values.items():
                    value.copy_(torch.from_numpy(np.array(state.pop(f"{prefix}/{name}"))))
        parameters = dict(self.network.named_parameters())
        for key, array in state.items():
            slot, _, name = key.partition("/")
            self.optimizer.state[parameters[name]][slot] = _like(array, parameters[name], slot)

    def _losses(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """(outputs,) the loss of every output, float32."""
        images, heat, paf, mask = (
            torch.from_numpy(array).to(self.ranks.device).permute(0, 3, 1, 2).contiguous(
                memory_format=torch.channels_last)
            for array in (batch.images, batch.heat, batch.paf, batch.mask)
        )  # fmt: skip
        with torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self.recipe.bf16):
            outputs = network(images)
        targets = {"heat": heat, "paf": paf}
        return torch.stack(
            [self.loss(outputs[name].float(), targets[field], mask) for name, field in self.fields.items()]
        )

    def _update(self, rate: float, ema: float) -> None:
        if self.recipe.clip:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["multiplier"]
        if self.recipe.optimizer.velocity == "caffe" and self.rate not in (None, rate):
            for slots in self.optimizer.state.values():  # Caffe and Keras keep lr * gradient in the velocity
                if slots.get("momentum_buffer") is not None:
                    slots["momentum_buffer"] *= self.rate / rate
        self.rate = rate
        self.optimizer.step()
        if self.average is not None:
            values = self._values()
            torch._foreach_lerp_(list(self.average.values()), [values[name] for name in self.average], 1 - ema)

    def _values(self) -> dict[str, torch.Tensor]:
        state = self.network.state_dict(keep_vars=True)
        return {name: value.detach() for name, value in state.items() if value.is_floating_point()}

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The network has the average of its weights inside, its own again after."""
        if self.average is None:
            yield
            return
        own = {name: value.clone() for name, value in self._values().items()}
        for name, value in self._values().items():
            value.copy_(self.average[name])
        try:
            yield
        finally:
            for name, value in self._values().items():
                value.copy_(own[name])


def deterministic() -> None:
    """Only algorithms whose result does not depend on timing; slower on a GPU."""
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def convolution(ranks: Ranks, bf16: bool) -> Callable[[], object]:
    """A function that computes a convolution and its gradient as a step does, for its time."""
    layer = nn.Conv2d(32, 32, 3, padding=1).to(ranks.device)
    images = torch.ones(2, 32, 46, 46, device=ranks.device)

    def run() -> object:
        with torch.autocast(ranks.device.type, torch.bfloat16, enabled=bf16):
            maps = layer(images)
        (gradient,) = torch.autograd.grad(maps.float().square().mean(), [layer.weight])
        return gradient.numpy(force=True)  # as late as it is there

    return run


@contextmanager
def _unsynchronised(network: nn.Module, apart: bool) -> Iterator[None]:
    """Gradients stay in their process for all but the last part of an accumulated batch."""
    if apart and isinstance(network, nn.parallel.DistributedDataParallel):
        with network.no_sync():
            yield
    else:
        yield


def _optimizer(network: nn.Module, spec: Any, values: Optimizer) -> torch.optim.Optimizer:
    parameters = dict(network.named_parameters())
    found = [
        {
            "params": [parameters[name] for name in group.names],
            "multiplier": group.lr,
            "weight_decay": values.decay * group.decay,
        }
        for group in groups(spec, values.groups)
    ]
    if values.name == "sgd":
        return torch.optim.SGD(found, lr=1.0, momentum=values.momentum, nesterov=values.nesterov)
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    if values.name not in kinds:
        raise UserError(f"recipe: optimizer.name {values.name}; expected sgd, adam or adamw")
    return kinds[values.name](found, lr=1.0, betas=values.betas, eps=values.epsilon)


def _like(array: np.ndarray, parameter: torch.Tensor, slot: str) -> torch.Tensor:
    """A slot of the optimiser from its array: laid out like its parameter; Adam counts its steps on the CPU."""
    tensor = torch.from_numpy(np.array(array))
    if slot == "step":
        return tensor
    return torch.empty_like(parameter, memory_format=torch.preserve_format).copy_(tensor).detach()
