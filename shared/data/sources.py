"""The training data and the validation images that a command's options name."""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared import coco
from shared.coco import Dataset
from shared.data.arguments import KINDS, WANTED
from shared.data.builtin import Builtin
from shared.data.folder import Folder, Options, coco2014, coco2017
from shared.data.index import COCO
from shared.data.rules import SPLITS
from shared.data.source import Raw, Source
from shared.errors import UserError, unknown
from shared.recipe import Recipe
from shared.scenes import dataset
from shared.validation import Benchmark


def training(options: argparse.Namespace, recipe: Recipe) -> tuple[Source, Benchmark | None]:
    """What to learn from, and what to validate on (None with --validate-on 0, or where nothing was named)."""
    n = options.validate_on
    source = source_of(options, recipe)
    if not n:
        return source, None
    if options.val_annotations is not None or options.val_images is not None:
        if options.val_annotations is None or options.val_images is None:
            raise UserError("--val-annotations and --val-images belong together; give both or neither")
        opened = _mpii if options.data == "mpii" else Folder
        return source, _benchmark(opened(options.val_annotations, options.val_images, options_of(recipe)), n)
    if options.data == "builtin":
        n = min(n, dataset.SPLITS["val"])
        drawn = coco.load(dataset.annotations("val", range(n)))
        plain = Builtin("val", n, options=options_of(recipe))
        return source, Benchmark(plain, drawn, lambda record: dataset.read("val", record.id - 1))
    if options.root is not None:
        return source, _benchmark(_published(options, recipe, "validation"), n)
    return source, None


def source_of(options: argparse.Namespace, recipe: Recipe) -> Source:
    """What to learn from.  Raises `UserError` for options that do not belong together."""
    kind = options.data
    if kind not in KINDS:
        raise unknown("--data", kind, KINDS)
    published = kind == "coco" and options.root is not None
    wanted = ("root",) if published else WANTED[kind]
    _need(options, *wanted)
    for name in {"root", "annotations", "images", "file"}.difference(wanted):
        if getattr(options, name) is not None:
            raise UserError(f"--{name}: does not go with --data {kind}{' --root' * published}; leave one of them out")
    if kind == "builtin":
        return Builtin("train", options=options_of(recipe))
    if "file" in wanted:
        return _file(kind, options.file, recipe)
    if published:
        return _published(options, recipe, "training")
    opened = _mpii if kind == "mpii" else Folder
    return opened(options.annotations, options.images, options_of(recipe))


def _mpii(annotations: Path, images: Path, options: Options) -> Folder:
    from shared.data.mpii import mpii

    return mpii(annotations, images, options)


def _need(options: argparse.Namespace, *names: str) -> None:
    missing = ["--" + name.replace("_", "-") for name in names if getattr(options, name) is None]
    if missing:
        root = ", or --root with --split" if options.data == "coco" and "file" not in names else ""
        raise UserError(f"--data {options.data} needs {' and '.join(missing)}{root}")


def options_of(recipe: Recipe) -> Options:
    """The rules of a recipe that choose samples and masks."""
    return Options(samples=recipe.samples, main=recipe.main, mask=recipe.masks)  # type: ignore[arg-type]


def _published(options: argparse.Namespace, recipe: Recipe, part: Any) -> Source:
    if options.split not in SPLITS:
        raise unknown("--split", options.split, SPLITS)
    years = [year for year in (2017, 2014) if (options.root / f"annotations/person_keypoints_val{year}.json").is_file()]
    fitting = [year for year in years if SPLITS[options.split].year in (None, year)]
    if not fitting:
        year = SPLITS[options.split].year or "2017 or 2014"
        raise UserError(
            f"--root {options.root}: no annotations/person_keypoints_val*.json for the split {options.split}; "
            f"expected COCO {year} as it unpacks"
        )
    opened = coco2017 if fitting[0] == 2017 else coco2014
    return opened(options.root, part, replace(options_of(recipe), split=options.split))


def _file(kind: str, path: Path, recipe: Recipe) -> Source:
    if kind == "packed":
        from shared.data.packed import Packed

        packed = Packed(path)
        return Folder(packed.annotations_file(), packed, options_of(recipe))
    if recipe.samples != "person":
        raise UserError(f"--data {kind}: has one sample for each person, but the recipe wants one for each image")
    if kind == "kevinlin":
        from shared.data.kevinlin_h5 import KevinlinH5

        return KevinlinH5(path)
    from shared.data.anatolix_h5 import AnatolixH5

    return AnatolixH5(path)


class _First:
    """The first samples of a source."""

    def __init__(self, source: Source, count: int) -> None:
        self.source, self.skeleton, self.count = source, source.skeleton, min(count, len(source))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Raw:
        return self.source[range(self.count)[index]]

    def identity(self) -> Mapping[str, object]:
        return {**self.source.identity(), "first": self.count}


def _benchmark(source: Source, n: int) -> Benchmark:
    """The first `n` samples for the loss, and the first `n` images that have people for COCO's AP.

    All are read now: what is missing or broken is a `UserError` before the first step, not after some thousands.
    """
    first = _First(source, n)
    for number in range(len(first)):
        _ = first[number].image
    if not isinstance(source, Folder) or source.index.layout is not COCO:
        return Benchmark(first)
    loaded = coco.load(source.index.path)
    ids = set(source.image_ids().tolist())
    chosen = tuple(r for r in loaded.images if r.id in ids)[:n]
    return Benchmark(first, Dataset(chosen, loaded.raw, loaded.people), lambda record: source.read(record.file_name))
