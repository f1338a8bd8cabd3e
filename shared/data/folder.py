"""Training samples straight from an annotation file and a folder of images: COCO's, as published."""

import os
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Literal

import numpy as np

from shared import image
from shared.data.index import COCO, Index, Layout
from shared.data.masks import MASK, loss_mask
from shared.data.packed import Packed
from shared.data.rules import MAIN_PERSON, SPLITS, main_mask, validation_images
from shared.data.source import Raw, Source
from shared.errors import UserError, unknown
from shared.image import Encoded

Part = Literal["training", "validation"]


@dataclass(frozen=True)
class Options:
    """How annotations become samples; every name is one of `shared.data.rules` or `shared.data.masks`.

    `samples` "person": one for each main person, who comes first, with everybody else of the image who has a keypoint.
    "image": one for each image with a person who has a keypoint (with `empty`: for every image), nobody first.
    """

    samples: Literal["person", "image"] = "person"
    empty: bool = False
    main: str = "caffe"  # a rule of MAIN_PERSON
    mask: str = "paper"  # a rule of MASK
    split: str = "official"  # a rule of SPLITS; it divides a validation file
    part: Part | Literal["all"] = "all"  # of the split

    def __post_init__(self) -> None:
        known: tuple[tuple[str, Collection[str]], ...] = (
            ("samples", ("person", "image")),
            ("main", MAIN_PERSON),
            ("mask", MASK),
            ("split", SPLITS),
            ("part", ("training", "validation", "all")),
        )
        for name, choices in known:
            if getattr(self, name) not in choices:
                raise unknown(name, getattr(self, name), choices)


DEFAULT = Options()


class Folder:
    """A `Source` of an annotation file and the folder that its file names are in.

    Making one reads no image: it opens the index (cached, memory-mapped), lists the folder once, and chooses the
    samples, so that an epoch starts at once and memory stays flat.  Raises `UserError` for annotations that are not
    understood, images that are missing (counted, the first named), a split without samples, and several crowd
    regions in an image under a mask rule that refuses them.  Pickles as its paths and options.  A packed file serves
    as the folder, too.
    """

    def __init__(
        self, annotations: Path, images: Path | Packed, options: Options = DEFAULT, layout: Layout = COCO
    ) -> None:
        place = images if isinstance(images, Packed) else Path(images)
        self.__setstate__((Index.open(annotations, layout), place, options))
        if not len(self):
            raise UserError(
                f"{annotations}: no samples among its {len(self.index.image_ids)} images and {len(self.index.ids)} "
                f"annotations with {options}; choose others, or another file"
            )
        self._require_images()
        self._require_crowds()

    def __getstate__(self) -> tuple[Index, Path | Packed, Options]:
        return self.index, self.images, self.options

    def __setstate__(self, state: tuple[Index, Path | Packed, Options]) -> None:
        self.index, self.images, self.options = state
        self.skeleton = self.index.layout.skeleton
        self._image, self._main = _chosen(self.index, self.options)

    def __len__(self) -> int:
        return len(self._image)

    def __getitem__(self, index: int) -> Raw:
        """One sample, its image to be decoded; `UserError` for one that is not of the size that was annotated."""
        row = int(self._image[index])
        rows = self.index.rows(row)
        people = rows[_posed(self.index, rows)]
        name = str(self.index.file_names[row])
        if self._main is not None:
            main = self._main[index]
            people = np.concatenate([[main], people[people != main]])
            name += f", annotation {self.index.ids[main]}"
        picture = self._picture(row)
        return Raw(
            picture=picture,
            points=self.index.keypoints[people],
            boxes=self.index.boxes[people].astype(np.float32),
            mask=self._mask(rows, *picture.size),
            main=self._main is not None,
            name=name,
        )

    def image_ids(self) -> np.ndarray:
        """Ids of the images that have a sample, ascending."""
        return np.unique(self.index.image_ids[self._image])

    def identity(self) -> Mapping[str, object]:
        """The annotation file and the options.  Of the images only their names and sizes are known."""
        index = self.index
        return {
            "name": index.layout.name, "annotations": index.path.name, "annotations_sha256": index.sha256,
            **asdict(self.options),
        }  # fmt: skip

    def read(self, file_name: str) -> np.ndarray:
        """An image by its name in the annotations, (H, W, 3) uint8 RGB."""
        return self._encoded(file_name).decode()

    def _encoded(self, file_name: str) -> Encoded:
        if isinstance(self.images, Packed):
            return self.images.encoded(file_name)
        path = self.images / file_name
        return image.encoded(image.contents(path), path)

    def _picture(self, row: int) -> Encoded:
        name = str(self.index.file_names[row])
        found = self._encoded(name)
        height, width = self.index.sizes[row]
        if height and found.size != (height, width):
            raise UserError(
                f"{name}: {found.size[1]}x{found.size[0]} px, but {self.index.path} says {width}x{height}; "
                "give the images that belong to it"
            )
        return found

    def _mask(self, rows: np.ndarray, height: int, width: int) -> np.ndarray | None:
        segments = [self.index.segment(row) for row in rows]
        rule = MASK[self.options.mask]
        return loss_mask(height, width, segments, self.index.n_keypoints[rows], self.index.crowd[rows], rule)

    def _require_images(self) -> None:
        names = self.index.file_names[np.unique(self._image)].tolist()
        if isinstance(self.images, Packed):
            self.images.require(names)
            return
        folders: dict[str, dict[str, bool]] = {}  # folder -> file -> is it a link
        missing, links = [], []
        for name in names:
            folder, _, base = name.rpartition("/")
            if folder not in folders:
                folders[folder] = _files(self.images / folder)
            if base not in folders[folder]:
                missing.append(name)
            elif folders[folder][base]:
                links.append(name)
        if missing:
            raise UserError(
                f"{self.images}: {len(missing)} of {len(names)} images are missing, first {', '.join(missing[:3])}; "
                f"give the folder of the images of {self.index.path.name}"
            )
        root = self.images.resolve()
        for name in links:
            if not (self.images / name).resolve().is_relative_to(root):
                raise UserError(f"{self.images}: {name!r} is a link out of its folder; refused; expected a file")

    def _require_crowds(self) -> None:
        index = self.index
        counts = np.bincount(index.image[index.crowd], minlength=len(index.image_ids))[np.unique(self._image)]
        if MASK[self.options.mask].crowds == "error" and counts.max(initial=0) > 1:
            raise UserError(
                f"{index.path}: {(counts > 1).sum()} images have more than one crowd region, which the mask rule "
                f"{self.options.mask!r} refuses as its original does; choose another, paper is the right one"
            )


