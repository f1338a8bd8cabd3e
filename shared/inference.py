"""From an image to people with any network: scales, mirroring, merging, decoding; the same for all frameworks."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import numpy as np

from shared import fit as geometry
from shared.codec import decoders, fast, spec
from shared.codec.fast import Candidates
from shared.codec.spec import STRIDE, FastSpec, Maps
from shared.errors import UserError
from shared.fit import Fitted
from shared.merging import Outputs, View, grid, merge, views
from shared.net import Net
from shared.person import Pose
from shared.skeleton import Skeleton, skeleton

Tensors = Mapping[str, Any]  # maps as `Outputs`, but a framework's own, in its layout, where they were made
_FIELDS = ("heat", "paf")


@runtime_checkable
class DeviceNet(Net, Protocol):
    """A network that also merges and decodes where it runs, for the decoder "device": PyTorch's and Keras' do."""

    def tensors(self, images: np.ndarray) -> Tensors:
        """The maps of a batch that `__call__` has, not copied to the host."""

    def merge(
        self, plain: Sequence[Tensors], flipped: Sequence[Tensors], views: Sequence[View], skeleton: Skeleton
    ) -> Tensors:
        """The mean of an image's maps at the resolution "stride"; see `shared.merging.merge`."""

    def candidates(self, maps: Sequence[Tensors], skeleton: Skeleton, spec: FastSpec) -> list[Candidates]:
        """Peaks and pairs of images whose maps have one size, on the host."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image of `size` (height, width) px as a network's inputs: one a scale, and as many mirrored ones or none."""

    fitted: Sequence[Fitted]
    mirrored: Sequence[Fitted]
    size: tuple[int, int]


class BottomUp:
    """A predictor: an image (H, W, 3) uint8 RGB to people in image pixels, in the network's skeleton.

    `decoder` names the rules (`shared.codec.spec.DECODERS`) and brings its geometry, which `fit` replaces.  The
    image is brought to `height` px times each of `scales`; with `flip` the mirrored image is averaged in.
    Its three steps may be taken one by one: `prepare` and `finish` in any thread, `forward` in one.
    """

    def __init__(
        self,
        net: Net,
        decoder: str = "fast",
        fit: str | None = None,
        height: int = 368,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
    ) -> None:
        self.net = net
        self.skeleton = skeleton(net.info.spec.skeleton)
        self.spec = spec.decoder(decoder, self.skeleton.name)
        self.fit = geometry.fit(fit or self.spec.fit)
        self.height = height
        self.scales = tuple(scales)
        self.flip = flip
        _check(height, self.scales)
        if self.spec.core == "device" and not isinstance(net, DeviceNet):
            raise UserError(
                f"--decoder {decoder}: {net.runtime} only gives maps to the host; choose --decoder fast, which has the "
                "same answer, or --framework torch or keras"
            )

    def __call__(self, image: np.ndarray) -> list[Pose]:
        prepared = self.prepare(image)
        return self.finish(prepared, *self.forward([prepared]))

    def prepare(self, image: np.ndarray) -> Prepared:
        """The image resized, padded and normalised."""
        arguments = (image, self.height, self.scales, self.fit, self.net.info.preprocess)
        mirrored = geometry.apply(*arguments, mirror=True) if self.flip else []
        return Prepared(geometry.apply(*arguments), mirrored, image.shape[:2])

    def input_sizes(self, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """(height, width) of the inputs of an image of `size`, one a scale; images with equal ones share batches."""
        return geometry.input_sizes(size, self.height, self.scales, self.fit)

    def forward(self, images: Sequence[Prepared]) -> Sequence[list[Outputs] | Candidates]:
        """What `finish` needs of each image: the network's maps of every input, or the candidates found in them.

        Inputs of one size share a batch, and so do maps that are decoded where they are.
        """
        if self.spec.core == "device" and self.skeleton.limbs:
            return self._candidates(images)
        return _outputs(self.net, images)

    def finish(self, prepared: Prepared, outputs: Sequence[Outputs] | Candidates) -> list[Pose]:
        """People from what `forward` gave for the image."""
        if isinstance(outputs, Candidates):
            assert isinstance(self.spec, FastSpec)
            return fast.poses(outputs, self.skeleton, self.spec, *grid(prepared.fitted, self.spec.resolution))
        return decoders.run(self._merged(prepared, outputs), self.skeleton, self.spec)

    def maps(self, image: np.ndarray) -> Maps:
        """The merged maps that the decoder reads."""
        prepared = self.prepare(image)
        return self._merged(prepared, *_outputs(self.net, [prepared]))

    def _candidates(self, images: Sequence[Prepared]) -> list[Candidates]:
        assert isinstance(self.net, DeviceNet)
        assert isinstance(self.spec, FastSpec)
        merged = []
        for image, maps in zip(images, _outputs(self.net.tensors, images), strict=True):
            sizes = [(-(-f.input.shape[0] // STRIDE), -(-f.input.shape[1] // STRIDE)) for f in image.fitted]
            n, how = len(sizes), views(image.fitted, sizes, self.flip)
            merged.append(self.net.merge(maps[:n], maps[n:], how, self.skeleton))
        candidates: dict[int, Candidates] = {}
        for batch in _alike([tuple(maps["heat"].shape) for maps in merged]):
            found = self.net.candidates([merged[i] for i in batch], self.skeleton, self.spec)
            candidates.update(zip(batch, found, strict=True))
        return [candidates[i] for i in range(len(images))]

    def _merged(self, prepared: Prepared, outputs: Sequence[Outputs]) -> Maps:
        n = len(prepared.fitted)
        return merge(prepared.fitted, outputs[:n], outputs[n:], prepared.size, self.spec.resolution, self.skeleton)

    def describe(self) -> dict[str, object]:
        """Everything here that changes a result, for the protocol."""
        return {
            "decoder": asdict(self.spec),
            "fit": asdict(self.fit),
            "height": self.height,
            "scales": list(self.scales),
            "flip": self.flip,
        }


def run(net: Callable[[np.ndarray], Tensors], inputs: Sequence[np.ndarray]) -> list[Tensors]:
    """The final maps of every input (h, w, 3); inputs of one size share a batch."""
    outputs: list[Tensors] = [{}] * len(inputs)
    for batch in _alike([array.shape for array in inputs]):
        maps = net(np.stack([inputs[i] for i in batch]))
        for position, i in enumerate(batch):
            outputs[i] = {name: maps[name][position] for name in _FIELDS if name in maps}
    return outputs


def _outputs(net: Callable[[np.ndarray], Tensors], images: Sequence[Prepared]) -> list[list[Tensors]]:
    """The network's maps of every input of each image."""
    inputs = [[f.input for f in (*image.fitted, *image.mirrored)] for image in images]
    outputs = iter(run(net, [array for arrays in inputs for array in arrays]))
    return [list(islice(outputs, len(arrays))) for arrays in inputs]


def _alike(keys: Sequence[Hashable]) -> list[list[int]]:
    """The numbers of equal keys, together."""
    found: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        found.setdefault(key, []).append(i)
    return list(found.values())


def _check(height: int, scales: Sequence[float]) -> None:
    if not scales or not all(math.isfinite(scale) and 0 < scale <= 8 for scale in scales):
        raise UserError(
            f"--scales {','.join(map(str, scales))}: expected numbers above 0 and up to 8, like 0.5,1,1.5,2"
        )
    if not 16 <= height <= 4096:
        raise UserError(f"--height {height}: expected 16 to 4096 px; 368 is the published one")
