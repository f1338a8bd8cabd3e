"""From an image to merged maps: mirroring, scales, batches, and places that come back in image pixels."""

import numpy as np
import pytest

from shared import fit as geometry
from shared import inference
from shared.arch import catalogue
from shared.codec import targets
from shared.codec.spec import DECODERS
from shared.errors import UserError
from shared.inference import BottomUp
from shared.preprocess import RAW_BGR
from shared.skeleton import COCO18
from shared.weights import ModelInfo

FLOAT = 1e-4  # of maps with values up to 255
PLACE = 2.0  # px of the network's input: a quarter of a cell


class Mirrorable:
    """A network whose maps of a mirrored image are the mirrored maps, left and right exchanged.

    Heat channels are the image's cells, moved one cell to the right for left keypoints, to the left for right ones;
    paf channels are differences of cells in x and in y, moved likewise.
    """

    info = ModelInfo(catalogue.spec("coco18"), RAW_BGR)

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        self.batches.append(images.shape)
        n, h, w, _ = images.shape
        cells = images.reshape(n, h // 8, 8, w // 8, 8, 3).mean(axis=(2, 4, 5))
        along = [np.zeros_like(cells), np.zeros_like(cells)]  # differences in x and in y
        along[0][:, :, 1:-1] = cells[:, :, 2:] - cells[:, :, :-2]
        along[1][:, 1:-1] = cells[:, 2:] - cells[:, :-2]
        sides = [name.startswith("left") - name.startswith("right") for name in COCO18.keypoints]
        heat = [(1 + min(k, COCO18.flip[k])) * moved(cells, side) for k, side in enumerate(sides)]
        paf = []
        for i, limb in enumerate(COCO18.limbs):
            side = int(np.sign(sum(sides[k] for k in limb)))
            paf += [(1 + min(i, COCO18.limb_flip[i])) * moved(difference, side) for difference in along]
        return {"heat": np.stack([*heat, cells], axis=-1), "paf": np.stack(paf, axis=-1)}


def moved(cells: np.ndarray, columns: int) -> np.ndarray:
    padded = np.pad(cells, ((0, 0), (0, 0), (1, 1)))
    return padded[:, :, 1 - columns : padded.shape[2] - 1 - columns]


class Knowing:
    """A network that sees people where they are: its maps are drawn from their keypoints in image pixels."""

    info = ModelInfo(catalogue.spec("coco18"), RAW_BGR)

    def __init__(self, points: np.ndarray, image: np.ndarray, predictor_fit: str, scales: tuple[float, ...]) -> None:
        fitted = geometry.apply(image, 368, scales, geometry.fit(predictor_fit), RAW_BGR)
        self.known = {f.input.tobytes(): f for f in fitted}
        self.points = points

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        drawn = [self._draw(self.known[image.tobytes()]) for image in images]
        return {name: np.stack([maps[i] for maps in drawn]) for i, name in enumerate(("heat", "paf"))}

    def _draw(self, fitted: geometry.Fitted) -> tuple[np.ndarray, np.ndarray]:
        points = self.points.copy()
        points[..., :2] = (points[..., :2] - fitted.shift) / fitted.to_image
        h, w = fitted.input.shape[:2]
        return targets.encode(points, COCO18, (-(-h // 8), -(-w // 8)))


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)


@pytest.mark.parametrize("decoder", ["reference", "reference-hl", "reference-tensorboy"])
def test_the_mirrored_image_says_the_same(decoder, image):
    plain = BottomUp(Mirrorable(), decoder, height=64).maps(image)

    averaged = BottomUp(Mirrorable(), decoder, height=64, flip=True).maps(image)

    np.testing.assert_allclose(averaged.heat, plain.heat, atol=FLOAT * 19)
    np.testing.assert_allclose(averaged.paf, plain.paf, atol=FLOAT * 19)
    assert (averaged.to_image, averaged.shift) == (plain.to_image, plain.shift)


@pytest.mark.parametrize("mistake", ["heat order", "paf order", "paf sign"])
def test_a_mistake_in_mirroring_is_noticed(mistake, image, monkeypatch):
    plain = BottomUp(Mirrorable(), height=64).maps(image)
    right = inference._mirrored_channels

    def wrong(name, skeleton):
        order, sign = right(name, skeleton)
        if mistake == f"{name} order":
            order = range(len(order))
        return order, np.abs(sign) if mistake == f"{name} sign" else sign

    monkeypatch.setattr(inference, "_mirrored_channels", wrong)
    averaged = BottomUp(Mirrorable(), height=64, flip=True).maps(image)

    worst = max(np.abs(averaged.heat - plain.heat).max(), np.abs(averaged.paf - plain.paf).max())
    assert worst > 10


def test_inputs_of_one_size_share_a_batch(image):
    net = Mirrorable()

    BottomUp(net, height=64, scales=(0.5, 1), flip=True).maps(image)

    assert sorted(net.batches) == [(2, 32, 48, 3), (2, 64, 96, 3)]


def test_hlius_scales_share_one_canvas(image):
    net = Mirrorable()

    BottomUp(net, "reference-hl", height=64, scales=(0.5, 1)).maps(image)

    assert net.batches == [(2, 64, 96, 3)]


def test_scales_are_averaged():
    image = np.full((64, 96, 3), 100, np.uint8)  # every scale of it says the same but for the borders

    one, three = (BottomUp(Mirrorable(), height=64, scales=s).maps(image) for s in ((1,), (0.5, 1, 2)))

    middle = (slice(24, 40), slice(40, 56))
    assert one.heat.shape == three.heat.shape == (64, 96, 19)
    np.testing.assert_allclose(three.heat[middle], one.heat[middle], rtol=FLOAT)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("size", [(368, 552), (301, 407)], ids=str)
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0)], ids=str)
def test_a_person_is_found_where_it_is(decoder, size, scales):
    shape = np.array(size[::-1]) / (480, 368)
    body = {
        "nose": (240, 60), "neck": (240, 100), "right_shoulder": (205, 102), "right_elbow": (190, 150),
        "right_wrist": (180, 195), "left_shoulder": (275, 102), "left_elbow": (290, 150), "left_wrist": (300, 195),
        "right_hip": (218, 200), "right_knee": (212, 260), "right_ankle": (210, 320), "left_hip": (262, 200),
        "left_knee": (268, 260), "left_ankle": (270, 320), "right_eye": (230, 50), "left_eye": (250, 50),
        "right_ear": (218, 56), "left_ear": (262, 56),
    }  # fmt: skip
    points = np.array([[(*(np.array(body[name]) * shape), 1) for name in COCO18.keypoints]], np.float32)
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    net = Knowing(points, image, DECODERS[decoder].fit, scales)

    (pose,) = BottomUp(net, decoder, scales=scales)(image)

    found, wanted = pose.keypoints, points[0]
    spec = DECODERS[decoder]
    fitted = max(geometry.apply(image, 368, scales, geometry.fit(spec.fit), RAW_BGR), key=lambda f: f.content)
    error = (found[:, :2] - spec.offset - wanted[:, :2]) / fitted.to_image
    assert (found[:, 2] > 0).all()
    assert np.abs(error).max() < PLACE


