"""The weights that a training starts from: random ones, equal in both frameworks, or those of a file."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from shared import imagenet, person_files, vgg19
from shared.arch import catalogue
from shared.errors import UserError, WeightError, unknown
from shared.hdf5 import SIGNATURE
from shared.recipe import Recipe
from shared.weights import Arrays, ModelInfo, check, existing, read

_DEVIATIONS = {"caffe": 0.01, "hrnet": 0.001}
_SLOPE = 0.25  # of a PReLU, Caffe's
_PERSON_FILES = "a published one of PyTorch: a pose network's, HRNet's for ImageNet or torchvision's ResNet"


def initial(recipe: Recipe) -> tuple[ModelInfo, Arrays]:
    """The untrained network, equal in both frameworks: zero biases, norms that do nothing, and `recipe.init`.

    "he" is He's normal, with a tenth of it for the last layer of each branch, so that the first predictions are near
    zero; the others are Gaussians of the originals' deviations.
    """
    if recipe.init not in ("he", *_DEVIATIONS):
        raise unknown("recipe: init", recipe.init, ("he", *_DEVIATIONS))
    spec = recipe.spec
    rng = np.random.Generator(np.random.Philox(recipe.seed))
    last = {f"{name}.weight" for name in spec.stage_outputs()}
    arrays = {}
    for name, shape in spec.tensors().items():
        if len(shape) == 4:
            he = np.sqrt(2 / np.prod(shape[1:])) * (0.1 if name in last else 1)
            deviation = _DEVIATIONS.get(recipe.init, he)
            arrays[name] = (rng.standard_normal(shape) * deviation).astype(np.float32)
        else:
            arrays[name] = np.full(shape, _constant(name), np.float32)
    decoder = recipe.decoder if catalogue.top_down(spec) else ""
    origin = {"source": "trained by this project", "licence": "this project"}
    info = ModelInfo(spec, recipe.preprocess, decoder=decoder, **origin)
    return info, arrays


def _constant(name: str) -> float:
    """What a tensor that is no kernel starts with."""
    layer, _, variable = name.rpartition(".")
    if variable == "weight":
        return _SLOPE if "prelu" in layer else 1
    return 1 if variable == "running_var" else 0


def from_file(path: Path, arrays: Arrays, info: ModelInfo) -> Arrays:
    """`arrays` with those of a weight file of this project in their place, or of a VGG-19 (see `shared.vgg19`).

    A VGG-19 that reads its colours in another order than the network gets its first layer turned round; the scale of
    the colours stays another than in its own training, as in the originals.  A network of one person starts from a
    published pose network of its architecture instead, or from ImageNet (see `shared.imagenet`); what keeps its first
    values is logged.  Raises `UserError` for a file of another architecture; norms, which no file of the others has,
    start as they are.
    """
    person = catalogue.top_down(info.spec)
    existing(path, f"a weight file of this project, or {_PERSON_FILES if person else vgg19.EXPECTED}")
    if path.suffix == ".safetensors":
        return {**arrays, **_own(path, info)}
    if person:
        return _published(path, arrays, info)
    layers = vgg19.read(path)
    with path.open("rb") as file:
        order = "bgr" if file.read(len(SIGNATURE)) == SIGNATURE else "rgb"  # Keras' or torchvision's
    if order != info.preprocess.order:
        layers["conv1_1.weight"] = np.ascontiguousarray(layers["conv1_1.weight"][:, ::-1])
    return vgg19.apply(arrays, layers)


def _own(path: Path, info: ModelInfo) -> Arrays:
    """All arrays of a weight file of this project.  A network of one person may have seen inputs of another size."""
    found, given = read(path)
    plain, spec = catalogue.without_norms(info.spec), given.spec
    if catalogue.top_down(plain) and catalogue.top_down(spec):
        spec = replace(spec, size=plain.size)
    if spec != plain:
        raise UserError(f"--init {path}: holds {given.spec}; expected {plain}; choose --recipe and --set to match")
    if catalogue.top_down(plain) and given.preprocess != info.preprocess:
        raise UserError(
            f"--init {path}: reads {given.preprocess}; expected {info.preprocess}; choose --set preprocess to match"
        )
    return found


def _published(path: Path, arrays: Arrays, info: ModelInfo) -> Arrays:
    """A PyTorch file for a network of one person: all of a pose network's, or the trunk of a classifier."""
    with path.open("rb") as file:
        if not file.read(8).startswith(vgg19.TORCH_SIGNATURES):
            raise WeightError(f"--init {path}: no PyTorch file; expected {_PERSON_FILES}")
    found = person_files.read(path)
    if found is None:
        raise WeightError(f"--init {path}: holds no network of one person; expected {_PERSON_FILES}")
    if found.heatmaps:
        check(found.arrays, info.spec, f"--init {path}")
        return {name: np.ascontiguousarray(found.arrays[name], np.float32) for name in arrays}
    arrays, told = imagenet.apply(arrays, found.arrays, info.spec, f"--init {path}")
    logging.getLogger(__name__).warning(told)
    return arrays
