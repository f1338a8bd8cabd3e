"""Drawn scenes as kevinlin's generate_hdf5 writes them, for the tests of reading such files."""

import json
from functools import cache

import numpy as np

from shared.scenes import generator

SCENES = (2, 6, 12)  # with one, two and five people


@cache
def generate(split, index):
    return generator.generate(split, index)


def people_of(index):
    """The annotated people of a scene, the tallest first."""
    return sorted((a for a in generate("train", index).annotations if a["num_keypoints"]), key=lambda a: -a["bbox"][3])


def coded(person):
    """17 joints [x, y, code] as the originals store them: 1 visible, 0 hidden, 2 absent at (0, 0)."""
    return [[x, y, {2: 1, 1: 0, 0: 2}[v]] for x, y, v in np.reshape(person["keypoints"], (17, 3)).tolist()]


def sample_of(index, people=None):
    """(6, H, W) uint8 and the attribute, as kevinlin's generate_hdf5 writes them."""
    people = people_of(index) if people is None else people
    image = generate("train", index).image
    height, width = image.shape[:2]
    mask = np.full((height, width), 255, np.uint8)
    mask[10:30, 40:90] = 0
    planes = np.zeros((6, height, width), np.uint8)
    planes[:3], planes[3], planes[4] = image[..., ::-1].transpose(2, 0, 1), 77, mask
    meta = {
        "dataset": "COCO", "img_height": height, "img_width": width, "isValidation": 0,
        "numOtherPeople": len(people) - 1, "people_index": 0, "annolist_index": index, "count": index,
        "total_count": 2476,  # of the other file
        "objpos": [[x + w / 2, y + h / 2] for x, y, w, h in (p["bbox"] for p in people)],
        "scale_provided": [p["bbox"][3] / 368 for p in people],
        "joints": [coded(p) for p in people],
        "img_path": f"COCO_train2014_{index:012d}.jpg", "mask_all_path": "a.png", "mask_miss_path": "m.png",
    }  # fmt: skip
    return planes, meta


def write_sample(file, number, planes, meta):
    data = file.require_group("datum").create_dataset(f"{number:07d}", data=planes, chunks=None)
    if meta is not None:
        data.attrs["meta"] = meta if isinstance(meta, str | bytes | np.bytes_) else json.dumps(meta)


def changed(sample, **values):
    """The sample with other values in its JSON; None leaves one out."""
    planes, meta = sample
    return planes, {key: value for key, value in {**meta, **values}.items() if value is not None}
