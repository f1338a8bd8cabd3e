"""HRNet, LPN and PoseResNet as rows: published names, shapes and counts, and the command that counts."""

import json
from dataclasses import replace
from math import prod
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import pytorch_impl.models
from shared.arch import catalogue, hrnet
from shared.arch.__main__ import main
from shared.arch.count import count
from shared.arch.residual import Unit
from shared.errors import UserError, WeightError

MANIFESTS = Path(__file__).parents[3] / "shared" / "manifests"
needs_manifests = pytest.mark.skipif(not MANIFESTS.is_dir(), reason="no ../shared/manifests here")
# (model, skeleton): parameters, those of the published rule, multiply-adds, GiMAC of the published rule, and the
# tensors of the published state dict without num_batches_tracked.
PUBLISHED = {
    ("pose_hrnet_w18_v1", "coco17"): (1_338_337, 1_338_337, 731_136_000, 0.6809, 337),
    ("pose_hrnet_w18_v2", "coco17"): (3_757_475, 3_757_475, 1_962_825_984, 1.8280, 687),
    ("pose_hrnet_w32", "coco17"): (28_536_113, 28_536_113, 7_645_003_776, 7.1200, 1462),
    ("pose_hrnet_w32", "mpii16"): (28_536_080, 28_536_080, 10_193_207_296, 9.4932, 1462),
    ("pose_hrnet_w48", "coco17"): (63_595_745, 63_595_745, 15_691_825_152, 14.6142, 1462),
    ("pose_hrnet_w48", "mpii16"): (63_595_696, 63_595_696, 20_922_236_928, 19.4854, 1462),
    ("lpn_18", "coco17"): (473_913, 473_593, 440_004_608, 0.4230, 186),
    ("lpn_18h", "coco17"): (508_473, 508_153, 455_929_856, 0.4378, 186),
    ("lpn_34", "coco17"): (594_673, 594_065, 453_154_816, 0.4352, 330),
    ("lpn_34h", "coco17"): (662_641, 662_033, 481_466_368, 0.4616, 330),
    ("lpn_50", "coco17"): (2_911_153, 2_910_545, 1_068_144_640, 1.0080, 410),
    ("lpn_50", "mpii16"): (2_910_896, 2_910_288, 1_423_087_616, 1.3429, 410),
    ("lpn_100", "coco17"): (6_710_914, 6_709_250, 1_919_494_144, 1.8009, 1169),
    ("lpn_101", "coco17"): (5_353_458, 5_352_306, 1_504_458_752, 1.4143, 801),
    ("lpn_152", "coco17"): (7_377_459, 7_375_763, 1_942_722_560, 1.8225, 1192),
    ("pose_resnet_50", "coco17"): (33_999_697, 33_999_697, 5_426_380_800, 8.9912, 282),
    ("pose_resnet_50", "mpii16"): (33_999_440, 33_999_440, 7_234_125_824, 11.9873, 282),
    ("pose_resnet_101", "coco17"): (52_991_825, 52_991_825, 9_062_842_368, 12.3779, 537),
    ("pose_resnet_101", "mpii16"): (52_991_568, 52_991_568, 12_082_741_248, 16.5029, 537),
    ("pose_resnet_152", "coco17"): (68_635_473, 68_635_473, 12_699_303_936, 15.7646, 792),
    ("pose_resnet_152", "mpii16"): (68_635_216, 68_635_216, 16_931_356_672, 21.0186, 792),
}
SIZES = {"coco17": (256, 192), "mpii16": (256, 256)}
NAMES = sorted({name for name, _ in PUBLISHED})
FAMILIES = ("pose_hrnet_w18_v1", "pose_hrnet_w18_v2", "lpn_18", "lpn_18h", "lpn_50", "pose_resnet_50")


def spec_of(name, skeleton, **changes):
    return catalogue.spec(name, skeleton=skeleton, size=SIZES[skeleton], **changes)


