"""A weight file as a `Net`: preprocessed images in, named maps out."""

from pathlib import Path

import numpy as np
import torch

from pytorch_impl import models, weights
from shared.arch import catalogue
from shared.errors import UserError
from shared.weights import Arrays, ModelInfo, read, sha256

torch.backends.cudnn.allow_tf32 = False  # parity is judged in float32
torch.backends.cuda.matmul.allow_tf32 = False


class LoadedNet:
    """See `shared.net.Net`."""

    def __init__(self, arrays: Arrays, info: ModelInfo, weights_sha256: str = "", device: str = "cpu") -> None:
        self.info = info
        self.weights_sha256 = weights_sha256
        self.runtime = f"torch {torch.__version__}"
        self.device = _device(device)
        self.network = models.build(info.spec)
        weights.set_arrays(self.network, arrays)
        # torch has this overload, its stubs do not
        self.network.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def __call__(self, images: np.ndarray, stages: bool = False) -> dict[str, np.ndarray]:
        x = torch.from_numpy(np.ascontiguousarray(images)).to(self.device).permute(0, 3, 1, 2)  # (N, C, H, W)
        with torch.inference_mode():
            outputs = self.network(x)
        wanted = catalogue.final_outputs(self.info.spec)
        names = {**wanted, **({name: name for name in outputs} if stages else {})}
        return {key: outputs[name].permute(0, 2, 3, 1).cpu().numpy() for key, name in names.items()}


def load(path: str | Path, model: str | None = None, device: str = "cpu", prototxt: Path | None = None) -> LoadedNet:
    """A ready network from a weight file of this project, or from a plain state dict (.pth, .pt) of ours.

    Raises `WeightError` for a file that does not hold exactly the weights of one architecture.
    """
    del prototxt  # the caffe runtime's
    path = Path(path)
    if path.suffix in (".pth", ".pt"):
        arrays = dict(weights.read_native(path))
        shapes = {name: tuple(np.shape(array)) for name, array in arrays.items()}
        info = ModelInfo(catalogue.infer(shapes, str(path), model))
    else:
        arrays, info = read(path)
        catalogue.expect(info.spec, model, str(path))
    return LoadedNet(arrays, info, sha256(path), device)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n")[0][:120]
        raise UserError(f"--device {name}: not to be had here ({reason}); use cpu, or cuda on a GPU") from None
    return device
