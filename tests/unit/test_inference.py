"""From an image to maps: scales, batches, mirroring and the place of everything, with networks made of arithmetic."""

import json
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest

from shared import inference
from shared.codec.spec import DECODERS
from shared.errors import UserError
from shared.fit import FITS
from shared.inference import BottomUp
from shared.preprocess import RAW_BGR
from shared.skeleton import COCO18, Skeleton, skeleton

STRIDE = 8
FLOAT = 1e-3  # of values up to 255 in float32
# A ramp of one grey level per px is rounded to whole levels when it is resized, by 0.5 each in two copies.
GREY = 1.0
EDGE = 3  # cells that the padding and the cubic kernel reach into


def info(name):
    return SimpleNamespace(spec=SimpleNamespace(skeleton=name), preprocess=RAW_BGR)


class Arithmetic:
    """A network: `rule` makes the maps of one image (H, W, 3) BGR; the sizes of all batches are kept in `calls`."""

    weights_sha256, runtime = "", "arithmetic"

    def __init__(self, rule, name="coco18"):
        self.rule, self.info, self.calls = rule, info(name), []

    def __call__(self, images, stages=False):
        self.calls.append(images.shape)
        each = [self.rule(image) for image in images]
        return {name: np.stack([maps[name] for maps in each]) for name in each[0]}


def cells(image):
    """(h, w, 8, 8, 3): the pixels of every cell."""
    height, width = (side // STRIDE for side in image.shape[:2])
    return image[: height * STRIDE, : width * STRIDE].reshape(height, STRIDE, width, STRIDE, 3).swapaxes(1, 2)


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


def ramp(height, width):
    """Red is x, green is y, blue is white."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, np.full_like(rows, 255)], axis=-1).astype(np.uint8)


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

    predictor = BottomUp(Arithmetic(hand, "hand21"), height=64, flip=True)

    assert predictor.maps(noise()).paf.shape == (64, 96, 0)
    assert len(predictor(noise())) == 1


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
COMMON = 0.3  # the mean of 18 roundings, half a cell would be 2.6


def away(decoder, fit, **kwargs):
    """(18, 2) By how much the only person is found beside the drawn one, without the profile's offset."""
    predictor = BottomUp(Arithmetic(seeing), decoder, fit, **kwargs)
    (pose,) = predictor(ramp(240, 248))
    assert pose.found.all()
    return pose.keypoints[:, :2] - predictor.spec.offset - POINTS


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("flip", [False, True])
def test_a_person_is_found_where_it_is_with_each_profile(decoder, flip):
    assert abs(away(decoder, None, flip=flip)).max() < PLACE


@pytest.mark.parametrize("decoder", ["reference", "reference-tensorboy", "reference-openpose"])
@pytest.mark.parametrize("fit", FITS)
def test_a_person_is_found_where_it_is_with_each_geometry(decoder, fit):
    beside = away(decoder, fit)

    limit = 1.5 * PLACE if fit == "kl-plain" else PLACE  # which does not enlarge: 1 px of the input is one of the image
    assert abs(beside).max() < limit
    assert abs(beside.mean(axis=0)).max() < COMMON


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_person_is_found_where_it_is_with_scales_and_mirroring(decoder):
    assert abs(away(decoder, None, scales=(0.75, 1, 1.5), flip=True)).max() < PLACE


def test_time_is_kept_of_the_network_and_of_decoding():
    predictor = BottomUp(Arithmetic(seeing), "reference-tensorboy")
    predictor(ramp(240, 248))

    assert min(predictor.seconds.values()) > 0
    assert set(predictor.seconds) == {"network", "decode"}


def test_maps_that_would_be_too_large_are_refused(monkeypatch):
    monkeypatch.setattr(inference, "MAX_MAP_PIXELS", 5_000)

    with pytest.raises(UserError, match=r"an image of 96x64 px.*choose reference-openpose"):
        BottomUp(Arithmetic(equivariant), height=64).maps(noise())
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
        *({"decoder": name} for name in DECODERS if name != "reference"),
        *({"fit": name} for name in FITS if name != "kl"),  # the reference's own
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
