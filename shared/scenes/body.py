"""A body in three dimensions: proportions and angles in, keypoints and depths in the image out.

The body frame is x to the person's left, y up, z forward, in body heights, with the pelvis as origin.  Facing
the camera (yaw 0), the left is at larger image x.  The projection is orthographic; the camera may look down.
"""

import math
from dataclasses import dataclass

import numpy as np

from shared.scenes.draws import chance, uniform
from shared.scenes.poses import Angles

Vec = tuple[float, float, float]
Frame = tuple[Vec, Vec, Vec]  # the images of the x, y and z axes

NOSE, EYE, EAR = (0.0, -0.14, 1.1), (0.37, 0.1, 0.92), (1.12, -0.02, -0.06)  # in the head's unit sphere
FACE = (NOSE, EYE, (-EYE[0], *EYE[1:]), EAR, (-EAR[0], *EAR[1:]))  # COCO's first five keypoints


@dataclass(frozen=True)
class Build:
    """Proportions in body heights; `girth` multiplies every thickness."""

    shoulder: float  # half the distance between the shoulders
    hip: float
    leg: float  # hip to ankle
    torso: float  # hip to shoulder
    arm: float  # shoulder to wrist
    head: float  # half the head's height
    girth: float


@dataclass(frozen=True)
class Head:
    """`centre` and the half axes (left, up, forward) in px; `view` is the line of sight in its frame."""

    centre: Vec
    axes: Frame
    view: Vec

    def point(self, x: float, y: float, z: float) -> Vec:
        """The place on the head with these coordinates in its own unit sphere."""
        return add(self.centre, combine(self.axes, (x, y, z)))


@dataclass(frozen=True)
class Body:
    """Vectors are (x px, y px, depth px), depth growing away from the camera.

    `keypoints` are COCO's 17; `rings` are the torso's cross-sections from the shoulders to the crotch, each a
    centre and two half axes; `hands`, `heels` and `toes` are (left, right).
    """

    keypoints: tuple[Vec, ...]
    head: Head
    neck: Vec
    rings: tuple[tuple[Vec, Vec, Vec], ...]
    hands: tuple[Vec, Vec]
    heels: tuple[Vec, Vec]
    toes: tuple[Vec, Vec]
    build: Build
    scale: float  # px per body height
    posture: str


class Camera:
    """Turns the body frame into the image: `yaw`, the camera's `pitch`, `roll` in the image; degrees."""

    def __init__(self, yaw: float, pitch: float, roll: float, scale: float) -> None:
        self.turns = [_turn(angle) for angle in (yaw, pitch, roll)]
        self.scale = scale

    def see(self, v: Vec) -> Vec:
        """A direction in body heights as (x, y, depth) in px."""
        (cy, sy), (cp, sp), (cr, sr) = self.turns
        x, depth = v[0] * cy + v[2] * sy, v[0] * sy - v[2] * cy
        y, depth = -(v[1] * cp + depth * sp), depth * cp - v[1] * sp
        s = self.scale
        return s * (x * cr - y * sr), s * (x * sr + y * cr), s * depth


def draw_build(rng: np.random.Generator) -> Build:
    """An adult or (one in six) a child, slim to heavy."""
    child = chance(rng, 0.16)
    girth = uniform(rng, 0.85, 1.15) if chance(rng, 0.75) else uniform(rng, 1.15, 1.5)
    return Build(
        shoulder=uniform(rng, 0.098, 0.122) * (0.95 if child else 1),
        hip=uniform(rng, 0.056, 0.07),
        leg=uniform(rng, 0.40, 0.43) if child else uniform(rng, 0.445, 0.485),
        torso=uniform(rng, 0.275, 0.305),
        arm=uniform(rng, 0.29, 0.325),
        head=uniform(rng, 0.092, 0.104) if child else uniform(rng, 0.071, 0.081),
        girth=girth,
    )


def pose_body(build: Build, angles: Angles, camera: Camera, foot: tuple[float, float]) -> Body:
    """The body with its pelvis at x and its lowest point at y of `foot` (px), less the posture's lift."""
    see, frame = camera.see, _upper_frame(angles)
    up = combine(frame, (0.0, build.torso, 0.0))
    shoulders = [add(up, combine(frame, (side * build.shoulder, 0.0, 0.0))) for side in (1, -1)]
    arms = [_arm(angles, build, frame, shoulders[i], i) for i in (0, 1)]
    legs = [_leg(angles, build, i) for i in (0, 1)]
    head_frame = _head_frame(angles, frame)
    centre = add(add(up, combine(frame, (0.0, 0.05, 0.005))), combine(head_frame, (0.0, build.head, 0.01)))
    points = [*shoulders, *(a[0] for a in arms), *(a[1] for a in arms)]
    for i in range(3):
        points += [leg[i] for leg in legs]
    ends = [a[2] for a in arms] + [leg[3] for leg in legs] + [leg[4] for leg in legs]
    seen = [see(v) for v in [*points, *ends, centre, add(up, combine(frame, (0.0, 0.015, 0.0)))]]
    rings = [[see(v) for v in ring] for ring in _rings(build, frame)]
    low = max(v[1] for v in seen) + 0.015 * camera.scale
    root = (foot[0], foot[1] - low - angles.lift * camera.scale, 0.0)
    seen = [add(root, v) for v in seen]
    head = _head(build, head_frame, seen[18], camera)
    face = [head.point(*place) for place in FACE]
    return Body(
        keypoints=tuple(face + seen[:12]),
        head=head,
        neck=seen[19],
        rings=tuple((add(root, c), a, b) for c, a, b in rings),
        hands=(seen[12], seen[13]),
        heels=(seen[14], seen[15]),
        toes=(seen[16], seen[17]),
        build=build,
        scale=camera.scale,
        posture=angles.name,
    )


