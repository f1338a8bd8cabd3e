"""From an image and the boxes of people in it to their poses, with any network of one person."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from shared import oks
from shared.coco import Dataset, ImageRecord
from shared.codec import crops, keypoints
from shared.codec.crops import CropSpec
from shared.codec.heatmaps import published_sigma
from shared.codec.keypoints import KeypointSpec
from shared.errors import UserError
from shared.net import Net
from shared.oks import NmsSpec
from shared.person import Pose
from shared.skeleton import COCO17, skeleton

_MOST_AT_ONCE = 32  # crops in a forward pass
_LEAST_SCORE = 1e-6  # of a keypoint: every one counts as found, as published, however sure the network is


@dataclass(frozen=True, eq=False)
class Boxes:
    """N people of an image: `boxes` (N, 4) x, y, width, height in px, and the `scores` (N,) that found them."""

    boxes: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)


def ground_truth(dataset: Dataset, records: Iterable[ImageRecord]) -> dict[int, Boxes]:
    """Image id -> the boxes of its annotated people with a keypoint, clipped as published; each has the score 1.

    Nobody is missed and nobody invented, so that an AP with these stands above one with a detector's.
    """
    found = {}
    for record in records:
        people = [p for p in dataset.persons(record.id) if not p.crowd and p.n_keypoints and p.area > 0]
        boxes, usable = crops.clean_box(np.array([p.box for p in people]).reshape(-1, 4), (record.height, record.width))
        found[record.id] = Boxes(boxes[usable], np.ones(int(usable.sum())))
    return found


@dataclass(frozen=True)
class Ranking:
    """What becomes of the poses of an image.

    `visible`: a pose's score is its box's times the mean of the keypoints' that exceed this; None leaves the box's.
    `nms`: how doubles are dropped, None for not at all.
    """

    visible: float | None = oks.VISIBLE
    nms: NmsSpec | None = oks.HARD


PUBLISHED = Ranking()  # HRNet, LPN and PoseResNet on COCO, also with ground-truth boxes
EVERY_BOX = Ranking(None, None)  # one pose for each box, in their order: MPII


@dataclass(frozen=True, eq=False)
class Prepared:
    """The crops (N, H, W, 3) of an image as the network's input, and how they were cut."""

    inputs: np.ndarray
    centres: np.ndarray
    scales: np.ndarray
    boxes: Boxes


class TopDown:
    """A predictor: an image (H, W, 3) uint8 RGB and `Boxes` to poses in image pixels, in the network's skeleton.

    `decoder` names the rules (`shared.codec.keypoints.KEYPOINTS`) and brings their crops; None takes those that the
    network was trained for, argmax where its file does not say.  Raises `UserError` for a decoder whose crops it was
    not trained on.  With `flip` the mirrored crops are averaged in, and with `shift` they move one column first, as
    crops that are not "udp" need.
    `size` (height, width) of the crops is the network's own unless another is given, and `ranking` is the published one
    of its keypoints: `PUBLISHED` for COCO's, `EVERY_BOX` for MPII's, of which no OKS is known.
    Its three steps may be taken one by one: `prepare` and `finish` in any thread, `forward` in one.
    """

    def __init__(
        self,
        net: Net,
        decoder: str | None = None,
        flip: bool = False,
        shift: bool = True,
        size: tuple[int, int] | None = None,
        ranking: Ranking | None = None,
    ) -> None:
        self.net = net
        self.skeleton = skeleton(net.info.spec.skeleton)
        self.size = size or net.info.spec.size
        own = net.info.decoder
        self.spec = keypoints.decoder(decoder or own or "argmax", published_sigma(self.size))
        self.crop = _crops(self.spec)
        if own and self.crop != _crops(keypoints.decoder(own)):
            raise UserError(
                f"--decoder {decoder}: takes crops cut by the rule {self.crop.name}, the network learnt from those of "
                f"{own}; leave --decoder out"
            )
        self.flip = flip
        self.shift = shift and not self.crop.aligned
        self.ranking = ranking or (PUBLISHED if self.skeleton == COCO17 else EVERY_BOX)

    def __call__(self, image: np.ndarray, boxes: Boxes) -> list[Pose]:
        prepared = self.prepare(image, boxes)
        return self.finish(prepared, *self.forward([prepared]))

    def prepare(self, image: np.ndarray, boxes: Boxes) -> Prepared:
        """The people cut out, resized and normalised."""
        centres, scales = crops.from_boxes(boxes.boxes, self.size, self.crop)
        inputs = np.empty((len(boxes), *self.size, 3), np.float32)
        for matrix, place in zip(crops.matrix(centres, scales, 0.0, self.size, self.crop), inputs, strict=True):
            self.net.info.preprocess.into(crops.warp(image, matrix, self.size), place)
        return Prepared(inputs, centres, scales, boxes)

    def input_sizes(self, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """(height, width) of the inputs of an image of `size`: the same for all, so that any images share batches."""
        del size
        return (self.size,)

    def forward(self, images: Sequence[Prepared]) -> list[np.ndarray]:
        """The heatmaps (N, h, w, K) of each image's people; people of all images share batches."""
        inputs = np.concatenate([image.inputs for image in images])
        maps = [self._heat(inputs[i : i + _MOST_AT_ONCE]) for i in range(0, len(inputs), _MOST_AT_ONCE)]
        heat = np.concatenate(maps) if maps else np.zeros((0, 1, 1, self.skeleton.n_keypoints), np.float32)
        ends = np.cumsum([len(image.inputs) for image in images])
        return np.split(heat, ends[:-1])

    def finish(self, prepared: Prepared, heat: np.ndarray) -> list[Pose]:
        """Poses from the heatmaps that `forward` gave for the image, the best first where they are ranked."""
        if not len(heat):
            return []
        cells = keypoints.decode(heat, self.spec)
        points = keypoints.to_image(cells, prepared.centres, prepared.scales, heat.shape[1:3], self.spec, self.crop)
        scores = np.asarray(prepared.boxes.scores, np.float64)
        if self.ranking.visible is not None:
            scores = oks.rescore(scores, points[..., 2], self.ranking.visible)
        order = np.arange(len(points))
        if self.ranking.nms is not None:
            order, scores = oks.suppress(points, crops.areas(prepared.scales, self.crop), scores, self.ranking.nms)
        found = points[order]
        found[..., 2] = np.maximum(found[..., 2], _LEAST_SCORE)
        return [Pose(pose, float(score)) for pose, score in zip(found, scores, strict=True)]

    def describe(self) -> dict[str, object]:
        """Everything here that changes a result, for the protocol."""
        return {
            "decoder": asdict(self.spec),
            "crop": asdict(self.crop),
            "size": list(self.size),
            "flip": self.flip,
            "shift": self.flip and self.shift,
            "ranking": asdict(self.ranking),
        }

    def _heat(self, inputs: np.ndarray) -> np.ndarray:
        heat = self.net(inputs)["heat"]
        if not self.flip:
            return np.asarray(heat)
        mirrored = self.net(np.ascontiguousarray(inputs[:, :, ::-1]))["heat"]
        return keypoints.merge_flipped(heat, mirrored, self.skeleton.flip, self.shift)


def _crops(decoder: KeypointSpec) -> CropSpec:
    """Which crops heatmaps belong to that a decoder reads."""
    return crops.UDP if decoder.udp else crops.MSRA
