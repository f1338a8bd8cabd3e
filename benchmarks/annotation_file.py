"""A data set of any size: annotations of built-in scenes over and over, moved about, and grey pictures for them."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from shared.errors import UserError
from shared.scenes import dataset
from shared.weights import replacing

LEAST = 3  # people in a scene that is used; then about half of COCO's number of images have people, as COCO's have
_SCENES = 320  # of which those are taken
_STEPS = (17, 13)  # copies of a scene differ by less than so many px to the right, and down


def write(folder: Path, n_images: int, n_people: int) -> tuple[Path, Path]:
    """Write a COCO file with so many images and annotated people, and the pictures; their paths.

    It is written an entry at a time: memory stays flat.  As in COCO, images have nobody or several people, and crowds
    count as people.  Raises `UserError` for numbers that scenes cannot give.
    """
    if not (n_images >= 1 and 0 <= n_people <= LEAST * n_images):
        raise UserError(
            f"{n_images} images, {n_people} people: expected an image or more, and 0 to {LEAST} people each"
        )
    scenes = dataset.annotations("train", range(_SCENES))
    path, pictures = folder / "annotations.json", folder / "images"
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(_json({key: scenes[key] for key in ("info", "licenses", "categories")})[:-1])
        for key, position in (("images", 0), ("annotations", 1)):
            file.write(f',"{key}":[')
            entries = (entry for parts in _entries(scenes, n_images, n_people) for entry in parts[position])
            for number, entry in enumerate(entries):
                file.write(("," if number else "") + "\n" + _json(entry))
            file.write("]")
        file.write("}\n")
    _draw(pictures, (image for (image,), _ in _entries(scenes, n_images, n_people)))
    return path, pictures


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _draw(folder: Path, images: Iterator[dict]) -> None:
    """A grey JPEG for each image; those of one size are one file under many names."""
    folder.mkdir(parents=True, exist_ok=True)
    first: dict[tuple[int, int], Path] = {}
    for image in images:
        size = image["height"], image["width"]
        path = folder / image["file_name"]
        path.unlink(missing_ok=True)
        if size in first:
            path.hardlink_to(first[size])
        else:
            path.write_bytes(cv2.imencode(".jpg", np.full((*size, 3), 128, np.uint8))[1].tobytes())
            first[size] = path


def _entries(scenes: dict, n_images: int, n_people: int) -> Iterator[tuple[list[dict], list[dict]]]:
    """Image by image, its entry and those of its people."""
    people: dict[int, list[dict]] = {}
    for entry in scenes["annotations"]:
        people.setdefault(entry["image_id"], []).append(entry)
    busy = itertools.cycle([image for image in scenes["images"] if len(people.get(image["id"], ())) >= LEAST])
    written = 0
    for number in range(1, n_images + 1):
        image, found = scenes["images"][0], []
        if written < n_people * number // n_images:  # never behind by more than LEAST
            image = next(busy)
            found = people[image["id"]][: n_people - written]
            written += len(found)
        yield _moved(image, found, number, written)


def _moved(image: dict, people: list[dict], number: int, written: int) -> tuple[list[dict], list[dict]]:
    """A copy of a scene with its own ids, moved unless a run-length mask ties it to its place."""
    tied = any(isinstance(person["segmentation"], dict) for person in people)
    dx, dy = (0, 0) if tied else (number % _STEPS[0], number % _STEPS[1])
    entry = {**image, "id": number, "file_name": f"{number:012d}.jpg"}
    entry |= {"width": image["width"] + dx, "height": image["height"] + dy}
    first = written - len(people) + 1
    return [entry], [_person(person, number, first + i, dx, dy) for i, person in enumerate(people)]


def _person(person: dict, image_id: int, identity: int, dx: int, dy: int) -> dict[str, Any]:
    x, y, width, height = person["bbox"]
    values = person["keypoints"]
    points = [
        number
        for px, py, v in zip(values[::3], values[1::3], values[2::3], strict=True)
        for number in ((round(px + dx, 2), round(py + dy, 2), v) if v else (0, 0, 0))
    ]
    segmentation = person["segmentation"]
    if not isinstance(segmentation, dict):
        segmentation = [[v + (dy if i % 2 else dx) for i, v in enumerate(polygon)] for polygon in segmentation]
    moved = {"bbox": [x + dx, y + dy, width, height], "keypoints": points, "segmentation": segmentation}
    return {**person, **moved, "image_id": image_id, "id": identity}
