"""A Caffe network: its weights and, where there is one, its prototxt, brought together and checked."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py

from converters import caffe_graph, caffe_h5, caffemodel
from shared.arch import catalogue
from shared.preprocess import CAFFE, PREPROCESS, Preprocess
from shared.weights import Arrays, check

_TITLE = re.compile(r"(.*), input (\w+)")


@dataclass(frozen=True)
class CaffeNet:
    """Checked weights under canonical names.  `opencv` tells whether OpenCV reads the weight file as it is."""

    arrays: Arrays
    spec: Any
    preprocess: Preprocess
    opencv: bool


def read(path: Path, model: str | None = None, prototxt: Path | None = None) -> CaffeNet:
    """The network in a .caffemodel or .caffemodel.h5.

    The prototxt says which network it is; without one, `model` or the shapes do.  A file with more stages than the
    prototxt or the model asks for gives the first ones, as in Caffe: OpenPose publishes one file for its MPI
    networks of six and of four stages.  Raises `WeightError` for weights that are not exactly one network's.
    """
    hdf5 = path.suffix != ".caffemodel" and h5py.is_hdf5(path)
    blobs = caffe_h5.read(path) if hdf5 else caffemodel.read(path)
    arrays = caffemodel.canonical(blobs, str(path))
    deploy = caffe_graph.read(prototxt) if prototxt else None
    if deploy:
        catalogue.expect(deploy.spec, model, str(prototxt))
    spec = _spec(arrays, deploy.spec if deploy else None, model, str(path))
    arrays = {name: arrays[name] for name in spec.tensors()}
    check(arrays, spec, str(path))
    return CaffeNet(arrays, spec, _preprocess(deploy.title if deploy else ""), not hdf5 and not blobs.double)


def title(spec: Any, preprocess: Preprocess) -> str:
    """The name of a network in a prototxt; it tells the preprocessing where that is not Caffe's own."""
    names = {value: name for name, value in PREPROCESS.items()}
    return spec.name if preprocess == CAFFE else f"{spec.name}, input {names[preprocess]}"


def _preprocess(title: str) -> Preprocess:
    match = _TITLE.fullmatch(title)
    return PREPROCESS.get(match[2], CAFFE) if match else CAFFE


def _spec(arrays: Arrays, described: Any, model: str | None, where: str) -> Any:
    """The spec that the arrays hold, or the first stages of it that were asked for."""
    shapes = {name: array.shape for name, array in arrays.items()}
    if described:
        if described.tensors() == shapes:
            return described
        if not described.tensors().items() < shapes.items():
            raise catalogue.mismatch(described, shapes, where)
        catalogue.infer(shapes, where)  # what is left over must be stages, not strangers
        return described
    found = catalogue.infer(shapes, where)
    wanted = catalogue.spec(model or found.name)
    if wanted.family == found.family and hasattr(found, "width"):
        wanted = replace(wanted, width=found.width)
        if wanted.tensors().items() < shapes.items():
            return wanted
    catalogue.expect(found, model, where)
    return found
