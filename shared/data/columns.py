"""NumPy columns that are derived from a file, kept in one cache file that is memory-mapped and never trusted."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from shared.errors import UserError
from shared.weights import replacing, sha256

Columns = dict[str, np.ndarray]
_ALIGN = 64  # bytes
_SEAL = 64 + 1  # a sha256 in hex and a line end; it is of all that follows


def cache_folder() -> Path:
    """`$POSE_CACHE`, or ~/.cache/openpose-reproduced."""
    return Path(os.environ.get("POSE_CACHE") or Path.home() / ".cache" / "openpose-reproduced")


def cached(path: Path, kind: str, derive: Callable[[Path], Columns], digest: str = "") -> tuple[str, Columns]:
    """The sha256 of a file and its columns: from the cache, or from `derive(path)` if that is not there or not whole.

    The cache goes by the file's content, so it cannot be out of date.  With `digest` the file itself is not read
    again unless it must be.  Several processes may ask at once.  Raises `UserError` if the file cannot be read,
    is not the one of `digest`, or the cache cannot be written; what `derive` raises passes through.
    """
    found = digest or _digest(path)
    place = cache_folder() / f"{found[:32]}.{kind}"
    columns = read(place)
    if columns is None:
        if digest and _digest(path) != digest:
            raise UserError(f"{path}: changed since it was opened; expected sha256 {digest[:12]}...; start again")
        try:
            write(place, derive(path))
        except OSError as error:
            raise UserError(
                f"{place.parent}: {error.strerror or error}; expected to keep the index of {path.name} there; "
                "set POSE_CACHE to a folder with more room"
            ) from None
        columns = read(place)
    if columns is None:
        raise UserError(f"{place}: is not what was written; expected a disk that keeps it; set POSE_CACHE to another")
    return found, columns


def write(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write the columns as one file, all or nothing."""
    whole = hashlib.sha256()
    for part in _parts(columns):
        whole.update(part)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(whole.hexdigest().encode() + b"\n")
        for part in _parts(columns):
            file.write(part)


def read(path: Path) -> Columns | None:
    """The columns of a file, mapped and read-only; None if it is absent, truncated or damaged in any byte."""
    try:
        with path.open("rb") as file:
            if file.read(_SEAL).strip() != hashlib.file_digest(file, "sha256").hexdigest().encode():
                return None
            file.seek(_SEAL)
            rows = json.loads(file.readline())
            data = np.memmap(file, np.uint8, "r")
    except (OSError, ValueError):
        return None
    found, at = {}, _SEAL + _header_size(rows)
    for name, dtype, shape in rows:
        size = np.dtype(dtype).itemsize * int(np.prod(shape))
        found[name] = np.asarray(data[at : at + size]).view(dtype).reshape(shape)
        at += _padded(size)
    return found


def _parts(columns: Mapping[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    rows = [(name, column.dtype.str, column.shape) for name, column in columns.items()]
    yield json.dumps(rows).encode().ljust(_header_size(rows) - 1) + b"\n"
    for column in columns.values():
        flat = np.ascontiguousarray(column).reshape(-1).view(np.uint8)
        yield flat.data
        yield bytes(_padded(flat.size) - flat.size)


def _header_size(rows: list[tuple[str, str, tuple[int, ...]]]) -> int:
    """Of the line of names, dtypes and shapes; the columns begin aligned after it."""
    return _padded(_SEAL + len(json.dumps(rows)) + 1) - _SEAL


def _padded(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _digest(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; expected annotations (JSON)") from None
