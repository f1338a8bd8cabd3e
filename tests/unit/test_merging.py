"""Maps of several scales and of a mirrored image as one, at the cells of the largest scale."""

import numpy as np
import pytest

from shared import fit as geometry
from shared import merging
from shared.codec.spec import STRIDE
from shared.fit import FITS
from shared.preprocess import RAW_BGR
from shared.skeleton import COCO18


def made_up(fit, scales, flip, size=(96, 131)):
    """Where the scales of an image lie, and maps of noise of them and of the mirrored ones."""
    rng = np.random.default_rng(3)
    fitted = geometry.apply(np.zeros((*size, 3), np.uint8), 96, scales, FITS[fit], RAW_BGR)
    sizes = [tuple(-(-side // STRIDE) for side in f.input.shape[:2]) for f in fitted]
    noise = [
        [{"heat": rng.random((*each, 19), np.float32), "paf": rng.random((*each, 38), np.float32)} for each in sizes]
        for _ in range(1 + flip)
    ]
    return fitted, sizes, noise[0], noise[1] if flip else []


def channel_by_channel(fitted, sizes, plain, flipped):
    """The mean at the largest scale's cells, by as many matrix products as there are channels."""
    place = max(range(len(fitted)), key=lambda i: fitted[i].content)
    total = {"heat": 0.0, "paf": 0.0}
    for mirrored, several in ((False, plain), (True, flipped)):
        for f, size, maps in zip(fitted, sizes, several, strict=bool(several)):
            rows, columns, turned = merging._weights(f, fitted[place], size, sizes[place])
            for name, array in maps.items():
                order, sign = merging.mirrored_channels(name, COCO18)
                picked = array[:, ::-1][..., list(order)] * sign if mirrored else array
                total[name] += np.einsum("Hh,hwc,Ww->HWc", rows, picked, turned if mirrored else columns)
    return {name: array / (len(plain) + len(flipped)) for name, array in total.items()}


@pytest.mark.parametrize("fit", ["plain", "kl", "lightweight", "openpose"])
@pytest.mark.parametrize("flip", [False, True])
def test_scales_are_merged_as_channel_by_channel(fit, flip):
    fitted, sizes, plain, flipped = made_up(fit, (0.5, 1, 1.5), flip)
    expected = channel_by_channel(fitted, sizes, plain, flipped)

    merged = merging.merge(fitted, plain, flipped, (96, 131), "stride", COCO18)

    for name in ("heat", "paf"):
        np.testing.assert_allclose(getattr(merged, name), expected[name], atol=1e-6)  # float32 in another order
    wrong = [*plain[:2], {**plain[2], "heat": np.roll(plain[2]["heat"], 1, axis=1)}]
    others = merging.merge(fitted, wrong, flipped, (96, 131), "stride", COCO18)
    assert abs(others.heat - expected["heat"]).max() > 0.1


def test_a_mirrored_map_without_padding_is_read_together_with_the_plain_one():
    together, apart = (merging.views(*made_up(fit, (1, 0.5), True)[:2], flip=True) for fit in ("plain", "kl"))

    assert [view.sources for view in together] == [(0, 2), (1, 3)]
    assert [view.sources for view in apart] == [(0,), (2,), (1,), (3,)]


def test_the_maps_of_one_plain_scale_are_not_copied():
    fitted, _, plain, _ = made_up("plain", (1,), False)

    merged = merging.merge(fitted, plain, [], (96, 131), "stride", COCO18)

    assert merged.heat is plain[0]["heat"]
    assert merged.paf is plain[0]["paf"]
