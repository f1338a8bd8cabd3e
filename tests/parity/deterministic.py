"""The weights and the input of ../shared/golden/topdown_forward_golden.json, by the recipe in that file."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from shared.weights import Arrays

_BITS = (1 << 64) - 1
_PRINTED = 5e-7  # the maxima have six decimals


def arrays(spec: Any, gain: float = 1.0) -> Arrays:
    """Weights for a spec: a hash of (number of the tensor, number of the element), scaled by the kind of tensor."""
    found = {}
    for i, (name, shape) in enumerate(spec.tensors().items()):
        value = _hash(i, int(np.prod(shape))).reshape(shape)
        if name.endswith(("running_mean", ".bias")):
            value = 0.1 * value
        elif name.endswith("running_var"):
            value = 1 + 0.5 * np.abs(value)
        elif len(shape) == 4:
            value = value * gain * np.sqrt(3 / np.prod(shape[1:]))
        else:
            value = 1 + 0.1 * value
        found[name] = value.astype(np.float32)
    return found


def _hash(i: int, n: int) -> np.ndarray:
    """(n,) numbers in -1..1."""
    z = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64((i + 1) * 0xD1B54A32D192ED03 & _BITS)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z ^= z >> np.uint64(shift)
        z *= np.uint64(factor)
    z ^= z >> np.uint64(31)
    return 2 * ((z >> np.uint64(11)).astype(np.float64) / 2**53) - 1


def image(height: int, width: int) -> np.ndarray:
    """(height, width, 3) float32."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = [np.cos(0.05 * c * x + 0.03 * y) + 0.25 * np.sin(0.11 * c * y) for c in (1, 2, 3)]
    return np.stack(waves, axis=-1).astype(np.float32)


def distance(heat: np.ndarray, golden: Mapping[str, Any]) -> float:
    """The largest difference of (h, w, K) from all that the file tells of a pass, in standard deviations."""
    values = heat.astype(np.float64)
    found = [abs(getattr(values, kind)() - golden[kind]) for kind in ("mean", "std", "min", "max")]
    for sample in golden["samples"]:
        k, y, x = sample["kyx"]
        found.append(abs(values[y, x, k] - sample["value"]))
    maxima = values.max(axis=(0, 1))
    found.append(np.abs(maxima - golden["per_joint_max"]).max() - _PRINTED)
    for k, (x, y) in enumerate(golden["per_joint_argmax_xy"]):
        found.append(maxima[k] - values[y, x, k])
    return float(max(found) / golden["std"])
