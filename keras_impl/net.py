"""A weight file as a `Net`: preprocessed images in, named maps out."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_impl import decode, models, weights
from shared.arch import catalogue
from shared.codec.fast import Candidates
from shared.errors import UserError, WeightError
from shared.net import PLAIN, Preset
from shared.preprocess import published
from shared.weights import Arrays, ModelInfo, check, first_stages, read, sha256


class LoadedNet:
    """See `shared.net.Net` and `shared.inference.DeviceNet`.

    `arrays` are all weights of `info.spec`, whatever `preset.stages` says.
    """

    def __init__(
        self, arrays: Arrays, info: ModelInfo, weights_sha256: str = "", device: str = "cpu", preset: Preset = PLAIN
    ) -> None:
        self.info = info
        self.weights_sha256 = weights_sha256
        self.runtime = preset.named(f"keras {keras.__version__} on {keras.backend.backend()}")
        self.precision = preset.precision
        self.device = _device(device)
        _check(preset)
        with _policy(preset.precision), keras.device(self.device):
            self.network = models.build(info.spec)
            weights.set_arrays(self.network, arrays)
            self._forward = _traced_once(self.network)

    def __call__(self, images: np.ndarray, stages: bool = False) -> dict[str, np.ndarray]:
        maps = self.tensors(images, stages)
        return {name: np.asarray(keras.ops.convert_to_numpy(tensor)) for name, tensor in maps.items()}

    def tensors(self, images: np.ndarray, stages: bool = False) -> dict[str, Any]:
        """The maps of `__call__` as (N, h, w, C) float32, where they were made."""
        with keras.device(self.device):
            outputs = self._forward(np.ascontiguousarray(images, np.float32))
            wanted = catalogue.final_outputs(self.info.spec)
            names = {**wanted, **({name: name for name in outputs} if stages else {})}
            return {key: keras.ops.cast(outputs[name], "float32") for key, name in names.items()}

    def merge(self, *arguments: Any) -> dict[str, Any]:
        """`keras_impl.decode.merge`, on the network's device."""
        with keras.device(self.device):
            return decode.merge(*arguments)

    def candidates(self, *arguments: Any) -> list[Candidates]:
        """`keras_impl.decode.candidates`, on the network's device."""
        with keras.device(self.device):
            return decode.candidates(*arguments)


def load(
    path: str | Path,
    model: str | None = None,
    device: str = "cpu",
    prototxt: Path | None = None,
    preset: Preset = PLAIN,
) -> LoadedNet:
    """A ready network from a weight file of this project, or from a `.weights.h5` of ours.

    Raises `WeightError` for a file that does not hold exactly the weights of one architecture.
    """
    del prototxt  # the caffe runtime's
    path = Path(path)
    if path.suffix == ".h5":
        arrays, info = first_stages(*_read_h5(path, model), preset.stages)
    else:
        arrays, info = read(path, preset.stages)
    catalogue.expect(info.spec, model, str(path))
    return LoadedNet(arrays, info, sha256(path), device, preset)


def _read_h5(path: Path, model: str | None) -> tuple[Arrays, ModelInfo]:
    layers, info = weights.read_native(path), weights.read_info(path)
    if info is None:
        if model is None:
            raise WeightError(f"{path}: does not say which network it holds; name it with --model")
        spec = catalogue.spec(model)
        info = ModelInfo(spec, published(spec))
    network = models.build(info.spec)
    weights.set_native(network, layers, str(path))
    arrays = weights.get_arrays(network)
    check(arrays, info.spec, str(path))
    return arrays, info


def _check(preset: Preset) -> None:
    if preset.compiled:
        raise UserError("--compile: is PyTorch's; Keras runs a compiled graph as it is, leave it out")
    if preset.threads:
        if keras.backend.backend() != "tensorflow":
            raise UserError(f"--threads {preset.threads}: is for Keras on TensorFlow; set OMP_NUM_THREADS instead")
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(preset.threads)  # read when TensorFlow first computes


@contextmanager
def _policy(precision: str) -> Iterator[None]:
    """Layers that are made here compute in that precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _traced_once(network: keras.Model) -> Callable[[np.ndarray], Mapping[str, Any]]:
    """The network with the weights it has now as one graph for every size of image and batch.

    `predict_on_batch` traces again for new sizes (up to a second each, and about four times before it stops)
    and may compile each size with XLA; `ExportArchive` is Keras's way to give the signature.  The weights are
    constants of the graph: oneDNN arranges them once, and a forward pass takes a sixth less time than with variables.
    """
    if keras.backend.backend() != "tensorflow":
        return network.predict_on_batch
    groups = (network.trainable_variables, network.non_trainable_variables)
    constants = [[keras.ops.convert_to_numpy(variable) for variable in group] for group in groups]

    def maps(images: Any) -> Mapping[str, Any]:
        values = [[keras.ops.convert_to_tensor(array) for array in group] for group in constants]
        outputs, _ = network.stateless_call(*values, images, training=False)
        return outputs

    archive = keras.export.ExportArchive()
    archive.track(network)
    signature = [keras.InputSpec(shape=(None, None, None, 3), dtype="float32")]
    return archive.add_endpoint("maps", maps, signature)


def _device(name: str) -> str:
    kind = {"cuda": "gpu"}.get(name.split(":")[0], name.split(":")[0])
    if kind not in ("cpu", "gpu"):
        raise UserError(f"--device {name}: unknown; use cpu, or cuda on a GPU")
    return name.replace("cuda", "gpu") if ":" in name else f"{kind}:0"
