"""Draws one clothed body into a canvas, part by part from the farthest to the nearest."""

from collections.abc import Callable
from functools import partial

import numpy as np

from shared.scenes.body import Body, Vec
from shared.scenes.canvas import PARTS, Canvas, box
from shared.scenes.clothing import Outfit
from shared.scenes.draws import Colour, tone
from shared.scenes.face import draw_head, draw_mane

# parts of a person; of a pair, left and right
FACE, HAIR, NECK, TORSO, PELVIS, SKIRT, THING = range(1, 8)
EAR, ARM, FOREARM, HAND, THIGH, SHIN, FOOT = ((k, k + 1) for k in range(8, 22, 2))

_RING = np.array([(1.0, 0.0), (0.866, 0.5), (0.5, 0.866), (0.0, 1.0), (-0.5, 0.866), (-0.866, 0.5)])
_RING = np.concatenate([_RING, -_RING])
_Item = tuple[float, Callable[[], None]]


def draw_person(canvas: Canvas, body: Body, outfit: Outfit, slot: int) -> None:
    """Draw the person; its parts get the identities PARTS * slot + part."""
    painter = _Painter(canvas, body, outfit, PARTS * slot)
    items = [*painter.trunk(), *painter.head(), *painter.bag()]
    for i in (0, 1):
        items += [*painter.arm(i), *painter.leg(i)]
    for _, draw in sorted(items, key=lambda item: -item[0]):
        draw()


