"""The loss and the AP of a network in training, on images that it does not learn from, without augmentation."""

import argparse
import shlex
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from shared import coco_ap, framework
from shared.arch import catalogue
from shared.arch.rows import fold_norms
from shared.coco import Dataset, ImageRecord
from shared.data.source import Source
from shared.errors import Diverged, UserError
from shared.inference import BottomUp
from shared.net import Net
from shared.person import Pose
from shared.recipe import Recipe
from shared.samples import pipeline
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


def loss(trainer: Any, source: Source, recipe: Recipe) -> float:
    """The mean of the summed losses of all outputs, over as many whole batches as there are.

    Each of the `trainer`'s processes does its share of a batch.  Raises `UserError` for fewer images than devices, and
    `Diverged` for a mean that is not finite.
    """
    samples, ranks = pipeline(source, recipe), trainer.ranks
    rank, processes = ranks.share.rank, ranks.share.size
    whole = min(recipe.batch // recipe.accumulate, len(samples) // ranks.replicas * ranks.replicas)
    if not whole:
        raise UserError(f"{len(samples)} images to validate on for {ranks.replicas} devices; expected one for each")
    totals: dict[str, list[float]] = defaultdict(list)
    for first in range(0, len(samples) - whole + 1, whole):
        mine = range(first + rank * whole // processes, first + (rank + 1) * whole // processes)
        for name, value in trainer.losses(samples.plain_batch(mine)).items():
            totals[name].append(value)
    found = float(sum(np.mean(values) for values in totals.values()))
    if not np.isfinite(found):
        raise Diverged(
            f"the loss of the validation is {found}; expected a finite one; start again with a lower schedule.base"
        )
    return found


def _alone(net: Net) -> Find:
    predictor = BottomUp(net)
    return lambda image, _: predictor(image)


def _with_boxes(net: Net, dataset: Dataset) -> Find:
    predictor, boxes = TopDown(net), ground_truth(dataset, dataset.images)
    return lambda image, image_id: predictor(image, boxes[image_id])


def precision(name: str, arrays: Arrays, info: ModelInfo, dataset: Dataset, read: Read) -> dict[str, float]:
    """AP, AP50 and AP75 of the network, one scale, no mirroring.

    A network that finds people decodes by `eval/run.py`'s default at height 368, one of single people by the
    decoder that it is trained for, with the boxes of the annotations.
    """
    net = framework.module(name, "net").LoadedNet(*folded(arrays, info))
    find = _with_boxes(net, dataset) if catalogue.top_down(info.spec) else _alone(net)
    predictions = []
    for record in dataset.images:
        predictions += coco_ap.results(record.id, find(read(record), record.id), skeleton(info.spec.skeleton))
    numbers = coco_ap.score(predictions, dataset.raw, [record.id for record in dataset.images])
    return {key: numbers[key] for key in ("AP", "AP50", "AP75")}


def command(name: str, weights: Path, spec: Any, options: argparse.Namespace) -> str:
    """How to judge a trained network, on what the training with these options was validated on as far as they say."""
    words = ["python", "eval/run.py", "--framework", name, "--weights", weights]
    mpii = options.data == "mpii"
    if options.val_annotations is not None or options.data != "builtin":
        words += ["--data", "mpii" if mpii else "coco"]
        words += ["--annotations", options.val_annotations or "FILE", "--images", options.val_images or "FOLDER"]
    if catalogue.top_down(spec) and not mpii:
        words += ["--boxes", "gt"]
    return shlex.join(map(str, words))
