"""COCO keypoint AP by pycocotools or faster-coco-eval, and predictions in COCO's results format."""

import contextlib
import importlib.util
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shared.errors import UserError, unknown
from shared.person import Pose
from shared.skeleton import COCO17, MPII16, Skeleton

NAMES = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")
SCORERS = {"pycocotools": "pycocotools", "faster-coco-eval": "faster_coco_eval"}  # what computes them, its module
DECIMALS = 3  # of coordinates, 0.001 px, and of keypoints' scores


def results(image_id: int, poses: Sequence[Pose], skeleton: Skeleton) -> list[dict[str, Any]]:
    """Poses in COCO's results format: 17 times x, y and the keypoint's score, three times 0 where it was not found.

    COCO has a v in the score's place, which no scorer reads of predictions; HRNet's files have the score too.  One that
    rounds to 0 is 0.001, so that who was found is known.
    A pose without any of COCO's keypoints (a head top and a chest) is none to COCO and is left out.  Poses of MPII's
    skeleton, which are judged on MPII alone, keep its 16 keypoints.
    """
    entries = []
    for pose in poses:
        keypoints = pose.keypoints if skeleton == MPII16 else COCO17.convert_from(skeleton, pose.keypoints)
        found = keypoints[:, 2] > 0
        if not found.any():
            continue
        scores = np.maximum(keypoints[:, 2:], 10.0**-DECIMALS)
        values = np.concatenate([keypoints[:, :2], scores], axis=1).astype(np.float64) * found[:, None]
        flat = [round(float(value), DECIMALS) for value in values.ravel()]
        score = round(float(pose.score), 6)
        entries.append({"image_id": image_id, "category_id": 1, "keypoints": flat, "score": score})
    return entries


def require(scorer: str) -> None:
    """A `UserError` if there is no such scorer, or it is not installed."""
    if scorer not in SCORERS:
        raise unknown("--scorer", scorer, SCORERS)
    if importlib.util.find_spec(SCORERS[scorer]) is None:
        raise UserError(f"--scorer {scorer}: is not installed here; run: pip install {scorer}, or leave it out")


def score(
    predictions: Sequence[Mapping[str, Any]],
    annotations: Mapping[str, Any],
    image_ids: Sequence[int],
    scorer: str = "pycocotools",
) -> dict[str, float]:
    """The ten COCO numbers over `image_ids`; -1 where nothing is annotated.  The same by either of `SCORERS`."""
    require(scorer)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = _evaluation(predictions, annotations, image_ids, scorer)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(value) for name, value in zip(NAMES, evaluation.stats, strict=True)}


def image_losses(
    predictions: Sequence[Mapping[str, Any]], annotations: Mapping[str, Any], image_ids: Sequence[int]
) -> dict[int, float]:
    """How bad each image is: its people without a prediction at OKS 0.5, plus its predictions without a person."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = _evaluation(predictions, annotations, image_ids)
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
    losses = dict.fromkeys(image_ids, 0.0)
    for item in filter(None, evaluation.evalImgs):
        missed = ((item["gtMatches"][0] == 0) & ~np.asarray(item["gtIgnore"], bool)).sum()
        false = ((item["dtMatches"][0] == 0) & ~item["dtIgnore"][0]).sum()
        losses[item["image_id"]] = float(missed + false)
    return losses


def _evaluation(
    predictions: Sequence[Mapping[str, Any]],
    annotations: Mapping[str, Any],
    image_ids: Sequence[int],
    scorer: str = "pycocotools",
) -> Any:
    """The scorer's evaluation, ready to run, on copies of its input (it writes into what it is given).

    pycocotools takes the annotation with the id 0 for no annotation, so they are numbered anew.
    """
    if scorer == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    else:
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as COCOeval

    truth, found = COCO(), COCO()
    people = [{**entry, "id": number} for number, entry in enumerate(annotations["annotations"], start=1)]
    truth.dataset = {**annotations, "annotations": people}
    truth.createIndex()
    if predictions:
        found = truth.loadRes([dict(prediction) for prediction in predictions])
    else:  # loadRes needs at least one
        found.dataset = {**annotations, "annotations": []}
        found.createIndex()
    evaluation = COCOeval(truth, found, "keypoints")
    evaluation.params.imgIds = sorted(image_ids)
    return evaluation
