"""The Gaussian and the PAF rasteriser against vectors computed by hand from the originals' rules."""

from dataclasses import replace

import numpy as np
import pytest

from shared import jit
from shared.codec import gaussian, paf
from shared.codec.targets import CAFFE, KERAS, LIGHTWEIGHT, PAPER, TARGETS, TENSORBOY, TargetSpec, encode, encode_batch
from shared.skeleton import BODY25, COCO18, MPI15

SIZE = (46, 46)
FLOAT = 1e-7  # a rounding of float32 at 1


@pytest.fixture(params=["compiled", "numpy"], autouse=True)
def kernels(request, monkeypatch):
    if request.param == "compiled" and not jit.available():
        pytest.skip("numba is not installed, or turned off")
    monkeypatch.setenv(jit.OFF, "1" if request.param == "compiled" else "0")
    return request.param


def heatmap(points: list, spec: TargetSpec) -> np.ndarray:
    """(h, w) of one keypoint of several people."""
    heat = np.zeros((1, *SIZE, 1), np.float32)
    gaussian.draw(np.array(points, float), np.zeros((len(points), 2), np.int64), heat, spec, background=False)
    return heat[0, ..., 0]


def limb(starts: list, ends: list, spec: TargetSpec) -> np.ndarray:
    """(h, w, 2) of one limb of several people."""
    field = np.zeros((1, *SIZE, 2), np.float32)
    paf.draw(np.array(starts, float), np.array(ends, float), np.zeros((len(starts), 2), np.int64), field, spec)
    return field[0]


@pytest.mark.parametrize(("spec", "total"), [(CAFFE, 4.766990), (KERAS, 4.810564), (PAPER, 4.810564)])
def test_one_gaussian_has_the_published_values(spec, total):
    heat = heatmap([(100, 120)], spec)

    assert heat.sum() == pytest.approx(total, abs=2e-6)
    assert heat.max() == pytest.approx(0.880249, abs=1e-6)
    assert heat[14, 12] == pytest.approx(0.811246, abs=1e-6)
    assert heat[15, 12] == pytest.approx(0.880249, abs=1e-6)


def test_the_caffe_gaussian_ends_at_ln_100():
    assert (heatmap([(100, 120)], CAFFE) > 0).sum() == 23


@pytest.mark.parametrize(
    ("spec", "total", "value"),
    [(CAFFE, 8.117426, 1.0), (KERAS, 6.494283, 0.811246), (replace(CAFFE, overlap="max"), 6.441761, 0.811246)],
    ids=["caffe", "keras", "H-Liu's heatmap.py"],
)
def test_two_gaussians_overlap_as_named(spec, total, value):
    heat = heatmap([(100, 120), (106, 120)], spec)

    assert heat.sum() == pytest.approx(total, abs=5e-6)
    assert heat[14, 12] == pytest.approx(value, abs=1e-6)


LIMBS = [((100, 100), (180, 140)), ((100, 100), (100, 180)), ((92, 60), (132, 60))]
# Computed from the originals' code by the project's specification, section 13.3: for each of LIMBS the box that is
# looked at (first column, the one after the last, first row, the one after the last) and the cells that are set.  The
# third tells C's rounding from Python's: 60 / 8 - 1 = 6.5 is 7 or 6.
CELLS = {
    "caffe": (CAFFE, ((12, 24, 12, 19), 24), ((12, 14, 12, 24), 24), ((11, 18, 7, 9), 14)),
    "keras": (KERAS, ((12, 24, 12, 18), 22), ((12, 14, 12, 24), 24), ((10, 18, 6, 8), 8)),
    "tensorboy": (TENSORBOY, ((12, 24, 12, 18), 22), ((12, 14, 12, 24), 24), ((10, 18, 6, 8), 8)),
    "lightweight": (LIGHTWEIGHT, ((11, 23, 11, 18), 23), ((11, 13, 11, 23), 12), ((10, 17, 6, 8), 7)),
    "H-Liu's paf2": (
        replace(KERAS, limb_width=24),
        ((10, 26, 10, 20), 99),
        ((10, 16, 10, 26), 96),
        ((8, 20, 4, 10), 60),
    ),
}


def cells(start: tuple, end: tuple, box: tuple, width: float, strict: bool) -> np.ndarray:
    """(h, w) Whether a cell is in the box and within `width` (cells) of the limb's axis."""
    (x, y), unit = np.array(start) / 8, np.subtract(end, start) / np.hypot(*np.subtract(end, start))
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    distance = np.abs((columns - x) * unit[1] - (rows - y) * unit[0])
    left, right, top, bottom = box
    inside = (columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)
    return inside & (distance < width if strict else distance <= width)


@pytest.mark.parametrize("name", CELLS)
def test_a_limb_covers_the_published_cells(name):
    spec, *published = CELLS[name]
    for (start, end), (box, n) in zip(LIMBS, published, strict=True):
        drawn = limb([start], [end], spec).any(axis=-1)

        assert drawn.sum() == n
        np.testing.assert_array_equal(drawn, cells(start, end, box, spec.limb_width / 8, spec.strict))


def test_another_rounding_strict_borders_and_another_width_are_seen():
    """Strict borders by a limb that has cells just 1 away, which those of the specification have not."""
    start, end = LIMBS[2]
    drawn = [limb([start], [end], spec).any(axis=-1) for spec in (CAFFE, KERAS, LIGHTWEIGHT, CELLS["H-Liu's paf2"][0])]
    borders = [limb([(96, 96)], [(136, 96)], spec).any(axis=(1, 2)).nonzero()[0] for spec in (KERAS, TENSORBOY)]

    assert len({each.tobytes() for each in drawn}) == 4
    assert [rows.tolist() for rows in borders] == [[11, 12], [12]]


