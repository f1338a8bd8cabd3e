"""Canonical weights in and out of a PyTorch network, and checkpoints read without running their code."""

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from shared.errors import WeightError
from shared.weights import Arrays, ModelInfo, existing, replacing

_COUNTER = "num_batches_tracked"  # PyTorch counts batches in each batch norm; nobody else does


def get_arrays(network: nn.Module) -> Arrays:
    """The network's weights under their canonical names, in torch's axis order."""
    state = network.state_dict()
    return {name: t.detach().cpu().numpy().copy() for name, t in state.items() if not name.endswith(_COUNTER)}


def set_arrays(network: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Fill the network, strictly: every array by name and shape."""
    counters = {name: t for name, t in network.state_dict().items() if name.endswith(_COUNTER)}
    given = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    network.load_state_dict({**counters, **given}, strict=True)


def read_native(path: Path) -> Mapping[str, Any]:
    """A PyTorch checkpoint as nested dicts with NumPy arrays for tensors.

    Only plain data is read.  A file that would run code when unpickled is a `WeightError`.
    """
    existing(path, "a PyTorch checkpoint")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # Lightning stores the options in one
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")[0][:200]
        raise WeightError(
            f"{path}: holds pickled code or an object that is not data, refused ({reason}); expected tensors only: "
            "save its state_dict() on a machine that trusts the file"
        ) from None
    except (RuntimeError, EOFError, ValueError, OSError, KeyError) as error:
        reason = str(error).split("\n")[0][:200]
        raise WeightError(f"{path}: not a whole PyTorch checkpoint ({reason}); get the file again") from None
    if not isinstance(loaded, Mapping):
        raise WeightError(f"{path}: holds a {type(loaded).__name__}, expected a state dict")
    return _numpy(loaded)


def _numpy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        tensor = value.detach()
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    if isinstance(value, Mapping):
        return {key: _numpy(item) for key, item in value.items()}
    return value


def write_native(path: Path, network: nn.Module, info: ModelInfo) -> None:
    """Write the weights as PyTorch users expect them: a plain state dict."""
    del info  # a state dict has no place for it
    with replacing(path) as temporary:
        torch.save(dict(network.state_dict()), temporary)
