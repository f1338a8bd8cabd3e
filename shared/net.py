"""What a framework is to the rest of the project: one function from images to named maps."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from shared.errors import UserError, unknown
from shared.weights import ModelInfo

PRECISIONS = ("float32", "bfloat16")  # of a preset; int8 is a property of a file


@dataclass(frozen=True)
class Preset:
    """How a network is run.  `precision` and `stages` change its maps, the others the time and the last bits.

    `stages`: stop after so many of them, None for all.  `compiled`: let PyTorch compile it, which takes a C++
    compiler.  `threads` of the CPU, None for as many as there are cores.
    """

    precision: str = "float32"
    stages: int | None = None
    compiled: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.precision == "int8":
            raise UserError(
                "--precision int8: int8 is a file for onnx and openvino; write one with "
                "python converters/convert.py WEIGHTS --out NAME.onnx --int8 builtin"
            )
        if self.precision not in PRECISIONS:
            raise unknown("--precision", self.precision, PRECISIONS)
        for name in ("stages", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"--{name} {value}: expected 1 or more")

    def named(self, runtime: str) -> str:
        """The runtime's name with what was asked of it: "torch 2.13.0, bfloat16, stopped after stage 3"."""
        asked = (
            "" if self.precision == "float32" else self.precision,
            "compiled" if self.compiled else "",
            f"stopped after stage {self.stages}" if self.stages else "",
        )
        return ", ".join([runtime, *filter(None, asked)])


PLAIN = Preset()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a command that make a `Preset`."""
    group = parser.add_argument_group("how the network is run (docs/benchmarks.md has accuracy and time of each)")
    group.add_argument("--precision", default="float32", help="float32, or bfloat16 (torch, keras, openvino)")
    group.add_argument("--stages", type=int, metavar="N", help="stop after N of the network's stages (torch, keras)")
    group.add_argument("--compile", action="store_true", help="let PyTorch compile the network; takes a C++ compiler")
    group.add_argument("--threads", type=int, metavar="N", help="of the CPU; default: as many as there are cores")


def preset(options: argparse.Namespace) -> Preset:
    """What the options of `add_arguments` ask for."""
    return Preset(options.precision, options.stages, options.compile, options.threads)


class Net(Protocol):
    """A network that is ready to run.

    `info` says what it is and how it wants its colours; `weights_sha256` identifies the file it came from;
    `runtime` names what runs it, with its version ("torch 2.13.0"); `precision` is what it computes in.
    """

    info: ModelInfo
    weights_sha256: str
    runtime: str
    precision: str

    def __call__(self, images: np.ndarray, stages: bool = False) -> Mapping[str, np.ndarray]:
        """Preprocessed images (N, H, W, 3) float32 to maps (N, h, w, C) float32, h = ceil(H / 8).

        Keys are "heat" and, where the network has it, "paf"; with `stages` also every stage's output under its
        layer name (`info.spec.stage_outputs()`).
        """


def warm_up(net: Net) -> None:
    """Let the network do what it does only once: trace, compile, arrange its weights."""
    net(np.zeros((1, 64, 96, 3), np.float32))
