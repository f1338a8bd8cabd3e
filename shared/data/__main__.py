"""Look at training data, and prepare what may be prepared: `python -m shared.data --help`."""

import argparse
import sys
from pathlib import Path

from shared.command import command
from shared.errors import UserError, unknown

# Where the originals look for the masks of one image: folder, then mask_miss and mask_all.
_NAMES = {
    "caffe": ("mask{year}", "{part}_mask_miss_{id:012d}.png", "{part}_mask_all_{id:012d}.png"),
    "keras": ("{mode}mask{year}", "mask_miss_{id:012d}.png", "mask_all_{id:012d}.png"),
}


def _show(options: argparse.Namespace) -> None:
    import cv2

    from shared import recipes
    from shared.data import sources
    from shared.data.view import picture
    from shared.samples import pipeline

    recipe = recipes.recipe(options.recipe, options.set)
    samples = pipeline(sources.source_of(options, recipe), recipe)
    if not 0 <= options.index < len(samples):
        raise UserError(f"--index {options.index}: there are {len(samples)} samples; choose 0 to {len(samples) - 1}")
    if options.epoch < 0:
        raise UserError(f"--epoch {options.epoch}: expected 0 or more")
    sample = samples.plain(options.index) if options.plain else samples.sample(options.epoch, options.index)
    try:
        written = cv2.imwrite(str(options.out), picture(sample, samples)[..., ::-1])
    except cv2.error:  # of the name's ending
        written = False
    if not written:
        raise UserError(f"--out {options.out}: cannot be written; expected a .png or .jpg in a folder that is there")
    print(f"{options.out}: {sample.name}, {len(sample.points)} {'person' if len(sample.points) == 1 else 'people'}")


def _masks(options: argparse.Namespace) -> None:
    import cv2
    import numpy as np

    from shared.data.index import Index
    from shared.data.masks import MASK, masks
    from shared.weights import replacing

    if options.rule not in _NAMES:
        raise unknown("--rule", options.rule, _NAMES)
    index = Index.open(options.annotations)
    part = next((p for p in ("train", "val") if p in options.annotations.stem), "train")
    where, *patterns = _NAMES[options.rule]
    folder = options.out / where.format(mode=part, year=options.year)
    flags = [cv2.IMWRITE_PNG_BILEVEL, 1] if options.rule == "caffe" else []  # Matlab writes logical images
    for row, (identity, (height, width)) in enumerate(zip(index.image_ids, index.sizes, strict=True)):
        rows = index.rows(row)
        segments = [index.segment(r) for r in rows]
        try:
            miss, everyone = masks(
                int(height), int(width), segments, index.n_keypoints[rows], index.crowd[rows], MASK[options.rule]
            )
        except UserError as error:
            raise UserError(f"{options.annotations}, image {identity}: {error}") from None
        miss = np.full((height, width), 255, np.uint8) if miss is None else miss
        for pattern, mask in zip(patterns, (miss, everyone), strict=True):
            path = folder / pattern.format(part=f"{part}{options.year}", id=int(identity))
            try:
                with replacing(path) as temporary:
                    temporary.write_bytes(cv2.imencode(".png", mask, flags)[1].tobytes())
            except OSError as error:
                raise UserError(f"{path}: {error.strerror}; expected a folder that can be written") from None
        _progress(row + 1, len(index.image_ids))
    print(f"{folder}: {2 * len(index.image_ids)} masks")


def _pack(options: argparse.Namespace) -> None:
    from shared.data.packed import pack

    pack(options.annotations, options.images, options.out, _progress)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB; train with --data packed --file {options.out}")


def _check(options: argparse.Namespace) -> None:
    from shared.data.packed import verify

    verify(options.file)
    print(f"{options.file}: every image, mask and annotation is whole")


def _truth(options: argparse.Namespace) -> None:
    from shared import pckh

    truth = pckh.read(options.file)
    try:
        if options.out.exists() and options.out.samefile(options.file):
            raise UserError(f"--out {options.out}: is the truth that is read; choose another name")
        pckh.write(truth, options.out)
    except OSError as error:
        raise UserError(f"--out {options.out}: {error.strerror}; expected a file that can be written") from None
    print(f"{options.out}: {len(truth.points)} people, sha256 of the numbers {truth.sha256[:12]}")


def _progress(done: int, total: int) -> None:
    if done % 100 == 0 or done == total:
        print(f"\r{done} of {total} images", end="\n" if done == total else "", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    from shared.data.arguments import add_arguments

    p = argparse.ArgumentParser(prog="python -m shared.data", description=__doc__)
    actions = p.add_subparsers(required=True)
    showing = actions.add_parser("show", help="one sample as a picture: people, heatmaps, fields and mask")
    add_arguments(showing)
    showing.add_argument("--recipe", default="builtin_small", help="see pytorch_impl/train.py --help")
    showing.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the recipe")
    showing.add_argument("--index", type=int, default=0, help="number of the sample")
    showing.add_argument("--epoch", type=int, default=0)
    showing.add_argument("--plain", action="store_true", help="without augmentation; --index then counts in the source")
    showing.add_argument("--out", type=Path, required=True, help="picture to write")
    showing.set_defaults(run=_show)
    masking = actions.add_parser("masks", help="mask_miss and mask_all as PNG files, as the originals have them")
    masking.add_argument("--annotations", type=Path, required=True, help="person_keypoints_*.json")
    masking.add_argument(
        "--rule", default="keras", help="caffe (Zhe Cao) or keras (kevinlin): what is masked, file names"
    )
    masking.add_argument("--year", default="2014", help="in the names of the folders")
    masking.add_argument("--out", type=Path, required=True, help="folder")
    masking.set_defaults(run=_masks)
    packing = actions.add_parser("pack", help="images, masks and annotations into one HDF5 file; resumes by itself")
    packing.add_argument("--annotations", type=Path, required=True, help="person_keypoints_*.json")
    packing.add_argument("--images", type=Path, required=True, help="the folder of its images")
    packing.add_argument("--out", type=Path, required=True, help="file to write")
    packing.set_defaults(run=_pack)
    checking = actions.add_parser("check", help="compare a packed file with its checksums and decode every image")
    checking.add_argument("file", type=Path)
    checking.set_defaults(run=_check)
    judging = actions.add_parser("truth", help="MPII's gt_valid.mat as JSON, which eval/run.py reads without SciPy")
    judging.add_argument("file", type=Path, help="gt_valid.mat")
    judging.add_argument("--out", type=Path, required=True, help="gt_valid.json to write, best beside valid.json")
    judging.set_defaults(run=_truth)
    return p


@command(parser)
def main(options: argparse.Namespace) -> int:
    options.run(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
