"""HDF5 files from outside, read without following them anywhere: plain arrays only."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from shared.errors import WeightError
from shared.weights import existing

SIGNATURE = b"\x89HDF\r\n\x1a\n"


@contextmanager
def opened(path: Path, what: str) -> Iterator[h5py.File]:
    """The file, open for reading, after every link in it was seen to stay inside.

    Raises `WeightError` for a file that is missing, empty, broken or not HDF5, for links to other files, and for
    arrays whose shape promises more than the file holds.
    """
    existing(path, what)
    try:
        with h5py.File(path, "r") as file:
            _refuse_links(file, path)
            yield file
    except OSError as error:
        reason = str(error).split("\n")[0][:160]
        raise WeightError(f"{path}: not a whole HDF5 file ({reason}); expected {what}; get it again") from None


def arrays(file: h5py.File, path: Path) -> dict[str, np.ndarray]:
    """Every array of the file under its full path in the file, numbers only."""
    found: dict[str, np.ndarray] = {}
    limit = path.stat().st_size * 1100  # gzip packs about 1000 to 1

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu":
            if item.size * item.dtype.itemsize > limit or item.is_virtual or item.external:
                raise WeightError(f"{path}: array {name} of shape {item.shape} is not inside the file; refused")
            found[name] = np.asarray(item)

    file.visititems(visit)
    return found


def _refuse_links(group: h5py.Group, path: Path) -> None:
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise WeightError(
                f"{path}: {group.name}/{name} is an external link (to {link.filename}); refused. "
                "Expected all weights inside the file: copy it with h5repack on the machine that owns the data"
            )
        if isinstance(link, h5py.SoftLink):
            raise WeightError(f"{path}: {group.name}/{name} is a soft link; expected plain arrays; refused")
        item = group[name]
        if isinstance(item, h5py.Group):
            _refuse_links(item, path)
