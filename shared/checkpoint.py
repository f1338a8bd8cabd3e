"""Checkpoints: everything that the next step depends on, in one safetensors file that is replaced as a whole."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from shared.errors import UserError
from shared.weights import Arrays, existing, replacing

FORMAT = "pose-checkpoint-1"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """`about`: framework, recipe, data and architecture, which must be equal to go on.  `position`: step and what
    else the loop has to remember.  Samples are drawn from (seed, epoch, index), so that the step is all of the
    generator's state.
    """

    about: Mapping[str, Any]
    position: Mapping[str, Any]
    state: Arrays


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write it, all or nothing: the one before stays until this one is whole.  A full disk is a `UserError`."""
    arrays = {name: np.asarray(array, order="C") for name, array in checkpoint.state.items()}
    values = {"about": checkpoint.about, "position": checkpoint.position, "sha256": _digest(arrays)}
    text = json.dumps(values, sort_keys=True)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(save(arrays, metadata={FORMAT: text}))
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; expected room for {sum(a.nbytes for a in arrays.values()) / 1e6:.0f} MB; "
            "a checkpoint before it is whole: make room and go on with --resume"
        ) from None


def read(path: Path, about: Mapping[str, Any]) -> Checkpoint:
    """Read a checkpoint of this very training.

    Raises `UserError` for a file that is missing, broken or no checkpoint, and for one of another architecture,
    recipe, framework or data, naming what differs.
    """
    existing(path, "a checkpoint (checkpoint.safetensors)")
    try:
        with safe_open(str(path), "np") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise UserError(f"{path}: not a whole checkpoint ({error}); take an older copy, or start again") from None
    if FORMAT not in metadata:
        raise UserError(
            f"{path}: not a checkpoint ({FORMAT}) but another safetensors file; --resume needs a checkpoint"
        )
    try:
        found = json.loads(metadata[FORMAT])
        unlike, position = _differences(json.loads(json.dumps(about)), found["about"]), found["position"]
        whole = found["sha256"] == _digest(state)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: metadata not understood ({error!r}); take an older copy, or start again") from None
    if unlike:
        more = f" and {len(unlike) - 3} more" if len(unlike) > 3 else ""
        raise UserError(
            f"{path}: a checkpoint of another training: {'; '.join(unlike[:3])}{more}; "
            "give the same recipe, data and framework, or another --out"
        )
    if not whole:
        raise UserError(
            f"{path}: damaged, its arrays are not those that were written; take an older copy, or start again"
        )
    return Checkpoint(found["about"], position, state)


def fingerprint(step: int, arrays: Arrays) -> int:
    """32 bits that tell one step's weights from another's."""
    return int(hashlib.sha256(f"{step} {_digest(arrays)}".encode()).hexdigest()[:8], 16)


def _digest(arrays: Arrays) -> str:
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(name.encode())
        found.update(arrays[name].data if arrays[name].ndim else arrays[name].tobytes())
    return found.hexdigest()


def _differences(ours: Any, theirs: Any, name: str = "") -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = sorted(ours.keys() | theirs.keys())
        return [d for key in keys for d in _differences(ours.get(key), theirs.get(key), f"{name}.{key}".strip("."))]
    return [] if ours == theirs else [f"{name} is {theirs!r} there and {ours!r} here"]
