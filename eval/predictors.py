"""The predictor that a network and the options of eval/run.py make, and what it reads of each image."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval import boxes as box_sources
from eval.data import Data
from eval.stages import Predictor
from shared.arch import catalogue
from shared.arch.residual import MULTIPLE
from shared.coco import ImageRecord
from shared.codec.keypoints import KEYPOINTS
from shared.codec.spec import DECODERS
from shared.command import parsed_size
from shared.errors import UserError, unknown
from shared.inference import BottomUp
from shared.net import Net
from shared.oks import SUPPRESSIONS
from shared.person import Pose
from shared.skeleton import MPII16
from shared.top_down import EVERY_BOX, Boxes, Prepared, Ranking, TopDown, ground_truth

_SCENES = {"scales": "1", "height": 368, "fit": None}  # options of networks that find people, with their defaults
_PEOPLE = {"boxes": None, "size": None, "nms": "hard", "box_threshold": 0.0, "shift": True}  # of those that do not
_OF_POSES = {name: _PEOPLE[name] for name in ("nms", "box_threshold")}  # what decides which boxes and poses are kept
_LONGEST = 2048  # px of a crop


@dataclass(frozen=True)
class Chosen:
    """`read` gives what `predictor.prepare` takes of an image; `about` and `boxes` are their parts of the protocol."""

    predictor: Predictor
    read: Callable[[ImageRecord], Any]
    about: Mapping[str, Any]
    boxes: Mapping[str, Any] | None


def choose(
    net: Net, options: argparse.Namespace, data: Data, records: Sequence[ImageRecord], scales: Sequence[float]
) -> Chosen:
    """The predictor.  Raises `UserError` for options that are not for this network or these data."""
    if catalogue.top_down(net.info.spec):
        return _top_down(net, options, data, records)
    _refuse(options, _PEOPLE, f"for networks of one person; {net.info.spec.name} finds people itself")
    if data.metric.skeleton == MPII16:
        raise UserError(
            f"--data mpii: judges networks of one person, {net.info.spec.name} is none; use coco or builtin"
        )
    predictor = BottomUp(net, options.decoder or "fast", options.fit, options.height, scales, options.flip)
    if not predictor.skeleton.limbs:
        raise UserError(f"{options.weights}: {net.info.spec.name} does not find people; expected a network of bodies")
    return Chosen(predictor, data.read, predictor.describe(), None)


def check_decoder(name: str | None) -> None:
    """A `UserError` for a decoder that no network has."""
    if name is not None and name not in (*DECODERS, *KEYPOINTS):
        raise unknown("--decoder", name, (*DECODERS, *KEYPOINTS))


def _top_down(net: Net, options: argparse.Namespace, data: Data, records: Sequence[ImageRecord]) -> Chosen:
    spec = net.info.spec
    _refuse(options, _SCENES, f"for networks that find people; {spec.name} is given boxes")
    if options.decoder in DECODERS:
        raise UserError(f"--decoder {options.decoder}: is for networks that find people; choose {', '.join(KEYPOINTS)}")
    if spec.skeleton != data.metric.skeleton.name:
        raise UserError(
            f"{options.weights}: {spec.name} has the keypoints {spec.skeleton}, --data {options.data} those of "
            f"{data.metric.skeleton.name}; give other weights or other data"
        )
    predictor = TopDown(net, options.decoder, options.flip, options.shift, _size(options.size), _ranking(options, data))
    boxes, identity = _boxes(options, data, records, spec.name)
    return Chosen(
        _Boxed(predictor), lambda record: (data.read(record), boxes[record.id]), predictor.describe(), identity
    )


def _boxes(
    options: argparse.Namespace, data: Data, records: Sequence[ImageRecord], name: str
) -> tuple[Mapping[int, Boxes], Mapping[str, Any]]:
    if data.boxes is not None:
        if options.boxes not in (None, box_sources.GROUND_TRUTH):
            raise UserError(f"--boxes {options.boxes}: --data {options.data} has boxes of its own; leave it out")
        return data.boxes, box_sources.identity(box_sources.GROUND_TRUTH, 0.0)
    if options.boxes is None:
        raise UserError(
            f"{name} does not find people: give --boxes gt (those of the annotations, which makes a higher AP), "
            "or --boxes FILE (a detector's, in COCO's results format)"
        )
    identity = box_sources.identity
    if options.boxes == box_sources.GROUND_TRUTH:
        if options.box_threshold != _PEOPLE["box_threshold"]:
            raise UserError("--box-threshold: is for a detector's boxes; leave it out, or give --boxes FILE")
        return ground_truth(data.dataset, records), identity(options.boxes, 0.0)
    found = box_sources.detected(Path(options.boxes), records, options.box_threshold)
    return found, identity(options.boxes, options.box_threshold)


def _ranking(options: argparse.Namespace, data: Data) -> Ranking:
    if options.nms not in (*SUPPRESSIONS, "none"):
        raise unknown("--nms", options.nms, (*SUPPRESSIONS, "none"))
    if data.boxes is not None:
        _refuse(options, _OF_POSES, f"for data with several boxes a person; --data {options.data} has one for each")
        return EVERY_BOX
    return Ranking(nms=SUPPRESSIONS.get(options.nms))


def _size(text: str | None) -> tuple[int, int] | None:
    """(height, width) of "256x192"."""
    size = parsed_size(text)
    if size is not None and any(side > _LONGEST or side % MULTIPLE for side in size):
        raise UserError(
            f"--size {text}: expected height x width of a crop, multiples of {MULTIPLE} up to {_LONGEST}, like 256x192"
        )
    return size


def _refuse(options: argparse.Namespace, defaults: Mapping[str, Any], why: str) -> None:
    given = [f"--{name.replace('_', '-')}" for name, default in defaults.items() if getattr(options, name) != default]
    if given:
        verb, them = ("is", "it") if len(given) == 1 else ("are", "them")
        raise UserError(f"{' and '.join(given)}: {verb} {why}; leave {them} out")


class _Boxed:
    """A top-down network as a `Predictor` of pictures with their boxes."""

    def __init__(self, inner: TopDown) -> None:
        self.inner = inner
        self.skeleton = inner.skeleton

    def input_sizes(self, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        return self.inner.input_sizes(size)

    def prepare(self, picture: tuple[np.ndarray, Boxes]) -> Prepared:
        return self.inner.prepare(*picture)

    def forward(self, images: Sequence[Prepared]) -> Sequence[np.ndarray]:
        return self.inner.forward(images)

    def finish(self, prepared: Prepared, outputs: np.ndarray) -> list[Pose]:
        return self.inner.finish(prepared, outputs)
