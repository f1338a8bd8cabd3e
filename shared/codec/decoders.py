"""Every way to carry out a decoder's rules, and decoding by name."""

from collections.abc import Callable
from typing import Any

import numpy as np

from shared.codec import fast, reference
from shared.codec.spec import STRIDE, DecoderSpec, Maps, decoder
from shared.person import Pose
from shared.skeleton import Skeleton

Core = Callable[[Maps, Skeleton, Any], list[Pose]]
CORES: dict[str, Core] = {"fast": fast.decode, "device": fast.decode, "reference": reference.decode}


def run(maps: Maps, skeleton: Skeleton, spec: DecoderSpec) -> list[Pose]:
    """People from maps at the resolution that `spec` asks for; their keypoints in image pixels."""
    return CORES[spec.core](maps, skeleton, spec)


def decode(name: str, heat: np.ndarray, paf: np.ndarray, skeleton: Skeleton) -> list[Pose]:
    """People from maps (h, w, K + 1) and (h, w, 2L) by the decoder `name`; keypoints in px of the maps.

    The maps have the resolution that the decoder works at; where that is "stride", keypoints are px of the network's
    input, 8 to a cell.
    """
    spec = decoder(name, skeleton.name)
    maps = Maps(heat, paf, cell=STRIDE if spec.resolution == "stride" else 1)
    return run(maps, skeleton, spec)
