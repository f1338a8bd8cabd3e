"""Small networks with random weights, and Caffe files from a writer that shares nothing with ours."""

import importlib.util
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.arch import catalogue
from shared.weights import Arrays, ModelInfo

SHARED = Path(__file__).resolve().parents[4] / "shared"


@pytest.fixture(scope="session")
def small() -> Callable[..., tuple[Arrays, ModelInfo]]:
    """A function from the name of a model to random weights for it, at 1/64 of its width."""

    def make(name: str, **changes: Any) -> tuple[Arrays, ModelInfo]:
        spec = catalogue.spec(name, **{"width": 1 / 64, **changes})
        rng = np.random.default_rng(7)
        arrays = {key: rng.normal(0, 0.3, shape).astype(np.float32) for key, shape in spec.tensors().items()}
        return arrays, ModelInfo(spec, source="random")

    return make


@pytest.fixture(scope="module")
def network(small: Callable[..., tuple[Arrays, ModelInfo]]) -> Callable[..., tuple[Arrays, OrderedDict, Any]]:
    """A function from the name of a model of one person to its arrays, their state dict with counters, and the spec."""
    import torch  # what other tests of converters do without

    def make(name: str, **changes: Any) -> tuple[Arrays, OrderedDict, Any]:
        arrays, info = small(name, **{"width": 1 / 16, **changes})
        found = OrderedDict()
        for key, array in arrays.items():
            found[key] = torch.from_numpy(array)
            if key.endswith("running_var"):  # each batch norm counts its batches
                found[key.replace("running_var", "num_batches_tracked")] = torch.tensor(7)
        return arrays, found, info.spec

    return make


@pytest.fixture(scope="session")
def caffe_models() -> Path:
    """The folder of published prototxt files and of weights saved by real Caffe."""
    folder = SHARED / "data" / "caffe_models"
    if not folder.is_dir():
        pytest.skip("no ../shared/data/caffe_models here")
    return folder


@pytest.fixture(scope="session")
def tool() -> Any:
    """The module of the independent writer of seeded caffemodels."""
    path = SHARED / "tools" / "make_caffemodel.py"
    if not path.is_file():
        pytest.skip("no ../shared/tools/make_caffemodel.py here")
    spec = importlib.util.spec_from_file_location("make_caffemodel", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
