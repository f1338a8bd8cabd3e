"""From boxes in an image to poses: the place of everything, mirroring, batches, ranking; with a network of arithmetic.

The image says in two channels where each of its px is, as floats.  The network reads that, knows where its people's
keypoints are, and draws Gaussians of two cells about them; where px run from right to left it sees a mirrored person.
"""

import json
from dataclasses import asdict, fields, replace
from types import SimpleNamespace

import numpy as np
import pytest

from shared import oks, top_down
from shared.coco import Dataset, ImageRecord
from shared.codec import crops
from shared.codec.keypoints import KEYPOINTS
from shared.oks import HARD, SOFT
from shared.person import Person
from shared.skeleton import skeleton
from shared.top_down import EVERY_BOX, PUBLISHED, Boxes, Ranking, TopDown, ground_truth

SIZE = (128, 96)
IMAGE = (300, 400)
WARP = 1 / 16  # px of the image: OpenCV warps to a 32nd of a px, there and in the neighbour
BOUNDS = {"dark": 0.05, "udp": 0.05, "argmax": 1.0, "softargmax": 1.0, "argmax-plain": 2.0}  # px of the crop
BOXES = np.array(
    [
        (150, 90, 75, 100),  # the aspect of the crop
        (160, 60, 40, 180),
        (120, 110, 160, 60),
        (-40, -60, 330, 400),  # out of the image to the left and above
        (140, 100, 300, 260),  # and to the right and below
    ],
    float,
)


def truth(k):
    """(K, 2) px: in the middle of the image, far from each other's mirror images."""
    return np.random.default_rng(4).uniform((165, 115), (215, 165), (k, 2))


class Placed:
    """A network of one person that answers with the keypoints `points` (K, 2) px, lowered to `peak` (K,)."""

    weights_sha256, runtime, precision = "", "arithmetic", "float32"

    def __init__(self, name="coco17", udp=False, peak=1.0, size=SIZE, decoder=""):
        self.info = SimpleNamespace(
            decoder=decoder,
            spec=SimpleNamespace(skeleton=name, size=size),
            preprocess=SimpleNamespace(into=lambda image, out: np.copyto(out, image)),
        )
        self.skeleton, self.udp, self.peak, self.calls = skeleton(name), udp, peak, []
        self.points = truth(self.skeleton.n_keypoints)

    def __call__(self, images, stages=False):
        assert images.dtype == np.float32
        self.calls.append(len(images))
        return {"heat": np.stack([self._heat(image.astype(np.float64)) for image in images])}

    def _heat(self, image):
        places = _cells(image) if self.udp else image[::4, ::4]
        whole = places[..., 2] > 0.999
        inner = image[..., 2] > 0.999
        x, y = (np.median(np.diff(image[..., a], axis=1 - a)[np.logical_and(*_pairs(inner, 1 - a))]) for a in (0, 1))
        points = self.points[list(self.skeleton.flip)] if x < 0 else self.points
        steps = np.abs((x, y)) * (4 if not self.udp else 127 / 31)  # px of the image in a cell
        away = (places[..., None, :2] - points) / steps
        heat = np.exp(-(away**2).sum(axis=-1) / 8) * self.peak
        return (heat * whole[..., None]).astype(np.float32)


def _pairs(mask, axis):
    return (mask[:, 1:], mask[:, :-1]) if axis == 1 else (mask[1:], mask[:-1])


