"""Canonical weights in and out of a PyTorch network, and checkpoints read without running their code."""

import argparse
import json
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from shared.errors import WeightError
from shared.weights import Arrays, ModelInfo, existing, parsed, replacing

_INFO = "pose_info"  # in the `_metadata` of the state dicts that we write, which PyTorch carries along and ignores
_COUNTER = "num_batches_tracked"  # PyTorch counts batches in each batch norm; nobody else does
_FLOATS = {"f2": "e", "f4": "f", "f8": "d"}  # NumPy's names of floats, and those of `struct`
# What a damaged pickle makes of torch's reader, whose steps do not check what they get.
_DAMAGED = (
    RuntimeError, EOFError, ValueError, OSError, LookupError, TypeError, AttributeError, AssertionError, struct.error,
)  # fmt: skip


class _NumpyFloat:
    """The type of a NumPy number in a pickle, which is read without calling NumPy."""

    def __init__(self, kind: str, *_: object) -> None:
        self.kind, self.order = kind, "<"

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]

    @staticmethod
    def number(kind: "_NumpyFloat", data: bytes) -> float:
        """A float of that type; anything else is refused."""
        if type(kind) is not _NumpyFloat or kind.kind not in _FLOATS or kind.order not in ("<", ">"):
            raise pickle.UnpicklingError("a NumPy object that is no float")
        return float(struct.unpack(kind.order + _FLOATS[kind.kind], data)[0])


class _NumpyArray:
    """A NumPy array in a pickle, beside the weights; nothing of it is kept."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: tuple) -> None:
        pass


# What may be beside tensors.  Lightning keeps its options in a Namespace, HRNet's training and its heirs the accuracy
# as a NumPy float, mmpose arrays of its data set.  NumPy's code is not called; its versions 1 and 2 have other names.
_SAFE: list[Any] = [
    argparse.Namespace,
    _NumpyFloat,
    (_NumpyFloat, "numpy.dtype"),
    *((_NumpyFloat.number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    _NumpyArray,
    (_NumpyArray, "numpy.ndarray"),
    *((_NumpyArray, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
]


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
    """A PyTorch checkpoint as nested dicts with NumPy arrays for tensors; batch norms' counters are left out.

    Only plain data is read.  A file that would run code when unpickled is a `WeightError`.
    """
    return _numpy(_load(path))


def read_info(path: Path) -> ModelInfo | None:
    """What `write_native` said of the network in the file; None for a file of anybody else's."""
    metadata = getattr(_load(path), "_metadata", None)
    found = metadata.get("", {}).get(_INFO) if isinstance(metadata, Mapping) else None
    return parsed(found, path) if isinstance(found, str) else None


def _load(path: Path) -> Mapping[str, Any]:
    existing(path, "a PyTorch checkpoint")
    try:
        with torch.serialization.safe_globals(_SAFE):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightError(
            f"{path}: holds pickled code or an object that is not data, or is damaged; refused ({_reason(error)}); "
            "expected tensors only: get the file again, or save its state_dict() on a machine that trusts it"
        ) from None
    except _DAMAGED as error:
        raise WeightError(f"{path}: not a whole PyTorch checkpoint ({_reason(error)}); get the file again") from None
    if not isinstance(loaded, Mapping):
        raise WeightError(f"{path}: holds a {type(loaded).__name__}, expected a state dict")
    return loaded


def _reason(error: Exception) -> str:
    """What torch's message says was wrong, without what it says of its options."""
    told = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    return told.split("\n")[0].split(". Please")[0][:160] or type(error).__name__


def _numpy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        tensor = value.detach()
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    if isinstance(value, Mapping):
        return {key: _numpy(item) for key, item in value.items() if not str(key).endswith(_COUNTER)}
    return value


def write_native(path: Path, network: nn.Module, info: ModelInfo) -> None:
    """Write the weights as PyTorch users expect them: a plain state dict; what they are is in its `_metadata`."""
    state: Any = network.state_dict()
    state._metadata[""][_INFO] = json.dumps(info.to_dict(), sort_keys=True)
    with replacing(path) as temporary:
        torch.save(state, temporary)
