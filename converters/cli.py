"""The converting commands: read a source, write a target, prove it if asked, and report."""

import argparse
import json
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from shared.command import command, parsed_size
from shared.errors import UserError
from shared.preprocess import IMAGENET_BGR, LPN_BGR, PREPROCESS

# Beginning at the first: what a target's name ends in, and its kind.
_SUFFIXES = {
    ".weights.h5": "keras", ".safetensors": "safetensors", ".pth": "torch", ".pt": "torch", ".onnx": "onnx",
    ".caffemodel": "caffe", ".prototxt": "caffe",
}  # fmt: skip
_DOUBT = "these colours are lpn-pytorch's; for weights that humanpose.pytorch trained add --preprocess imagenet"
_CAFFE_TARGETS = {"torch": (".safetensors", ".pth", ".pt"), "keras": (".weights.h5", ".safetensors")}


@dataclass(frozen=True)
class Job:
    """One conversion.  `framework` runs the target in a check where the target's kind does not say."""

    source: Path
    out: Path
    model: str | None = None
    prototxt: Path | None = None
    preprocess: str | None = None
    check: bool = False
    size: tuple[int, int] | None = None
    skeleton: str | None = None
    stages: int | None = None
    int8: str | None = None
    framework: str = "torch"


def _convert_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="convert.py",
        description="Convert weights between frameworks. The source is known by its content, the target by its name.",
    )
    parser.add_argument("source", type=Path, help="weight file, or folder of W_LAYER.npy")
    _add_out(parser, tuple(_SUFFIXES))
    parser.add_argument("--model", help="the network that is expected in the source")
    parser.add_argument("--prototxt", type=Path, help="the network's description, of a Caffe source")
    parser.add_argument(
        "--preprocess", help="how the network wants its images, if not as published: " + ", ".join(PREPROCESS)
    )
    person = parser.add_argument_group("networks of one person, from files that do not say it")
    person.add_argument("--size", metavar="HxW", help="of the input; default 256x192, for mpii16 256x256")
    person.add_argument("--skeleton", help="the keypoints that are expected in the source: coco17 or mpii16")
    parser.add_argument("--stages", type=int, metavar="N", help="only the network's first N stages")
    parser.add_argument(
        "--int8",
        metavar="PICTURES",
        help="ONNX in int8, its scales from the first 32 pictures of a folder; or builtin: from drawn scenes",
    )
    return parser


def _caffe_parser(framework: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"caffe_to_{framework}.py", description=f"Convert a Caffe pose network for {framework}."
    )
    parser.add_argument("--prototxt", type=Path, required=True, help="the network's deploy prototxt")
    parser.add_argument("--caffemodel", type=Path, required=True, dest="source", help="its weights")
    _add_out(parser, _CAFFE_TARGETS[framework])
    return parser


@command(_convert_parser)
def convert(options: argparse.Namespace) -> int:
    """The command convert.py."""
    values = vars(options) | {"size": parsed_size(options.size)}
    return _run(Job(**values), tuple(_SUFFIXES))


@command(partial(_caffe_parser, "torch"))
def caffe_to_torch(options: argparse.Namespace) -> int:
    """The command caffe_to_torch.py."""
    return _run(Job(framework="torch", **vars(options)), _CAFFE_TARGETS["torch"])


@command(partial(_caffe_parser, "keras"))
def caffe_to_keras(options: argparse.Namespace) -> int:
    """The command caffe_to_keras.py."""
    return _run(Job(framework="keras", **vars(options)), _CAFFE_TARGETS["keras"])


def _add_out(parser: argparse.ArgumentParser, suffixes: tuple[str, ...]) -> None:
    parser.add_argument("--out", type=Path, required=True, help=f"file to write, one of *{' *'.join(suffixes)}")
    parser.add_argument("--check", action="store_true", help="run both networks and compare every stage first")


def _run(job: Job, suffixes: tuple[str, ...]) -> int:
    """Everything is made and checked in a folder of its own, and then moved to its place."""
    kind = _kind(job.out, suffixes)
    if job.int8 and (kind != "onnx" or job.check):
        raise UserError(
            "--int8: is for --out NAME.onnx, and without --check: an int8 network differs by more than the gate"
        )
    if job.stages and job.check:
        raise UserError("--stages: leave --check out; check the conversion of the whole network")
    _refuse_overwriting(job, kind)
    from converters import sources
    from shared.arch import catalogue
    from shared.weights import first_stages

    arrays, info = sources.read(job.source, job.model, job.prototxt, job.preprocess, job.size, job.skeleton)
    print(
        f"{job.source}: {_described(info)}, width {info.spec.width:g}; "
        f"{len(arrays)} arrays, {catalogue.n_parameters(info.spec):,} parameters"
    )
    if job.preprocess is None and info.preprocess == IMAGENET_BGR and info.spec.name in LPN_BGR:
        print(_DOUBT)
    if job.int8 and catalogue.top_down(info.spec):
        raise UserError(
            f"--int8: its scales are from whole pictures, which {info.spec.name} does not see; leave it out"
        )
    if job.stages:
        arrays, info = first_stages(arrays, info, job.stages)
        print(f"the first {info.spec.stages} stages: {catalogue.n_parameters(info.spec):,} parameters")
    try:
        job.out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{job.out.name}.", dir=job.out.parent) as folder:
            made = _make(job, kind, arrays, info, Path(folder))
            for path in made:
                path.replace(job.out.parent / path.name)
    except OSError as error:
        raise UserError(f"{job.out}: cannot be written ({error.strerror or error}); choose another --out") from None
    return 0


