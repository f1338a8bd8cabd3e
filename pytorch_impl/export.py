"""The network as an ONNX graph."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

OPSET = 18
INPUT = "image"


class _Stages(nn.Module):
    """The network with its outputs in order instead of by name, as the exporter wants them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.network(images).values())


def export_onnx(network: nn.Module, path: Path) -> None:
    """Write one ONNX file: input "image" (N, 3, H, W) of any N, H, W; every stage under its layer name, NCHW.

    The network is put into evaluation mode.  The file has no description yet: `converters.to_onnx` adds it.
    """
    example = torch.zeros(2, 3, 64, 72, device=next(network.parameters()).device)
    with _quiet():
        program = torch.onnx.export(
            _Stages(network).eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(network.spec.stage_outputs()),  # type: ignore[union-attr, operator]
            dynamic_shapes=({0: "batch", 2: "height", 3: "width"},),
            external_data=False,
            verbose=False,
        )
    assert program is not None  # with dynamo=True
    program.save(str(path), external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of packages that it looked for, and warns about its own code."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
