"""Weights to Caffe: a deploy prototxt and a caffemodel that Caffe and OpenCV 4 read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from converters import caffemodel, deploy, prototxt
from converters.caffe_net import title
from converters.caffe_schema import messages
from converters.deploy import Layer
from converters.prototxt import Message, Word
from shared.arch.rows import fold_norms
from shared.errors import UserError
from shared.weights import ModelInfo, check, replacing

_PARAMS = {"Convolution": "convolution_param", "Pooling": "pooling_param"}
_SIZE = 368  # px; Caffe and OpenCV take any other from the image
_MAX = 0  # the number of pooling method MAX


def write(arrays: Mapping[str, np.ndarray], info: ModelInfo, prototxt_path: Path, caffemodel_path: Path) -> None:
    """Write both files, or neither.  The weights are stored bit for bit, unless batch norms are folded into them."""
    check(arrays, info.spec, str(caffemodel_path))
    layers = deploy.layers(info.spec)
    name = title(info.spec, info.preprocess)
    for path in (prototxt_path, caffemodel_path):
        if path.is_dir():
            raise UserError(f"{path}: is a folder, expected the name of a file to write")
    arrays = fold_norms(arrays, info.spec.rows())
    with replacing(prototxt_path) as text, replacing(caffemodel_path) as binary:
        text.write_text(prototxt.write(_deploy(layers, name)), encoding="utf-8", newline="\n")
        binary.write_bytes(_weights(layers, name, arrays))


def _deploy(layers: list[Layer], name: str) -> Message:
    return {
        "name": [name],
        "input": [deploy.INPUT],
        "input_dim": [1, 3, _SIZE, _SIZE],
        "layer": [_layer(layer) for layer in layers],
    }


def _layer(layer: Layer) -> Message:
    described: Message = {
        "name": [layer.name],
        "type": [layer.kind],
        "bottom": list(layer.bottoms),
        "top": list(layer.tops),
    }
    if layer.kind == "Concat":
        described["concat_param"] = [{"axis": [1]}]
    if layer.settings:
        values = {key: [Word(value) if isinstance(value, str) else value] for key, value in layer.settings}
        described[_PARAMS[layer.kind]] = [values]
    return described


def _weights(layers: list[Layer], name: str, arrays: Mapping[str, np.ndarray]) -> bytes:
    blobs = caffemodel.from_canonical(arrays).layers
    net: Any = messages()["NetParameter"](name=name.encode(), input=[deploy.INPUT.encode()])
    net.input_dim.extend((1, 3, _SIZE, _SIZE))
    for layer in layers:
        stored = net.layer.add(name=layer.name.encode(), type=layer.kind.encode())
        stored.bottom.extend(bottom.encode() for bottom in layer.bottoms)
        stored.top.extend(top.encode() for top in layer.tops)
        _fill_settings(stored, layer)
        for array in blobs.get(layer.name, ()):
            blob = stored.blobs.add()
            blob.shape.dim.extend(array.shape)
            blob.data.append(np.ascontiguousarray(array, "<f4").tobytes())
    return net.SerializeToString()


def _fill_settings(stored: Any, layer: Layer) -> None:
    settings = dict(layer.settings)
    if layer.kind == "Convolution":
        stored.convolution_param.num_output = settings["num_output"]
        stored.convolution_param.pad.append(settings["pad"])
        stored.convolution_param.kernel_size.append(settings["kernel_size"])
    elif layer.kind == "Pooling":
        stored.pooling_param.pool = _MAX
        stored.pooling_param.kernel_size = settings["kernel_size"]
        stored.pooling_param.stride = settings["stride"]
    elif layer.kind == "Concat":
        stored.concat_param.axis = 1
