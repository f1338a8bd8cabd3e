"""The command behind eval/run.py: arguments to protocol to run to numbers."""

import argparse
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.command import command
from shared.errors import UserError, unknown
from shared.net import Net, add_arguments, preset, warm_up
from shared.weights import SHIPPED

ROOT = Path(__file__).resolve().parents[1]
_DATA = ("builtin", "coco", "mpii")
_GPU_BATCH = 8


def parser() -> argparse.ArgumentParser:
    """The arguments of eval/run.py."""
    p = argparse.ArgumentParser(
        prog="eval/run.py", description="Evaluate a pose network on COCO, MPII or the built-in benchmark."
    )
    p.add_argument(
        "--framework", default="torch", help="torch, keras, onnx, openvino, or caffe (OpenCV on the originals)"
    )
    p.add_argument("--weights", type=Path, default=SHIPPED, help="default: the shipped network")
    p.add_argument("--prototxt", type=Path, help="caffe: default is the caffemodel's name with .prototxt")
    p.add_argument("--model", help="architecture, where the weights do not say it (docs/weights.md)")
    p.add_argument("--data", default="builtin", help="builtin, coco or mpii")
    p.add_argument("--images", type=Path, help="folder of the pictures (coco, mpii)")
    p.add_argument("--annotations", type=Path, help="person_keypoints_*.json (coco), or valid.json (mpii)")
    p.add_argument("--truth", type=Path, help="mpii: gt_valid.mat, or JSON of its content; default beside valid.json")
    p.add_argument("--subset", help="1160, 2693, 5000, or a file of image ids; default all images")
    p.add_argument("--limit", type=int, help="only the first N images of the subset")
    p.add_argument("--scales", default="1", help="image scales, such as 0.5,1,1.5,2 (the paper's)")
    p.add_argument("--flip", action=argparse.BooleanOptionalAction, default=False, help="average the mirrored image")
    p.add_argument("--height", type=int, default=368, help="px of scale 1 (default 368)")
    p.add_argument(
        "--decoder",
        help="fast (default), device (the same on a GPU), or a published one: reference, reference-hl, -tensorboy, "
        "-openpose; for networks of one person argmax, argmax-plain, softargmax (LPN's published numbers), "
        "softargmax-mpii (the same, on MPII), dark, udp, dark-border, udp-border; default what the weights were "
        "trained for, else argmax",
    )
    p.add_argument("--fit", help="geometry other than the decoder's own: kl, hl, tensorboy, openpose, ...")
    p.add_argument("--boxes", help="of networks of one person: gt, or a file of COCO detections")
    p.add_argument("--box-threshold", type=float, default=0.0, help="least score of a detection (default 0)")
    p.add_argument("--size", metavar="HxW", help="of the crops of one person; default the network's own")
    p.add_argument("--nms", default="hard", help="hard, soft, soft-written or none: doubles of one person (OKS)")
    p.add_argument("--shift", action=argparse.BooleanOptionalAction, default=True, help="move mirrored maps a column")
    p.add_argument("--device", default="cpu", help="cpu or cuda")
    p.add_argument("--batch", type=int, metavar="N", help="images of one size at once; default 1, on a GPU 8")
    p.add_argument("--scorer", default="pycocotools", help="pycocotools, or faster-coco-eval where it is installed")
    p.add_argument("--out", type=Path, help="folder for the results; default runs/DATA-FRAMEWORK-WEIGHTS-PROTOCOL")
    p.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    p.add_argument("--shard", metavar="I/N", help="do part I of N (from 0); default: as torchrun says, else all")
    add_arguments(p)
    return p


@command(parser)
def main(options: argparse.Namespace) -> int:
    scales = _scales(options.scales)
    shard = _shard(options.shard)
    _check(options)
    from eval import data as sources
    from eval import protocol as protocols
    from eval import runner, stages
    from eval.predictors import choose
    from shared import coco, framework

    data = _data(options)
    subset, records = sources.subset(data, options.subset, options.annotations)
    if options.limit is not None:
        subset, records = f"{subset}, first {options.limit}", records[: options.limit]
    coco.require_files(records)
    net = framework.load(
        options.framework,
        options.weights,
        model=options.model,
        device=options.device,
        prototxt=options.prototxt,
        preset=preset(options),
    )
    chosen = choose(net, options, data, records, scales)
    ids = [r.id for r in records]
    record = protocols.protocol(data.identity, subset, ids, chosen.about, _model(net), data.metric.about, chosen.boxes)
    identity = {"protocol": protocols.digest(record), "weights": net.weights_sha256, "runtime": net.runtime}
    batch = options.batch or (1 if options.device == "cpu" else _GPU_BATCH)
    identity["batch"] = str(batch)  # it may change the last bits of a result
    name = f"{options.data}-{options.framework}-{options.weights.stem}-{identity['protocol'][:8]}"
    out = options.out or ROOT / "runs" / name
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; expected a folder for the results")
    finished = _finished(out, identity, options.resume)
    if finished:
        _print(finished, out)
        return 0
    warm_up(net)
    groups = stages.groups(records, chosen.predictor.input_sizes, batch)
    run = runner.predict_share(groups, chosen.read, chosen.predictor, out, identity, options.resume, shard)
    if run is None:
        print(f"part {shard[0]} of {shard[1]} is done; the last one to end writes the result to {out}")
        return 0
    metrics = _finish(out, run, data, records, record, identity, options)
    _print(metrics, out)
    return 0


def _data(options: argparse.Namespace) -> Any:
    from eval import data as sources

    if options.data == "builtin":
        return sources.builtin()
    if options.data == "mpii":
        from eval.mpii import from_files

        return from_files(options.annotations, options.images, options.truth)
    return sources.from_files(options.annotations, options.images)


