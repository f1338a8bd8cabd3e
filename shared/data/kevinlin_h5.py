"""Training data of kevinlin and H-Liu: train_dataset_2014.h5 and val_dataset_2014.h5, six channels a sample."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from shared.data.h5samples import SampleFile, parse, people
from shared.data.source import Raw
from shared.errors import UserError
from shared.skeleton import COCO17

WHAT = "kevinlin's HDF5: group 'datum', (6, H, W) uint8 samples with a JSON attribute 'meta'"
_PADDED = (64, 68)  # px: what narrower images were filled up to on the right, by kevinlin and by ZC


class KevinlinH5:
    """The samples of such a file, one for every main person, in the file's order.

    Of the channels, 0 to 2 are the image in BGR, 3 repeats the JSON in the binary form of ZC's LMDB, 4 is mask_miss
    (255 where the loss counts) and 5 mask_all; 3 and 5 are not read.  What was filled up is cut off again.  Joints
    are not moved by a pixel, as they are in ZC's LMDB.  `shared.data.h5samples.people` says what the boxes are.
    """

    skeleton = COCO17

    def __init__(self, path: Path) -> None:
        self.file = SampleFile(path, "datum", WHAT)

    def __len__(self) -> int:
        return len(self.file)

    def __getitem__(self, index: int) -> Raw:
        name, label = self.file.sample(index)
        with self.file.told(label):
            data = self.file.dataset("datum", name, label)
            if data.dtype != np.uint8 or data.ndim != 3 or data.shape[0] != 6:
                raise UserError(f"{label}: {data.dtype} {data.shape}, expected uint8 (6, H, W); is it such a file?")
            if "meta" not in data.attrs:
                raise UserError(f"{label}: no attribute 'meta', expected the JSON of its people; get the file again")
            meta = parse(data.attrs["meta"], label)
            bgr, mask = data[:3], data[4]
        height, width = _size(meta, mask.shape, label)
        image = np.ascontiguousarray(bgr[::-1, :, :width].transpose(1, 2, 0))
        points, boxes = people(meta, label)
        mask = mask_miss(mask[:, :width], (height, width), label)
        return Raw(image, points, boxes, mask, True, f"{label} ({meta.get('img_path', 'no img_path')})")

    def identity(self) -> Mapping[str, object]:
        return {"name": "kevinlin-h5", **self.file.identity()}


def mask_miss(mask: np.ndarray, size: tuple[int, int], label: str) -> np.ndarray:
    """The mask, once it is seen to be one of this (height, width)."""
    if mask.shape != size:
        raise UserError(f"{label}: a mask of {mask.shape}, expected that of its image, {size}; get the file again")
    strange = mask[(mask != 0) & (mask != 255)]
    if strange.size:
        raise UserError(f"{label}: the mask holds {strange[0]}, expected 0 and 255 only; get the file again")
    return np.ascontiguousarray(mask)


def _size(meta: Mapping[str, object], stored: tuple[int, int], label: str) -> tuple[int, int]:
    """(height, width) of the image without what it was filled up with."""
    size = meta.get("img_height", stored[0]), meta.get("img_width", stored[1])
    cut = size[0] == stored[0] and isinstance(size[1], int) and 0 < size[1] < stored[1] and stored[1] in _PADDED
    if size != stored and not cut:
        raise UserError(
            f"{label}: height and width are {size[0]!r} and {size[1]!r} in its JSON, but {stored} in the array; "
            f"expected the same (a narrower image may be filled up to {' or '.join(map(str, _PADDED))} px)"
        )
    return stored[0], size[1] if cut else stored[1]  # type: ignore[return-value]
