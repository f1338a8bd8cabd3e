"""Measures: `python -m benchmarks ACTION`; its --help lists them, and each has its own."""

import argparse
import sys
from pathlib import Path

from benchmarks import harness, plots
from benchmarks.harness import Report
from shared.command import command
from shared.weights import SHIPPED

DECODERS = "fast,reference,reference-hl,reference-tensorboy,reference-openpose"


def _ceiling(options: argparse.Namespace) -> Report:
    from benchmarks import ceiling

    return ceiling.report(options)


def _decode(options: argparse.Namespace) -> Report:
    from benchmarks import decode

    return decode.report(options)


def _data(options: argparse.Namespace) -> Report:
    from benchmarks import data

    return data.report(options)


def _eval(options: argparse.Namespace) -> Report:
    from benchmarks import evaluation

    return evaluation.report(options)


def _startup(options: argparse.Namespace) -> Report:
    from benchmarks import startup

    return startup.report(options)


def _inference(options: argparse.Namespace) -> Report:
    from benchmarks import inference

    return inference.report(options)


def _index(options: argparse.Namespace) -> Report:
    from benchmarks import index

    return index.report(options.images, options.people, options.folder)


def _steps(options: argparse.Namespace) -> Report:
    from benchmarks import steps

    return steps.report(options)


def parser() -> argparse.ArgumentParser:
    """The arguments of all measurements."""
    from shared.data.arguments import add_arguments

    p = argparse.ArgumentParser(prog="python -m benchmarks", description="Accuracy of the codec, and speed.")
    actions = p.add_subparsers(required=True, metavar="ACTION")
    ceiling = actions.add_parser("ceiling", help="AP of perfect maps, decoded again")
    ceiling.set_defaults(run=_ceiling)
    ceiling.add_argument("--data", choices=("builtin", "coco"), default="builtin")
    ceiling.add_argument("--annotations", type=Path, help="person_keypoints_*.json (coco); no pictures are needed")
    ceiling.add_argument("--targets", default="paper,caffe,keras,hl,tensorboy,lightweight", help="profiles to draw by")
    ceiling.add_argument("--strides", default="8,4", help="of the maps, px: some of 8,4,2,1")
    ceiling.add_argument("--decoders", default=DECODERS, help="with commas; also module:function (see the docs)")
    ceiling.add_argument("--steps", action="store_true", help="also the fast decoder without one rule after the other")
    ceiling.add_argument("--maps", type=Path, help="also AP on a real network's maps, a folder of *.npz")
    ceiling.add_argument("--height", type=int, default=368, help="px of the network's input")
    ceiling.add_argument("--limit", type=int, help="only the first N images")
    ceiling.add_argument("--half", choices=("tune", "test", "all"), default="all", help="every second image by id")
    ceiling.add_argument("--drop", type=float, default=0.0, help="share of the keypoints that are not drawn")
    ceiling.add_argument("--blur", type=float, default=0.0, help="sigma of a Gaussian over the maps, in cells")
    ceiling.add_argument("--noise", type=float, default=0.0, help="standard deviation added to every value")
    decode = actions.add_parser("decode", help="ms from a network's maps to people, against people and map size")
    decode.set_defaults(run=_decode)
    decode.add_argument("--decoders", default=DECODERS, help="with commas; also module:function (see the docs)")
    decode.add_argument("--maps", type=Path, help="also a real network's maps, a folder of *.npz")
    decode.add_argument("--seconds", type=float, default=0.3, help="of each measurement")
    data = actions.add_parser("data", help="samples/s of targets and of the whole training pipeline, on one core")
    data.set_defaults(run=_data)
    data.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    data.add_argument(
        "--annotations", type=Path, help="person_keypoints_*.json, for photographs; default: drawn scenes"
    )
    data.add_argument("--images", type=Path, help="the folder of its images")
    data.add_argument("--framework", choices=("torch", "keras"), help="also its training steps: what it eats")
    data.add_argument("--device", default="cpu", help="of the training steps: cpu, cuda")
    data.add_argument("--batch", type=int, help="of the training steps; default: the recipe's")
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
    evaluation = actions.add_parser("eval", help="an evaluation's stages, overlap, memory and scoring")
    evaluation.set_defaults(run=_eval)
    evaluation.add_argument("--framework", default="torch", help="as of eval/run.py, with --weights, --device, ...")
    evaluation.add_argument("--weights", type=Path, help="default: the shipped network")
    evaluation.add_argument("--device", default="cpu")
    evaluation.add_argument("--decoder", default="fast")
    evaluation.add_argument("--batch", type=int, default=1)
    evaluation.add_argument("--images", type=int, default=160, help="scenes of the val split for the network")
    evaluation.add_argument("--many", type=int, default=5000, help="images for the curves and for scoring")
    evaluation.add_argument("--wait", type=float, default=0.01, help="s that the stub network of the curves takes")
    startup = actions.add_parser("startup", help="seconds of --help, of imports, and to the first image")
    startup.set_defaults(run=_startup)
    startup.add_argument("--rounds", type=int, default=5)
    inference = actions.add_parser("inference", help="AP and time of a network in every runtime and precision")
    inference.set_defaults(run=_inference)
    inference.add_argument("--weights", type=Path, default=SHIPPED, help="default: the shipped network")
    inference.add_argument("--full", action="store_true", help="the published six stages, random weights: time only")
    inference.add_argument("--threads", type=int, help="of the CPU; default: as many as there are cores")
    inference.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    inference.add_argument("--decoder", default="fast")
    inference.add_argument("--limit", type=int, help="AP on the first N scenes of the val split; default: all")
    for action in (ceiling, data, decode, evaluation, index, inference, startup, steps):
        action.add_argument("--out", type=Path, help="also write a JSON")
    for action in (decode, evaluation):
        action.add_argument("--plot", type=Path, help="also draw the curves, a .png or .svg")
    return p


@command(parser)
def main(options: argparse.Namespace) -> int:
    plot = getattr(options, "plot", None)
    if plot:
        plots.check(plot)
    report = options.run(options)
    print(harness.text(report))
    if plot:
        plots.save(plot, f"python -m benchmarks {report.name}", report.panels)
    if options.out:
        harness.save(report, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
