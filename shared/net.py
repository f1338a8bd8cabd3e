"""What a framework is to the rest of the project: one function from images to named maps."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from shared.weights import ModelInfo


class Net(Protocol):
    """A network that is ready to run.

    `info` says what it is and how it wants its colours; `weights_sha256` identifies the file it came from;
    `runtime` names what runs it, with its version ("torch 2.13.0").
    """

    info: ModelInfo
    weights_sha256: str
    runtime: str

    def __call__(self, images: np.ndarray, stages: bool = False) -> Mapping[str, np.ndarray]:
        """Preprocessed images (N, H, W, 3) float32 to maps (N, h, w, C) float32, h = ceil(H / 8).

        Keys are "heat" and, where the network has it, "paf"; with `stages` also every stage's output under its
        layer name (`info.spec.stage_outputs()`).
        """
