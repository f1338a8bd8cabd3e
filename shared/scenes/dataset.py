"""Scenes as a COCO-format data set: annotations in memory, images one by one, or both in a folder."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from shared.scenes.generator import SPLITS, Scene, check, generate
from shared.skeleton import COCO17

__all__ = ["SPLITS", "VERSION", "annotations", "read", "statistics", "write"]

VERSION = 1  # changes when the same split, index and seed give another scene

# COCO's own list, counted from 1
_SKELETON = (
    *((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9)),
    *((8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)),
)


def annotations(split: str, indices: Sequence[int] | None = None, seed: int = 0) -> dict:
    """The COCO dictionary of these scenes (None: the whole split); image ids are index + 1."""
    return _collect(split, [(i, generate(split, i, seed)) for i in _indices(split, indices, seed)], seed)


def read(split: str, index: int, seed: int = 0) -> np.ndarray:
    """The image, (H, W, 3) uint8 RGB."""
    return generate(split, index, seed).image


def write(folder: Path, split: str, count: int | None = None, seed: int = 0, workers: int = 1) -> Path:
    """Write the first `count` scenes into `folder`: images/*.png and annotations.json; return its path.

    Every file is written under another name, then put in place; annotations.json comes last.
    """
    if workers < 1:
        raise ValueError(f"workers {workers}: expected a whole number from 1; choose one")
    indices = _indices(split, None if count is None else _range(split, count), seed)
    images = Path(folder) / "images"
    images.mkdir(parents=True, exist_ok=True)
    task = partial(_write_scene, images, split, seed)
    if workers == 1:
        scenes = [task(index) for index in indices]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            scenes = list(pool.map(task, indices, chunksize=8))
    coco = _collect(split, list(zip(indices, scenes, strict=True)), seed)
    path = Path(folder) / "annotations.json"
    _replace(path, json.dumps(coco, separators=(",", ":")).encode())
    return path


def statistics(coco: dict) -> dict:
    """What is in a COCO dictionary: counts, shares of 1, and visible heights of annotated people in px."""
    people = [a for a in coco["annotations"] if not a["iscrowd"]]
    posed = [a for a in people if a["num_keypoints"]]
    v = np.array([a["keypoints"][2::3] for a in posed]).reshape(-1, 17)
    heights = [a["bbox"][3] for a in posed] or [0]
    inhabited = {a["image_id"] for a in coco["annotations"]}
    per_image = np.bincount([a["image_id"] for a in people] or [0])
    n_images = len(coco["images"])
    return {
        "images": n_images,
        "images_without_people": n_images - len(inhabited),
        "crowd_regions": len(coco["annotations"]) - len(people),
        "people": len(people),
        "people_with_keypoints": len(posed),
        "most_people_in_an_image": int(per_image.max()),
        "visible_height_min": min(heights),
        "visible_height_median": float(np.median(heights)),
        "visible_height_max": max(heights),
        "keypoints_not_seen": round(float((v != 2).mean()), 4) if len(posed) else 0.0,
        "keypoints_hidden": round(float((v == 1).mean()), 4) if len(posed) else 0.0,
        "keypoints_unlabelled": round(float((v == 0).mean()), 4) if len(posed) else 0.0,
    }


def _range(split: str, count: int) -> range:
    check(split, 0, 0)
    if not 1 <= count <= SPLITS[split]:
        raise ValueError(f"count {count}: {split} has {SPLITS[split]} scenes; choose 1 to {SPLITS[split]}")
    return range(count)


def _indices(split: str, indices: Sequence[int] | None, seed: int) -> list[int]:
    check(split, 0, seed)
    indices = list(range(SPLITS[split]) if indices is None else indices)
    for index in indices:
        check(split, index, seed)
    return indices


def _name(split: str, index: int) -> str:
    return f"{split}_{index:06d}.png"


def _collect(split: str, scenes: list[tuple[int, Scene]], seed: int) -> dict:
    images: list[dict] = []
    found: list[dict] = []
    for index, scene in scenes:
        height, width = scene.image.shape[:2]
        images.append({"id": index + 1, "file_name": _name(split, index), "height": height, "width": width})
        for annotation in scene.annotations:
            found.append({"id": len(found) + 1, "image_id": index + 1, **annotation})
    keypoints = list(COCO17.keypoints)
    person = {"id": 1, "name": "person", "supercategory": "person", "keypoints": keypoints}
    return {
        "info": {"description": "built-in scenes", "version": str(VERSION), "split": split, "seed": seed},
        "licenses": [],
        "images": images,
        "annotations": found,
        "categories": [{**person, "skeleton": [list(pair) for pair in _SKELETON]}],
    }


def _write_scene(images: Path, split: str, seed: int, index: int) -> Scene:
    """Write one image; the scene that comes back (to another process) has no pixels, only their size."""
    scene = generate(split, index, seed)
    _, data = cv2.imencode(".png", cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR))
    _replace(images / _name(split, index), data.tobytes())
    return Scene(np.empty((*scene.image.shape[:2], 0), np.uint8), scene.annotations)


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