class Joined:
    """Several sources of one skeleton, one after the other."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)
        self.skeleton = self.sources[0].skeleton
        self._ends = list(accumulate(len(source) for source in self.sources))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Raw:
        index = range(len(self))[index]
        place = bisect_right(self._ends, index)
        return self.sources[place][index - self._ends[place] + len(self.sources[place])]

    def identity(self) -> Mapping[str, object]:
        return {"name": "joined", "sources": [dict(source.identity()) for source in self.sources]}


def coco2014(root: Path, part: Part = "training", options: Options = DEFAULT) -> Source:
    """COCO 2014 as it unpacks: `root` has annotations/person_keypoints_{train,val}2014.json, train2014 and val2014.

    The training part of a split that moves a part of val2014 into training is both files.  Raises `UserError` where
    `root` is something else, for a split that was made for another year, and as `Folder` does.
    """
    return _coco(Path(root), 2014, part, options)


def coco2017(root: Path, part: Part = "training", options: Options = DEFAULT) -> Source:
    """COCO 2017, as `coco2014`."""
    return _coco(Path(root), 2017, part, options)


def _coco(root: Path, year: int, part: Part, options: Options) -> Source:
    split = SPLITS[options.split]
    if split.year not in (None, year):
        fitting = ", ".join(name for name, other in SPLITS.items() if other.year in (None, year))
        raise UserError(f"split {options.split}: is one of COCO {split.year}, not {year}; choose one of {fitting}")
    if part == "validation":
        return _published(root, f"val{year}", replace(options, part=part))
    training = _published(root, f"train{year}", replace(options, part="all"))
    if split.first is None:
        return training
    return Joined([training, _published(root, f"val{year}", replace(options, part=part))])


def _published(root: Path, name: str, options: Options) -> Folder:
    annotations = root / "annotations" / f"person_keypoints_{name}.json"
    images = next((folder for folder in (root / name, root / "images" / name) if folder.is_dir()), None)
    if images is None or not annotations.is_file():
        found = annotations if images else root / name
        raise UserError(f"{found}: not there; expected COCO as it unpacks: {name}/ and annotations/{annotations.name}")
    return Folder(annotations, images, options)


def _posed(index: Index, rows: np.ndarray | slice) -> np.ndarray:
    """Which annotations are people with a keypoint."""
    return (index.n_keypoints[rows] > 0) & ~index.crowd[rows]


def _chosen(index: Index, options: Options) -> tuple[np.ndarray, np.ndarray | None]:
    """For each sample the row of its image and, where it has one, of its main person's annotation."""
    used = np.ones(len(index.image_ids), bool)
    if options.part != "all":
        validating = validation_images(index.image_ids, np.diff(index.starts) > 0, SPLITS[options.split])
        used = validating if options.part == "validation" else ~validating
    if options.samples == "image":
        inhabited = np.bincount(index.image[_posed(index, slice(None))], minlength=len(used)) > 0
        return np.flatnonzero(used & (inhabited | options.empty)).astype(np.int32), None
    rows = index.by_image
    values = (index.boxes[rows], index.n_keypoints[rows], index.areas[rows], index.crowd[rows])
    main = rows[main_mask(*values, index.starts, MAIN_PERSON[options.main])]
    main = main[used[index.image[main]]]
    return index.image[main], main


def _files(folder: Path) -> dict[str, bool]:
    """The files in a folder, and which of them are links; empty where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_symlink() for entry in entries if entry.is_file()}
    except OSError:
        return {}
