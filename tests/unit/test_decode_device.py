"""Decoding where the maps are, in both frameworks: the same candidates and people as on the host."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from shared import fit as geometry
from shared import framework as frameworks
from shared import merging
from shared.codec import fast
from shared.codec.spec import DEVICE, FAST, STRIDE, Maps
from shared.errors import UserError
from shared.inference import BottomUp, DeviceNet
from shared.preprocess import CAFFE
from shared.scenes import dataset
from shared.skeleton import COCO18, MPI15
from shared.weights import SHIPPED
from tests.unit import arithmetic
from tests.unit.arithmetic import Arithmetic
from tests.unit.people import SIZE, crowd, drawn, needs_coco_mini, stored
from tests.unit.test_inference_places import seeing

CELLS = 1e-9  # float64 in another order; 1e-4 cells were asked
MERGED = 1e-5  # float32 in another order
PLACE = 1e-3  # px
FRAMEWORKS = pytest.mark.parametrize("framework", ["torch", "keras"])
FOLDERS = {"torch": "pytorch_impl", "keras": "keras_impl"}


def on_device(framework, maps):
    """Maps (h, w, C) as the framework's own."""
    if framework == "keras":
        ops = import_module("keras_impl").keras.ops
        return {name: ops.convert_to_tensor(array) for name, array in maps.items()}
    torch = import_module("torch")
    return {name: torch.from_numpy(array.transpose(2, 0, 1).copy()) for name, array in maps.items()}


def on_host(framework, maps):
    arrays = {name: np.asarray(tensor) for name, tensor in maps.items()}
    return arrays if framework == "keras" else {name: array.transpose(1, 2, 0) for name, array in arrays.items()}


def module(framework):
    return import_module(f"{FOLDERS[framework]}.decode")


def found(framework, batch, skeleton=COCO18, spec=DEVICE):
    return module(framework).candidates([on_device(framework, maps) for maps in batch], skeleton, spec)


def assert_same(ours, maps, skeleton=COCO18, spec=FAST):
    """The device's candidates of an image are the host's, in the same order."""
    theirs = arithmetic.candidates(maps["heat"], maps["paf"], skeleton, spec)
    np.testing.assert_array_equal(ours.firsts, theirs.firsts)
    np.testing.assert_allclose(ours.points, theirs.points, atol=CELLS)
    for mine, other in zip(ours.connections, theirs.connections, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, atol=CELLS)


def noise(size, seed, skeleton=COCO18):
    """Maps of a few levels, so that neighbours are often equal, and with so many zeros that they are no noise."""
    rng = np.random.default_rng(seed)
    heat = rng.integers(-5, 8, (*size, skeleton.n_heat)).clip(0).astype(np.float32) / 8
    return {"heat": heat, "paf": rng.uniform(-0.3, 0.7, (*size, skeleton.n_paf)).astype(np.float32)}


@FRAMEWORKS
@pytest.mark.parametrize("size", [(16, 22), (1, 5), (5, 1), (1, 1), (2, 2)])
@pytest.mark.parametrize("changes", [{}, {"refine": None}, {"samples": 5, "paf_threshold": 0.2}], ids=str)
def test_the_candidates_of_noise_are_the_host_s(framework, size, changes):
    batch = [noise(size, seed) for seed in range(2)]

    for ours, maps in zip(found(framework, batch, spec=replace(DEVICE, **changes)), batch, strict=True):
        assert_same(ours, maps, spec=replace(FAST, **changes))


@FRAMEWORKS
@pytest.mark.parametrize("size", [(46, 82), (5, 6)])
def test_each_image_has_the_threshold_of_its_own_noise(framework, size):
    rng = np.random.default_rng(0)
    batch = [{**noise(size, 0), "heat": rng.normal(0, s, (*size, 19)).astype(np.float32)} for s in (0.001, 0.05, 0.4)]

    for ours, maps in zip(found(framework, batch), batch, strict=True):
        assert_same(ours, maps)
    with pytest.raises(AssertionError):
        assert_same(found(framework, batch)[1], batch[1], spec=replace(FAST, noise=0.0))


@FRAMEWORKS
@pytest.mark.parametrize("skeleton", [COCO18, MPI15], ids=lambda s: s.name)
def test_the_people_of_a_batch_are_the_host_s(framework, skeleton):
    nobody = {
        "heat": np.zeros((*SIZE, skeleton.n_heat), np.float32),
        "paf": np.zeros((*SIZE, skeleton.n_paf), np.float32),
    }
    batch = [drawn(skeleton, crowd(skeleton, 1)), nobody, drawn(skeleton, crowd(skeleton, 3))]

    for ours, maps in zip(found(framework, batch, skeleton), batch, strict=True):
        assert_same(ours, maps, skeleton)
        mine = fast.poses(ours, skeleton, DEVICE, (1.5, 1.5), (2.0, 3.0), STRIDE)
        host = fast.decode(Maps(**maps, to_image=(1.5, 1.5), shift=(2.0, 3.0), cell=STRIDE), skeleton, FAST)
        if maps is not batch[1]:
            assert_equal(mine, host)


