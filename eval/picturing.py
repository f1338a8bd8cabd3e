"""The command behind eval/pictures.py: the predictions of a run over its images, one picture each."""

import argparse
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval import protocol as protocols
from eval import run_folder
from eval.data import Data
from shared.coco import ImageRecord
from shared.command import command
from shared.errors import UserError, unknown
from shared.person import Pose
from shared.skeleton import COCO17

_PLAIN = "default"
_HINTS = """\
Pictures are called score_N_id_ID_NAME.png, as those of HRNet's visualization/plot_coco.py: N is 1000 times the mean
score of the people drawn, ID and NAME are the image's.

chunhua and xiaochu are that script's colours, lines and rules: of an image's 20 best people those with a score of 0.3
or more that are near an annotated one, and of their keypoints those with a score of 0.2 or more that this one has
annotated; an image without anyone to draw has no picture.  The default style draws keypoints with a score above 0.05.
A run from before predictions.json had the scores of keypoints has 1 for each.
"""


def parser() -> argparse.ArgumentParser:
    """The arguments of eval/pictures.py."""
    p = argparse.ArgumentParser(
        prog="eval/pictures.py",
        description="Draw the people that a run found, beside the annotated ones.",
        epilog=_HINTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("run", type=Path, metavar="RUN", help="a folder that eval/run.py wrote")
    p.add_argument("--annotations", type=Path, help="those of the run (coco, mpii)")
    p.add_argument("--images", type=Path, help="folder of the pictures (coco, mpii)")
    p.add_argument("--truth", type=Path, help="mpii: gt_valid.mat, or JSON of its content; default beside valid.json")
    p.add_argument("--style", default=_PLAIN, help="default, chunhua or xiaochu (the last two for COCO's keypoints)")
    p.add_argument("--score", type=float, help="least score of a person; default all, in chunhua and xiaochu 0.3")
    p.add_argument(
        "--beside",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="the annotated people at the right of the found ones; without, a picture has the size of its image",
    )
    p.add_argument("--worst", action="store_true", help="the images with most errors first, and none without")
    p.add_argument("--limit", type=int, metavar="N", help="only the first N images")
    p.add_argument("--out", type=Path, help="folder for the pictures; default RUN/pictures")
    return p


@command(parser)
def main(options: argparse.Namespace) -> int:
    from shared import coco

    _check(options)
    run = run_folder.metrics(options.run)
    data = _data(options, run["protocol"])
    skeleton = data.metric.skeleton
    if options.style != _PLAIN and skeleton != COCO17:
        raise UserError(
            f"--style {options.style}: is of COCO's keypoints, {options.run} of {skeleton.name}; leave it out"
        )
    predictions = run_folder.predictions(options.run, skeleton.n_keypoints)
    records = _records(options, data, run["protocol"], predictions)
    coco.require_files(records)
    poses: dict[int, list[Pose]] = defaultdict(list)
    for entry in predictions:
        poses[entry["image_id"]].append(_pose(entry))
    out = options.out or options.run / "pictures"
    n_drawn = 0
    for record in records:
        if n_drawn == options.limit:
            break
        n_drawn += _draw(options, data, record, poses[record.id], out)
    print(f"{n_drawn} {'picture' if n_drawn == 1 else 'pictures'} in {out}")
    return 0


def _check(options: argparse.Namespace) -> None:
    from shared.draw_styles import STYLES

    if options.style not in (_PLAIN, *STYLES):
        raise unknown("--style", options.style, (_PLAIN, *STYLES))
    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit {options.limit}: expected 1 or more")
    if options.score is not None and not math.isfinite(options.score):
        raise UserError(f"--score {options.score}: expected a finite number, such as 0.3")
    if options.out is not None and options.out.exists() and not options.out.is_dir():
        raise UserError(f"--out {options.out}: is a file; expected a folder for the pictures")


def _data(options: argparse.Namespace, record: Mapping[str, Any]) -> Data:
    """The data of the run; a `UserError` if the files that are given are others."""
    from eval import data as sources
    from eval import mpii

    name = record["data"]["name"]
    if name == "builtin":
        if options.annotations or options.images or options.truth:
            raise UserError(f"{options.run}: is of the built-in benchmark; leave --annotations, --images, --truth out")
        found = sources.builtin()
    elif options.annotations is None or options.images is None:
        raise UserError(f"{options.run}: is of {name}; give its --annotations FILE and --images DIR")
    elif name == "mpii":
        found = mpii.from_files(options.annotations, options.images, options.truth)
    elif options.truth is not None:
        raise UserError("--truth: is for runs over mpii; leave it out")
    else:
        found = sources.from_files(options.annotations, options.images)
    unlike = protocols.differences(record["data"], found.identity)
    unlike += protocols.differences(record["metric"], found.metric.about)
    if unlike:
        raise UserError(f"{options.run}: is of other data: {'; '.join(unlike[:2])}; give the files of that run")
    return found


def _records(
    options: argparse.Namespace, data: Data, record: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]]
) -> list[ImageRecord]:
    """The images of the run in the order in which they are drawn.

    Of a subset that a file listed only those are known in which somebody was found.
    """
    from eval import data as sources

    subset = record["subset"]
    name = subset["name"].partition(", first ")[0]
    if name == "listed":
        ids = {entry["image_id"] for entry in predictions}
        records = [r for r in data.dataset.images if r.id in ids]
    else:
        _, every = sources.subset(data, None if name == "all" else name, options.annotations)
        records = every[: subset["images"]]
    unknown_ids = {entry["image_id"] for entry in predictions} - {r.id for r in records}
    if unknown_ids:
        raise UserError(
            f"{options.run}/predictions.json: image {min(unknown_ids)} is none of the run's; run eval/run.py again"
        )
    if not options.worst:
        return records
    losses = data.metric.losses(predictions, [r.id for r in records])
    return sorted((r for r in records if losses[r.id] > 0), key=lambda r: (-losses[r.id], r.id))


