"""Small networks with random weights, for the tests that compare runtimes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from shared.arch import catalogue
from shared.weights import Arrays, ModelInfo


def _random_arrays(spec: Any, seed: int) -> Arrays:
    """Kernels that keep the size of the values, biases and slopes away from zero, positive variances and scales."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in spec.tensors().items():
        if len(shape) == 4:
            array = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif "prelu" in name:
            array = rng.uniform(0.1, 0.4, shape)
        elif name.endswith((".weight", ".running_var")):
            array = rng.uniform(0.5, 1.5, shape)
        else:
            array = rng.standard_normal(shape) * 0.05
        arrays[name] = array.astype(np.float32)
    return arrays


@pytest.fixture(scope="session")
def small() -> Callable[..., tuple[Arrays, ModelInfo]]:
    """A function from the name of a model to random weights for it, at a sixteenth of its width if it has one."""

    def make(name: str, seed: int = 0, **changes: Any) -> tuple[Arrays, ModelInfo]:
        if "width" in catalogue.to_dict(catalogue.spec(name)):
            changes = {"width": 1 / 16, **changes}
        spec = catalogue.spec(name, **changes)
        return _random_arrays(spec, seed), ModelInfo(spec, source="random")

    return make


@pytest.fixture(scope="module", params=["torch", "keras"])
def framework(request: pytest.FixtureRequest) -> str:
    return request.param
