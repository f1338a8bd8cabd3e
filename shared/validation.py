"""The loss and the AP of a network in training, on images that it does not learn from, without augmentation."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from shared import coco_ap, framework
from shared.arch import catalogue
from shared.arch.rows import fold_norms
from shared.coco import Dataset, ImageRecord
from shared.data.source import Source
from shared.inference import BottomUp
from shared.net import Net
from shared.person import Pose
from shared.recipe import Recipe
from shared.samples import Batch, pipeline
from shared.skeleton import skeleton
from shared.top_down import TopDown, ground_truth
from shared.weights import Arrays, ModelInfo

Read = Callable[[ImageRecord], np.ndarray]
Find = Callable[[np.ndarray, int], list[Pose]]


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Images to validate on: as samples for the loss, and with their annotations for the AP (None: loss alone)."""

    source: Source
    dataset: Dataset | None = None
    read: Read | None = None


def folded(arrays: Arrays, info: ModelInfo) -> tuple[Arrays, ModelInfo]:
    """The network as it is used: its norms are part of its convolutions."""
    plain = catalogue.without_norms(info.spec)
    if plain is info.spec:
        return arrays, info
    return fold_norms(arrays, info.spec.rows()), replace(info, spec=plain)


def loss(losses: Callable[[Batch], Mapping[str, float]], source: Source, recipe: Recipe) -> float:
    """The mean of the summed losses of all outputs, over as many whole batches as there are."""
    samples = pipeline(source, recipe)
    size = min(recipe.batch // recipe.accumulate, len(samples))
    totals: dict[str, list[float]] = defaultdict(list)
    for first in range(0, len(samples) - size + 1, size):
        for name, value in losses(samples.plain_batch(range(first, first + size))).items():
            totals[name].append(value)
    return float(sum(np.mean(values) for values in totals.values()))


def _alone(net: Net) -> Find:
    predictor = BottomUp(net)
    return lambda image, _: predictor(image)


def _with_boxes(net: Net, dataset: Dataset, decoder: str) -> Find:
    predictor, boxes = TopDown(net, decoder), ground_truth(dataset, dataset.images)
    return lambda image, image_id: predictor(image, boxes[image_id])


def precision(
    name: str, arrays: Arrays, info: ModelInfo, dataset: Dataset, read: Read, decoder: str = "argmax"
) -> dict[str, float]:
    """AP, AP50 and AP75 of the network, one scale, no mirroring.

    A network that finds people decodes by `eval/run.py`'s default at height 368, one of single people by `decoder`,
    with the boxes of the annotations.
    """
    net = framework.module(name, "net").LoadedNet(*folded(arrays, info))
    find = _with_boxes(net, dataset, decoder) if catalogue.top_down(info.spec) else _alone(net)
    predictions = []
    for record in dataset.images:
        predictions += coco_ap.results(record.id, find(read(record), record.id), skeleton(info.spec.skeleton))
    numbers = coco_ap.score(predictions, dataset.raw, [record.id for record in dataset.images])
    return {key: numbers[key] for key in ("AP", "AP50", "AP75")}