def test_what_changes_a_result_is_in_the_description(image):
    settings = [
        {}, {"decoder": "reference-hl"}, {"fit": "tf"}, {"height": 400}, {"scales": (0.5, 1)}, {"flip": True},
    ]  # fmt: skip

    descriptions = [BottomUp(Mirrorable(), **setting).describe() for setting in settings]

    assert all(a != b for i, a in enumerate(descriptions) for b in descriptions[:i])
    assert BottomUp(Mirrorable()).describe() == descriptions[0]


def test_time_is_counted(image):
    predictor = BottomUp(Mirrorable(), height=64)

    predictor(image)

    assert set(predictor.seconds) == {"network", "decode"}
    assert all(seconds > 0 for seconds in predictor.seconds.values())


@pytest.mark.parametrize("scales", [(), (0.0,), (-1.0,), (float("nan"),), (9.0,)], ids=str)
def test_bad_scales_are_refused(scales):
    with pytest.raises(UserError, match=r"--scales .*: expected numbers above 0 and up to 8"):
        BottomUp(Mirrorable(), scales=scales)


@pytest.mark.parametrize("height", [0, -8, 15, 5000])
def test_bad_heights_are_refused(height):
    with pytest.raises(UserError, match=r"--height .*: expected 16 to 4096 px"):
        BottomUp(Mirrorable(), height=height)


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="did you mean reference-hl"):
        BottomUp(Mirrorable(), "reference-h")
    with pytest.raises(UserError, match="--fit kl2: unknown"):
        BottomUp(Mirrorable(), fit="kl2")
