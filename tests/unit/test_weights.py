"""The weight file: strict in, plain out, all or nothing."""

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from shared import hdf5
from shared.arch import catalogue
from shared.errors import WeightError
from shared.preprocess import CAFFE, IMAGENET
from shared.weights import ModelInfo, read, replacing, write

SPEC = catalogue.spec("coco18", width=1 / 32, stages=2)


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SPEC.tensors().items()}


def test_a_file_gives_back_what_was_written(tmp_path):
    path, given = tmp_path / "w.safetensors", arrays()
    info = ModelInfo(SPEC, IMAGENET, "pose_model.pth", "ab" * 32, "none stated")

    write(path, given, info)
    found, found_info = read(path)

    assert found_info == info
    assert list(found) == list(given)
    assert all((found[name] == given[name]).all() for name in given)


def test_the_same_weights_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name, dict(reversed(arrays().items())), ModelInfo(SPEC))

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_writing_refuses_a_missing_array_and_leaves_nothing(tmp_path):
    given = arrays()
    del given["conv1_1.bias"]

    with pytest.raises(WeightError, match=r"missing conv1_1\.bias"):
        write(tmp_path / "w.safetensors", given, ModelInfo(SPEC))
    assert not list(tmp_path.iterdir())


def test_writing_refuses_nan(tmp_path):
    given = arrays()
    given["conv1_1.bias"][0] = np.nan

    with pytest.raises(WeightError, match=r"conv1_1\.bias holds NaN"):
        write(tmp_path / "w.safetensors", given, ModelInfo(SPEC))


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "w"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"", "the file is empty"), (b"\x89PNG\r\n\x1a\n" + bytes(99), "not a whole safetensors")],
)
def test_a_file_that_is_none_is_refused(tmp_path, content, message):
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(WeightError, match=message):
        read(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    write(path, arrays(), ModelInfo(SPEC))
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(WeightError, match="not a whole safetensors"):
        read(path)


def test_foreign_safetensors_are_refused(tmp_path):
    save_file(arrays(), tmp_path / "w.safetensors")

    with pytest.raises(WeightError, match="without this project's metadata"):
        read(tmp_path / "w.safetensors")


def test_an_external_link_in_hdf5_is_refused(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers/conv1_1"] = h5py.ExternalLink("/etc/passwd", "/x")

    with pytest.raises(WeightError, match="external link"), hdf5.opened(tmp_path / "w.h5", "weights"):
        pass


def test_an_hdf5_array_larger_than_its_file_is_refused(tmp_path):
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("bomb", shape=(1 << 40,), dtype="f4", chunks=(1 << 20,))

    with hdf5.opened(path, "weights") as file, pytest.raises(WeightError, match="not inside the file"):
        hdf5.arrays(file, path)


def test_preprocess_turns_grey_128_into_zero():
    grey = np.full((2, 2, 3), 128, np.uint8)

    assert not CAFFE(grey).any()


def test_preprocess_orders_and_scales_channels():
    pixel = np.array([[[255, 128, 0]]], np.uint8)  # RGB

    np.testing.assert_allclose(CAFFE(pixel)[0, 0], [-0.5, 0, 255 / 256 - 0.5])
    np.testing.assert_allclose(IMAGENET(pixel)[0, 0], [2.2489, 0.2052, -1.8044], atol=1e-4)