def _scales(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--scales {text}: expected numbers with commas, like 0.5,1,1.5,2") from None


def _shard(text: str | None) -> tuple[int, int]:
    """Which of how many processes this is: as asked, or as torchrun says."""
    default = f"{os.environ.get('RANK', '0')}/{os.environ.get('WORLD_SIZE', '1')}"
    try:
        index, count = (int(part) for part in (text or default).split("/"))
    except ValueError:
        index, count = -1, 0
    if not 0 <= index < count:
        raise UserError(f"--shard {text or default}: expected I/N, process I of N counted from 0, such as 0/4")
    return index, count


def _check(options: argparse.Namespace) -> None:
    from eval.predictors import check_decoder
    from shared import coco_ap, framework
    from shared.arch import catalogue
    from shared.fit import fit

    preset(options)
    framework.require(options.framework)
    coco_ap.require(options.scorer)
    if options.data not in _DATA:
        raise unknown("--data", options.data, _DATA)
    if options.truth is not None and options.data != "mpii":
        raise UserError("--truth: is for --data mpii; add it, or leave it out")
    if options.data == "builtin" and (options.images or options.annotations):
        raise UserError("--images and --annotations: are for --data coco; add it, or leave them out")
    check_decoder(options.decoder)
    if options.fit is not None:
        fit(options.fit)
    if options.model is not None:
        catalogue.spec(options.model)
    for name in ("limit", "batch"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} {value}: expected 1 or more")
    foreign = {"onnx": "small.onnx", "openvino": "small.onnx", "caffe": "small.caffemodel"}.get(options.framework)
    if foreign and options.weights == SHIPPED:
        raise UserError(
            f"--framework {options.framework} cannot read the shipped network; convert it, and name it with --weights: "
            f"python converters/convert.py weights/{SHIPPED.name} --out {foreign}"
        )
    if not options.weights.is_file():
        raise UserError(
            f"--weights {options.weights}: no such file; expected weights for --framework {options.framework}"
        )


def _model(net: Net) -> dict[str, Any]:
    """What the network computes, for the protocol.  Without a precision it is float32."""
    from shared.arch import catalogue

    found = {"spec": catalogue.to_dict(net.info.spec), "preprocess": net.info.preprocess.to_dict()}
    return found if net.precision == "float32" else {**found, "precision": net.precision}


def _finished(out: Path, identity: Mapping[str, str], resume: bool) -> dict[str, Any] | None:
    """The numbers of this very run if it is finished and need not be repeated; another run's folder is refused."""
    from eval.runner import PART

    file = out / "metrics.json"
    if not file.exists():
        return None
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
        same = metrics["identity"] == dict(identity)
    except (ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise UserError(f"{out}: holds another run; choose another --out, or remove that folder")
    (out / PART).unlink(missing_ok=True)
    if resume:
        return metrics
    for name in ("metrics.json", "predictions.json", "report.html"):
        (out / name).unlink(missing_ok=True)
    return None


def _finish(
    out: Path, run: Any, data: Any, records: Sequence[Any], record: Mapping[str, Any], identity: Mapping[str, str],
    options: argparse.Namespace,
) -> dict[str, Any]:  # fmt: skip
    """Write predictions.json, report.html and metrics.json, in this order, each at once; the last says "finished"."""
    from eval import report, runner
    from shared.weights import replacing

    ids = [r.id for r in records]
    predictions = run.flat()
    before = time.perf_counter()
    numbers, details = data.metric.score(predictions, ids, options.scorer), data.metric.details(predictions, ids)
    metrics = {
        "numbers": numbers,
        **({"details": details} if details else {}),
        "framework": options.framework,
        "runtime": identity["runtime"],
        "weights": {"file": options.weights.name, "sha256": identity["weights"]},
        "protocol": dict(record),
        "protocol_sha256": identity["protocol"],
        "identity": dict(identity),
        "images": len(records),
        "detections": len(predictions),
        "images_timed": run.timed,  # by this process: fewer than all after --resume
        "seconds": {k: round(v, 2) for k, v in {**run.seconds, "metric": time.perf_counter() - before}.items()},
        "versions": versions(options.scorer),
    }
    with replacing(out / "predictions.json") as temporary:
        temporary.write_text(json.dumps(predictions), encoding="utf-8")
    report.write(out / "report.html", metrics, predictions, data, records)
    with replacing(out / "metrics.json") as temporary:
        temporary.write_text(json.dumps(metrics, indent=1), encoding="utf-8")
    runner.clean(out)
    return metrics


def versions(scorer: str = "pycocotools") -> dict[str, str]:
    """Versions of what may change a number."""
    from importlib.metadata import version

    import cv2
    import numpy as np

    installed = {name: version(name) for name in ("simplejpeg", scorer)}
    found = {"numpy": np.__version__, "opencv": cv2.__version__, **installed}
    return {"python": platform.python_version(), "machine": platform.machine(), **found}


def _print(metrics: Mapping[str, Any], out: Path) -> None:
    widths = {name: max(5, len(name)) for name in metrics["numbers"]}
    print("  ".join(f"{name:>{width}}" for name, width in widths.items()))
    print("  ".join(f"{metrics['numbers'][name]:{width}.3f}" for name, width in widths.items()))
    data, subset = metrics["protocol"]["data"]["name"], metrics["protocol"]["subset"]
    print(f"{data}, {subset['name']}: {metrics['images']} images, {metrics['detections']} people found")
    print(f"{metrics['runtime']}, weights {metrics['weights']['file']} {metrics['weights']['sha256'][:12]}")
    print(f"protocol {metrics['protocol_sha256'][:12]}; details in {out / 'report.html'}")
    if data == "builtin":
        print("This AP is of drawn scenes: it says that the software works, and nothing about photographs.")