class _Painter:
    """Makes (depth px, draw) items; depths are biased where two parts touch, in body heights."""

    def __init__(self, canvas: Canvas, body: Body, outfit: Outfit, base: int) -> None:
        self.canvas, self.body, self.outfit, self.base = canvas, body, outfit, base
        rings = body.rings
        self.middle = (rings[1][0][2] + rings[4][0][2]) / 2
        self.rings = [_outline(*ring) for ring in rings]

    def px(self, length: float) -> float:
        return length * self.body.scale

    def thick(self, radius: float) -> float:
        """A radius in body heights as px, with the person's girth."""
        return max(0.8, radius * self.body.build.girth * self.body.scale)

    def tube(self, a: Vec, r_a: float, b: Vec, r_b: float, colour: Colour, part: int) -> None:
        start, end = (a[0], a[1]), (b[0], b[1])
        self.canvas.limb(start, self.thick(r_a), end, self.thick(r_b), colour, self.base + part)

    def trunk(self) -> list[_Item]:
        thighs = [(self.body.keypoints[11 + i][2] + self.body.keypoints[13 + i][2]) / 2 for i in (0, 1)]
        items = [
            (self.middle, self.draw_torso),
            (self.body.rings[4][0][2] + self.px(0.004), self.draw_pelvis),
            # the head is always drawn over the neck
            (max(self.middle - self.px(0.012), self.body.head.centre[2] - self.px(0.029)), self.draw_neck),
        ]
        if self.outfit.skirt:
            items.append((min(thighs) - self.px(0.01), self.draw_skirt))
        return items

    def draw_pelvis(self) -> None:
        shape = np.concatenate(self.rings[4:])
        self.canvas.solid([shape], self.thick(0.07), self.outfit.trousers, self.base + PELVIS)

    def draw_torso(self) -> None:
        canvas, outfit, rings = self.canvas, self.outfit, self.rings
        shapes = [np.concatenate(rings[:3]), np.concatenate(rings[2:4]), np.concatenate(rings[3:5])]
        canvas.solid(shapes, self.thick(0.07), outfit.shirt, self.base + TORSO)
        if outfit.pattern == "stripes":
            for share in (0.2, 0.5, 0.8):
                band = [a + (b - a) * share for a, b in ((rings[1], rings[2]), (rings[2], rings[3]))]
                for ring in band:
                    centre = ring.mean(axis=0)
                    ring = centre + (ring - centre) * 0.86
                    canvas.hull(np.concatenate([ring, ring + (rings[3] - rings[1]) * 0.07]), outfit.ink, None)
        elif outfit.pattern == "print":
            (cx, cy, _), (ax, ay, _), (fx, fy, fz) = self.body.rings[2]
            if fz < 0:
                place = np.array([cx + fx, cy + fy])
                along, up = np.array([ax, ay]) * 0.42, (rings[1] - rings[3]).mean(axis=0) * 0.2
                canvas.hull(np.array([place + along, place + up, place - along, place - up]), outfit.ink, None)

    def draw_neck(self) -> None:
        self.tube(self.body.neck, 0.032, self.body.head.point(0.0, -0.55, -0.1), 0.028, self.outfit.skin, NECK)

    def draw_skirt(self) -> None:
        points = self.body.keypoints
        hem = [_along(points[11 + i], points[13 + i], 0.72) for i in (0, 1)]
        discs = [np.array([x, y]) + self.thick(0.062) * _RING for x, y, _ in hem]
        shape = np.concatenate([self.rings[4], *discs])
        self.canvas.solid([shape], self.thick(0.07), self.outfit.trousers, self.base + SKIRT)

    def head(self) -> list[_Item]:
        head, ids = (
            self.body.head,
            (self.base + FACE, self.base + HAIR, self.base + EAR[0], self.base + EAR[1]),
        )
        items: list[_Item] = [(head.centre[2] - self.px(0.03), partial(draw_head, self.canvas, head, self.outfit, ids))]
        if self.outfit.cut == "long":
            back = head.point(0.0, -1.0, -0.75)
            # hair lies on the back: behind everything seen from the front, before everything from the back
            bias = 0.06 if head.view[2] < 0 else -0.06
            items.append((back[2] + self.px(bias), partial(draw_mane, self.canvas, head, self.outfit, ids[1])))
        return items

    def arm(self, i: int) -> list[_Item]:
        body, outfit = self.body, self.outfit
        shoulder, elbow, wrist = (body.keypoints[k + i] for k in (5, 7, 9))
        bias = self.px(0.03)

        def upper() -> None:
            covered = outfit.sleeve > 0.5
            self.tube(shoulder, 0.036, elbow, 0.028, outfit.shirt if covered else outfit.skin, ARM[i])
            if 0 < outfit.sleeve < 0.5:
                cuff = _along(shoulder, elbow, 2 * outfit.sleeve)
                self.tube(shoulder, 0.039, cuff, 0.036, outfit.shirt, ARM[i])

        def fore() -> None:
            colour = outfit.shirt if outfit.sleeve > 0.5 else outfit.skin
            self.tube(elbow, 0.028, wrist, 0.02, colour, FOREARM[i])

        def hand() -> None:
            self.tube(wrist, 0.02, body.hands[i], 0.018, outfit.skin, HAND[i])

        return [
            ((shoulder[2] + elbow[2]) / 2 - bias, upper),
            ((elbow[2] + wrist[2]) / 2 - 1.1 * bias, fore),
            (wrist[2] - bias, hand),
        ]

    def leg(self, i: int) -> list[_Item]:
        body, outfit = self.body, self.outfit
        hip, knee, ankle = (body.keypoints[k + i] for k in (11, 13, 15))
        long = outfit.leg > 0.5

        def thigh() -> None:
            self.tube(hip, 0.056, knee, 0.037, outfit.trousers if long else outfit.skin, THIGH[i])
            if not long:
                self.tube(hip, 0.059, _along(hip, knee, 2 * outfit.leg), 0.052, outfit.trousers, THIGH[i])

        def shin() -> None:
            self.tube(knee, 0.037, ankle, 0.024, outfit.trousers if long else outfit.skin, SHIN[i])

        def foot() -> None:
            self.tube(body.heels[i], 0.027, body.toes[i], 0.021, outfit.shoes, FOOT[i])

        return [
            ((hip[2] + knee[2]) / 2 + self.px(0.012), thigh),
            ((knee[2] + ankle[2]) / 2 + self.px(0.01), shin),
            (ankle[2], foot),
        ]

    def bag(self) -> list[_Item]:
        if self.outfit.bag == "backpack":
            (cx, cy, cz), (ax, ay, az), (fx, fy, fz) = self.body.rings[2]
            back = (cx - 1.7 * fx, cy - 1.7 * fy, cz - 1.7 * fz)
            shapes = [_outline(back, (0.75 * ax, 0.75 * ay, az), (0.7 * fx, 0.7 * fy, fz))]
            drop = (self.rings[3] - self.rings[1]).mean(axis=0) * 0.4
            shape = np.concatenate([shapes[0] - drop * 0.8, shapes[0] + drop])
            draw = partial(self.canvas.solid, [shape], self.thick(0.05), self.outfit.leather, self.base + THING)
            return [(back[2] + (self.px(0.05) if fz < 0 else -self.px(0.05)), draw)]
        if self.outfit.bag == "handbag" and self.body.posture in ("standing", "walking"):
            x, y, depth = self.body.hands[0]
            w, h = self.px(0.13), self.px(0.11)

            def draw_bag() -> None:
                bag = box(x - w / 2, y + 0.3 * h, w, h)
                self.canvas.solid([bag], h / 3, self.outfit.leather, self.base + THING)
                for side in (-0.3, 0.3):
                    top = (x + side * w, y + 0.4 * h)
                    self.canvas.line((x, y), top, 0.1 * h, tone(self.outfit.leather, 130), self.base + THING)

            return [(depth - self.px(0.02), draw_bag)]
        return []


def _outline(centre: Vec, a: Vec, b: Vec) -> np.ndarray:
    """(12, 2) px points of a cross-section seen in the image."""
    out = np.empty((12, 2))
    for axis in (0, 1):
        out[:, axis] = centre[axis] + _RING[:, 0] * a[axis] + _RING[:, 1] * b[axis]
    return out


def _along(a: Vec, b: Vec, share: float) -> Vec:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share
