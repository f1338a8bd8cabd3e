"""Things that are not people: some stand about to mislead, some stand in front of people and hide them."""

from collections.abc import Callable

import numpy as np

from shared.scenes.canvas import BACKGROUND, Canvas, box
from shared.scenes.draws import SKIN, Colour, chance, colour, integer, near, pick, tone, uniform, weighted

Rng = np.random.Generator


def draw_thing(rng: Rng, canvas: Canvas, x: float, ground: float, scale: float) -> None:
    """Something as big as a person of `scale` px, its foot at (x, ground)."""
    weighted(rng, _THINGS)(rng, canvas, x, ground, scale)


def draw_cover(rng: Rng, canvas: Canvas, x: float, ground: float, scale: float) -> None:
    """Something that hides a part of a person of `scale` px who stands at (x, ground)."""
    kind = weighted(rng, (("box", 4), ("pole", 3), ("bush", 2), ("table", 2), ("board", 1)))
    if kind == "pole":
        at = x + uniform(rng, -0.2, 0.2) * scale
        _draw_pole(rng, canvas, at, ground + 0.05 * scale, scale * uniform(rng, 1.0, 1.6))
    elif kind == "bush":
        _draw_bush(rng, canvas, x + uniform(rng, -0.3, 0.3) * scale, ground + 0.04 * scale, scale)
    elif kind == "table":
        _draw_table(rng, canvas, x + uniform(rng, -0.3, 0.3) * scale, ground + 0.05 * scale, 0.9 * scale)
    elif kind == "board":
        w, h = uniform(rng, 0.2, 0.4) * scale, uniform(rng, 0.15, 0.35) * scale
        low = ground - uniform(rng, 0.2, 0.6) * scale
        _draw_block(rng, canvas, (x + uniform(rng, -0.35, 0.1) * scale, low - h, w, h), colour(rng))
    else:
        w, h = uniform(rng, 0.3, 1.1) * scale, uniform(rng, 0.18, 0.5) * scale
        left = x - w * uniform(rng, 0.1, 0.9)
        _draw_block(rng, canvas, (left, ground + 0.04 * scale - h, w, h), colour(rng))


def draw_seat(rng: Rng, canvas: Canvas, x: float, seat: float, ground: float, scale: float) -> None:
    """A bench, box or chair under somebody: top at `seat`, foot at `ground` (px)."""
    w, paint = uniform(rng, 0.22, 0.5) * scale, colour(rng)
    if chance(rng, 0.5):
        _draw_block(rng, canvas, (x - w / 2, seat, w, max(2.0, ground - seat)), paint)
        return
    canvas.solid([box(x - w / 2, seat, w, 0.06 * scale)], 0.04 * scale, paint, BACKGROUND)
    for side in (-0.45, 0.4):
        canvas.line((x + side * w, seat), (x + side * w, ground), 0.03 * scale, tone(paint, 170), BACKGROUND)
    if chance(rng, 0.6):
        canvas.solid([box(x - w / 2, seat - 0.3 * scale, w, 0.2 * scale)], 0.04 * scale, tone(paint, 200), BACKGROUND)


def _draw_block(rng: Rng, canvas: Canvas, place: tuple[float, float, float, float], paint: Colour) -> None:
    x, y, w, h = place
    lid, slant = 0.14 * w, uniform(rng, -0.1, 0.1) * w
    top = np.array([(x, y), (x + w, y), (x + w + slant, y - lid), (x + slant, y - lid)])
    canvas.hull(top, tone(paint, 290), BACKGROUND)
    canvas.solid([box(x, y, w, h)], 0.1 * min(w, h), paint, BACKGROUND)
    for i in range(integer(rng, 0, 3)):
        canvas.hull(
            box(x + 0.1 * w, y + h * (0.2 + 0.25 * i), 0.8 * w, max(1.0, 0.05 * h)),
            tone(paint, 190),
            BACKGROUND,
        )


def _draw_pole(rng: Rng, canvas: Canvas, x: float, ground: float, scale: float) -> None:
    paint, radius = colour(rng, 40, 190), uniform(rng, 0.02, 0.06) * scale
    canvas.limb((x, ground), radius, (x, ground - scale), 0.8 * radius, paint, BACKGROUND)
    if chance(rng, 0.4):
        canvas.disc((x, ground - scale), 2.5 * radius, colour(rng, 90, 240), BACKGROUND)


def _draw_tree(rng: Rng, canvas: Canvas, x: float, ground: float, scale: float) -> None:
    bark, leaf = near(rng, (96, 72, 52), 20), near(rng, (72, 112, 58), 40)
    top = ground - uniform(rng, 0.7, 1.3) * scale
    canvas.limb((x, ground), 0.08 * scale, (x + uniform(rng, -0.1, 0.1) * scale, top), 0.05 * scale, bark, BACKGROUND)
    for _ in range(integer(rng, 0, 3)):
        y = uniform(rng, top, (top + ground) / 2)
        tip = (x + uniform(rng, -0.4, 0.4) * scale, y - uniform(rng, 0.1, 0.3) * scale)
        canvas.limb((x, y), 0.03 * scale, tip, 0.02 * scale, bark, BACKGROUND)
    for _ in range(integer(rng, 3, 6)):
        centre = (x + uniform(rng, -0.3, 0.3) * scale, top + uniform(rng, -0.35, 0.05) * scale)
        radius = uniform(rng, 0.12, 0.26) * scale
        canvas.limb(centre, radius, centre, radius, near(rng, leaf, 12), BACKGROUND)