def _described(info: Any) -> str:
    """What decides a result and is not in the arrays: of a network of one person, its keypoints, input and colours."""
    from shared.arch import catalogue

    spec = info.spec
    if not catalogue.top_down(spec):
        return f"{spec.name}, {spec.stages} stages"
    colours = next((name for name, known in PREPROCESS.items() if known == info.preprocess), "of its own")
    return f"{spec.name} for {spec.skeleton}, input {spec.size[0]}x{spec.size[1]}, colours {colours}"


def _make(job: Job, kind: str, arrays: dict, info: Any, folder: Path) -> list[Path]:
    """The target, its report and, with a check, its proof, all in `folder`; the target last."""
    from shared.weights import sha256

    target = folder / job.out.name
    if job.int8:
        from converters import quantise

        pictures = quantise.pictures(job.int8)  # none are there: said before the long work
        _write(kind, arrays, info, target)
        quantise.quantise(target, pictures, info)
    else:
        _write(kind, arrays, info, target)
    written = [target.with_suffix(".prototxt"), target.with_suffix(".caffemodel")] if kind == "caffe" else [target]
    if job.check:
        _check(job, written[-1])
    report = folder / f"{target.name}.report.json"
    report.write_text(json.dumps(_report(arrays, info, written), indent=1) + "\n")
    for path in written:
        print(f"{job.out.parent / path.name}: {path.stat().st_size:,} bytes, sha256 {sha256(path)}")
    return [path for path in sorted(folder.iterdir()) if path not in written] + written


def _write(kind: str, arrays: dict, info: Any, path: Path) -> None:
    if kind == "safetensors":
        from shared.weights import write

        write(path, arrays, info)
    elif kind == "caffe":
        from converters import to_caffe

        to_caffe.write(arrays, info, path.with_suffix(".prototxt"), path.with_suffix(".caffemodel"))
    elif kind == "onnx":
        from converters import to_onnx

        to_onnx.write(arrays, info, path)
    else:
        from shared import framework

        network = framework.module(kind, "models").build(info.spec)
        framework.module(kind, "weights").set_arrays(network, arrays)
        framework.module(kind, "weights").write_native(path, network, info)


def _check(job: Job, target: Path) -> None:
    from converters.check import check

    try:
        proof = check(
            job.source,
            target,
            prototxt=job.prototxt,
            model=job.model,
            preprocess=job.preprocess,
            size=job.size,
            skeleton=job.skeleton,
            framework=job.framework,
        )
    except UserError as error:
        told = str(error).replace(f"{target.name}: ", "")
        raise UserError(f"{job.out}: not written, because it failed the check: {told}") from None
    worst = proof["worst"]
    print(
        f"check passed: {worst['ratio']:.1e} of the maximum at worst (stage {worst['stage']}), "
        f"at most {proof['gate']:.0e} is allowed"
    )


def _report(arrays: dict, info: Any, written: list[Path]) -> dict[str, Any]:
    from shared.arch import catalogue
    from shared.weights import sha256

    shapes = [" x ".join(map(str, array.shape)) for array in arrays.values()]
    return {
        "model": catalogue.to_dict(info.spec),
        "arrays": len(arrays),
        "parameters": catalogue.n_parameters(info.spec),
        "shapes": {shape: shapes.count(shape) for shape in sorted(set(shapes))},
        "preprocess": info.preprocess.to_dict(),
        "licence": info.licence,
        "source": {"name": info.source, "sha256": info.source_sha256},
        "written": {path.name: {"sha256": sha256(path), "bytes": path.stat().st_size} for path in written},
    }


def _kind(out: Path, suffixes: tuple[str, ...]) -> str:
    for suffix in suffixes:
        if out.name.endswith(suffix) and out.name != suffix:
            return _SUFFIXES[suffix]
    raise UserError(f"--out {out}: unknown kind of file; end its name in one of {', '.join(suffixes)}")


def _refuse_overwriting(job: Job, kind: str) -> None:
    """The target may not be a folder, nor any of the files that are read."""
    pair = (".prototxt", ".caffemodel")
    targets = [job.out.with_suffix(suffix) for suffix in pair] if kind == "caffe" else [job.out]
    for target in targets:
        if target.is_dir():
            raise UserError(f"--out {target}: is a folder, expected the name of a file")
        for given in (job.source, job.prototxt):
            if given and target.resolve() == given.resolve():
                raise UserError(f"--out {target}: would overwrite the source {given}; choose another name")