def add(a: Vec, b: Vec) -> Vec:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def combine(frame: Frame, v: Vec) -> Vec:
    """v, given in the frame, in the frame's parent."""
    x, y, z = frame
    return (
        x[0] * v[0] + y[0] * v[1] + z[0] * v[2],
        x[1] * v[0] + y[1] * v[1] + z[1] * v[2],
        x[2] * v[0] + y[2] * v[1] + z[2] * v[2],
    )


def _turn(degrees: float) -> tuple[float, float]:
    """(cos, sin)"""
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


def _upper_frame(angles: Angles) -> Frame:
    """Torso: twisted about y, bowed about z, leant about x."""
    (ct, st), (cb, sb), (cl, sl) = _turn(angles.twist), _turn(angles.bow), _turn(angles.lean)

    def turned(v: Vec) -> Vec:
        x, y, z = v[0] * ct + v[2] * st, v[1], v[2] * ct - v[0] * st
        x, y = x * cb - y * sb, x * sb + y * cb
        return x, y * cl - z * sl, y * sl + z * cl

    return turned((1.0, 0.0, 0.0)), turned((0.0, 1.0, 0.0)), turned((0.0, 0.0, 1.0))


def _head_frame(angles: Angles, frame: Frame) -> Frame:
    (cy, sy), (cp, sp) = _turn(angles.head_yaw), _turn(angles.head_pitch)

    def turned(v: Vec) -> Vec:
        y, z = v[1] * cp - v[2] * sp, v[1] * sp + v[2] * cp
        return combine(frame, (v[0] * cy + z * sy, y, z * cy - v[0] * sy))

    return turned((1.0, 0.0, 0.0)), turned((0.0, 1.0, 0.0)), turned((0.0, 0.0, 1.0))


def _head(build: Build, frame: Frame, centre: Vec, camera: Camera) -> Head:
    seen = [camera.see(axis) for axis in frame]
    view = (seen[0][2] / camera.scale, seen[1][2] / camera.scale, seen[2][2] / camera.scale)
    radii = (0.74 * build.head, build.head, 0.86 * build.head)
    x, y, z = ((a[0] * r, a[1] * r, a[2] * r) for a, r in zip(seen, radii, strict=True))
    return Head(centre, (x, y, z), view)


def _arm(angles: Angles, build: Build, frame: Frame, shoulder: Vec, i: int) -> tuple[Vec, Vec, Vec]:
    """Elbow, wrist and fingertips of the left (i = 0) or right arm."""
    arm, side = angles.arms[i], 1 - 2 * i
    (cf, sf), (ca, sa) = _turn(arm.flex), _turn(arm.abduct)
    (ce, se), (ct, st) = _turn(arm.elbow), _turn(arm.turn)
    upper = (side * sa, -ca * cf, ca * sf)
    front, out = (0.0, sf, cf), (side * ca, sa * cf, -sa * sf)  # both at right angles to the upper arm
    fore = combine((upper, front, out), (ce, se * ct, se * st))
    elbow = add(shoulder, _scaled(combine(frame, upper), 0.53 * build.arm))
    along = combine(frame, fore)
    wrist = add(elbow, _scaled(along, 0.47 * build.arm))
    return elbow, wrist, add(wrist, _scaled(along, 0.055))


def _leg(angles: Angles, build: Build, i: int) -> tuple[Vec, Vec, Vec, Vec, Vec]:
    """Hip, knee, ankle, heel and toes of the left (i = 0) or right leg."""
    leg, side = angles.legs[i], 1 - 2 * i
    (cf, sf), (ca, sa), (ck, sk) = _turn(leg.flex), _turn(leg.abduct), _turn(leg.flex - leg.knee)
    hip = (side * build.hip, 0.0, 0.0)
    knee = add(hip, _scaled((side * sa, -ca * cf, ca * sf), 0.51 * build.leg))
    ankle = add(knee, _scaled((side * sa * 0.6, -ca * ck, ca * sk), 0.49 * build.leg))
    down, ahead = (0.0, -ck, sk), (side * 0.3, sk, ck)
    heel = add(add(ankle, _scaled(down, 0.025)), _scaled(ahead, -0.012))
    toes = add(add(ankle, _scaled(down, 0.03)), _scaled(ahead, 0.1))
    return hip, knee, ankle, heel, toes


def _rings(build: Build, frame: Frame) -> list[tuple[Vec, Vec, Vec]]:
    """Cross-sections of the torso: centre, half axis to the left, half axis to the front."""
    g, t = build.girth, build.torso
    half = build.shoulder
    table = (
        (1.06 * t, 0.55 * half, 0.035),
        (0.97 * t, half + 0.012 * g, 0.045 * g),
        (0.68 * t, 0.9 * half + 0.004 * g, 0.062 * g),
        (0.33 * t, 0.55 * half + 0.026 * g, 0.055 * g),
        (0.02 * t, build.hip + 0.036 * g, 0.064 * g),
        (-0.05, build.hip + 0.03 * g, 0.058 * g),
    )
    x, _, z = frame
    rings = [(combine(frame, (0.0, y, 0.0)), _scaled(x, a), _scaled(z, b)) for y, a, b in table[:4]]
    still = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0))  # the pelvis does not lean
    return rings + [((0.0, y, 0.0), _scaled(still[0], a), _scaled(still[1], b)) for y, a, b in table[4:]]


def _scaled(v: Vec, s: float) -> Vec:
    return v[0] * s, v[1] * s, v[2] * s