@pytest.mark.parametrize(("name", "last"), [("caffe", (23, 18)), ("keras", (23, 17)), ("tensorboy", (23, 17))])
def test_a_limb_holds_its_unit_vector_from_the_first_to_the_last_cell(name, last):
    field = limb([(100, 100)], [(180, 140)], CELLS[name][0])
    rows, columns = np.nonzero(field[..., 0])

    assert (columns[0], rows[0], columns[-1], rows[-1]) == (12, 12, *last)
    np.testing.assert_allclose(field[rows, columns], np.tile([0.894427, 0.447214], (len(rows), 1)), atol=1e-6)


def test_a_limb_without_length_draws_nothing():
    assert not limb([(9, 9)], [(9, 9)], CAFFE).any()


def test_crossing_limbs_overwrite_or_average_as_named():
    starts, ends = [(100, 100), (60, 140)], [(100, 180), (140, 140)]
    last = limb(starts, ends, KERAS)
    average = limb(starts, ends, TENSORBOY)

    np.testing.assert_allclose(last[17, 12], [1, 0])
    np.testing.assert_allclose(average[17, 12], [0.5, 0.5])


def test_encode_draws_every_known_keypoint_and_limb():
    points = np.zeros((1, 18, 3), np.float32)
    points[0, :3] = [[59.5, 59.5, 2], [59.5, 99.5, 1], [99.5, 99.5, 2]]  # nose, neck, right shoulder

    heat, field = encode(points, COCO18, SIZE, PAPER)

    assert heat.shape == (46, 46, 19)
    assert field.shape == (46, 46, 38)
    assert heat[7, 7, 0] == 1
    assert heat[7, 7, -1] == 0
    assert not heat[..., 3:18].any()
    drawn = {i // 2 for i in range(38) if field[..., i].any()}
    assert drawn == {COCO18.limbs.index((1, 2)), COCO18.limbs.index((1, 0))}


def crowd(n: int, skeleton=COCO18, seed: int = 0) -> np.ndarray:
    """Points of people in and around the map, some of them unknown; the first two nearly coincide."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-60, 430, (n, skeleton.n_keypoints, 3))
    points[..., 2] = rng.integers(0, 3, points.shape[:2])
    points[1:2] = points[:1] + np.array([3, 3, 0])
    return points


def whole(points: np.ndarray, spec: TargetSpec) -> np.ndarray:
    """The heatmaps (h, w, K + 1) in float64, every Gaussian drawn over the whole map."""
    x, y = (spec.stride * np.arange(n) + (spec.stride - 1) / 2 for n in SIZE[::-1])
    found = np.zeros((*SIZE, points.shape[1] + 1))
    for person in points:
        for k in np.flatnonzero(person[:, 2] > 0):
            exponent = ((x - person[k, 0]) ** 2 + (y[:, None] - person[k, 1]) ** 2) / (2 * spec.sigma**2)
            bump = np.exp(-exponent) * (exponent <= (spec.cutoff or np.inf))
            merged = np.maximum(found[..., k], bump)
            found[..., k] = merged if spec.overlap == "max" else np.minimum(found[..., k] + bump, 1)
    found[..., -1] = 1 - found[..., :-1].max(axis=-1)
    return found


@pytest.mark.parametrize("sigma", [2.0, 7.0, 20.0])
@pytest.mark.parametrize("name", TARGETS)
def test_windows_lose_nothing_of_the_whole_map(name, sigma):
    spec = replace(TARGETS[name], sigma=sigma)
    points = crowd(6)

    heat, _ = encode(points, COCO18, SIZE, spec)

    np.testing.assert_allclose(heat, whole(points, spec), atol=1.5 * FLOAT)
    if spec.cutoff is None:  # the background does not know that the window ends
        np.testing.assert_array_equal(heat[..., -1], 1 - whole(points, spec)[..., :-1].max(axis=-1).astype(np.float32))


def test_a_window_that_ends_too_soon_would_be_seen():
    points = crowd(6)

    heat, _ = encode(points, COCO18, SIZE, replace(PAPER, cutoff=13.0))

    assert np.abs(heat - whole(points, PAPER)).max() > 10 * FLOAT


@pytest.mark.parametrize("skeleton", [COCO18, MPI15, BODY25], ids=lambda s: s.name)
def test_a_batch_is_its_images_one_by_one(skeleton):
    people = [crowd(n, skeleton, n) for n in (2, 0, 1, 5)]

    heat, field = encode_batch(people, skeleton, SIZE, PAPER)

    for n, points in enumerate(people):
        alone = encode(points, skeleton, SIZE, PAPER)
        np.testing.assert_array_equal(heat[n], alone[0])
        np.testing.assert_array_equal(field[n], alone[1])
    assert (heat[1, ..., -1] == 1).all()
    assert not heat[1, ..., :-1].any()
    assert not field[1].any()
    assert heat.dtype == field.dtype == np.float32


def test_a_keypoint_that_is_no_number_draws_nothing():
    points = np.full((1, 18, 3), np.nan)
    points[..., 2] = 2

    heat, field = encode(points, COCO18, SIZE, PAPER)

    assert (heat[..., -1] == 1).all()
    assert not field.any()
