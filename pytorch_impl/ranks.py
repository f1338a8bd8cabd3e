"""The processes that train together: torchrun starts them, gloo or nccl joins them."""

import os
from typing import Any, cast

import torch
from torch import distributed, nn

from shared.errors import UserError
from shared.loader import Share

# Networks that have processes in common are never freed: the last of them frees Gloo's threads, and waits for one
# that waits for Python's lock, which it holds itself (pytorch/pytorch#190489 and #56297).
_KEPT: list[nn.Module] = []


class Ranks:
    """This process among those that torchrun started; alone without torchrun.  `device` is where it computes."""

    def __init__(self, device: str = "cpu") -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        kind = torch.device(device).type
        if kind == "cuda" and not torch.cuda.is_available():
            raise UserError(f"--device {device}: PyTorch sees no GPU here; use --device cpu")
        if kind == "cuda" and self.size > 1:
            device = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(device)
        self.device = torch.device(device)
        if self.size > 1:
            distributed.init_process_group("nccl" if kind == "cuda" else "gloo")

    @property
    def share(self) -> Share:
        """What this process takes of every batch."""
        return Share(self.rank, self.size)

    @property
    def replicas(self) -> int:
        """Copies of the network, in all processes together."""
        return self.size

    def average(self, value: float) -> float:
        """The mean of a number over all processes."""
        return float(self.mean(torch.tensor(value, dtype=torch.float64, device=self.device)))

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean over all processes, detached."""
        values = values.detach().clone()
        if self.size > 1:
            distributed.all_reduce(values)
            values /= self.size
        return values

    def together(self, network: nn.Module) -> nn.Module:
        """The network with its gradients averaged over all processes, and its norms over all of their samples."""
        if self.size == 1:
            return network
        for module in network.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = _JointNorm
        joined = nn.parallel.DistributedDataParallel(network, forward_sync_buffers=False)
        _KEPT.append(joined)
        return joined

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.size > 1:
            distributed.barrier()

    def leave(self) -> None:
        """The last thing that a process does with the others."""
        if self.size > 1:
            distributed.destroy_process_group()


class _Sum(torch.autograd.Function):
    """The sum over all processes, and of their gradients."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        values = values.clone()
        distributed.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return _Sum.forward(ctx, gradient)


def _total(values: torch.Tensor) -> torch.Tensor:
    return cast(torch.Tensor, _Sum.apply(values))


class _JointNorm(nn.BatchNorm2d):
    """A batch norm over the samples of all processes, which must have as many each; PyTorch's own needs a GPU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        size = distributed.get_world_size()
        axes, shape = (0, 2, 3), (1, -1, 1, 1)
        values = x.float()
        mean = _total(values.mean(axes)) / size
        variance = _total((values - mean.view(shape)).square().mean(axes)) / size
        n = size * values.numel() / values.shape[1]
        learnt = ((self.running_mean, mean), (self.running_var, variance * n / (n - 1)))
        with torch.no_grad():
            for statistic, value in learnt:
                assert statistic is not None
                statistic.lerp_(value, self.momentum or 0.0)
        scale = self.weight / torch.sqrt(variance + self.eps)
        normal = (values - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)
        return normal.to(x.dtype)
