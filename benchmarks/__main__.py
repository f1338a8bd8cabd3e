"""Measures: `python -m benchmarks ceiling|data|index|steps`; each has its --help."""

import argparse
import sys
from pathlib import Path

from benchmarks import harness
from benchmarks.harness import Report
from shared.command import command
from shared.errors import UserError


def _ceiling(options: argparse.Namespace) -> Report:
    from benchmarks import ceiling

    if (options.data == "coco") != (options.annotations is not None):
        raise UserError("--data coco and --annotations FILE: belong together; give both or neither")
    strides = [_whole(part, "--strides") for part in options.strides.split(",")]
    names, decoders = options.targets.split(","), options.decoders.split(",")
    return ceiling.report(options.annotations, names, strides, decoders, options.height, options.limit)


def _data(options: argparse.Namespace) -> Report:
    from benchmarks import data

    return data.report(options.seconds)


def _index(options: argparse.Namespace) -> Report:
    from benchmarks import index

    return index.report(options.images, options.people, options.folder)


def _steps(options: argparse.Namespace) -> Report:
    from benchmarks import steps

    return steps.report(options)


def _whole(value: str, option: str) -> int:
    if not value.isdecimal():
        raise UserError(f"{option} {value}: expected whole numbers with commas, like 8,4")
    return int(value)


def parser() -> argparse.ArgumentParser:
    """The arguments of all measurements."""
    from shared.data.sources import add_arguments

    p = argparse.ArgumentParser(prog="python -m benchmarks", description="Accuracy of the codec, and speed.")
    actions = p.add_subparsers(required=True, metavar="ceiling|data|index|steps")
    ceiling = actions.add_parser("ceiling", help="AP of perfect maps, decoded again")
    ceiling.set_defaults(run=_ceiling)
    ceiling.add_argument("--data", choices=("builtin", "coco"), default="builtin")
    ceiling.add_argument("--annotations", type=Path, help="person_keypoints_*.json (coco); no pictures are needed")
    ceiling.add_argument("--targets", default="paper,caffe,keras,hl,tensorboy,lightweight", help="profiles to draw by")
    ceiling.add_argument("--strides", default="8,4", help="of the maps, px: some of 8,4,2,1")
    ceiling.add_argument(
        "--decoders", default="reference,reference-hl,reference-tensorboy,reference-openpose", help="with commas"
    )
    ceiling.add_argument("--height", type=int, default=368, help="px of the network's input")
    ceiling.add_argument("--limit", type=int, help="only the first N images")
    data = actions.add_parser("data", help="samples/s of targets and of the whole training pipeline, on one core")
    data.set_defaults(run=_data)
    data.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    index = actions.add_parser("index", help="an annotation file as large as COCO's train2017: time and memory")
    index.set_defaults(run=_index)
    index.add_argument("--images", type=int, default=118_287)
    index.add_argument("--people", type=int, default=262_465)
    index.add_argument("--folder", type=Path, help="keep the files there; default: a temporary folder")
    steps = actions.add_parser("steps", help="the first training steps of both frameworks, side by side")
    steps.set_defaults(run=_steps)
    steps.add_argument("--recipe", default="zc", help="see pytorch_impl/train.py --help")
    steps.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the recipe")
    steps.add_argument("--steps", type=int, default=20)
    add_arguments(steps)
    for action in (ceiling, data, index, steps):
        action.add_argument("--out", type=Path, help="also write a JSON")
    return p


@command(parser)
def main(options: argparse.Namespace) -> int:
    report = options.run(options)
    print(harness.text(report))
    if options.out:
        harness.save(report, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