@pytest.fixture
def last_code(monkeypatch):
    """w18 v1 as humanpose.pytorch's last code builds it, which is not what was published."""
    layout = replace(hrnet.LAYOUTS["pose_hrnet_w18_v1"], hidden=64)
    monkeypatch.setitem(hrnet.LAYOUTS, "pose_hrnet_w18_v1", layout)


@pytest.mark.parametrize(("name", "skeleton"), PUBLISHED)
def test_counts_are_the_published_ones(name, skeleton):
    parameters, by_rule, multiply_adds, giga, n_tensors = PUBLISHED[name, skeleton]
    spec = spec_of(name, skeleton)

    found = count(spec)

    assert (found.parameters, found.published_parameters) == (parameters, by_rule)
    assert found.multiply_adds == multiply_adds
    assert round(found.published_multiply_adds / 2**30, 4) == giga
    assert len(spec.tensors()) == n_tensors


@pytest.mark.usefixtures("last_code")
def test_another_width_of_the_first_layer_is_seen():
    found = count(catalogue.spec("pose_hrnet_w18_v1"))

    assert (found.parameters, round(found.multiply_adds / 2**30, 4)) == (1_602_273, 1.3518)


@pytest.mark.parametrize(
    ("name", "giga"), [("coco18", 135.9), ("mpi15", 134.2), ("mpi15_4stages", 97.7), ("body25", 80.6)]
)
def test_networks_for_whole_images_are_counted_too(name, giga):
    found = count(catalogue.spec(name))

    assert found.size == (368, 368)
    assert round(found.multiply_adds / 1e9, 1) == giga
    assert found.published_multiply_adds == found.multiply_adds
    assert found.parameters == catalogue.n_parameters(catalogue.spec(name))


def test_the_published_rule_leaves_slopes_out():
    found = count(catalogue.spec("body25"))

    assert (found.parameters, found.published_parameters) == (26_166_084, 26_152_068)


def manifest(path):
    pairs = (line.split("\t") for line in path.read_text().splitlines()[1:])
    return {name: tuple(map(int, shape.split("x"))) for name, shape in pairs if shape != "scalar_int64"}


@needs_manifests
@pytest.mark.parametrize(("name", "skeleton"), PUBLISHED)
def test_names_shapes_and_order_are_those_of_the_published_state_dict(name, skeleton):
    suffix = skeleton.removesuffix("17").removesuffix("16")
    paths = [MANIFESTS / f"{name}_{suffix}.tsv", MANIFESTS / f"{name}.tsv"]
    published = manifest(next(path for path in paths if path.is_file()))

    assert list(spec_of(name, skeleton).tensors().items()) == list(published.items())


@needs_manifests
@pytest.mark.usefixtures("last_code")
def test_the_last_code_of_w18_v1_is_another_network():
    found = catalogue.spec("pose_hrnet_w18_v1").tensors()

    assert found == manifest(MANIFESTS / "pose_hrnet_w18_v1_coco_headcode.tsv")
    assert found != manifest(MANIFESTS / "pose_hrnet_w18_v1_coco.tsv")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("skeleton", SIZES)
@pytest.mark.parametrize("width", [1, 0.25, 1 / 16])
def test_a_spec_is_recognised_from_its_shapes(name, skeleton, width):
    spec = spec_of(name, skeleton, width=width)

    assert catalogue.infer(spec.tensors(), "here") == spec


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("width", [0.1, 0.3, 0.7, 1.5])
def test_an_odd_width_is_recognised_or_one_that_is_the_same(name, width):
    spec = catalogue.spec(name, width=width)

    found = catalogue.infer(spec.tensors(), "here")

    assert (found.name, found.tensors()) == (name, spec.tensors())


def test_a_foreign_head_is_named():
    shapes = {**catalogue.spec("lpn_18").tensors(), "final_layer.weight": (5, 256, 1, 1)}

    with pytest.raises(WeightError, match=r"lpn_18 found; of another shape: final_layer\.weight \(5, 256, 1, 1\)"):
        catalogue.infer(shapes, "w.pth")


