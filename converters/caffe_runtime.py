"""The original model: OpenCV's `dnn` on the original prototxt and caffemodel."""

import tempfile
from pathlib import Path

import cv2
import numpy as np

from converters import caffe_net, to_caffe
from converters.caffe_net import CaffeNet
from shared.errors import UserError
from shared.net import PLAIN, Preset
from shared.runtimes import RuntimeNet, refuse
from shared.weights import ModelInfo, sha256


def load_caffe(
    path: Path,
    model: str | None = None,
    device: str = "cpu",
    prototxt: Path | None = None,
    preset: Preset = PLAIN,
) -> RuntimeNet:
    """A Caffe network, run from its own files after the strict reader accepted them.

    The prototxt is the file of the same name unless it is given.  Weight files that OpenCV cannot read (doubles, HDF5)
    are written anew into a temporary folder, and `runtime` says so.  Maps come out under their layers' names; any
    batch and size goes in, and pools round up as Caffe's do.
    """
    refuse("OpenCV", preset, "threads")
    if preset.threads:
        cv2.setNumThreads(preset.threads)
    path = Path(path)
    if device != "cpu":
        raise UserError(f"--device {device}: OpenCV runs Caffe networks on the CPU here; use cpu")
    prototxt = Path(prototxt) if prototxt else path.with_suffix(".prototxt")
    net = caffe_net.read(path, model, prototxt)
    info = ModelInfo(net.spec, net.preprocess, path.name, sha256(path))
    runtime = f"opencv dnn {cv2.__version__}"
    if net.opencv:
        loaded = _opencv(prototxt, path)
    else:
        loaded = _rewritten(net, info)
        runtime += ", on the weights written anew as float32 for it"
    names = list(net.spec.stage_outputs())
    # OpenCV names the last layer of the hand and face networks by the blob it makes, net_output.
    known = set(loaded.getLayerNames())
    asked = [name if name in known else loaded.getUnconnectedOutLayersNames()[0] for name in names]

    def forward(images: np.ndarray) -> dict[str, np.ndarray]:
        loaded.setInput(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))  # (N, 3, H, W)
        outputs = loaded.forward(asked)
        return {
            name: np.ascontiguousarray(array.transpose(0, 2, 3, 1)) for name, array in zip(names, outputs, strict=True)
        }

    return RuntimeNet(info, info.source_sha256, runtime, forward)


def _rewritten(net: CaffeNet, info: ModelInfo) -> cv2.dnn.Net:
    with tempfile.TemporaryDirectory() as folder:
        text, weights = Path(folder) / "net.prototxt", Path(folder) / "net.caffemodel"
        to_caffe.write(net.arrays, info, text, weights)
        return _opencv(text, weights)


def _opencv(prototxt: Path, weights: Path) -> cv2.dnn.Net:
    try:
        net = cv2.dnn.readNetFromCaffe(str(prototxt), str(weights))
    except cv2.error as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{prototxt}: OpenCV cannot run it ({reason}); write its files anew with python converters/convert.py"
        ) from None
    net.enableWinograd(False)  # halves the difference from real Caffe
    return net