@FRAMEWORKS
def test_pairs_in_several_portions_are_the_same(framework, monkeypatch):
    maps = noise((12, 12), 3)
    monkeypatch.setattr(module(framework), "_PORTION", 1000)

    assert_same(*found(framework, [maps]), maps)


@FRAMEWORKS
def test_other_maps_or_rules_have_other_candidates(framework):
    maps = noise((12, 12), 4)
    wrong = [
        found(framework, [{**maps, "paf": np.roll(maps["paf"], 1, axis=-1)}]),
        found(framework, [{**maps, "heat": maps["heat"].transpose(1, 0, 2).copy()}]),
        found(framework, [maps], spec=replace(DEVICE, limb_fraction=0.5)),
        found(framework, [maps], spec=replace(DEVICE, sigma=9.0)),
    ]

    for (ours,) in wrong:
        with pytest.raises(AssertionError):
            assert_same(ours, maps)


@needs_coco_mini
@FRAMEWORKS
def test_the_candidates_of_real_maps_are_the_host_s(framework):
    n = 0
    for _, _, maps, _ in stored():
        (ours,) = found(framework, [maps])
        assert_same(ours, maps)
        n += len(ours.connections[1])
    assert n > 100


def inputs(fit, size, scales, flip):
    """Where the scales of an image lie, and made-up maps of them and of the mirrored ones."""
    fitted = geometry.apply(np.zeros((*size, 3), np.uint8), 96, scales, geometry.fit(fit), CAFFE)
    cells = [tuple(-(-side // STRIDE) for side in f.input.shape[:2]) for f in fitted]
    plain = [noise(size, i) for i, size in enumerate(cells)]
    return fitted, cells, plain, [noise(size, 10 + i) for i, size in enumerate(cells)] if flip else []


@FRAMEWORKS
@pytest.mark.parametrize("fit", ["plain", "kl", "hl", "lightweight"])
@pytest.mark.parametrize(("scales", "flip"), [((1,), False), ((1,), True), ((0.5, 1), False), ((0.5, 1, 1.5), True)])
def test_merged_maps_are_the_host_s(framework, fit, scales, flip):
    fitted, cells, plain, flipped = inputs(fit, (96, 131), scales, flip)
    host = merging.merge(fitted, plain, flipped, (96, 131), "stride", COCO18)

    arguments = [[on_device(framework, maps) for maps in each] for each in (plain, flipped)]
    merged = module(framework).merge(*arguments, merging.views(fitted, cells, flip), COCO18)

    ours = on_host(framework, merged)
    np.testing.assert_allclose(ours["heat"], host.heat, atol=MERGED)
    np.testing.assert_allclose(ours["paf"], host.paf, atol=MERGED)
    if flip:
        unflipped = merging.merge(fitted, plain, [], (96, 131), "stride", COCO18)
        assert abs(ours["paf"] - unflipped.paf).max() > 0.1


class Device(Arithmetic):
    """A network of arithmetic that decodes by a framework."""

    def __init__(self, framework, rule):
        super().__init__(rule)
        self.framework = framework
        self.merge, self.candidates = module(framework).merge, module(framework).candidates

    def tensors(self, images):
        each = [on_device(self.framework, self.rule(image)) for image in images]
        return {name: [maps[name] for maps in each] for name in each[0]}


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs) > 0
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.keypoints, other.keypoints, atol=PLACE)
        assert mine.score == pytest.approx(other.score, abs=1e-4)


@FRAMEWORKS
@pytest.mark.parametrize("options", [{}, {"scales": (0.75, 1), "flip": True}], ids=str)
def test_a_predictor_finds_the_same_people_on_the_device(framework, options):
    images = [arithmetic.ramp(*size) for size in ((240, 248), (160, 248), (240, 248))]
    images[2][:40] = 0
    host = BottomUp(Arithmetic(seeing), "fast", **options)
    device = BottomUp(Device(framework, seeing), "device", **options)

    prepared = [device.prepare(image) for image in images]
    poses = [device.finish(*each) for each in zip(prepared, device.forward(prepared), strict=True)]

    for image, ours in zip(images, poses, strict=True):
        assert_equal(ours, host(image))


@FRAMEWORKS
def test_a_loaded_network_decodes_on_its_device(framework):
    net = frameworks.load(framework, SHIPPED)
    image = dataset.read("val", 7)

    ours = BottomUp(net, "device", height=160, scales=(0.5, 1), flip=True)(image)

    assert isinstance(net, DeviceNet)
    assert_equal(ours, BottomUp(net, "fast", height=160, scales=(0.5, 1), flip=True)(image))


def test_a_network_that_only_gives_maps_is_refused():
    class Plain:
        weights_sha256, runtime, precision, info = "", "onnxruntime 1.0", "float32", arithmetic.info("coco18")

        def __call__(self, images, stages=False):
            raise NotImplementedError

    assert not isinstance(Plain(), DeviceNet)
    with pytest.raises(UserError, match=r"--decoder device: onnxruntime 1.0 .*choose --decoder fast"):
        BottomUp(Plain(), "device")
    assert isinstance(Arithmetic(seeing), DeviceNet)
    assert BottomUp(Plain(), "fast")