def test_a_spec_comes_back_from_json():
    spec = catalogue.spec("lpn_50", skeleton="mpii16", size=(256, 256), width=0.5)

    assert catalogue.from_dict(json.loads(json.dumps(catalogue.to_dict(spec)))) == spec
    assert json.loads(json.dumps(catalogue.to_dict(spec))) == catalogue.to_dict(spec)


def test_a_file_from_before_there_were_sizes_is_read():
    old = {"name": "coco18", "skeleton": "coco18", "stages": 3, "width": 0.25, "norm": False}

    assert catalogue.from_dict(old) == catalogue.spec("coco18", stages=3, width=0.25)


def test_a_network_for_one_person_is_told_apart():
    assert catalogue.top_down(catalogue.spec("lpn_18"))
    assert not catalogue.top_down(catalogue.spec("coco18"))
    assert catalogue.spec("lpn_18").channels == {"heat": 17}
    assert catalogue.final_outputs(catalogue.spec("lpn_18", skeleton="mpii16")) == {"heat": "final_layer"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (100, 100)}, "size 100x100; expected height x width, multiples of 32"),
        ({"skeleton": "coco18"}, "skeleton coco18: unknown .*; choose one of coco17, mpii16"),
        ({"width": -1.0}, "width -1; expected more than 0"),
        ({"stages": 3}, "stages is fixed at 1"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        catalogue.spec("pose_hrnet_w32", **changes)


@given(name=st.sampled_from(NAMES), width=st.floats(0.01, 2))
def test_groups_divide_the_channels_at_every_width(name, width):
    units = [row for row in catalogue.spec(name, width=width).rows() if isinstance(row, Unit)]

    assert all(unit.cin % unit.groups == 0 and unit.cout % unit.groups == 0 for unit in units)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_network_multiplies_as_often_as_was_counted(name):
    """Counted at the convolutions of a network that runs, whose cells are where the rows say."""
    spec = catalogue.spec(name, width=1 / 8, size=(64, 96))
    network = pytorch_impl.models.build(spec).eval()
    done = []

    def note(module, inputs, output):
        cells = inputs[0] if isinstance(module, torch.nn.ConvTranspose2d) else output
        done.append(prod(module.weight.shape) * prod(cells.shape[2:]))

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.register_forward_hook(note)
    with torch.inference_mode():
        network(torch.zeros(1, 3, *spec.size))

    assert sum(done) == count(spec).multiply_adds


def test_the_command_prints_every_model(capsys):
    assert main([]) == 0

    out = capsys.readouterr().out
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert list(lines) == ["model", *catalogue.SPECS]
    assert lines["pose_resnet_50"] == ["256x192", "33,999,697", "5.4264", "5.0537", "33,999,697", "8.9912"]
    assert lines["coco18"] == ["368x368", "52,311,446", "135.9340", "126.5984", "52,311,446", "126.5984"]


def test_the_command_counts_one_model_at_a_size(capsys):
    assert main(["--model", "lpn_50", "--size", "256x256", "--skeleton", "mpii16"]) == 0

    line = capsys.readouterr().out.splitlines()[1].split()
    assert line == ["lpn_50", "256x256", "2,910,896", "1.4231", "1.3254", "2,910,288", "1.3429"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "lpn_51"], "model lpn_51: unknown (did you mean lpn_50?)"),
        (["--size", "0x3"], "--size 0x3: expected HEIGHTxWIDTH"),
        (["--size", "100x100"], "size 100x100; expected height x width, multiples of 32"),
        (["--model", "coco18", "--skeleton", "mpii16"], "--skeleton mpii16: coco18 has its own; leave it out"),
    ],
)
def test_the_command_refuses_in_one_line(capsys, arguments, message):
    assert main(arguments) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
