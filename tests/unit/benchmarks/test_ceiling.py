"""Maps of any stride are drawn, merged and decoded where they belong, and perfect maps give a high AP."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from benchmarks import candidates, ceiling, maps
from benchmarks.__main__ import parser
from benchmarks.candidates import candidate
from benchmarks.ceiling import as_stride_8, merged, strided
from benchmarks.maps import Damage
from shared import coco
from shared.coco import ImageRecord
from shared.codec import spec, targets
from shared.codec.spec import DECODERS, STRIDE
from shared.codec.targets import CAFFE, PAPER
from shared.errors import UserError
from shared.merging import merge
from shared.scenes import dataset
from shared.skeleton import COCO17, COCO18

SIZE = (210, 330)  # of the image; at height 184 its sides are not whole cells
HEIGHT = 184
# OpenCV's cubic kernel does not keep a line straight between its samples: up to 0.07 of a cell, at stride 8 0.6 px.
BENT = 0.6
TWICE = 0.02  # twice what the order of two cubic resizes makes of a Gaussian, whose largest value is 1
POINTS = np.random.default_rng(0).uniform(0, 160, (3, 18, 3)).astype(np.float32)


def placed(name):
    decoder = spec.decoder(name)
    return decoder, ceiling._fitted(ImageRecord(1, "a.jpg", *SIZE), HEIGHT, decoder)


def lines(fitted, stride):
    """Maps whose first two heat channels hold the x and y, in px of the image, of where a cell is."""
    height, width = (side // stride for side in fitted.input.shape[:2])
    heat, paf = (
        np.zeros((height, width, COCO18.n_heat), np.float32),
        np.zeros((height, width, COCO18.n_paf), np.float32),
    )
    for channel, n in ((0, width), (1, height)):
        line = (stride * np.arange(n) + (stride - 1) / 2) * fitted.to_image[channel] + fitted.shift[channel]
        heat[..., channel] = line if channel == 0 else line[:, None]
    return {"heat": heat, "paf": paf}


def errors(maps):
    """How far the lines of merged maps are from where the maps say their values are, (h, w, 2), away from borders."""
    height, width = maps.heat.shape[:2]
    centre = (maps.cell - 1) / 2
    x = (maps.cell * np.arange(width) + centre) * maps.to_image[0] + maps.shift[0]
    y = (maps.cell * np.arange(height) + centre) * maps.to_image[1] + maps.shift[1]
    off = maps.heat[..., :2] - np.stack(np.meshgrid(x, y), axis=-1)
    return off[height // 4 : -height // 4, width // 4 : -width // 4]


def test_maps_of_stride_4_are_maps_of_stride_8_of_an_image_twice_as_large():
    doubled = POINTS * (2, 2, 1) + np.array([0.5, 0.5, 0], np.float32)
    widths = {"sigma": 2 * PAPER.sigma, "limb_width": 2 * PAPER.limb_width}

    heat, paf = targets.encode(POINTS, COCO18, (40, 40), strided(PAPER, 4))
    heat_8, paf_8 = targets.encode(doubled, COCO18, (40, 40), replace(PAPER, **widths))

    np.testing.assert_allclose(heat, heat_8, atol=1e-6)
    np.testing.assert_array_equal(paf, paf_8)


def test_without_the_half_pixel_they_are_not():
    heat, _ = targets.encode(POINTS, COCO18, (40, 40), strided(PAPER, 4))
    heat_8, _ = targets.encode(POINTS * (2, 2, 1), COCO18, (40, 40), replace(PAPER, sigma=2 * PAPER.sigma))

    assert np.abs(heat - heat_8).max() > 0.01


def test_a_stride_moves_the_centre_of_a_cell_but_not_its_corner():
    assert strided(PAPER, 8) == PAPER
    assert strided(PAPER, 4).paf_offset == 1.5
    assert strided(CAFFE, 4).paf_offset == 0


@pytest.mark.parametrize("name", DECODERS)
def test_at_stride_8_nothing_but_the_usual_merging_happens(name):
    decoder, fitted = placed(name)
    maps = {k: np.random.default_rng(1).random(v.shape, np.float32) for k, v in lines(fitted, 8).items()}

    ours = merged(fitted, maps, 8, SIZE, decoder.resolution)
    usual = merge([fitted], [maps], [], SIZE, decoder.resolution, COCO18)

    np.testing.assert_array_equal(ours.heat, usual.heat)
    np.testing.assert_array_equal(ours.paf, usual.paf)
    assert (ours.to_image, ours.shift, ours.cell) == (usual.to_image, usual.shift, usual.cell)


@pytest.mark.parametrize("stride", ceiling.STRIDES)
@pytest.mark.parametrize("name", DECODERS)
def test_merged_maps_of_any_stride_are_where_they_say(name, stride):
    decoder, fitted = placed(name)

    off = errors(merged(fitted, lines(fitted, stride), stride, SIZE, decoder.resolution))

    assert np.abs(off).max() < BENT
    # The sides of the input are whole px, so that positions are off by up to 0.2 of one; half a cell is 0.5 px or more.
    assert np.abs(off.mean(axis=(0, 1))).max() < 0.1


def test_enlarging_8_times_and_halving_is_enlarging_4_times():
    decoder, fitted = placed("reference")
    shape = lines(fitted, 4)["heat"].shape[:2]
    heat, paf = targets.encode(POINTS, COCO18, shape, strided(PAPER, 4))

    ours = merged(fitted, {"heat": heat, "paf": paf}, 4, SIZE, decoder.resolution).heat[..., 0]
    enlarged = cv2.resize(heat[..., 0], None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    content = np.ascontiguousarray(enlarged[: fitted.content[0], : fitted.content[1]])

    straight = cv2.resize(content, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    assert straight.max() > 0.9
    np.testing.assert_allclose(ours, straight, atol=TWICE)


def test_maps_of_stride_4_that_forget_the_half_pixel_are_noticed(monkeypatch):
    decoder, fitted = placed("reference-tensorboy")
    shift = fitted.shift
    monkeypatch.setattr(ceiling, "as_stride_8", lambda f, n: replace(as_stride_8(f, n), shift=shift))

    off = errors(merged(fitted, lines(fitted, 4), 4, SIZE, decoder.resolution))

    assert np.abs(off.mean(axis=(0, 1))).max() > 0.2


def test_a_decoder_of_the_networks_resolution_gets_it_at_every_stride():
    decoder, fitted = placed("reference-openpose")

    shapes = {merged(fitted, lines(fitted, s), s, SIZE, decoder.resolution).heat.shape[:2] for s in ceiling.STRIDES}

    assert shapes == {fitted.content}


@pytest.fixture(scope="module")
def scenes():
    return coco.load(dataset.annotations("val", range(3)))


def run(scenes, names=("paper",), strides=(8,), decoders=("reference-tensorboy",), **damage):
    return ceiling.run(
        scenes, scenes.images, names, strides, [candidate(name) for name in decoders], 368, Damage(**damage)
    )


def test_annotations_are_perfect_and_perfect_maps_nearly(scenes):
    perfect, *rows = run(scenes, strides=(8, 4))

    assert perfect["AP"] == pytest.approx(1.0)
    assert [row["stride"] for row in rows] == [8, 4]
    assert min(row["AP"] for row in rows) > 0.7
    assert rows[1]["AP"] > rows[0]["AP"] - 0.05


def test_exchanged_fields_do_not_decode(scenes, monkeypatch):
    def exchanged(*args):
        heat, paf = encode(*args)
        return heat, paf.reshape(*paf.shape[:2], -1, 2)[..., ::-1].reshape(paf.shape)

    encode = targets.encode
    monkeypatch.setattr(targets, "encode", exchanged)

    assert run(scenes)[1]["AP"] < 0.3


def test_profiles_that_draw_the_same_share_a_row(scenes):
    rows = run(scenes, names=("keras", "hl", "paper"))

    assert [row["targets"] for row in rows[1:]] == ["keras, hl", "paper"]


def test_crowds_and_people_without_keypoints_are_not_drawn():
    image = {"id": 1, "file_name": "a.jpg", "height": 100, "width": 100}
    person = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81, "segmentation": []}
    seen, unseen = [5, 5, 2] * 17, [0, 0, 0] * 17
    annotations = [
        {**person, "id": 1, "keypoints": seen, "num_keypoints": 17, "iscrowd": 0},
        {**person, "id": 2, "keypoints": unseen, "num_keypoints": 0, "iscrowd": 0},
        {**person, "id": 3, "keypoints": seen, "num_keypoints": 17, "iscrowd": 1},
    ]
    loaded = coco.load({"images": [image], "annotations": annotations, "categories": [{"id": 1}]})

    assert ceiling._people(loaded.persons(1)).shape == (1, 17, 3)
    assert ceiling._people([]).shape == (0, 17, 3)


@pytest.mark.parametrize("damage", [{"drop": 0.5}, {"blur": 3.0}, {"noise": 0.5}], ids=str)
def test_spoilt_maps_cost_ap_and_are_the_same_every_time(scenes, damage):
    clean, spoilt, again = (run(scenes, decoders=("fast",), **changes)[1]["AP"] for changes in ({}, damage, damage))

    assert spoilt == again
    assert spoilt < clean - 0.1


@pytest.mark.parametrize("changes", [{"drop": 1.5}, {"blur": -1.0}, {"noise": float("nan")}], ids=str)
def test_damage_that_cannot_be_is_refused(changes):
    (name,) = changes

    with pytest.raises(UserError, match=f"--{name} .*: expected a number from 0"):
        Damage(**changes)


def options(*arguments):
    return parser().parse_args(["ceiling", *arguments])


@pytest.fixture
def annotated(scenes, tmp_path):
    """The scenes as a file, and the options that name it."""
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(scenes.raw))
    return ["--data", "coco", "--annotations", str(path), "--targets", "paper", "--strides", "8"]


def test_both_halves_are_all_images_once(annotated):
    tune, test, both = (
        ceiling.report(options(*annotated, "--decoders", "fast", "--half", half)) for half in ("tune", "test", "all")
    )

    assert (tune.settings["images"], test.settings["images"], both.settings["images"]) == (2, 1, 3)
    assert "half test" in test.of


def test_the_steps_are_rows_of_their_own(annotated):
    rows = ceiling.report(options(*annotated, "--decoders", "fast", "--steps", "--limit", "1")).rows

    assert [row["decoder"] for row in rows] == ["-", "fast", *(f"fast, {name}" for name in candidates.STEPS)]
    assert {row["decoder"]: row["AP"] for row in rows}["fast, refine=None"] < rows[1]["AP"]


def save_maps(scenes, folder, image_id=None):
    """Perfect maps of the first scene, as a network's."""
    record = scenes.images[0]
    size = 46 * STRIDE, round(record.width / record.height * 46) * STRIDE
    points = COCO18.convert_from(COCO17, ceiling._people(scenes.persons(record.id)))
    fitted = maps.whole(size, (record.height, record.width))
    points[..., :2] = (points[..., :2] - fitted.shift) / fitted.to_image
    heat, paf = targets.encode(points, COCO18, (size[0] // STRIDE, size[1] // STRIDE))
    sizes = {"input_hw": size, "orig_hw": (record.height, record.width)}
    np.savez(folder / "1.npz", heat=heat, paf=paf, image_id=record.id if image_id is None else image_id, **sizes)


def test_maps_from_files_are_decoded_where_they_are(scenes, annotated, tmp_path):
    save_maps(scenes, tmp_path)

    rows = ceiling.report(options(*annotated, "--decoders", "fast,reference", "--maps", str(tmp_path))).rows

    assert [row["decoder"] for row in rows if row["targets"] == "real maps"] == ["fast", "reference"]
    assert min(row["AP"] for row in rows if row["targets"] == "real maps") > 0.7


def test_maps_without_annotations_are_refused(scenes, annotated, tmp_path):
    with pytest.raises(UserError, match=r"no \*\.npz there"):
        ceiling.report(options(*annotated, "--maps", str(tmp_path)))
    save_maps(scenes, tmp_path, image_id=12345)
    with pytest.raises(UserError, match="image 12345 has no annotations"):
        ceiling.report(options(*annotated, "--limit", "1", "--maps", str(tmp_path)))
    np.savez(tmp_path / "1.npz", heat=np.zeros((2, 2, 19)))
    with pytest.raises(UserError, match=r"1\.npz: .*expected heat, paf, image_id"):
        ceiling.report(options(*annotated, "--maps", str(tmp_path)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--targets", "papr"], "--targets papr: unknown .did you mean paper"),
        (["--strides", "8,3"], "--strides 8,3: expected some of 8, 4, 2, 1"),
        (["--decoders", "best"], "--decoder best: unknown"),
        (["--decoders", "no_module:decode"], "--decoders no_module:decode: .*expected module:function"),
        (["--decoders", "json:decode"], "--decoders json:decode: .*expected module:function"),
        (["--height", "3"], "--height 3: expected 64 to 4096"),
        (["--limit", "0"], "--limit 0: expected 1 or more"),
        (["--data", "coco"], "--data coco and --annotations FILE: belong together"),
        (["--maps", "there"], "--maps there: needs the --annotations"),
    ],
)
def test_strange_options_are_refused_before_anything_is_drawn(arguments, message):
    with pytest.raises(UserError, match=message):
        ceiling.report(options(*arguments))
