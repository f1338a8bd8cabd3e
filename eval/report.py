"""report.html: the numbers of a run, its protocol, and its worst pictures beside the truth."""

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from eval.data import Data
from shared import draw
from shared.coco import ImageRecord
from shared.person import Pose
from shared.weights import replacing

WORST = 12
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;border-bottom:1px solid #ddd;text-align:left}
.numbers td{font-variant-numeric:tabular-nums;font-size:1.15rem}.note{background:#fff6d6;padding:.6rem 1rem}
figure{margin:1.2rem 0}img{max-width:100%;height:auto}figcaption,small{color:#666}code{font-size:.9em}
"""


def write(
    path: Path, metrics: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]], data: Data,
    records: Sequence[ImageRecord],
) -> None:  # fmt: skip
    """Write the report, one file that needs nothing else."""
    numbers = metrics["numbers"]
    title = f"{data.metric.main} {numbers[data.metric.main]:.3f}"
    head = "".join(f"<th>{name}</th>" for name in numbers)
    row = "".join(f"<td>{value:.3f}</td>" for value in numbers.values())
    builtin = metrics["protocol"]["data"]["name"] == "builtin"
    note = "This AP is of drawn scenes: it says that the software works, and nothing about photographs."
    parts = [
        f"<h1>{title}</h1>",
        f"<p class=note>{note}</p>" if builtin else "",
        f"<table class=numbers><tr>{head}</tr><tr>{row}</tr></table>",
        _details(metrics.get("details", {})),
        f"<p>{metrics['images']} images, {metrics['detections']} people found, by {html.escape(metrics['runtime'])}"
        f" with {html.escape(metrics['weights']['file'])}.</p>",
        f"<h2>Protocol <small><code>{metrics['protocol_sha256'][:12]}</code></small></h2>",
        _table(_flat(metrics["protocol"])),
        "<h2>Run</h2>",
        _table({**_flat({"weights": metrics["weights"], "seconds": metrics["seconds"]}), **metrics["versions"]}),
        f"<h2>The worst pictures</h2><p>{data.metric.loss}. "
        "Rings are hidden keypoints, frames are crowds and people without keypoints.</p>",
        *_worst(predictions, data, records),
    ]
    page = f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
    with replacing(path) as temporary:
        temporary.write_text(page + "\n".join(parts), encoding="utf-8")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = value
    return found


def _table(values: Mapping[str, Any]) -> str:
    rows = (f"<tr><td>{html.escape(k)}</td><td><code>{html.escape(str(v))}</code></td></tr>" for k, v in values.items())
    return f"<table>{''.join(rows)}</table>"


def _details(rows: Mapping[str, Mapping[str, float]]) -> str:
    """A table folded up, one row for each name; nothing for no rows."""
    if not rows:
        return ""
    titles = "".join(f"<th>{title}</th>" for title in next(iter(rows.values())))
    lines = (
        f"<tr><td>{name}</td>{''.join(f'<td>{value:.3f}</td>' for value in row.values())}</tr>"
        for name, row in rows.items()
    )
    return f"<details><summary>In detail</summary><table><tr><th></th>{titles}</tr>{''.join(lines)}</table></details>"


def _worst(predictions: Sequence[Mapping[str, Any]], data: Data, records: Sequence[ImageRecord]) -> list[str]:
    losses, skeleton = data.metric.losses(predictions, [r.id for r in records]), data.metric.skeleton
    worst = sorted((r for r in records if losses[r.id] > 0), key=lambda r: (-losses[r.id], r.id))[:WORST]
    figures = []
    for record in worst:
        image = data.read(record)
        poses = [_pose(p) for p in predictions if p["image_id"] == record.id]
        truth = draw.draw_persons(image, data.dataset.persons(record.id), skeleton)
        picture = draw.tile([draw.draw_poses(image, poses, skeleton), truth], ["found", "annotated"])
        caption = f"{html.escape(record.file_name)}: {losses[record.id]:.0f}"
        figures.append(f"<figure><img src='{_embed(picture)}'><figcaption>{caption}</figcaption></figure>")
    return figures or ["<p>None.</p>"]


def _pose(prediction: Mapping[str, Any]) -> Pose:
    return Pose(np.array(prediction["keypoints"], np.float32).reshape(-1, 3), prediction["score"])


def _embed(picture: np.ndarray) -> str:
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
