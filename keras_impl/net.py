"""A weight file as a `Net`: preprocessed images in, named maps out."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_impl import models, weights
from shared.arch import catalogue
from shared.errors import UserError, WeightError
from shared.weights import Arrays, ModelInfo, check, read, sha256


class LoadedNet:
    """See `shared.net.Net`."""

    def __init__(self, arrays: Arrays, info: ModelInfo, weights_sha256: str = "", device: str = "cpu") -> None:
        self.info = info
        self.weights_sha256 = weights_sha256
        self.runtime = f"keras {keras.__version__} on {keras.backend.backend()}"
        self.device = _device(device)
        with keras.device(self.device):
            self.network = models.build(info.spec)
            weights.set_arrays(self.network, arrays)
        self._forward = _traced_once(self.network)

    def __call__(self, images: np.ndarray, stages: bool = False) -> dict[str, np.ndarray]:
        with keras.device(self.device):
            outputs = self._forward(np.ascontiguousarray(images, np.float32))
        wanted = catalogue.final_outputs(self.info.spec)
        names = {**wanted, **({name: name for name in outputs} if stages else {})}
        return {key: keras.ops.convert_to_numpy(outputs[name]) for key, name in names.items()}


def load(path: str | Path, model: str | None = None, device: str = "cpu", prototxt: Path | None = None) -> LoadedNet:
    """A ready network from a weight file of this project, or from a `.weights.h5` of ours.

    Raises `WeightError` for a file that does not hold exactly the weights of one architecture.
    """
    del prototxt  # the caffe runtime's
    path = Path(path)
    arrays, info = _read_h5(path, model) if path.suffix == ".h5" else read(path)
    catalogue.expect(info.spec, model, str(path))
    return LoadedNet(arrays, info, sha256(path), device)


def _read_h5(path: Path, model: str | None) -> tuple[Arrays, ModelInfo]:
    native = weights.read_native(path)
    if native["info"] is not None:
        info = ModelInfo.from_dict(native["info"])
    elif model is not None:
        info = ModelInfo(catalogue.spec(model))
    else:
        raise WeightError(f"{path}: does not say which network it holds; name it with --model")
    network = models.build(info.spec)
    weights.set_native(network, native["layers"], str(path))
    arrays = weights.get_arrays(network)
    check(arrays, info.spec, str(path))
    return arrays, info


def _traced_once(network: keras.Model) -> Callable[[np.ndarray], Mapping[str, Any]]:
    """The network as one graph for every size of image and batch.

    `predict_on_batch` traces again for new sizes (up to a second each, and about four times before it stops)
    and may compile each size with XLA; `ExportArchive` is Keras's way to give the signature.
    """
    if keras.backend.backend() != "tensorflow":
        return network.predict_on_batch
    archive = keras.export.ExportArchive()
    archive.track(network)
    signature = [keras.InputSpec(shape=(None, None, None, 3), dtype="float32")]
    return archive.add_endpoint("maps", lambda images: network(images, training=False), signature)


def _device(name: str) -> str:
    kind = {"cuda": "gpu"}.get(name.split(":")[0], name.split(":")[0])
    if kind not in ("cpu", "gpu"):
        raise UserError(f"--device {name}: unknown; use cpu, or cuda on a GPU")
    return name.replace("cuda", "gpu") if ":" in name else f"{kind}:0"
