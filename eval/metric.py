"""What a data set is judged by."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from shared import coco_ap
from shared.skeleton import COCO17, Skeleton

Predictions = Sequence[Mapping[str, Any]]


class Metric(Protocol):
    """Numbers by name from predictions in COCO's results format, whose keypoints are of `skeleton`.

    `about` is its part of the protocol; `main` names the number that stands for the run; `loss` says what `losses`
    count.
    """

    about: Mapping[str, Any]
    main: str
    skeleton: Skeleton
    loss: str

    def score(self, predictions: Predictions, image_ids: Sequence[int], scorer: str) -> dict[str, float]: ...

    def details(self, predictions: Predictions, image_ids: Sequence[int]) -> Mapping[str, Mapping[str, float]]:
        """More numbers, as the rows of a table; empty where `score` gives all."""

    def losses(self, predictions: Predictions, image_ids: Sequence[int]) -> dict[int, float]:
        """How bad each image is, to show the worst."""


class CocoAp:
    """COCO's keypoint AP over the annotations of a `shared.coco.Dataset`."""

    about: Mapping[str, Any] = {"name": "COCO keypoint AP (OKS)", "max_detections": 20, "keypoints": "coco17"}
    main = "AP"
    skeleton = COCO17
    loss = "People missed at OKS 0.5, plus people found where there are none"

    def __init__(self, annotations: Mapping[str, Any]) -> None:
        self.annotations = annotations

    def score(self, predictions: Predictions, image_ids: Sequence[int], scorer: str) -> dict[str, float]:
        return coco_ap.score(predictions, self.annotations, image_ids, scorer)

    def details(self, predictions: Predictions, image_ids: Sequence[int]) -> dict[str, dict[str, float]]:
        del predictions, image_ids
        return {}

    def losses(self, predictions: Predictions, image_ids: Sequence[int]) -> dict[int, float]:
        return coco_ap.image_losses(predictions, self.annotations, image_ids)
