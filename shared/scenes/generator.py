"""Composes a scene: a place, things, people from the farthest to the nearest, light, and the annotations."""

from dataclasses import dataclass

import numpy as np

from shared.scenes.background import draw_background
from shared.scenes.body import Body, Camera, draw_build, pose_body
from shared.scenes.canvas import CROWD, Canvas
from shared.scenes.clothing import draw_outfit
from shared.scenes.draws import chance, integer, pick, uniform, weighted
from shared.scenes.light import expose
from shared.scenes.paint import draw_person
from shared.scenes.poses import draw_angles
from shared.scenes.things import draw_cover, draw_seat, draw_thing
from shared.scenes.visibility import crowd_annotation, person_annotation

SPLITS = {"train": 20_000, "val": 160}  # number of images
HEIGHT = 368
WIDTHS = (368, 416, 488, 552, 640)
SCALES = (40.0, 360.0)  # px, a person's standing height

_STREAM = {"train": 1, "val": 2}
_BLOCK = 16  # of so many scenes, one is without people
_CROWDED = 0.075  # share of the scenes
Rng = np.random.Generator


@dataclass(frozen=True)
class Scene:
    """`image` is (H, W, 3) uint8 RGB; `annotations` are COCO's, without "id" and "image_id"."""

    image: np.ndarray
    annotations: tuple[dict, ...]


@dataclass(frozen=True)
class _Place:
    """Where a person stands: px, `scale` the standing height."""

    x: float
    ground: float
    scale: float


def generate(split: str, index: int, seed: int = 0) -> Scene:
    """The scene with this place in the split: the same arguments give the same bytes."""
    check(split, index, seed)
    rng = _stream(seed, _STREAM[split] << 32 | index)
    size = (HEIGHT, pick(rng, WIDTHS))
    canvas, horizon = draw_background(rng, size)
    camera_pitch = uniform(rng, 0, 14)
    empty = integer(_stream(seed, _STREAM[split] << 48 | index // _BLOCK), 0, _BLOCK - 1) == index % _BLOCK
    for _ in range(integer(rng, 2, 7) if empty else weighted(rng, ((0, 3), (1, 3), (2, 2), (4, 1)))):
        ground = horizon + uniform(rng, 0.02, 0.7) * (HEIGHT - horizon)
        draw_thing(rng, canvas, uniform(rng, 0, size[1]), ground, uniform(rng, 60, 240))
    crowded = not empty and chance(rng, _CROWDED)
    if crowded:
        _draw_crowd(rng, canvas, horizon, camera_pitch)
    places = [] if empty else _places(rng, size, horizon)
    bodies = [_draw_one(rng, canvas, place, camera_pitch, slot + 1) for slot, place in enumerate(places)]
    found = [person_annotation(canvas, body, slot + 1) for slot, body in enumerate(bodies)]
    found.append(crowd_annotation(canvas) if crowded else None)
    return Scene(expose(rng, canvas.image), tuple(a for a in found if a is not None))


def check(split: str, index: int, seed: int) -> None:
    """Raise ValueError for a scene that does not exist."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r}: unknown; choose one of {', '.join(SPLITS)}")
    if not 0 <= index < SPLITS[split]:
        raise ValueError(f"index {index}: {split} has scenes 0 to {SPLITS[split] - 1}; choose one of them")
    if not 0 <= seed < 1 << 63:
        raise ValueError(f"seed {seed}: expected a whole number from 0 to 2^63 - 1; choose one")


def _stream(seed: int, number: int) -> Rng:
    return np.random.Generator(np.random.Philox(key=np.array([seed, number], np.uint64)))


def _places(rng: Rng, size: tuple[int, int], horizon: float) -> list[_Place]:
    """1 to 8 people, the farthest first; a person's ground and scale follow from the distance."""
    height, width = size
    n = weighted(rng, ((1, 30), (2, 25), (3, 17), (4, 11), (5, 7), (6, 5), (7, 3), (8, 2)))
    nearest = uniform(rng, 170, SCALES[1]) if n < 4 else uniform(rng, 120, 300)
    eye = uniform(rng, 0.75, 1.15)  # the camera's height in body heights
    places: list[_Place] = []
    for _ in range(12 * n):
        if len(places) == n:
            break
        share = uniform(rng, 0.45, 1.0) if chance(rng, 0.85) else uniform(rng, 0.14, 0.5)
        scale = min(SCALES[1], max(SCALES[0], nearest * (share if places else max(share, 0.8))))
        ground = horizon + eye * scale + uniform(rng, -0.1, 0.1) * scale
        ground = min(max(ground, 0.75 * scale), height + uniform(rng, -0.05, 0.4) * scale)
        x = uniform(rng, -0.02, 1.02) * width if chance(rng, 0.3) else uniform(rng, 0.12, 0.88) * width
        apart = 0.12 if chance(rng, 0.15) else 0.36
        if all(abs(x - p.x) > apart * min(scale, p.scale) for p in places):
            places.append(_Place(x, ground, scale))
    return sorted(places, key=lambda p: p.scale)


def _draw_one(rng: Rng, canvas: Canvas, place: _Place, pitch: float, slot: int) -> Body:
    """Draw a person, what it sits on, and perhaps something before it."""
    angles, build, outfit = draw_angles(rng), draw_build(rng), draw_outfit(rng)
    yaw = weighted(rng, ((uniform(rng, -35, 35), 11), (uniform(rng, -180, 180), 6), (uniform(rng, 140, 220), 3)))
    camera = Camera(yaw, pitch, angles.roll, place.scale)
    body = pose_body(build, angles, camera, (place.x, place.ground))
    if angles.name == "sitting" and chance(rng, 0.8):
        seat = max(body.keypoints[11][1], body.keypoints[12][1]) + 0.04 * place.scale
        draw_seat(rng, canvas, body.rings[4][0][0], seat, place.ground, place.scale)
    draw_person(canvas, body, outfit, slot)
    if chance(rng, 0.2):
        draw_cover(rng, canvas, place.x, place.ground, place.scale)
    return body


def _draw_crowd(rng: Rng, canvas: Canvas, horizon: float, pitch: float) -> None:
    """A dense group far away; nobody in it is annotated on their own."""
    width = canvas.size[1]
    scale, n = uniform(rng, 34, 62), integer(rng, 12, 24)
    span = uniform(rng, 0.14, 0.22) * n * scale
    left = uniform(rng, -0.3, 0.8) * width
    before = canvas.ids.copy()
    for i in range(n):
        own = scale * uniform(rng, 0.9, 1.1)
        camera = Camera(uniform(rng, -180, 180), pitch, 0.0, own)
        foot = (left + uniform(rng, 0, 1) * span, horizon + 0.9 * own + 0.5 * scale * i / n)
        body = pose_body(draw_build(rng), draw_angles(rng), camera, foot)
        draw_person(canvas, body, draw_outfit(rng), 1)
    canvas.ids[canvas.ids != before] = CROWD
