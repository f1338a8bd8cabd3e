"""PyTorch files are read as data: what NumPy left in them without NumPy, a broken one told as such."""

from collections import OrderedDict

import numpy as np
import pytest
import torch

from pytorch_impl.weights import read_native
from shared.errors import WeightError


def save(content, path):
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


@pytest.mark.parametrize("number", [np.float64(0.7), np.float32(0.5), np.float16(0.5)])
@pytest.mark.parametrize("module", [b"numpy._core", b"numpy.core"], ids=["NumPy 2", "NumPy 1"])
def test_a_float_of_numpys_is_read_without_numpy(tmp_path, number, module):
    path = save({"perf": number, "a": torch.ones(2)}, tmp_path / "a.pth")
    path.write_bytes(path.read_bytes().replace(b"cnumpy._core.multiarray", b"c" + module + b".multiarray"))

    found = read_native(path)

    assert type(found["perf"]) is float
    assert found["perf"] == float(number)
    assert np.array_equal(found["a"], [1, 1])


@pytest.mark.parametrize("thing", [np.int64(3), np.str_("x"), np.datetime64("2020"), np.random.default_rng(0)])
def test_everything_else_of_numpys_is_refused(tmp_path, thing):
    with pytest.raises(WeightError, match="holds pickled code or an object that is not data"):
        read_native(save({"perf": thing}, tmp_path / "a.pth"))


@pytest.mark.parametrize("array", [np.ones((2, 3)), np.array([None, "x"]), np.ones(2, np.int8)])
def test_an_array_of_numpys_is_left_unread(tmp_path, array):
    found = read_native(save({"meta": {"sigmas": array}}, tmp_path / "a.pth"))

    assert not isinstance(found["meta"]["sigmas"], np.ndarray)
    assert vars(found["meta"]["sigmas"]) == {}


def test_every_truncation_is_told_as_one(tmp_path):
    """Of a file before PyTorch 1.6, whose end is known only by reading."""
    path = save(OrderedDict(a=torch.ones(3), b=torch.ones(2)), tmp_path / "a.pth")
    content = path.read_bytes()

    for length in range(1, len(content), 3):
        path.write_bytes(content[:length])
        with pytest.raises(WeightError, match="get the file again"):
            read_native(path)


def test_counters_of_batch_norms_are_left_out_at_every_depth(tmp_path):
    content = {"bn.num_batches_tracked": torch.tensor(3), "in": {"bn.num_batches_tracked": torch.tensor(3), "a": 1}}

    assert read_native(save(content, tmp_path / "a.pth")) == {"in": {"a": 1}}
