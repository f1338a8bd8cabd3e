"""A weight file as a `Net`: preprocessed images in, named maps out."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pytorch_impl import decode, models, weights
from pytorch_impl.layers import PackedConv
from shared.arch import catalogue
from shared.arch.rows import Conv, Row
from shared.errors import UserError, WeightError
from shared.memory import keep_freed
from shared.net import PLAIN, Preset
from shared.preprocess import published
from shared.weights import Arrays, ModelInfo, check, first_stages, read, sha256

torch.backends.cudnn.allow_tf32 = False  # parity is judged in float32
torch.backends.cuda.matmul.allow_tf32 = False


class LoadedNet:
    """See `shared.net.Net` and `shared.inference.DeviceNet`.

    `arrays` are all weights of `info.spec`, whatever `preset.stages` says.
    """

    def __init__(
        self, arrays: Arrays, info: ModelInfo, weights_sha256: str = "", device: str = "cpu", preset: Preset = PLAIN
    ) -> None:
        self.info = info
        self.weights_sha256 = weights_sha256
        self.runtime = preset.named(f"torch {torch.__version__}")
        self.precision = preset.precision
        self.device = _device(device)
        self.dtype = getattr(torch, preset.precision)
        if preset.threads:
            torch.set_num_threads(preset.threads)
        self.network = models.build(info.spec)
        weights.set_arrays(self.network, arrays)
        # torch has this overload, its stubs do not
        self.network.to(self.device, self.dtype, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        if self.device.type == "cpu":
            keep_freed()
        if preset.compiled:
            _compile(self.network)
        elif self.device.type == "cpu" and _packs(self.dtype) and hasattr(info.spec, "rows"):
            _pack(self.network, info.spec.rows())

    def __call__(self, images: np.ndarray, stages: bool = False) -> dict[str, np.ndarray]:
        maps = self.tensors(images, stages)
        return {name: tensor.permute(0, 2, 3, 1).cpu().numpy() for name, tensor in maps.items()}

    def tensors(self, images: np.ndarray, stages: bool = False) -> dict[str, torch.Tensor]:
        """The maps of `__call__` as (N, C, h, w) float32, where they were made."""
        x = torch.from_numpy(np.ascontiguousarray(images)).to(self.device, self.dtype)
        x = x.permute(0, 3, 1, 2)  # (N, C, H, W)
        with torch.inference_mode():
            outputs = self.network(x)
        wanted = catalogue.final_outputs(self.info.spec)
        names = {**wanted, **({name: name for name in outputs} if stages else {})}
        return {key: outputs[name].float() for key, name in names.items()}

    merge = staticmethod(decode.merge)
    candidates = staticmethod(decode.candidates)


def load(
    path: str | Path,
    model: str | None = None,
    device: str = "cpu",
    prototxt: Path | None = None,
    preset: Preset = PLAIN,
) -> LoadedNet:
    """A ready network from a weight file of this project, or from a plain state dict (.pth, .pt) under our names.

    Raises `WeightError` for a file that does not hold exactly the weights of one architecture.
    """
    del prototxt  # the caffe runtime's
    path = Path(path)
    if path.suffix in (".pth", ".pt"):
        arrays, info = first_stages(*_read_state(path, model), preset.stages)
    else:
        arrays, info = read(path, preset.stages)
    catalogue.expect(info.spec, model, str(path))
    return LoadedNet(arrays, info, sha256(path), device, preset)


def _read_state(path: Path, model: str | None) -> tuple[Arrays, ModelInfo]:
    arrays, info = dict(weights.read_native(path)), weights.read_info(path)
    if "state_dict" in arrays or any(name.startswith("module.") for name in arrays):
        raise WeightError(
            f"{path}: a training's checkpoint, whose weights have other names; bring it in with "
            f"python converters/convert.py {path} --out NAME.safetensors"
        )
    if info is None:
        spec = catalogue.infer({name: tuple(np.shape(array)) for name, array in arrays.items()}, str(path), model)
        if catalogue.top_down(spec):
            raise WeightError(
                f"{path}: holds {spec.name}, and does not say the size and the colours of its input; bring it in with "
                "python converters/convert.py, which takes them with --size and --preprocess"
            )
        info = ModelInfo(spec, published(spec))
    check(arrays, info.spec, str(path))
    return arrays, info


def _packs(dtype: torch.dtype) -> bool:
    """Whether oneDNN has packed convolutions of this type here; in bfloat16 it needs AVX-512 or its like."""
    if not torch.backends.mkldnn.is_available():
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _pack(network: nn.Module, rows: Sequence[Row]) -> None:
    """Replace the convolutions of `rows`: packed they take 5 % less time in float32 and 10 % in bfloat16."""
    for row in rows:
        if isinstance(row, Conv) and not row.norm:
            conv = network.get_submodule(row.name)
            assert isinstance(conv, nn.Conv2d)
            network.set_submodule(row.name, PackedConv(conv, relu=row.act == "relu"))


def _compile(network: nn.Module) -> None:
    """Let PyTorch compile the network, for all sizes, when it is first called."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise UserError(f"--compile: needs a C++ compiler, {compiler} is not here; install it, or leave --compile out")
    network.compile(dynamic=True, options={"freezing": True})


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n")[0][:120]
        raise UserError(f"--device {name}: not to be had here ({reason}); use cpu, or cuda on a GPU") from None
    return device
