"""Training data of anatolix: coco_train_dataset.h5 and coco_val_dataset.h5, made from COCO 2017."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from shared import image as pictures
from shared.data.h5samples import SampleFile, parse, people
from shared.data.kevinlin_h5 import mask_miss
from shared.data.source import Raw
from shared.errors import UserError
from shared.skeleton import COCO17

WHAT = "anatolix's HDF5: groups 'dataset' and 'images', and 'masks' unless they are in the images"


class AnatolixH5:
    """The samples of such a file, one for every main person, in the file's order.

    `dataset` has a JSON text for each, which names its image.  `images` has the JPEG files and `masks` the PNG
    files of mask_miss (255 where the loss counts); in files without `masks`, `images` has (H, W, 4) uint8 arrays:
    BGR and mask_miss.  `shared.data.h5samples.people` says what the boxes are.
    """

    skeleton = COCO17

    def __init__(self, path: Path) -> None:
        self.file = SampleFile(path, "dataset", WHAT)

    def __len__(self) -> int:
        return len(self.file)

    def __getitem__(self, index: int) -> Raw:
        name, label = self.file.sample(index)
        with self.file.told(label):
            meta = parse(self.file.dataset("dataset", name, label)[()], label)
            key = _key(meta.get("image"), label)
            label = f"{label} (image {key})"
            stored = self.file.dataset("images", key, label)
            if self.file.has("masks"):
                image: np.ndarray | pictures.Encoded = pictures.encoded(_bytes(stored, label), label)
                mask = pictures.decode(_bytes(self.file.dataset("masks", key, label), label), f"{label}: mask")[..., 0]
            else:
                if stored.dtype != np.uint8 or stored.ndim != 3 or stored.shape[2] != 4:
                    raise UserError(
                        f"{label}: {stored.dtype} {stored.shape} and no group 'masks', expected uint8 (H, W, 4), "
                        "BGR and mask; get the file again"
                    )
                array = stored[()]
                image, mask = np.ascontiguousarray(array[..., 2::-1]), array[..., 3]
        points, boxes = people(meta, label)
        size = image.size if isinstance(image, pictures.Encoded) else image.shape[:2]
        return Raw(image, points, boxes, mask_miss(mask, size, label), True, label)

    def identity(self) -> Mapping[str, object]:
        return {"name": "anatolix-h5", **self.file.identity()}


def _key(image: Any, label: str) -> str:
    """The name of a sample's image in the groups: '%012d'."""
    if type(image) is int:
        return f"{image:012d}"
    if not isinstance(image, str) or not image.isdecimal():
        raise UserError(f"{label}: its JSON names the image {image!r:.60}, expected its id; get the file again")
    return image.zfill(12)


def _bytes(stored: h5py.Dataset, label: str) -> bytes:
    if stored.dtype != np.uint8 or stored.ndim != 1:
        raise UserError(f"{label}: {stored.name} is {stored.dtype} {stored.shape}, expected the uint8 bytes of a file")
    return stored[()].tobytes()
