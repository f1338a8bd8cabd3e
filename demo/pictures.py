"""The command behind demo/picture.py: one picture's people, heatmaps and affinity fields."""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.command import command
from shared.errors import UserError
from shared.net import add_arguments, preset
from shared.weights import SHIPPED

_HEIGHT = 368


@dataclass(frozen=True)
class Seen:
    """Poses in a skeleton, and pictures of them and of what they were found in, each with a title but the first."""

    poses: Sequence[Any]
    skeleton: Any
    parts: Sequence[Any]
    titles: Sequence[str]


def parser() -> argparse.ArgumentParser:
    """The arguments of demo/picture.py."""
    p = argparse.ArgumentParser(prog="demo/picture.py", description="Draw people, heatmaps and affinity fields.")
    p.add_argument("image", type=Path)
    p.add_argument("--framework", default="torch", help="torch, keras, onnx, openvino or caffe")
    p.add_argument("--weights", type=Path, default=SHIPPED)
    p.add_argument("--prototxt", type=Path)
    p.add_argument("--model", help="architecture, where the weights do not say it")
    p.add_argument("--decoder", help="default fast; of networks of one person what they were trained for")
    p.add_argument("--fit", help="geometry other than the decoder's own")
    p.add_argument("--height", type=int, default=_HEIGHT)
    p.add_argument(
        "--boxes",
        metavar="X,Y,W,H;...",
        help="of networks of one person: where people are, in px; default one, the whole picture",
    )
    p.add_argument("--flip", action=argparse.BooleanOptionalAction, default=False)
    p.add_argument("--device", default="cpu")
    p.add_argument("--out", type=Path, help="default: IMAGE with .poses.png")
    p.add_argument("--json", action="store_true", help="print the poses as JSON")
    add_arguments(p)
    return p


@command(parser)
def main(options: argparse.Namespace) -> int:
    import cv2

    from shared import draw, framework, image
    from shared.arch import catalogue
    from shared.weights import replacing

    picture = image.read(options.image)
    out = _out(options.out or options.image.with_suffix(".poses.png"), options.image)
    net = framework.load(
        options.framework,
        options.weights,
        model=options.model,
        device=options.device,
        prototxt=options.prototxt,
        preset=preset(options),
    )
    see = _crops if catalogue.top_down(net.info.spec) else _scene
    seen = see(options, net, picture)
    count = f"{len(seen.poses)} {'person' if len(seen.poses) == 1 else 'people'}"
    try:
        with replacing(out) as temporary:
            cv2.imwrite(str(temporary), draw.tile(seen.parts, [count, *seen.titles])[..., ::-1])
    except OSError as error:
        raise UserError(f"--out {out}: {error.strerror}; choose a file in a folder that can be written") from None
    if options.json:
        names, poses = seen.skeleton.keypoints, seen.poses
        people = [{"score": p.score, "keypoints": dict(zip(names, p.keypoints.tolist(), strict=True))} for p in poses]
        print(json.dumps(people))
    else:
        print(f"{count}; {out}")
    return 0


def _scene(options: argparse.Namespace, net: Any, picture: Any) -> Seen:
    """What a network that finds people sees in the whole picture."""
    from shared import draw
    from shared.codec import decoders
    from shared.inference import BottomUp

    if options.boxes is not None:
        raise UserError(f"--boxes: is for networks of one person; {net.info.spec.name} finds people; leave it out")
    predictor = BottomUp(net, options.decoder or "fast", options.fit, height=options.height, flip=options.flip)
    maps = predictor.maps(picture)
    poses = decoders.run(maps, predictor.skeleton, predictor.spec)
    parts = [draw.draw_poses(picture, poses, predictor.skeleton), draw.draw_heat(picture, maps)]
    if maps.paf.shape[-1]:
        return Seen(poses, predictor.skeleton, [*parts, draw.draw_paf(picture, maps)], ["heatmaps", "affinity fields"])
    return Seen(poses, predictor.skeleton, parts, ["heatmaps"])


def _crops(options: argparse.Namespace, net: Any, picture: Any) -> Seen:
    """What a network of one person sees in each box."""
    import numpy as np

    from shared import draw, oks
    from shared.codec import crops
    from shared.top_down import Boxes, Ranking, TopDown

    if options.fit is not None or options.height != _HEIGHT:
        raise UserError(
            f"--fit and --height: are for networks that find people; {net.info.spec.name} sees boxes; leave them out"
        )
    boxes = np.array(_boxes(options.boxes, picture.shape[1], picture.shape[0]))
    predictor = TopDown(net, options.decoder, options.flip, ranking=Ranking(nms=None))
    prepared = predictor.prepare(picture, Boxes(boxes, np.ones(len(boxes))))
    (heat,) = predictor.forward([prepared])
    poses = predictor.finish(prepared, heat)
    matrices = crops.matrix(prepared.centres, prepared.scales, 0.0, heat.shape[1:3], predictor.crop)
    people = draw.draw_poses(picture, poses, predictor.skeleton, oks.VISIBLE)
    return Seen(poses, predictor.skeleton, [people, draw.draw_crops(picture, heat, matrices)], ["heatmaps"])


def _boxes(text: str | None, width: int, height: int) -> list[tuple[float, float, float, float]]:
    """(x, y, width, height) of each box in the text, in a picture of that size; of the whole picture without one."""
    from shared.codec import crops

    if text is None:
        return [(0.0, 0.0, width, height)]
    found = []
    for part in text.split(";"):
        try:
            x, y, w, h = (float(value) for value in part.split(","))
        except ValueError:
            x = y = w = h = math.nan
        if not (crops.plausible((x, y, w, h)) and x < width and y < height and x + w > 0 and y + h > 0):
            raise UserError(
                f"--boxes {part}: expected X,Y,W,H of a box with sides above 0, all within {crops.FARTHEST:,} px, in a "
                f"picture of {width}x{height} px"
            )
        found.append((x, y, w, h))
    return found


def _out(out: Path, source: Path) -> Path:
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UserError(f"--out {out}: expected a name that ends in .png or .jpg")
    if out.is_dir() or out.resolve() == source.resolve():
        what = "a folder" if out.is_dir() else "the picture itself"
        raise UserError(f"--out {out}: is {what}; expected the name of a new picture")
    return out
