"""What people do: angles in degrees, drawn within what a body can do."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from shared.scenes.draws import chance, pick, uniform, weighted

Rng = np.random.Generator


@dataclass(frozen=True)
class Arm:
    """`flex` forward, `abduct` off the body, `elbow` bend; `turn`: where it bends to (0 front, 90 out)."""

    flex: float
    abduct: float
    elbow: float
    turn: float


@dataclass(frozen=True)
class Leg:
    flex: float
    abduct: float
    knee: float


@dataclass(frozen=True)
class Angles:
    """A posture in degrees; pairs are (left, right).  `roll` turns the whole person in the image plane."""

    name: str
    arms: tuple[Arm, Arm]
    legs: tuple[Leg, Leg]
    lean: float = 0.0
    bow: float = 0.0  # sideways
    twist: float = 0.0
    head_yaw: float = 0.0
    head_pitch: float = 0.0
    roll: float = 0.0
    lift: float = 0.0  # above the ground, in body heights


def draw_angles(rng: Rng) -> Angles:
    """A posture with its name."""
    act = weighted(rng, _ACTS)
    angles = act(rng)
    if chance(rng, 0.12) and angles.name not in ("lying", "running"):
        raised = replace(_wave(rng), elbow=uniform(rng, 0, 40)) if chance(rng, 0.5) else _wave(rng)
        angles = replace(angles, arms=pick(rng, ((raised, angles.arms[1]), (angles.arms[0], raised))))
    return replace(
        angles,
        bow=uniform(rng, -7, 7),
        twist=angles.twist + uniform(rng, -8, 8),
        head_yaw=uniform(rng, -45, 45) if chance(rng, 0.35) else uniform(rng, -14, 14),
        head_pitch=angles.head_pitch + uniform(rng, -10, 16),
        roll=angles.roll + uniform(rng, -5, 5),
    )


def _hang(rng: Rng) -> Arm:
    return Arm(uniform(rng, -20, 25), uniform(rng, 5, 22), uniform(rng, 3, 35), uniform(rng, -40, 15))


def _busy(rng: Rng) -> Arm:
    """An arm in front of the body: folded, pointing, holding something, or the hand on the hip."""
    kind = weighted(rng, (("hold", 4), ("hip", 3), ("point", 2), ("out", 2)))
    if kind == "hip":
        return Arm(uniform(rng, -25, 5), uniform(rng, 30, 50), uniform(rng, 70, 105), uniform(rng, -105, -75))
    if kind == "point":
        return Arm(uniform(rng, 60, 100), uniform(rng, 0, 25), uniform(rng, 0, 30), uniform(rng, -40, 40))
    if kind == "out":
        return Arm(uniform(rng, -10, 30), uniform(rng, 50, 95), uniform(rng, 0, 60), uniform(rng, -30, 90))
    return Arm(uniform(rng, 0, 45), uniform(rng, 5, 25), uniform(rng, 60, 120), uniform(rng, -60, 5))


def _wave(rng: Rng) -> Arm:
    if chance(rng, 0.5):
        return Arm(uniform(rng, -10, 15), uniform(rng, 125, 168), uniform(rng, 0, 60), uniform(rng, 20, 110))
    return Arm(uniform(rng, -5, 30), uniform(rng, 65, 110), uniform(rng, 50, 115), uniform(rng, 50, 105))


def _any_arm(rng: Rng) -> Arm:
    return _hang(rng) if chance(rng, 0.6) else _busy(rng)


def _straight(rng: Rng) -> Leg:
    return Leg(uniform(rng, -8, 12), uniform(rng, 0, 13), uniform(rng, 0, 14))


def _stand(rng: Rng) -> Angles:
    return Angles("standing", (_any_arm(rng), _any_arm(rng)), (_straight(rng), _straight(rng)), uniform(rng, -5, 10))


def _raise(rng: Rng) -> Angles:
    return replace(_stand(rng), name="arms raised", arms=(_wave(rng), _wave(rng)))


def _walk(rng: Rng) -> Angles:
    step, side = uniform(rng, 14, 32), pick(rng, (1, -1))
    legs = [
        Leg(s * step, uniform(rng, 0, 6), uniform(rng, 2, 14) if s > 0 else uniform(rng, 10, 45)) for s in (side, -side)
    ]
    arms = [Arm(-s * step + uniform(rng, -8, 8), uniform(rng, 4, 16), uniform(rng, 8, 50), -15) for s in (side, -side)]
    return Angles("walking", (arms[0], arms[1]), (legs[0], legs[1]), uniform(rng, 0, 9), twist=-6 * side)


def _run(rng: Rng) -> Angles:
    side = pick(rng, (1, -1))
    front = Leg(uniform(rng, 40, 80), uniform(rng, 0, 8), uniform(rng, 40, 95))
    back = Leg(uniform(rng, -35, -10), uniform(rng, 0, 8), uniform(rng, 15, 100))
    fore = Arm(uniform(rng, 20, 55), uniform(rng, 5, 20), uniform(rng, 70, 115), uniform(rng, -35, 0))
    aft = Arm(uniform(rng, -60, -25), uniform(rng, 8, 25), uniform(rng, 60, 105), uniform(rng, -25, 0))
    legs, arms = ((front, back), (aft, fore)) if side > 0 else ((back, front), (fore, aft))
    return Angles("running", arms, legs, uniform(rng, 6, 24), twist=-8 * side, lift=uniform(rng, 0, 0.05))


def _sit(rng: Rng) -> Angles:
    legs = [Leg(uniform(rng, 72, 95), uniform(rng, 2, 24), uniform(rng, 60, 105)) for _ in range(2)]
    arms = [
        Arm(uniform(rng, 10, 50), uniform(rng, 5, 20), uniform(rng, 35, 95), uniform(rng, -50, 5)) for _ in range(2)
    ]
    return Angles("sitting", (arms[0], arms[1]), (legs[0], legs[1]), uniform(rng, -12, 22))


def _crouch(rng: Rng) -> Angles:
    flex, knee = uniform(rng, 85, 115), uniform(rng, 105, 135)
    legs = [Leg(flex + uniform(rng, -8, 8), uniform(rng, 5, 28), knee + uniform(rng, -8, 8)) for _ in range(2)]
    arms = [
        Arm(uniform(rng, 30, 80), uniform(rng, 5, 20), uniform(rng, 10, 80), uniform(rng, -40, 0)) for _ in range(2)
    ]
    return Angles("crouching", (arms[0], arms[1]), (legs[0], legs[1]), uniform(rng, 15, 42))


def _bend(rng: Rng) -> Angles:
    lean = uniform(rng, 35, 85)
    arms = [Arm(lean + uniform(rng, -25, 35), uniform(rng, 2, 20), uniform(rng, 0, 50), -10) for _ in range(2)]
    legs = [Leg(uniform(rng, 0, 25), uniform(rng, 0, 14), uniform(rng, 5, 45)) for _ in range(2)]
    return Angles("bending", (arms[0], arms[1]), (legs[0], legs[1]), lean, head_pitch=-0.35 * lean)


def _jump(rng: Rng) -> Angles:
    legs = [Leg(uniform(rng, -10, 60), uniform(rng, 3, 35), uniform(rng, 5, 95)) for _ in range(2)]
    return Angles(
        "jumping",
        (_wave(rng), _wave(rng)),
        (legs[0], legs[1]),
        uniform(rng, -8, 15),
        lift=uniform(rng, 0.05, 0.22),
    )


def _lie(rng: Rng) -> Angles:
    base = _walk(rng) if chance(rng, 0.5) else _stand(rng)
    return replace(base, name="lying", roll=pick(rng, (-1, 1)) * uniform(rng, 65, 95))


_ACTS: tuple[tuple[Callable[[Rng], Angles], int], ...] = (
    (_stand, 28),
    (_walk, 22),
    (_run, 10),
    (_raise, 8),
    (_sit, 13),
    (_crouch, 5),
    (_bend, 5),
    (_jump, 6),
    (_lie, 3),
)