def _cells(image):
    """The image at UDP's cells, the first and the last of which are on its first and last px."""
    for axis in (0, 1):
        n = image.shape[axis]
        at = np.arange(n // 4) * (n - 1) / (n // 4 - 1)
        low = np.minimum(at.astype(int), n - 2)
        part = np.expand_dims(at - low, tuple(a for a in range(3) if a != axis))
        image = np.take(image, low, axis) * (1 - part) + np.take(image, low + 1, axis) * part
    return image


def places():
    """Every px says its x and y, and 1."""
    y, x = np.mgrid[: IMAGE[0], : IMAGE[1]]
    return np.stack([x, y, np.ones(IMAGE)], axis=-1).astype(np.float32)


def of(boxes, scores=1.0):
    boxes = np.atleast_2d(np.asarray(boxes, float))
    return Boxes(boxes, np.broadcast_to(np.asarray(scores, float), len(boxes)))


def predictor(decoder="dark", net=None, **options):
    net = net or Placed(udp=decoder == "udp")
    return TopDown(net, decoder, **{"ranking": EVERY_BOX, **options})


def pixel(chosen, box):
    """Px of the image in one of the crop, on the longer one of its axes."""
    _, scale = crops.from_boxes(box, SIZE, chosen.crop)
    return float((scale * chosen.crop.pixel_std / SIZE[::-1]).max()) * 1.02  # UDP's last px is the end


def away(decoder, boxes=BOXES, **options):
    """For each box the largest distance of a keypoint on either axis, px of its crop."""
    chosen = predictor(decoder, **options)
    poses = chosen(places(), of(boxes))
    assert len(poses) == len(boxes)
    assert all((pose.keypoints[:, 2] > 0.4).all() for pose in poses)
    errors = [np.abs(pose.keypoints[:, :2] - truth(len(pose.keypoints))).max() for pose in poses]
    return np.array([max(0, e - WARP) / pixel(chosen, box) for e, box in zip(errors, boxes, strict=True)])


@pytest.mark.parametrize("decoder", BOUNDS)
def test_keypoints_come_back_to_their_place_in_the_image(decoder):
    assert away(decoder).max() <= BOUNDS[decoder]


def test_maps_of_udp_in_crops_of_msra_would_be_seen():
    assert away("dark", net=Placed(udp=True)).max() > 5 * BOUNDS["dark"]
    assert away("udp", net=Placed(udp=False)).max() > 5 * BOUNDS["udp"]


def flipped(decoder, net=None, **options):
    """How far the flip test moves keypoints, on x and on y, cells."""
    found = []
    for flip in (False, True):
        chosen = predictor(decoder, net=net, flip=flip, **options)
        found.append(np.stack([pose.keypoints for pose in chosen(places(), of(BOXES[:3]))]))
    each = np.array([pixel(chosen, box) * 4 for box in BOXES[:3]])
    return (np.abs(found[1] - found[0])[..., :2] / each[:, None, None]).max(axis=(0, 1))


def test_a_flip_test_in_udps_crops_changes_nothing():
    assert flipped("udp").max() <= 2e-3
    assert flipped("udp", shift=False).max() <= 2e-3  # there is nothing to shift


def test_a_flip_test_in_msras_crops_moves_a_keypoint_by_half_of_the_quarter_cell_that_the_shift_leaves():
    x, y = flipped("dark")

    assert x == pytest.approx(0.125, abs=0.02)
    assert y <= 1e-3
    assert flipped("argmax").max() <= 0.5 + 1e-3  # its next step: from a quarter before a cell to one behind


def test_a_flip_test_without_the_shift_or_the_permutation_would_be_seen():
    assert flipped("dark", shift=False)[0] > 0.3
    strange = Placed(udp=True)
    chosen = predictor("udp", net=strange, flip=True)
    chosen.skeleton = replace(chosen.skeleton, mirror=tuple(range(17)))
    (pose,) = chosen(places(), of(BOXES[0]))
    assert np.abs(pose.keypoints[:, :2] - truth(17)).max() > 3


def test_the_size_of_the_crops_may_be_another_one():
    chosen = predictor("dark", size=(256, 192))

    (prepared,) = [chosen.prepare(places(), of(BOXES[0]))]
    (pose,) = chosen.finish(prepared, *chosen.forward([prepared]))

    assert prepared.inputs.shape == (1, 256, 192, 3)
    assert chosen.input_sizes(IMAGE) == ((256, 192),)
    assert np.abs(pose.keypoints[:, :2] - truth(17)).max() <= 0.05 + WARP


@pytest.mark.parametrize("n", [0, 1, 32, 33, 70])
def test_people_share_forward_passes_of_32(n):
    boxes = BOXES[np.arange(n) % 3] + np.arange(n)[:, None] * (0.1, 0, 0, 0)
    chosen = predictor()
    found = chosen(places(), of(boxes.reshape(-1, 4)))

    assert chosen.net.calls == [min(32, n - i) for i in range(0, n, 32)]
    for i in range(0, n, 11):
        (alone,) = predictor()(places(), of(boxes[i]))
        np.testing.assert_allclose(found[i].keypoints, alone.keypoints, atol=1e-4)


def test_images_in_a_batch_are_images_one_by_one():
    people = [of(BOXES[:2]), of(np.zeros((0, 4))), of(BOXES[2:4]), of(BOXES[:1])]
    chosen = predictor(flip=True)
    images = [chosen.prepare(places(), boxes) for boxes in people]

    together = [chosen.finish(p, heat) for p, heat in zip(images, chosen.forward(images), strict=True)]

    assert chosen.net.calls == [5, 5]  # once more for the mirror
    assert [len(poses) for poses in together] == [2, 0, 2, 1]
    for poses, boxes in zip(together, people, strict=True):
        alone = predictor(flip=True)(places(), boxes)
        for one, other in zip(poses, alone, strict=True):
            np.testing.assert_array_equal(one.keypoints, other.keypoints)
            assert one.score == other.score


def test_batches_without_anybody_do_not_ask_the_network():
    chosen = predictor()
    nobody = chosen.prepare(places(), of(np.zeros((0, 4))))

    assert [len(heat) for heat in chosen.forward([nobody, nobody])] == [0, 0]
    assert chosen.net.calls == []
    assert chosen.finish(nobody, chosen.forward([nobody])[0]) == []


SAME = np.array([BOXES[0], BOXES[0] + 0.2, BOXES[1]])  # three boxes of one person


def scores(ranking, peak=1.0, given=(0.5, 0.9, 0.7)):
    poses = TopDown(Placed(peak=peak), "dark", ranking=ranking)(places(), of(SAME, given))
    return [round(pose.score, 3) for pose in poses]


def test_doubles_are_dropped_kept_or_left_in_their_order():
    assert scores(Ranking(None, HARD)) == [0.9]
    assert scores(Ranking(None, SOFT)) == [0.9, 0.7, 0.5]
    assert scores(Ranking(None, None)) == scores(EVERY_BOX) == [0.5, 0.9, 0.7]
    assert scores(Ranking(None, replace(HARD, threshold=1.0))) == [0.9, 0.7, 0.5]


def test_a_score_is_the_boxs_times_that_of_the_keypoints_that_are_seen():
    peak = np.where(np.arange(17) < 5, 0.15, 0.6)

    assert scores(Ranking(nms=None), peak) == pytest.approx([0.3, 0.54, 0.42], abs=0.03)  # peaks between cells
    assert scores(PUBLISHED, peak) == pytest.approx([0.54], abs=0.03)
    assert scores(Ranking(nms=None), 0.1) == [0, 0, 0]
    assert scores(Ranking(visible=0.05, nms=None), 0.1) == pytest.approx([0.05, 0.09, 0.07], abs=0.01)
    assert PUBLISHED.visible == oks.VISIBLE == 0.2
    assert PUBLISHED.nms == HARD


def test_a_keypoint_counts_as_found_however_unsure_the_network_is():
    (pose,) = predictor("argmax", net=Placed(peak=0.0))(places(), of(BOXES[0]))

    assert (pose.keypoints[:, 2] > 0).all()
    assert pose.keypoints[:, 2].max() < 1e-3


def test_mpiis_people_are_one_for_each_box_unless_told_otherwise():
    poses = TopDown(Placed("mpii16"))(places(), of(SAME, (0.5, 0.9, 0.7)))

    assert [pose.score for pose in poses] == [0.5, 0.9, 0.7]
    assert TopDown(Placed()).ranking == PUBLISHED
    assert {pose.keypoints.shape for pose in poses} == {(16, 3)}


def test_every_option_changes_the_description():
    options = [
        {},
        *({"decoder": name} for name in KEYPOINTS if name != "argmax"),
        {"flip": True},
        {"flip": True, "shift": False},
        {"size": (384, 288)},
        *({"ranking": ranking} for ranking in (EVERY_BOX, Ranking(nms=SOFT), Ranking(nms=None), Ranking(visible=0.3))),
    ]
    written = [json.dumps(TopDown(Placed(), **o).describe(), sort_keys=True) for o in options]

    assert len(set(written)) == len(options)
    shifts = [json.dumps(TopDown(Placed(), shift=shift).describe(), sort_keys=True) for shift in (True, False)]
    assert shifts == [written[0]] * 2  # nothing is shifted without the flip test


def test_a_description_holds_every_rule():
    described = TopDown(Placed(), "udp", flip=True, size=(384, 288)).describe()

    assert set(described["decoder"]) == {field.name for field in fields(KEYPOINTS["udp"])}
    assert described["crop"] == asdict(crops.UDP)
    assert described["ranking"] == asdict(PUBLISHED)
    assert described["decoder"]["kernel"] == 17  # heatmaps of 3 cells
    assert (described["size"], described["flip"], described["shift"]) == ([384, 288], True, False)


def annotated(box, v=2, area=50.0, crowd=False):
    return Person(np.full((17, 3), v, np.float32), box, area, crowd=crowd, image_id=1)


def test_the_boxes_of_the_annotations_are_those_of_people_with_keypoints():
    people = [
        annotated((10, 20, 30, 40)),
        annotated((10, 20, 30, 40), crowd=True),
        annotated((10, 20, 30, 40), v=0),
        annotated((10, 20, 30, 40), area=0.0),
        annotated((500, 20, 30, 40)),  # outside
        annotated((-5, -5, 30, 40), v=1),
    ]
    images = (ImageRecord(1, "a", *IMAGE), ImageRecord(2, "b", *IMAGE))

    found = ground_truth(Dataset(images, {}, {1: people}), images)

    assert found[1].boxes.tolist() == [[10, 20, 29, 39], [0, 0, 29, 39]]  # a px smaller, and clipped
    assert found[1].scores.tolist() == [1, 1]
    assert (found[2].boxes.shape, len(found[2])) == ((0, 4), 0)
    assert top_down.ground_truth(Dataset(images, {}, {1: people}), images[:1]).keys() == {1}
