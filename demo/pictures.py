"""The command behind demo/picture.py: one picture's people, heatmaps and affinity fields."""

import argparse
import json
from pathlib import Path

from shared.command import command
from shared.errors import UserError
from shared.net import add_arguments, preset
from shared.weights import SHIPPED


def parser() -> argparse.ArgumentParser:
    """The arguments of demo/picture.py."""
    p = argparse.ArgumentParser(prog="demo/picture.py", description="Draw people, heatmaps and affinity fields.")
    p.add_argument("image", type=Path)
    p.add_argument("--framework", default="torch", help="torch, keras, onnx, openvino or caffe")
    p.add_argument("--weights", type=Path, default=SHIPPED)
    p.add_argument("--prototxt", type=Path)
    p.add_argument("--model", help="architecture, where the weights do not say it")
    p.add_argument("--decoder", default="fast")
    p.add_argument("--fit", help="geometry other than the decoder's own")
    p.add_argument("--height", type=int, default=368)
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
    from shared.codec import decoders
    from shared.inference import BottomUp
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
    predictor = BottomUp(net, options.decoder, options.fit, height=options.height, flip=options.flip)
    maps = predictor.maps(picture)
    poses = decoders.run(maps, predictor.skeleton, predictor.spec)
    parts = [draw.draw_poses(picture, poses, predictor.skeleton), draw.draw_heat(picture, maps)]
    count = f"{len(poses)} {'person' if len(poses) == 1 else 'people'}"
    titles = [count, "heatmaps"]
    if maps.paf.shape[-1]:
        parts.append(draw.draw_paf(picture, maps))
        titles.append("affinity fields")
    try:
        with replacing(out) as temporary:
            cv2.imwrite(str(temporary), draw.tile(parts, titles)[..., ::-1])
    except OSError as error:
        raise UserError(f"--out {out}: {error.strerror}; choose a file in a folder that can be written") from None
    if options.json:
        names = predictor.skeleton.keypoints
        people = [{"score": p.score, "keypoints": dict(zip(names, p.keypoints.tolist(), strict=True))} for p in poses]
        print(json.dumps(people))
    else:
        print(f"{count}; {out}")
    return 0


def _out(out: Path, source: Path) -> Path:
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UserError(f"--out {out}: expected a name that ends in .png or .jpg")
    if out.is_dir() or out.resolve() == source.resolve():
        what = "a folder" if out.is_dir() else "the picture itself"
        raise UserError(f"--out {out}: is {what}; expected the name of a new picture")
    return out