def _draw_bush(rng: Rng, canvas: Canvas, x: float, ground: float, scale: float) -> None:
    leaf = near(rng, (78, 116, 62), 36)
    for _ in range(integer(rng, 4, 7)):
        radius = uniform(rng, 0.08, 0.16) * scale
        centre = (x + uniform(rng, -0.3, 0.3) * scale, ground - radius * uniform(rng, 0.6, 1.9))
        canvas.limb(centre, radius, centre, radius, near(rng, leaf, 14), BACKGROUND)


def _draw_table(rng: Rng, canvas: Canvas, x: float, ground: float, scale: float) -> None:
    paint, w, h = colour(rng), uniform(rng, 0.5, 1.0) * scale, uniform(rng, 0.35, 0.48) * scale
    for side in (-0.45, 0.45):
        canvas.line((x + side * w, ground), (x + side * w, ground - h), 0.04 * scale, tone(paint, 170), BACKGROUND)
    canvas.solid([box(x - w / 2, ground - h, w, 0.09 * scale)], 0.05 * scale, paint, BACKGROUND)


def _draw_box(rng: Rng, canvas: Canvas, x: float, ground: float, scale: float) -> None:
    w, h = uniform(rng, 0.25, 0.9) * scale, uniform(rng, 0.2, 0.9) * scale
    _draw_block(rng, canvas, (x - w / 2, ground - h, w, h), colour(rng))


def _draw_ball(rng: Rng, canvas: Canvas, x: float, ground: float, scale: float) -> None:
    radius, paint = uniform(rng, 0.06, 0.16) * scale, pick(rng, (colour(rng), near(rng, pick(rng, SKIN), 12)))
    centre = (x, ground - radius - uniform(rng, 0, 0.4) * scale)
    canvas.limb(centre, radius, centre, radius, paint, BACKGROUND)


def _draw_animal(rng: Rng, canvas: Canvas, x: float, ground: float, scale: float) -> None:
    """A dog or a horse: four legs, a neck, a head with an ear and an eye."""
    coat, size, way = near(rng, pick(rng, ((120, 84, 50), (60, 54, 50), (210, 190, 160))), 24), 0.5 * scale, 1
    way = pick(rng, (1, -1))
    back = ground - 0.62 * size
    for offset in (-0.42, -0.3, 0.3, 0.42):
        foot = (x + (offset + uniform(rng, -0.1, 0.1)) * size, ground)
        canvas.limb((x + offset * size, back), 0.09 * size, foot, 0.05 * size, coat, BACKGROUND)
    canvas.limb((x - 0.4 * size, back), 0.17 * size, (x + 0.4 * size, back), 0.19 * size, coat, BACKGROUND)
    head = (x + way * 0.68 * size, back - 0.36 * size)
    canvas.limb((x + way * 0.42 * size, back), 0.13 * size, head, 0.1 * size, coat, BACKGROUND)
    nose = (head[0] + way * 0.22 * size, head[1] + 0.08 * size)
    canvas.limb(head, 0.12 * size, nose, 0.07 * size, coat, BACKGROUND)
    canvas.line(head, (head[0] - way * 0.1 * size, head[1] - 0.2 * size), 0.08 * size, tone(coat, 170), BACKGROUND)
    canvas.disc((head[0] + way * 0.05 * size, head[1] - 0.03 * size), max(0.8, 0.02 * size), (20, 18, 18), BACKGROUND)


def _draw_dummy(rng: Rng, canvas: Canvas, x: float, ground: float, scale: float) -> None:
    """A mannequin without a head, a skittle or a snowman: a body of one colour, no face, no arms."""
    paint, waist = colour(rng, 60, 240), uniform(rng, 0.45, 0.6) * scale
    canvas.line((x, ground), (x, ground - waist), 0.04 * scale, tone(paint, 140), BACKGROUND)
    hip, chest = (x, ground - waist), (x, ground - waist - 0.26 * scale)
    canvas.limb(hip, 0.1 * scale, chest, uniform(rng, 0.08, 0.13) * scale, paint, BACKGROUND)
    if chance(rng, 0.5):
        top = (x, chest[1] - 0.2 * scale)
        canvas.limb(top, 0.08 * scale, top, 0.08 * scale, paint, BACKGROUND)


def _draw_sign(rng: Rng, canvas: Canvas, x: float, ground: float, scale: float) -> None:
    paint, y = colour(rng), ground - uniform(rng, 0.7, 1.0) * scale
    canvas.line((x, ground), (x, y), 0.035 * scale, (110, 110, 114), BACKGROUND)
    if chance(rng, 0.5):
        canvas.disc((x, y), 0.13 * scale, paint, BACKGROUND)
        canvas.disc((x, y), 0.08 * scale, colour(rng), BACKGROUND)
    else:
        canvas.hull(box(x - 0.2 * scale, y - 0.1 * scale, 0.4 * scale, 0.2 * scale), paint, BACKGROUND)


def _draw_sticks(rng: Rng, canvas: Canvas, x: float, ground: float, scale: float) -> None:
    """Tubes like arms and legs, some of skin colour, that belong to nobody."""
    paint = pick(rng, (colour(rng), near(rng, pick(rng, SKIN), 14)))
    a = (x, ground - uniform(rng, 0, 0.6) * scale)
    for _ in range(integer(rng, 1, 3)):
        b = (a[0] + uniform(rng, -0.25, 0.25) * scale, a[1] + uniform(rng, -0.25, 0.1) * scale)
        canvas.limb(a, 0.035 * scale, b, 0.028 * scale, paint, BACKGROUND)
        a = b


_THINGS: tuple[tuple[Callable[[Rng, Canvas, float, float, float], None], int], ...] = (
    (_draw_tree, 4),
    (_draw_pole, 2),
    (_draw_box, 3),
    (_draw_table, 2),
    (_draw_bush, 2),
    (_draw_ball, 2),
    (_draw_animal, 2),
    (_draw_dummy, 2),
    (_draw_sign, 2),
    (_draw_sticks, 2),
)
