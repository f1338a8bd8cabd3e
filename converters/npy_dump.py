"""A folder of W_LAYER.npy and b_LAYER.npy, as kevinlin's and anatolix's dump_caffe_layers writes them."""

import hashlib
import re
from pathlib import Path

import numpy as np

from converters.legacy import caffe_layer
from shared.errors import WeightError
from shared.weights import Arrays, sha256

_FILE = re.compile(r"([Wb])_(.+)\.npy")
_KINDS = {"W": "weight", "b": "bias"}


def read(folder: Path) -> Arrays:
    """Every array under its canonical name, in Caffe's axes, which are torch's; stage 1 in either spelling.

    Raises `WeightError` for a folder without such files, for other .npy files in it, and for files that hold objects.
    """
    arrays: Arrays = {}
    for path in _files(folder):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise WeightError(f"{path}: left over; expected only W_LAYER.npy and b_LAYER.npy, move it elsewhere")
        name = f"{caffe_layer(match[2])}.{_KINDS[match[1]]}"
        if name in arrays:
            raise WeightError(f"{path}: {name} is there in both spellings, expected one; remove the wrong one")
        arrays[name] = _array(path)
    return arrays


def fingerprint(folder: Path) -> str:
    """SHA-256 over the names and digests of the folder's files."""
    lines = [f"{path.name} {sha256(path)}\n" for path in _files(folder)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.npy"))
    if not files:
        raise WeightError(f"{folder}: a folder without W_LAYER.npy files; expected a weight file or such a folder")
    return files


def _array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        reason = str(error).split("\n")[0][:120]
        raise WeightError(f"{path}: not a whole .npy array ({reason}); dump it again") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise WeightError(f"{path}: holds {getattr(array, 'dtype', 'no array')}, expected float32 weights")
    return np.array(array, np.float32)
