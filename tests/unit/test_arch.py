"""Architectures against outside facts: published parameter counts, and the original prototxt files."""

import re
from pathlib import Path

import numpy as np
import pytest

from shared.arch import catalogue
from shared.arch.rows import Conv, fold_norms
from shared.errors import UserError, WeightError

CAFFE_MODELS = Path(__file__).parents[3] / "shared" / "data" / "caffe_models"
needs_prototxt = pytest.mark.skipif(not CAFFE_MODELS.is_dir(), reason="no ../shared/data/caffe_models here")
COUNTS = {
    "coco18": 52_311_446,
    "mpi15": 51_481_032,
    "mpi15_4stages": 34_240_880,
    "body25": 26_166_084,
    "coco18_dense": 26_050_878,
    "hand21": 36_832_324,
    "face70": 38_425_706,
}
FILES = {
    "rt_coco": "coco18", "op_coco": "coco18", "rt_mpi": "mpi15", "op_mpi": "mpi15", "op_mpi4": "mpi15_4stages",
    "body25": "body25", "hand": "hand21", "face": "face70",
    "tiny_coco": "coco18", "tiny_mpi": "mpi15", "tiny_body25": "body25", "tiny_hand": "hand21",
}  # fmt: skip


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_parameter_counts_are_the_published_ones(name, count):
    assert catalogue.n_parameters(catalogue.spec(name)) == count


def layers_of(prototxt: str) -> list[dict[str, str]]:
    """Name, type and numbers of each layer: enough of the text format for these files, and independent of ours."""
    bodies = re.split(r"^layer\s*\{", prototxt.replace("\r", ""), flags=re.M)[1:]
    pattern = re.compile(r"^\s*(\w+):\s*\"?([^\"\s]+)\"?", re.M)
    return [dict(reversed(pattern.findall(body))) for body in bodies]  # the first of a name wins: a filler has a type


@needs_prototxt
@pytest.mark.parametrize(("file", "name"), FILES.items())
def test_rows_equal_the_original_prototxt(file, name):
    width = 1 / 16 if file.startswith("tiny") else 1
    spec = catalogue.spec(name, width=width)
    layers = layers_of((CAFFE_MODELS / f"{file}.prototxt").read_text())
    convs = [(x["name"], int(x["kernel_size"]), int(x["num_output"])) for x in layers if x["type"] == "Convolution"]
    acts = {x["name"]: x["type"].lower() for x in layers if x["type"] in ("ReLU", "PReLU")}
    rows = [row for row in spec.rows() if isinstance(row, Conv)]

    assert sorted(convs) == sorted((row.name, row.kernel, row.cout) for row in rows)
    assert acts == {row.act_name: row.act for row in rows if row.act}


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("width", [1, 0.25, 1 / 16])
def test_a_spec_is_recognised_from_its_shapes(name, width):
    spec = catalogue.spec(name, width=width)

    assert catalogue.infer(spec.tensors(), "here") == spec


def test_a_number_of_stages_is_recognised():
    spec = catalogue.spec("coco18", width=0.25, stages=3)

    assert catalogue.infer(spec.tensors(), "here") == spec
    assert catalogue.from_dict(catalogue.to_dict(spec)) == spec


def test_a_missing_array_is_named():
    shapes = dict(catalogue.spec("coco18").tensors())
    del shapes["Mconv3_stage4_L2.bias"]

    with pytest.raises(WeightError, match=r"183 of the 184 arrays of coco18 found; missing Mconv3_stage4_L2\.bias"):
        catalogue.infer(shapes, "w.pth")


def test_an_extra_array_is_named():
    shapes = {**catalogue.spec("hand21").tensors(), "extra.weight": (1,)}

    with pytest.raises(WeightError, match=r"left over extra\.weight"):
        catalogue.infer(shapes, "w.pth")


def test_an_unknown_model_answers_with_the_known_ones():
    with pytest.raises(UserError, match=r"did you mean coco18\?"):
        catalogue.spec("coco19")


def test_a_fixed_number_of_stages_cannot_be_changed():
    with pytest.raises(UserError, match="stages is fixed at 6"):
        catalogue.spec("mobilenet_v2_small", stages=3)


def test_folded_norms_give_the_same_tensors_as_a_network_without():
    spec = catalogue.spec("coco18", width=1 / 16, stages=2, norm=True)
    arrays = {name: np.ones(shape, np.float32) for name, shape in spec.tensors().items()}

    folded = fold_norms(arrays, spec.rows())

    assert {n: a.shape for n, a in folded.items()} == catalogue.spec("coco18", width=1 / 16, stages=2).tensors()


def test_a_folded_norm_is_its_formula():
    row = Conv("c", 1, 1, 1, "relu", "r", norm=True)
    values = {"c.weight": 2.0, "c.bias": 1.0, "c_bn.weight": 3.0, "c_bn.bias": 0.5, "c_bn.running_mean": 4.0}
    arrays = {name: np.full(row.tensors()[name], value, np.float32) for name, value in values.items()}
    arrays["c_bn.running_var"] = np.full(1, 4 - 1e-5, np.float32)

    folded = fold_norms(arrays, [row])

    assert folded["c.weight"].item() == pytest.approx(2 * 3 / 2)
    assert folded["c.bias"].item() == pytest.approx((1 - 4) * 3 / 2 + 0.5)
