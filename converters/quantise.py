"""An ONNX file in int8, by ONNX Runtime: weights scaled per channel, maps by the range that pictures give them."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from shared import fit as geometry
from shared import image
from shared.errors import UserError
from shared.runtimes import ONNX_PRECISION
from shared.weights import ModelInfo

PICTURES = 32
_HEIGHT = 368
_SUFFIXES = (".jpg", ".jpeg", ".png")


def pictures(where: str) -> Iterator[np.ndarray]:
    """The first pictures (H, W, 3) uint8 RGB of a folder, or with "builtin" the first drawn scenes to train on."""
    if where == "builtin":
        from shared.scenes import dataset

        return (dataset.read("train", index) for index in range(PICTURES))
    folder = Path(where)
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES) if folder.is_dir() else []
    if not found:
        raise UserError(f"--int8 {where}: no pictures there; expected a folder of .jpg or .png files, or builtin")
    return (image.read(path) for path in found[:PICTURES])


class _Inputs(CalibrationDataReader):
    """Pictures as the network's inputs, one at a time."""

    def __init__(self, images: Iterable[np.ndarray], info: ModelInfo, name: str) -> None:
        fit = geometry.fit("kl")
        fitted = (geometry.apply(picture, _HEIGHT, (1.0,), fit, info.preprocess)[0].input for picture in images)
        self._inputs = ({name: np.ascontiguousarray(array.transpose(2, 0, 1)[None])} for array in fitted)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._inputs, None)


def quantise(path: Path, images: Iterable[np.ndarray], info: ModelInfo) -> None:
    """Rewrite a float32 ONNX file of ours (NCHW) as int8, in place; its description says so.

    Weights are signed and scaled per output channel; maps are unsigned, between the least and the greatest value that
    the images (H, W, 3) give them.  Maps stay in int8 between layers; inputs and outputs of the file stay float32.
    """
    name = onnx.load(path).graph.input[0].name
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it asks for a preparation that these networks do not need
    try:
        quantize_static(
            path,
            path,
            _Inputs(images, info, name),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        logger.setLevel(level)
    model = onnx.load(path)
    model.metadata_props.add(key=ONNX_PRECISION, value="int8")
    onnx.save(model, path)
