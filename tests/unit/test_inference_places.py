"""A person comes back from maps to where it is in the image, with every profile, geometry, scale and mirroring."""

import numpy as np
import pytest

from shared.codec.spec import DECODERS
from shared.fit import FITS
from shared.inference import BottomUp
from shared.skeleton import COCO18
from tests.unit.arithmetic import Arithmetic, cells, ramp

PERSON = {  # in an image of 248 x 240 px
    "nose": (121, 41), "right_eye": (109, 30), "left_eye": (134, 28), "right_ear": (95, 37), "left_ear": (150, 35),
    "neck": (124, 72), "right_shoulder": (89, 74), "right_elbow": (73, 111), "right_wrist": (61, 147),
    "left_shoulder": (158, 71), "left_elbow": (176, 106), "left_wrist": (187, 143),
    "right_hip": (104, 138), "right_knee": (99, 181), "right_ankle": (94, 221),
    "left_hip": (145, 139), "left_knee": (151, 178), "left_ankle": (157, 220),
}  # fmt: skip
# A little to the side each, so that rounding to whole px has no common direction.
POINTS = np.array([PERSON[name] for name in COCO18.keypoints]) + np.random.default_rng(2).uniform(-0.5, 0.5, (18, 2))
SIGMA, WIDTH = 5.0, 6.0  # px of the image


def seeing(image):
    """The maps of PERSON, from where each cell looks (the colours of `ramp`) and whether the image is mirrored."""
    white, y, x = np.moveaxis(cells(image).mean((2, 3)), -1, 0)
    mirrored = x[2, 2] > x[2, 8]
    there = abs(white - 255) < 1
    heat, paf = (np.zeros((*x.shape, n), np.float32) for n in (COCO18.n_heat, COCO18.n_paf))
    for k, (px, py) in enumerate(POINTS):
        channel = COCO18.flip[k] if mirrored else k
        heat[..., channel] = there * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * SIGMA**2))
    for limb, (a, b) in enumerate(COCO18.limbs):
        length = np.linalg.norm(POINTS[b] - POINTS[a])
        ux, uy = (POINTS[b] - POINTS[a]) / length
        dx, dy = x - POINTS[a, 0], y - POINTS[a, 1]
        along, across = dx * ux + dy * uy, dx * uy - dy * ux
        on = there & (along > -WIDTH) & (along < length + WIDTH) & (abs(across) < WIDTH)
        channel = 2 * (COCO18.limb_flip[limb] if mirrored else limb)
        paf[..., channel], paf[..., channel + 1] = on * (-ux if mirrored else ux), on * uy
    return {"heat": heat, "paf": paf}


# The cubic between cells and whole px of the enlarged maps are good for 1 px of the network's input on each axis, which
# is 0.65 px of the image; a refinement to whole px may be 1 px of the image.
PLACE = 1.0
# The mean of 18 roundings; and the half pixel that tensorboy's geometry leaves out is 0.3.  Half a cell would be 2.6.
COMMON = 0.35


def away(decoder, fit, **kwargs):
    """(18, 2) By how much the only person is found beside the drawn one, without the profile's offset."""
    predictor = BottomUp(Arithmetic(seeing), decoder, fit, **kwargs)
    (pose,) = predictor(ramp(240, 248))
    assert pose.found.all()
    return pose.keypoints[:, :2] - getattr(predictor.spec, "offset", 0) - POINTS


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("flip", [False, True])
def test_a_person_is_found_where_it_is_with_each_profile(decoder, flip):
    assert abs(away(decoder, None, flip=flip)).max() < PLACE


@pytest.mark.parametrize("decoder", ["fast", "reference", "reference-tensorboy", "reference-openpose"])
@pytest.mark.parametrize("fit", FITS)
def test_a_person_is_found_where_it_is_with_each_geometry(decoder, fit):
    beside = away(decoder, fit)

    limit = 1.5 * PLACE if fit == "kl-plain" else PLACE  # which does not enlarge: 1 px of the input is one of the image
    assert abs(beside).max() < limit
    assert abs(beside.mean(axis=0)).max() < COMMON


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_person_is_found_where_it_is_with_scales_and_mirroring(decoder):
    assert abs(away(decoder, None, scales=(0.75, 1, 1.5), flip=True)).max() < PLACE
