"""The protocol of a run: everything that changes the number, apart from the network itself; and its hash."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

VERSION = 1


def protocol(
    data: Mapping[str, Any],
    subset: str,
    image_ids: Sequence[int],
    predictor: Mapping[str, Any],
    model: Mapping[str, Any],
    metric: Mapping[str, Any],
    boxes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The record of a run.

    `data` says which images and annotations, `subset` and `image_ids` which of them, `predictor` is
    `BottomUp.describe()` or `TopDown.describe()`, `model` the architecture with its preprocessing, and its precision
    unless that is float32; `metric` is `Metric.about`; `boxes` is where those of a top-down network came from.
    What runs the network, and its weights, are not part of it: those are what runs under one protocol are compared by.
    """
    return {
        "version": VERSION,
        "data": dict(data),
        "subset": {"name": subset, "images": len(image_ids), "ids_sha256": _sha256(sorted(image_ids))},
        "model": dict(model),
        "boxes": boxes and dict(boxes),
        **predictor,
        "metric": dict(metric),
    }


def digest(record: Mapping[str, Any]) -> str:
    """sha256 of the record as canonical JSON; runs are comparable if theirs are equal."""
    return _sha256(record)


def differences(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What two protocols disagree on, as "name: value of a, value of b"."""
    found = []
    for key in sorted(a.keys() | b.keys()):
        left, right = a.get(key, "absent"), b.get(key, "absent")
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found += differences(left, right, f"{prefix}{key}.")
        elif left != right:
            found.append(f"{prefix}{key}: {left}, {right}")
    return found


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
