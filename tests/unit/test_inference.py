"""From an image to maps: scales, batches, mirroring and the place of everything, with networks made of arithmetic."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from shared import inference, merging
from shared.codec.spec import DECODERS
from shared.errors import UserError
from shared.fit import FITS, Fitted
from shared.inference import BottomUp
from shared.skeleton import COCO18, Skeleton, skeleton
from tests.unit.arithmetic import STRIDE, Arithmetic, cells, ramp

FLOAT = 1e-3  # of values up to 255 in float32
# A ramp of one grey level per px is rounded to whole levels when it is resized, by 0.5 each in two copies.
GREY = 1.0
EDGE = 3  # cells that the padding and the cubic kernel reach into


def equivariant(image):
    """Maps that a mirrored image mirrors exactly: what is left_ reads the right half of its cell, and so on."""
    pixels = cells(image)
    halves = {"right": pixels[:, :, :, :4], "left": pixels[:, :, :, 4:]}  # who faces the camera has the right hand left
    heat = np.zeros((*pixels.shape[:2], 19), np.float32)
    for k, name in enumerate(COCO18.keypoints):
        side = halves.get(name.split("_")[0], pixels)
        heat[..., k] = side[..., 2].mean((2, 3)) + side[..., 1].mean((2, 3)) * (1 + min(k, COCO18.flip[k])) / 20
    heat[..., 18] = pixels[..., 0].mean((2, 3))
    paf = np.zeros((*pixels.shape[:2], 38), np.float32)
    for limb, mirrored in enumerate(COCO18.limb_flip):
        red, weight = pixels[..., 2], 1 + min(limb, mirrored) / 20
        side = red[:, :, :, :4] if limb < mirrored else red[:, :, :, 4:]
        sign = 1 if limb < mirrored else -1
        if limb == mirrored:
            paf[..., 2 * limb] = red[:, :, :, 4:].mean((2, 3)) - red[:, :, :, :4].mean((2, 3))
            side = red
        else:
            paf[..., 2 * limb] = sign * side.mean((2, 3)) * weight
        paf[..., 2 * limb + 1] = side[:, :, :4].mean((2, 3)) * weight
    return {"heat": heat, "paf": paf}


def noise(height=64, width=96):
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)


def both(image, decoder="reference", change=lambda skeleton: skeleton, **kwargs):
    """Merged maps without and with mirroring, by a network that mirrors exactly."""
    found = []
    for flip in (False, True):
        predictor = BottomUp(Arithmetic(equivariant), decoder, height=image.shape[0], flip=flip, **kwargs)
        predictor.skeleton = change(predictor.skeleton)
        found.append(predictor.maps(image))
    return found


# 64 x 96 px at height 64 is neither resized nor padded by these.
RESOLUTIONS = pytest.mark.parametrize(
    ("decoder", "fit"), [("reference", "kl"), ("reference-openpose", "kl"), ("reference-tensorboy", "kl")]
)


@RESOLUTIONS
def test_mirroring_changes_nothing_for_an_equivariant_network(decoder, fit):
    plain, averaged = both(noise(), decoder, fit=fit)

    assert plain.heat.std() > 10
    np.testing.assert_allclose(averaged.heat, plain.heat, atol=FLOAT)
    np.testing.assert_allclose(averaged.paf, plain.paf, atol=FLOAT)


class Unsigned(Skeleton):
    @property
    def paf_sign(self):
        return np.ones(self.n_paf, np.float32)


def without_sign(skeleton):
    return Unsigned(**{field.name: getattr(skeleton, field.name) for field in fields(skeleton)})


def without_sides(skeleton):
    return replace(skeleton, mirror=tuple(range(skeleton.n_keypoints)))


@RESOLUTIONS
def test_a_wrong_permutation_or_sign_is_noticed(decoder, fit):
    plain, unsigned = both(noise(), decoder, without_sign, fit=fit)
    _, unswapped = both(noise(), decoder, without_sides, fit=fit)

    assert abs(unsigned.paf - plain.paf)[..., ::2].max() > 50
    np.testing.assert_allclose(unsigned.paf[..., 1::2], plain.paf[..., 1::2], atol=FLOAT)
    for name in ("heat", "paf"):
        assert abs(getattr(unswapped, name) - getattr(plain, name)).max() > 10


def inside(maps, step):
    """The heatmap of the nose without its edges, in grey levels."""
    edge = EDGE * step
    return maps.heat[edge:-edge, edge:-edge, 0]


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("width", [100, 101, 103])
def test_a_padded_image_is_mirrored_without_its_padding(decoder, width):
    # At width 100 the cells of the mirrored image lie 4 px beside those of the plain one: half a cell, 4 grey levels.
    plain, averaged = both(ramp(72, width), decoder)

    step = 1 if DECODERS[decoder].resolution == "stride" else STRIDE
    assert np.ptp(inside(plain, step)) > 30
    assert abs(inside(averaged, step) - inside(plain, step)).max() < GREY


@RESOLUTIONS
def test_the_scales_are_averaged(decoder, fit):
    def input_height(image):
        shape = tuple(side // STRIDE for side in image.shape[:2])
        return {"heat": np.full((*shape, 19), image.shape[0], np.float32), "paf": np.zeros((*shape, 38), np.float32)}

    predictor = BottomUp(Arithmetic(input_height), decoder, fit, height=64, scales=(0.5, 1, 2))

    heat = predictor.maps(noise()).heat

    np.testing.assert_allclose(heat, (32 + 64 + 128) / 3, rtol=1e-5)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("scales", [(0.5, 1), (1, 0.5)])
def test_every_scale_says_the_same_of_the_same_place(decoder, scales):
    if decoder == "reference-hl":
        scales = (0.5, 1)  # its canvas has the size of the last scale

    one = BottomUp(Arithmetic(equivariant), decoder, height=144).maps(ramp(144, 200))
    several = BottomUp(Arithmetic(equivariant), decoder, height=144, scales=scales).maps(ramp(144, 200))

    step = 1 if DECODERS[decoder].resolution == "stride" else STRIDE
    assert several.heat.shape == one.heat.shape
    assert (several.to_image, several.shift) == (one.to_image, one.shift)
    middle = [inside(maps, 2 * step) for maps in (one, several)]  # twice the edge: a cell is twice as large at 0.5
    # A scale of 0.5 sees two grey levels per px: its rounding counts twice, and half in the mean.
    assert abs(middle[1] - middle[0]).max() < GREY * 1.5


def fitted_at(scale, canvas=1):
    """An image of 64 x 96 px at that scale, without padding, on a canvas `canvas` times as large."""
    size = int(64 * scale), int(96 * scale)
    array = np.zeros((size[0] * canvas, size[1] * canvas, 3), np.float32)
    shift = (0.5 / scale - 0.5,) * 2
    return Fitted(array, size, (0, 0), size, (1 / scale, 1 / scale), shift)


@pytest.mark.parametrize("resolution", ["image", "network", "stride"])
def test_scales_are_laid_over_each_other_without_a_shift(resolution):
    scales = [fitted_at(1), fitted_at(0.5)]
    maps = []
    for f in scales:  # each cell says at which column of the image its centre is
        x = (STRIDE * np.arange(f.content[1] // STRIDE) + 3.5) * f.to_image[0] + f.shift[0]
        maps.append({"heat": np.tile(x[:, None], (f.content[0] // STRIDE, 1, 19)).astype(np.float32)})

    one, two = (inference.merge(scales[:n], maps[:n], [], (64, 96), resolution, COCO18) for n in (1, 2))

    # OpenCV's cubic kernel bends a straight line, as often up as down: only the mean is right.
    edge = 4 if resolution == "stride" else 4 * STRIDE  # the border is repeated, which bends it too
    assert abs((two.heat - one.heat)[:, edge:-edge].mean()) < 0.05  # px; half a px of the smaller one would be 0.25


def test_what_lies_beside_an_image_on_its_canvas_does_not_leak_in():
    f = fitted_at(1, canvas=2)
    heat = np.full((16, 24, 19), 100, np.float32)
    heat[:8, :12] = 1

    merged = inference.merge([f], [{"heat": heat}], [], (64, 96), "image", COCO18)

    np.testing.assert_allclose(merged.heat, 1, atol=FLOAT)


@pytest.mark.parametrize("resolution", ["image", "network", "stride"])
def test_the_maps_have_the_decoder_s_resolution(resolution):
    decoder = {"image": "reference", "network": "reference-openpose", "stride": "reference-tensorboy"}[resolution]

    heat = BottomUp(Arithmetic(equivariant), decoder, "kl", height=72, scales=(1, 0.5)).maps(noise(144, 200)).heat

    assert heat.shape[:2] == {"image": (144, 200), "network": (72, 100), "stride": (9, 13)}[resolution]
    assert heat.dtype == np.float32


def test_inputs_of_one_size_share_a_batch():
    net = Arithmetic(equivariant)
    BottomUp(net, fit="kl", height=64, scales=(0.5, 1), flip=True).maps(noise())

    assert net.calls == [(2, 32, 48, 3), (2, 64, 96, 3)]


def test_all_scales_of_h_liu_share_a_canvas_and_a_batch():
    net = Arithmetic(equivariant)
    BottomUp(net, "reference-hl", height=64, scales=(0.5, 1, 2), flip=True).maps(noise())

    assert net.calls == [(6, 128, 192, 3)]


def test_outputs_come_in_the_order_of_the_inputs_and_only_fields_are_kept():
    def brightness(image):
        return {"heat": image[:1, :1], "paf": 2 * image[:1, :1], "Mconv7_stage6_L2": image}

    inputs = [np.full((size, size, 3), value, np.float32) for size, value in ((8, 1), (16, 2), (8, 3), (16, 4))]
    net = Arithmetic(brightness)

    outputs = inference.run(net, inputs)

    assert [float(maps["heat"][0, 0, 0]) for maps in outputs] == [1, 2, 3, 4]
    assert [float(maps["paf"][0, 0, 0]) for maps in outputs] == [2, 4, 6, 8]
    assert all(set(maps) == {"heat", "paf"} for maps in outputs)
    assert len(net.calls) == 2


def test_a_network_without_pafs_has_maps_without_them():
    def hand(image):
        return {"heat": np.repeat(cells(image)[..., 0].mean((2, 3))[..., None], 22, axis=-1)}

    predictor = BottomUp(Arithmetic(hand, "hand21"), "reference", height=64, flip=True)

    assert predictor.maps(noise()).paf.shape == (64, 96, 0)
    assert len(predictor(noise())) == 1


def test_maps_that_would_be_too_large_are_refused(monkeypatch):
    monkeypatch.setattr(merging, "MAX_MAP_PIXELS", 5_000)

    with pytest.raises(UserError, match=r"an image of 96x64 px.*choose reference-openpose"):
        BottomUp(Arithmetic(equivariant), "reference", height=64).maps(noise())
    assert BottomUp(Arithmetic(equivariant), "reference-tensorboy", height=64).maps(noise()).heat.shape[:2] == (8, 12)


@pytest.mark.parametrize("scales", [(), (0,), (1, -0.5), (float("nan"),), (float("inf"),), (8.5,)])
def test_bad_scales_are_refused(scales):
    with pytest.raises(UserError, match=r"--scales .*expected numbers above 0 and up to 8"):
        BottomUp(Arithmetic(equivariant), scales=scales)


@pytest.mark.parametrize("height", [15, 4097, -368])
def test_a_bad_height_is_refused(height):
    with pytest.raises(UserError, match=f"--height {height}: expected 16 to 4096 px"):
        BottomUp(Arithmetic(equivariant), height=height)


@pytest.mark.parametrize(("kwargs", "found"), [({"decoder": "referense"}, "referense"), ({"fit": "kevin"}, "kevin")])
def test_unknown_names_are_refused(kwargs, found):
    with pytest.raises(UserError, match=found):
        BottomUp(Arithmetic(equivariant), **kwargs)


def test_different_settings_have_different_descriptions():
    settings = [
        {},
        *({"decoder": name} for name in DECODERS if name != "fast"),
        *({"fit": name} for name in FITS if name != "plain"),  # the fast decoder's own
        {"height": 256},
        {"scales": (0.5, 1)},
        {"scales": (1, 0.5)},  # not the same on H-Liu's canvas
        {"flip": True},
    ]
    nets = [(Arithmetic(None), kwargs) for kwargs in settings]
    nets.append((Arithmetic(None, "mpi15"), {"decoder": "reference-openpose"}))  # has thresholds of its own

    written = [json.dumps(BottomUp(net, **kwargs).describe(), sort_keys=True) for net, kwargs in nets]

    assert len(set(written)) == len(nets)


def test_a_description_holds_every_rule():
    described = BottomUp(Arithmetic(None), "reference-hl", "tf", 256, (0.5, 1), True).describe()

    assert set(described["decoder"]) == {field.name for field in fields(DECODERS["reference-hl"])}
    assert set(described["fit"]) == {field.name for field in fields(FITS["tf"])}
    assert (described["decoder"]["name"], described["fit"]["name"]) == ("reference-hl", "tf")
    assert (described["height"], described["scales"], described["flip"]) == (256, [0.5, 1], True)


def test_the_skeleton_is_the_network_s():
    assert BottomUp(Arithmetic(None, "body25")).skeleton is skeleton("body25")