def _draw(options: argparse.Namespace, data: Data, record: ImageRecord, poses: Sequence[Pose], out: Path) -> bool:
    """Write the picture of an image, if there is one in this style."""
    import cv2

    from shared import draw, draw_styles
    from shared.weights import replacing

    persons = data.dataset.persons(record.id)
    if options.style == _PLAIN:
        poses = _best(poses, -math.inf if options.score is None else options.score)
        image = data.read(record)
        found = draw.draw_poses(image, poses, data.metric.skeleton)
        truth = draw.draw_persons(image, persons, data.metric.skeleton)
    else:
        style = draw_styles.style(options.style)
        poses = _best(poses, draw_styles.POSE_SCORE if options.score is None else options.score, draw_styles.MOST)
        poses = [pose for pose in poses if draw_styles.near(pose, persons)]
        if not poses:
            return False
        image = data.read(record)
        found = draw_styles.draw_poses(image, poses, persons, style)
        truth = draw_styles.draw_persons(image, persons, style)
    picture = draw.tile([found, truth], [f"{len(poses)} found", "annotated"]) if options.beside else found
    try:
        with replacing(out / _name(record, poses)) as temporary:
            cv2.imwrite(str(temporary), picture[..., ::-1])
    except OSError as error:
        raise UserError(f"--out {out}: {error.strerror}; choose a folder that can be written") from None
    return True


def _best(poses: Sequence[Pose], least: float, most: int | None = None) -> list[Pose]:
    """At most so many, the best first, with at least that score."""
    return [pose for pose in sorted(poses, key=lambda pose: -pose.score)[:most] if pose.score >= least]


def _pose(entry: Mapping[str, Any]) -> Pose:
    return Pose(np.array(entry["keypoints"], np.float32).reshape(-1, 3), float(entry["score"]))


def _name(record: ImageRecord, poses: Sequence[Pose]) -> str:
    mean = sum(pose.score for pose in poses) / max(len(poses), 1)
    return f"score_{int(1000 * mean)}_id_{record.id}_{Path(record.file_name).stem}.png"
