"""The one weight file of both frameworks: safetensors with canonical names and what is needed to use them."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from shared.arch import catalogue
from shared.errors import WeightError
from shared.preprocess import CAFFE, Preprocess

SHIPPED = Path(__file__).resolve().parents[1] / "weights" / "builtin_coco18.safetensors"  # trained here
FORMAT = "pose-weights-1"
Arrays = dict[str, np.ndarray]  # canonical name -> float32 array in torch's axis order


@dataclass(frozen=True)
class ModelInfo:
    """What a weight file says of itself.  `licence` is that of the weights' publisher, not of this project.

    `decoder` names the one of `shared.codec.keypoints` that reads the heatmaps which a network of one person learnt,
    and brings the crops it learnt from; "" where that is not known.
    """

    spec: Any
    preprocess: Preprocess = CAFFE
    source: str = ""
    source_sha256: str = ""
    licence: str = "unknown"
    decoder: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "spec": catalogue.to_dict(self.spec),
            "preprocess": self.preprocess.to_dict(),
            "source": self.source,
            "source_sha256": self.source_sha256,
            "licence": self.licence,
            **({"decoder": self.decoder} if self.decoder else {}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelInfo":
        told = [*(values[key] for key in ("source", "source_sha256", "licence")), values.get("decoder", "")]
        return cls(
            catalogue.from_dict(values["spec"]), Preprocess.from_dict(values["preprocess"]), *(str(v) for v in told)
        )


def check(arrays: Mapping[str, np.ndarray], spec: Any, where: str) -> None:
    """Insist that `arrays` are the weights of `spec`: every name, every shape, nothing else, all finite."""
    shapes = {name: tuple(array.shape) for name, array in arrays.items()}
    if shapes != spec.tensors():
        raise catalogue.mismatch(spec, shapes, where)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise WeightError(f"{where}: {name} holds NaN or infinity, expected finite weights; get the file again")


def write(path: Path, arrays: Mapping[str, np.ndarray], info: ModelInfo) -> None:
    """Write a weight file, all or nothing."""
    check(arrays, info.spec, str(path))
    ordered = {name: np.ascontiguousarray(arrays[name], np.float32) for name in info.spec.tensors()}
    metadata = {FORMAT: json.dumps(info.to_dict(), sort_keys=True)}  # one key: the order of several is random
    with replacing(path) as temporary:
        temporary.write_bytes(save(ordered, metadata=metadata))


def read(path: Path, stages: int | None = None) -> tuple[Arrays, ModelInfo]:
    """Read a weight file and check every array against the architecture that the file names.

    With `stages` only the weights of the network's first stages are loaded (`catalogue.cut`); names and shapes of all
    are checked.
    """
    existing(path, "a weight file")
    try:
        with safe_open(str(path), "np") as file:
            metadata = file.metadata() or {}
            info = _info(metadata, path)
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (not a dict)
            if shapes != info.spec.tensors():
                raise catalogue.mismatch(info.spec, shapes, str(path))
            info = replace(info, spec=catalogue.cut(info.spec, stages))
            found = {name: file.get_tensor(name) for name in info.spec.tensors()}
    except SafetensorError as error:
        raise WeightError(f"{path}: not a whole safetensors file ({error}); convert or download it again") from None
    check(found, info.spec, str(path))
    return found, info


def first_stages(arrays: Arrays, info: ModelInfo, stages: int | None) -> tuple[Arrays, ModelInfo]:
    """The weights of the same network stopped after its first stages; None: all."""
    info = replace(info, spec=catalogue.cut(info.spec, stages))
    return {name: arrays[name] for name in info.spec.tensors()}, info


def _info(metadata: Mapping[str, str], path: Path) -> ModelInfo:
    if FORMAT not in metadata:
        raise WeightError(
            f"{path}: a safetensors file without this project's metadata ({FORMAT}); "
            "bring it in with python converters/convert.py"
        )
    return parsed(metadata[FORMAT], path)


def parsed(text: str, path: Path) -> ModelInfo:
    """What a file holds as JSON beside its weights."""
    try:
        return ModelInfo.from_dict(json.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightError(f"{path}: metadata not understood ({error!r}); convert the file again") from None


def existing(path: Path, what: str) -> Path:
    """`path` itself if it is a non-empty file, else a `WeightError`."""
    if not path.is_file():
        raise WeightError(f"{path}: no such file; expected {what}")
    if path.stat().st_size == 0:
        raise WeightError(f"{path}: the file is empty; expected {what}; get it again")
    return path


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place at the end, or vanishes if something fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = "".join(path.suffixes[-2:])  # Keras insists on both halves of ".weights.h5"
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
