"""Places without people: sky and ground, rooms, walls, studios, and noise."""

import cv2
import numpy as np

from shared.scenes.canvas import BACKGROUND, Canvas, box
from shared.scenes.draws import chance, colour, integer, near, pick, raw, tone, uniform, weighted

Rng = np.random.Generator
_GROUND = ((92, 128, 62), (148, 134, 108), (120, 120, 122), (190, 172, 130), (84, 84, 90), (226, 230, 234))
_SKY = ((136, 182, 232), (176, 198, 216), (222, 226, 230), (96, 120, 168), (238, 190, 150))


def draw_background(rng: Rng, size: tuple[int, int]) -> tuple[Canvas, float]:
    """A canvas of this size with a place in it, and the height of its horizon in px."""
    height, width = size
    kind = weighted(rng, (("outdoor", 5), ("room", 4), ("wall", 2), ("noise", 1)))
    horizon = uniform(rng, 0.2, 0.52) * height
    low = np.empty((height // 2, (width + 1) // 2, 3), np.int16)
    split = int(horizon / 2)
    if kind == "outdoor":
        _fill_gradient(low[:split], near(rng, pick(rng, _SKY), 20), near(rng, (224, 226, 228), 24))
        ground = near(rng, pick(rng, _GROUND), 24)
        _fill_gradient(low[split:], tone(ground, integer(rng, 215, 285)), ground)
    elif kind == "room":
        wall, floor = colour(rng, 70, 225), colour(rng, 50, 200)
        split = int(min(height * 0.62, horizon * 1.35) / 2)
        _fill_gradient(low[:split], wall, tone(wall, integer(rng, 200, 280)))
        _fill_gradient(low[split:], tone(floor, 220), floor)
    else:
        base = colour(rng, 30, 225)
        _fill_gradient(low, base, near(rng, base, 60))
    _fill_texture(rng, low[split:] if kind != "noise" else low, integer(rng, 4, 40) if kind != "noise" else 90)
    _fill_texture(rng, low[:split], integer(rng, 0, 22))
    image = cv2.resize(np.clip(low, 0, 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    canvas = Canvas(image, (uniform(rng, -0.75, 0.75), uniform(rng, -0.65, -0.2)))
    if kind == "outdoor":
        _draw_skyline(rng, canvas, horizon)
    elif kind == "room":
        _draw_room(rng, canvas, 2 * split)
    elif kind == "wall" and chance(rng, 0.6):
        _draw_tiles(rng, canvas)
    return canvas, horizon


def _fill_gradient(rows: np.ndarray, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> None:
    """Fill (n, W, 3) int16 from one colour to the other, in whole numbers."""
    n = max(1, len(rows))
    share = np.arange(len(rows), dtype=np.int32)[:, None]
    ramp = (np.array(top, np.int32) * (n - share) + np.array(bottom, np.int32) * share) // n
    rows[:] = ramp[:, None, :]


def _fill_texture(rng: Rng, part: np.ndarray, strength: int) -> None:
    """Add smooth grey or coloured noise of random grain to (h, w, 3) int16."""
    h, w = part.shape[:2]
    if not h:
        return
    grain = pick(rng, (2, 3, 5, 9, 16, 32))
    rows, columns = h // max(1, grain // integer(rng, 1, 3)) + 2, w // grain + 2
    channels = 3 if strength > 60 or chance(rng, 0.2) else 1
    noise = raw(rng, (rows, columns, channels))
    noise = cv2.resize(noise, (w, h), interpolation=cv2.INTER_LINEAR_EXACT).reshape(h, w, channels)
    part += (noise.astype(np.int16) - 128) * strength >> 7


def _draw_skyline(rng: Rng, canvas: Canvas, horizon: float) -> None:
    """Houses, hills or a fence on the horizon."""
    width = canvas.size[1]
    kind = weighted(rng, (("houses", 3), ("hills", 3), ("nothing", 2)))
    if kind == "houses":
        x = -20.0
        while x < width:
            w, h, paint = uniform(rng, 30, 120), uniform(rng, 20, 120), colour(rng, 60, 210)
            canvas.hull(box(x, horizon - h, w, h + 3), paint, BACKGROUND)
            pane, step = tone(paint, pick(rng, (120, 180, 300))), uniform(rng, 11, 18)
            for i in range(int(w / step) - 1):
                for j in range(min(5, int(h / step) - 1)):
                    corner = (x + (i + 0.6) * step, horizon - h + (j + 0.5) * step)
                    canvas.hull(box(*corner, 0.5 * step, 0.6 * step), pane, BACKGROUND)
            x += w + (uniform(rng, 0, 50) if chance(rng, 0.4) else 0)
    elif kind == "hills":
        for _ in range(integer(rng, 1, 3)):
            n, paint = 9, near(rng, (90, 118, 96), 36)
            tops = [(i * width / (n - 1), horizon - uniform(rng, 4, 50)) for i in range(n)]
            canvas.polygon(np.array([*tops, (width + 2, horizon + 2), (-2, horizon + 2)]), paint, BACKGROUND)


def _draw_room(rng: Rng, canvas: Canvas, floor: int) -> None:
    """A skirting board, and pictures, windows or shelves on the wall."""
    width = canvas.size[1]
    canvas.hull(box(-2, floor - 5, width + 4, 6), colour(rng, 60, 230), BACKGROUND)
    for _ in range(integer(rng, 0, 4)):
        w, h = uniform(rng, 25, 110), uniform(rng, 25, 100)
        x, y = uniform(rng, -20, width - 20), uniform(rng, -20, max(0, floor - h - 10))
        canvas.hull(box(x, y, w, h), colour(rng), BACKGROUND)
        canvas.hull(box(x + 4, y + 4, w - 8, h - 8), colour(rng), BACKGROUND)
        if chance(rng, 0.5):
            bar = colour(rng)
            canvas.hull(box(x, y + h / 2 - 2, w, 4), bar, BACKGROUND)
            canvas.hull(box(x + w / 2 - 2, y, 4, h), bar, BACKGROUND)


def _draw_tiles(rng: Rng, canvas: Canvas) -> None:
    """Bricks, boards or stripes over the whole wall."""
    height, width = canvas.size
    w, h = uniform(rng, 24, 80), uniform(rng, 14, 60)
    r, g, b = canvas.image[height // 2, width // 2].tolist()
    grout = near(rng, (r, g, b), 44)
    thick, shift = uniform(rng, 1, 3), chance(rng, 0.5)
    for j in range(int(height / h) + 1):
        canvas.hull(box(-2, j * h, width + 4, thick), grout, BACKGROUND)
    if chance(rng, 0.7):
        for j in range(int(height / h) + 1):
            for i in range(int(width / w) + 1):
                canvas.hull(box((i + 0.5 * (j % 2) * shift) * w, j * h, thick, h), grout, BACKGROUND)
