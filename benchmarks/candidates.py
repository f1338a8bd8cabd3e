"""What decoders are measured: ours by name, the fast one with a rule switched off, and others as `module:function`."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from shared.codec import decoders, spec
from shared.codec.spec import FAST, DecoderSpec, Maps
from shared.errors import UserError
from shared.person import Pose
from shared.skeleton import Skeleton

STEPS: dict[str, dict[str, Any]] = {  # each rule of the fast decoder switched off, or brought to the published value
    "refine=None": {"refine": None},
    "noise=0": {"noise": 0.0},
    "strength=0": {"strength": 0.0},
    "join=None": {"join": None},
    "min_keypoints=4, keep=0": {"min_keypoints": 4, "keep": 0.0},
    "score=mean": {"score": "mean"},
}
STEPS["all of these"] = {key: value for change in STEPS.values() for key, value in change.items()}


@dataclass(frozen=True)
class Candidate:
    """`spec` brings the name, the geometry and the resolution of the maps of which `run` makes people, in image px."""

    spec: DecoderSpec
    run: Callable[[Maps, Skeleton], list[Pose]]


def candidate(name: str) -> Candidate:
    """The decoder of that name.

    `module:function` is a function (heat (h, w, K + 1), paf (h, w, 2L), skeleton) -> a list of `Pose` or of arrays
    (K, 3) of x, y, score, where 0 is not found.  It gets the network's maps as they are; x and y are px of the
    network's input, 8 to a cell, whose cell 0 has its centre at 3.5.  An array's rank is the sum of its scores.
    """
    if ":" not in name:
        return _of(spec.decoder(name))
    module, _, function = name.partition(":")
    try:
        decode = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"--decoders {name}: {error}; expected module:function, to be imported from here") from None
    return Candidate(DecoderSpec(name, fit="plain", resolution="stride"), partial(_people, decode))


def steps() -> list[Candidate]:
    """The fast decoder without one of its rules after the other, and without all of them."""
    return [_of(replace(FAST, name=f"fast, {name}", **changes)) for name, changes in STEPS.items()]


def _of(chosen: DecoderSpec) -> Candidate:
    return Candidate(chosen, lambda maps, skeleton: decoders.run(maps, skeleton, chosen))


def _people(decode: Callable[..., list[Any]], maps: Maps, skeleton: Skeleton) -> list[Pose]:
    """Another's people, in px of the network's input, as ours in px of the image."""
    poses = []
    for found in decode(maps.heat, maps.paf, skeleton):
        keypoints = np.array(getattr(found, "keypoints", found), np.float32)
        known = keypoints[:, 2] > 0
        keypoints[known, :2] = keypoints[known, :2] * maps.to_image + np.array(maps.shift)
        keypoints[~known] = 0
        poses.append(Pose(keypoints, float(getattr(found, "score", keypoints[:, 2].sum()))))
    return poses
