"""The weights that a training starts from: random ones, equal in both frameworks, or those of a file."""

from pathlib import Path

import numpy as np

from shared import vgg19
from shared.arch import catalogue
from shared.errors import UserError
from shared.hdf5 import SIGNATURE
from shared.recipe import Recipe
from shared.weights import Arrays, ModelInfo, existing, read


def initial(recipe: Recipe) -> tuple[ModelInfo, Arrays]:
    """The untrained network, equal in both frameworks: zero biases, norms that do nothing, and `recipe.init`.

    With "he" the last layer of each branch starts at a tenth, so that the first predictions are near zero.
    """
    if recipe.init not in ("he", "caffe"):
        raise UserError(f"recipe: init {recipe.init}; expected he or caffe")
    changes = {"norm": True} if recipe.norm else {}
    spec = catalogue.spec(recipe.model, width=recipe.width, stages=recipe.stages, **changes)
    rng = np.random.Generator(np.random.Philox(recipe.seed))
    last = {f"{name}.weight" for name in spec.stage_outputs()}
    arrays = {}
    for name, shape in spec.tensors().items():
        if len(shape) == 4:
            he = np.sqrt(2 / np.prod(shape[1:])) * (0.1 if name in last else 1)
            arrays[name] = (rng.standard_normal(shape) * (he if recipe.init == "he" else 0.01)).astype(np.float32)
        else:
            one = name.endswith(("_bn.weight", "_bn.running_var"))
            arrays[name] = np.full(shape, 1 if one else 0, np.float32)
    info = ModelInfo(spec, recipe.preprocess, source="trained by this project", licence="this project")
    return info, arrays


def from_file(path: Path, arrays: Arrays, info: ModelInfo) -> Arrays:
    """`arrays` with those of a weight file of this project in their place, or of a VGG-19 (see `shared.vgg19`).

    A VGG-19 that reads its colours in another order than the network gets its first layer turned round; the scale of
    the colours stays another than in its own training, as in the originals.  Raises `UserError` for a file of another
    architecture; norms, which no file has, start as they are.
    """
    existing(path, f"a weight file of this project, or {vgg19.EXPECTED}")
    if path.suffix == ".safetensors":
        found, given = read(path)
        plain = catalogue.without_norms(info.spec)
        if given.spec != plain:
            raise UserError(f"--init {path}: holds {given.spec}; expected {plain}; choose --recipe and --set to match")
        return {**arrays, **found}
    layers = vgg19.read(path)
    with path.open("rb") as file:
        order = "bgr" if file.read(len(SIGNATURE)) == SIGNATURE else "rgb"  # Keras' or torchvision's
    if order != info.preprocess.order:
        layers["conv1_1.weight"] = np.ascontiguousarray(layers["conv1_1.weight"][:, ::-1])
    return vgg19.apply(arrays, layers)
