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
from shared.recipe import Recipe
from shared.samples import Batch, Pipeline
from shared.weights import Arrays, ModelInfo

Read = Callable[[ImageRecord], np.ndarray]


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
    pipeline = Pipeline(source, recipe)
    size = min(recipe.batch // recipe.accumulate, len(pipeline))
    totals: dict[str, list[float]] = defaultdict(list)
    for first in range(0, len(pipeline) - size + 1, size):
        for name, value in losses(pipeline.plain_batch(range(first, first + size))).items():
            totals[name].append(value)
    return float(sum(np.mean(values) for values in totals.values()))


def precision(name: str, arrays: Arrays, info: ModelInfo, dataset: Dataset, read: Read) -> dict[str, float]:
    """AP, AP50 and AP75 of the network, by `eval/run.py`'s default decoder at height 368, one scale."""
    net = framework.module(name, "net").LoadedNet(*folded(arrays, info))
    predictor = BottomUp(net)
    predictions = []
    for record in dataset.images:
        predictions += coco_ap.results(record.id, predictor(read(record)), predictor.skeleton)
    numbers = coco_ap.score(predictions, dataset.raw, [record.id for record in dataset.images])
    return {key: numbers[key] for key in ("AP", "AP50", "AP75")}
