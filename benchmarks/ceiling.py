"""The codec's ceiling: perfect maps drawn from annotations, decoded again, and scored as COCO AP."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Report
from shared import coco, coco_ap
from shared import fit as geometry
from shared.coco import Dataset, ImageRecord
from shared.codec import decoders, spec, targets
from shared.codec.spec import STRIDE, DecodeSpec, Maps
from shared.codec.targets import TARGETS, TargetSpec
from shared.errors import UserError, unknown
from shared.fit import Fitted
from shared.inference import merge
from shared.person import Person, Pose
from shared.preprocess import CAFFE
from shared.skeleton import COCO17, COCO18
from shared.weights import sha256

STRIDES = (8, 4, 2, 1)
NUMBERS = ("AP", "AP50", "AP75")
Results = list[dict[str, Any]]


def _builtin() -> tuple[Dataset, dict[str, Any], str]:
    """The built-in benchmark's val split; its identity, and what to call it."""
    from shared.scenes import dataset

    identity = {"name": "builtin", "version": dataset.VERSION, "split": "val"}
    return coco.load(dataset.annotations("val")), identity, "drawn scenes (the built-in benchmark's val split)"


def _from_file(annotations: Path) -> tuple[Dataset, dict[str, Any], str]:
    """COCO keypoints from a JSON; the pictures are not needed, only their sizes, which it has."""
    loaded = coco.load(annotations)
    identity = {"name": "coco", "annotations": annotations.name, "annotations_sha256": sha256(annotations)}
    return loaded, identity, f"the people annotated in {annotations.name}"


def run(
    dataset: Dataset,
    records: Sequence[ImageRecord],
    names: Iterable[str],
    strides: Iterable[int],
    decoder_names: Iterable[str],
    height: int,
) -> list[dict[str, Any]]:
    """A row for each target profile, stride and decoder; profiles that draw the same share their rows.

    The first row is the annotations themselves, scored as if they had been decoded: what a perfect codec reaches.
    """
    specs = [spec.decoder(name) for name in decoder_names]
    drawn = _alike(names, strides)
    found: dict[tuple[TargetSpec, str], Results] = {(target, s.name): [] for target in drawn for s in specs}
    perfect: Results = []
    for number, record in enumerate(records, start=1):
        people = _people(dataset.persons(record.id))
        perfect += coco_ap.results(record.id, [Pose(person, 1.0) for person in people], COCO17)
        for decoder in specs:
            fitted = _fitted(record, height, decoder)
            for target in drawn:
                poses = decoded(people, fitted, (record.height, record.width), target, decoder)
                found[target, decoder.name] += coco_ap.results(record.id, poses, COCO18)
        sys.stderr.write(f"\r{number} of {len(records)} images" + ("\n" if number == len(records) else ""))
    rows = [{"targets": "the annotations", "stride": "-", "decoder": "-", **_numbers(perfect, dataset, records)}]
    for (target, name), results in found.items():
        row = {"targets": ", ".join(drawn[target]), "stride": target.stride, "decoder": name}
        rows.append({**row, **_numbers(results, dataset, records)})
    return rows


def _alike(names: Iterable[str], strides: Iterable[int]) -> dict[TargetSpec, list[str]]:
    """Each different target, and the names of the profiles that draw it."""
    found: dict[TargetSpec, list[str]] = {}
    for stride in strides:
        for name in names:
            found.setdefault(strided(TARGETS[name], stride), []).append(name)
    return found


def strided(spec: TargetSpec, stride: int) -> TargetSpec:
    """The profile for maps of another stride.  Widths stay what they are in px; so does where a cell is: at its
    centre, or at its corner for the profiles whose PAFs have no offset."""
    return replace(spec, stride=stride, paf_offset=(stride - 1) / 2 if spec.paf_offset else 0.0)


def _people(persons: Sequence[Person]) -> np.ndarray:
    """(P, 17, 3) of the people that are drawn: no crowds, nobody without keypoints."""
    drawn = [person.keypoints for person in persons if not person.crowd and person.n_keypoints]
    return np.array(drawn, np.float32).reshape(-1, 17, 3)


