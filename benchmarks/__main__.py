"""Measures: `python -m benchmarks ACTION`; its --help lists them, and each has its own."""

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import harness, plots
from benchmarks.harness import Report
from shared.command import command
from shared.weights import SHIPPED

DECODERS = "fast,reference,reference-hl,reference-tensorboy,reference-openpose"


def _add_ceiling(actions: Any) -> argparse.ArgumentParser:
    p = actions.add_parser("ceiling", help="AP of perfect maps, decoded again")
    p.set_defaults(module="benchmarks.ceiling")
    p.add_argument("--data", choices=("builtin", "coco"), default="builtin")
    p.add_argument("--annotations", type=Path, help="person_keypoints_*.json (coco); no pictures are needed")
    p.add_argument("--targets", default="paper,caffe,keras,hl,tensorboy,lightweight", help="profiles to draw by")
    p.add_argument("--strides", default="8,4", help="of the maps, px: some of 8,4,2,1")
    p.add_argument("--decoders", default=DECODERS, help="with commas; also module:function (see the docs)")
    p.add_argument("--steps", action="store_true", help="also the fast decoder without one rule after the other")
    p.add_argument("--maps", type=Path, help="also AP on a real network's maps, a folder of *.npz")
    p.add_argument("--height", type=int, default=368, help="px of the network's input")
    p.add_argument("--limit", type=int, help="only the first N images")
    p.add_argument("--half", choices=("tune", "test", "all"), default="all", help="every second image by id")
    p.add_argument("--drop", type=float, default=0.0, help="share of the keypoints that are not drawn")
    p.add_argument("--blur", type=float, default=0.0, help="sigma of a Gaussian over the maps, in cells")
    p.add_argument("--noise", type=float, default=0.0, help="standard deviation added to every value")
    return p


def _add_decode(actions: Any) -> argparse.ArgumentParser:
    p = actions.add_parser("decode", help="ms from a network's maps to people, against people and map size")
    p.set_defaults(module="benchmarks.decode")
    p.add_argument("--decoders", default=DECODERS, help="with commas; also module:function (see the docs)")
    p.add_argument("--maps", type=Path, help="also a real network's maps, a folder of *.npz")
    p.add_argument("--seconds", type=float, default=0.3, help="of each measurement")
    p.add_argument("--plot", type=Path, help="also draw the curves, a .png or .svg")
    return p


def _add_data(actions: Any) -> argparse.ArgumentParser:
    p = actions.add_parser("data", help="samples/s of targets and of the whole training pipeline, on one core")
    p.set_defaults(module="benchmarks.data")
    p.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    p.add_argument("--annotations", type=Path, help="person_keypoints_*.json, for photographs; default: drawn scenes")
    p.add_argument("--images", type=Path, help="the folder of its images")
    p.add_argument("--framework", choices=("torch", "keras"), help="also its training steps: what it eats")
    p.add_argument("--device", default="cpu", help="of the training steps: cpu, cuda")
    p.add_argument("--batch", type=int, help="of the training steps; default: the recipe's")
    return p


def _add_index(actions: Any) -> argparse.ArgumentParser:
    p = actions.add_parser("index", help="an annotation file as large as COCO's train2017: time and memory")
    p.set_defaults(module="benchmarks.index")
    p.add_argument("--images", type=int, default=118_287)
    p.add_argument("--people", type=int, default=262_465)
    p.add_argument("--folder", type=Path, help="keep the files there; default: a temporary folder")
    return p


def _add_steps(actions: Any) -> argparse.ArgumentParser:
    from shared.data.arguments import add_arguments

    p = actions.add_parser("steps", help="the first training steps of both frameworks, side by side")
    p.set_defaults(module="benchmarks.steps")
    p.add_argument("--recipe", default="zc", help="see pytorch_impl/train.py --help")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the recipe")
    p.add_argument("--steps", type=int, default=20)
    add_arguments(p)
    return p


def _add_evaluation(actions: Any) -> argparse.ArgumentParser:
    p = actions.add_parser("eval", help="an evaluation's stages, overlap, memory and scoring")
    p.set_defaults(module="benchmarks.evaluation")
    p.add_argument("--framework", default="torch", help="as of eval/run.py, with --weights, --device, ...")
    p.add_argument("--weights", type=Path, help="default: the shipped network")
    p.add_argument("--device", default="cpu")
    p.add_argument("--decoder", default="fast")
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--images", type=int, default=160, help="scenes of the val split for the network")
    p.add_argument("--many", type=int, default=5000, help="images for the curves and for scoring")
    p.add_argument("--wait", type=float, default=0.01, help="s that the stub network of the curves takes")
    p.add_argument("--plot", type=Path, help="also draw the curves, a .png or .svg")
    return p


def _add_startup(actions: Any) -> argparse.ArgumentParser:
    p = actions.add_parser("startup", help="seconds of --help, of imports, and to the first image")
    p.set_defaults(module="benchmarks.startup")
    p.add_argument("--rounds", type=int, default=5)
    return p


def _add_inference(actions: Any) -> argparse.ArgumentParser:
    p = actions.add_parser("inference", help="AP and time of a network in every runtime and precision")
    p.set_defaults(module="benchmarks.inference")
    p.add_argument("--weights", type=Path, default=SHIPPED, help="default: the shipped network")
    p.add_argument("--full", action="store_true", help="the published six stages, random weights: time only")
    p.add_argument("--threads", type=int, help="of the CPU; default: as many as there are cores")
    p.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    p.add_argument("--decoder", default="fast")
    p.add_argument("--limit", type=int, help="AP on the first N scenes of the val split; default: all")
    return p


def parser() -> argparse.ArgumentParser:
    """The arguments of all measurements."""
    p = argparse.ArgumentParser(prog="python -m benchmarks", description="Accuracy of the codec, and speed.")
    actions = p.add_subparsers(required=True, metavar="ACTION")
    for add in (
        _add_ceiling,
        _add_decode,
        _add_data,
        _add_index,
        _add_steps,
        _add_evaluation,
        _add_startup,
        _add_inference,
    ):
        add(actions).add_argument("--out", type=Path, help="also write a JSON")
    return p


@command(parser)
def main(options: argparse.Namespace) -> int:
    plot = getattr(options, "plot", None)
    if plot:
        plots.check(plot)
    report: Report = import_module(options.module).report(options)  # nothing else is loaded
    print(harness.text(report))
    if plot:
        plots.save(plot, f"python -m benchmarks {report.name}", report.panels)
    if options.out:
        harness.save(report, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
