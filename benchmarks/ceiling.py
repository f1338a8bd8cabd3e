"""The codec's ceiling: perfect maps drawn from annotations, decoded again, and scored as COCO AP."""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import candidates
from benchmarks.candidates import Candidate
from benchmarks.harness import Report
from benchmarks.maps import UNSPOILT, Damage, Stored, stored
from shared import coco, coco_ap
from shared import fit as geometry
from shared.coco import Dataset, ImageRecord
from shared.codec import targets
from shared.codec.spec import STRIDE, DecoderSpec, Maps
from shared.codec.targets import TARGETS, TargetSpec
from shared.errors import UserError, unknown
from shared.fit import Fitted
from shared.merging import merge
from shared.person import Person, Pose
from shared.preprocess import CAFFE
from shared.skeleton import COCO17, COCO18
from shared.weights import sha256

STRIDES = (8, 4, 2, 1)
NUMBERS = ("AP", "AP50", "AP75")
HALVES = {"tune": slice(0, None, 2), "test": slice(1, None, 2), "all": slice(None)}  # of the images by rising id
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
    measured: Sequence[Candidate],
    height: int,
    damage: Damage = UNSPOILT,
) -> list[dict[str, Any]]:
    """A row for each target profile, stride and decoder; profiles that draw the same share their rows.

    The first row is the annotations themselves, scored as if they had been decoded: what a perfect codec reaches.
    """
    drawn = _alike(names, strides)
    found: dict[tuple[TargetSpec, str], Results] = {(target, c.spec.name): [] for target in drawn for c in measured}
    perfect: Results = []
    for number, record in enumerate(records, start=1):
        people = _people(dataset.persons(record.id))
        perfect += coco_ap.results(record.id, [Pose(person, 1.0) for person in people], COCO17)
        for decoder in measured:
            for target in drawn:
                poses = decoded(people, record, height, target, decoder, damage)
                found[target, decoder.spec.name] += coco_ap.results(record.id, poses, COCO18)
        sys.stderr.write(f"\r{number} of {len(records)} images" + ("\n" if number == len(records) else ""))
    rows = [{"targets": "the annotations", "stride": "-", "decoder": "-", **_numbers(perfect, dataset, records)}]
    for (target, name), results in found.items():
        row = {"targets": ", ".join(drawn[target]), "stride": target.stride, "decoder": name}
        rows.append({**row, **_numbers(results, dataset, records)})
    return rows


def run_stored(dataset: Dataset, entries: Sequence[Stored], measured: Sequence[Candidate]) -> list[dict[str, Any]]:
    """A row for each decoder: what it makes of a real network's maps."""
    images = {record.id: record for record in dataset.images}
    absent = [entry.image_id for entry in entries if entry.image_id not in images]
    if absent:
        raise UserError(f"--maps: image {absent[0]} has no annotations; give the --annotations that it belongs to")
    records = [images[entry.image_id] for entry in entries]
    rows = []
    for decoder in measured:
        results: Results = []
        for entry in entries:
            maps = merge([entry.fitted], [entry.maps], [], entry.size, decoder.spec.resolution, COCO18)
            results += coco_ap.results(entry.image_id, decoder.run(maps, COCO18), COCO18)
        row = {"targets": "real maps", "stride": STRIDE, "decoder": decoder.spec.name}
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


def _fitted(record: ImageRecord, height: int, decoder: DecoderSpec) -> Fitted:
    """Where the image lies in the network's input; its pixels do not matter."""
    blank = np.zeros((record.height, record.width, 3), np.uint8)
    return geometry.apply(blank, height, (1.0,), geometry.fit(decoder.fit), CAFFE)[0]


def decoded(
    people: np.ndarray, record: ImageRecord, height: int, target: TargetSpec, decoder: Candidate, damage: Damage
) -> list[Pose]:
    """People (P, 17, 3) of an image, drawn on maps of `target.stride`, spoilt, and decoded again."""
    fitted = _fitted(record, height, decoder.spec)
    points = COCO18.convert_from(COCO17, damage.people(people, record.id))
    points[..., :2] = (points[..., :2] - fitted.shift) / fitted.to_image
    rows, columns = (side // target.stride for side in fitted.input.shape[:2])
    drawn = targets.encode(points, COCO18, (rows, columns), target)
    heat, paf = (damage.maps(field, record.id) for field in drawn)
    size = record.height, record.width
    return decoder.run(merged(fitted, {"heat": heat, "paf": paf}, target.stride, size, decoder.spec.resolution), COCO18)


def merged(fitted: Fitted, maps: Mapping[str, np.ndarray], stride: int, size: tuple[int, int], resolution: str) -> Maps:
    """`shared.merging.merge` for maps of any stride that divides 8.

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


def report(options: argparse.Namespace) -> Report:
    """The ceiling on a COCO annotation file, or on the built-in benchmark."""
    names, strides = options.targets.split(","), _checked(options)
    damage = Damage(options.drop, options.blur, options.noise)
    measured = [candidates.candidate(name) for name in options.decoders.split(",")]
    if options.steps:
        measured += candidates.steps()
    entries = stored(options.maps) if options.maps else []
    dataset, identity, what = _from_file(options.annotations) if options.annotations else _builtin()
    records = sorted(dataset.images, key=lambda record: record.id)[HALVES[options.half]][: options.limit]
    rows = run(dataset, records, names, strides, measured, options.height, damage)
    if entries:
        rows += run_stored(dataset, entries, measured)
    people = sum(len(_people(dataset.persons(record.id))) for record in records)
    of = f"{what}, {len(records)} images with {people} people to draw, height {options.height}"
    of += f", half {options.half}" * (options.half != "all")
    of += f", spoilt by drop {damage.drop}, blur {damage.blur}, noise {damage.noise}" * (damage != UNSPOILT)
    of += f"; real maps of {len(entries)} images" * bool(entries)
    settings = {"data": identity, "images": len(records), "people": people, "height": options.height}
    return Report("ceiling", of, {**settings, "half": options.half, "damage": asdict(damage)}, rows)


def _checked(options: argparse.Namespace) -> list[int]:
    """The strides; or a `UserError` for options that cannot be, before anything is drawn."""
    if (options.data == "coco") != (options.annotations is not None):
        raise UserError("--data coco and --annotations FILE: belong together; give both or neither")
    for name in options.targets.split(","):
        if name not in TARGETS:
            raise unknown("--targets", name, TARGETS)
    if not set(options.strides.split(",")) <= set(map(str, STRIDES)):
        raise UserError(f"--strides {options.strides}: expected some of 8, 4, 2, 1, with commas")
    if not 64 <= options.height <= 4096:
        raise UserError(f"--height {options.height}: expected 64 to 4096 px; 368 is the published one")
    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit {options.limit}: expected 1 or more images")
    if options.maps and not options.annotations:
        raise UserError(f"--maps {options.maps}: needs the --annotations of its images")
    return [int(stride) for stride in options.strides.split(",")]