def _fitted(record: ImageRecord, height: int, decoder: DecodeSpec) -> Fitted:
    """Where the image lies in the network's input; its pixels do not matter."""
    blank = np.zeros((record.height, record.width, 3), np.uint8)
    return geometry.apply(blank, height, (1.0,), geometry.fit(decoder.fit), CAFFE)[0]


def decoded(
    people: np.ndarray, fitted: Fitted, size: tuple[int, int], target: TargetSpec, decoder: DecodeSpec
) -> list[Pose]:
    """People (P, 17, 3) of an image of `size`, drawn on maps of `target.stride` and decoded again."""
    points = COCO18.convert_from(COCO17, people)
    points[..., :2] = (points[..., :2] - fitted.shift) / fitted.to_image
    height, width = (side // target.stride for side in fitted.input.shape[:2])
    heat, paf = targets.encode(points, COCO18, (height, width), target)
    maps = merged(fitted, {"heat": heat, "paf": paf}, target.stride, size, decoder.resolution)
    return decoders.run(maps, COCO18, decoder)


def merged(fitted: Fitted, maps: Mapping[str, np.ndarray], stride: int, size: tuple[int, int], resolution: str) -> Maps:
    """`shared.inference.merge` for maps of any stride that divides 8.

    Maps of stride 8 / n are, geometrically, maps of stride 8 of an input n times as large, and are merged as such.
    A decoder that works at the network's resolution still gets that: n times fewer px than the larger input has.
    """
    enlarged = as_stride_8(fitted, STRIDE // stride)
    if resolution != "network":
        return merge([enlarged], [maps], [], size, resolution, COCO18)
    (x, y), (top, left) = fitted.to_image, fitted.origin
    found = merge([enlarged], [maps], [], fitted.content, "image", COCO18)
    return replace(found, to_image=(x, y), shift=(fitted.shift[0] + left * x, fitted.shift[1] + top * y))


def as_stride_8(fitted: Fitted, n: int) -> Fitted:
    """The input n times as large: its px p is n p + (n - 1) / 2 there, since pixels grow around their centres."""
    (x, y), (left, top) = fitted.to_image, fitted.shift
    height, width = fitted.input.shape[:2]
    centre = (n - 1) / 2 / n
    return Fitted(
        np.broadcast_to(np.float32(0), (n * height, n * width, 3)),
        _times(n, fitted.content),
        _times(n, fitted.origin),
        _times(n, fitted.padded),
        (x / n, y / n),
        (left - centre * x, top - centre * y),
    )


def _times(n: int, pair: tuple[int, int]) -> tuple[int, int]:
    return n * pair[0], n * pair[1]


def _numbers(results: Results, dataset: Dataset, records: Sequence[ImageRecord]) -> dict[str, Any]:
    numbers = coco_ap.score(results, dataset.raw, [record.id for record in records])
    return {**{name: numbers[name] for name in NUMBERS}, "people": len(results)}


def report(
    annotations: Path | None,
    names: Sequence[str],
    strides: Sequence[int],
    decoder_names: Sequence[str],
    height: int,
    limit: int | None,
) -> Report:
    """The ceiling on a COCO annotation file, or on the built-in benchmark."""
    for name in names:
        if name not in TARGETS:
            raise unknown("--targets", name, TARGETS)
    if not set(strides) <= set(STRIDES):
        raise UserError(f"--strides {','.join(map(str, strides))}: expected some of 8, 4, 2, 1")
    if not 64 <= height <= 4096:
        raise UserError(f"--height {height}: expected 64 to 4096 px; 368 is the published one")
    if limit is not None and limit < 1:
        raise UserError(f"--limit {limit}: expected 1 or more images")
    for name in decoder_names:
        spec.decoder(name)
    dataset, identity, what = _builtin() if annotations is None else _from_file(annotations)
    records = dataset.images[:limit]
    rows = run(dataset, records, names, strides, decoder_names, height)
    people = sum(len(_people(dataset.persons(record.id))) for record in records)
    of = f"{what}, {len(records)} images with {people} people to draw, height {height}"
    return Report("ceiling", of, {"data": identity, "images": len(records), "people": people, "height": height}, rows)
