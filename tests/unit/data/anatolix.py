"""Drawn scenes as anatolix's coco_train_dataset.h5 has them, for the tests of reading such files."""

import json

import cv2
import h5py
import numpy as np

from tests.unit.data import kevinlin
from tests.unit.data.kevinlin import SCENES, coded, people_of

KINDS = ("files", "arrays")  # of the two variants: JPEG and PNG files, or one array with the mask as a fourth channel
_TEXT = h5py.string_dtype()


def generate(index):
    return kevinlin.generate("train", index)


def mask_of(index):
    mask = np.full(generate(index).image.shape[:2], 255, np.uint8)
    mask[10:30, 40:90] = 0
    return mask


def meta_of(index):
    people = people_of(index)
    return {
        "image": f"{index:012d}",
        "joints": [coded(p) for p in people],
        "objpos": [[x + w / 2, y + h / 2] for x, y, w, h in (p["bbox"] for p in people)],
        "scale_provided": [p["bbox"][3] / 368 for p in people],
    }


def encoded(suffix, array):
    return np.frombuffer(cv2.imencode(suffix, array)[1].tobytes(), np.uint8)


def stored_image(index, kind):
    """RGB, as JPEG leaves it if it is stored so."""
    image = generate(index).image
    return cv2.imdecode(encoded(".jpg", image[..., ::-1]), cv2.IMREAD_COLOR)[..., ::-1] if kind == "files" else image


def write(path, kind, change=lambda file: None, metas=None):
    """The scenes in a variant; `change` is called with the open file, `metas` stand in the place of the scenes' own."""
    with h5py.File(path, "w") as file:
        for number, meta in enumerate(map(meta_of, SCENES) if metas is None else metas):
            text = meta if isinstance(meta, str) else json.dumps(meta)
            data = file.require_group("dataset").create_dataset(f"{number:07d}", data=text, dtype=_TEXT)
            data.attrs["meta"] = json.dumps({"numOtherPeople": 0, "img_path": "x.jpg"})
        for scene in SCENES:
            bgr, mask, key = generate(scene).image[..., ::-1], mask_of(scene), f"{scene:012d}"
            if kind == "files":
                file.require_group("images")[key] = encoded(".jpg", bgr)
                file.require_group("masks")[key] = encoded(".png", mask)
            else:
                file.require_group("images")[key] = np.dstack([bgr, mask])
        change(file)
    return path
