"""Folders of .npy files, one for each array: read back equal, refused when unfit."""

import numpy as np
import pytest

from converters import npy_dump, sources
from shared.errors import WeightError


def _assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


def _dump(folder, arrays, renamed):
    for name, array in arrays.items():
        layer, kind = name.rsplit(".", 1)
        if renamed and layer.startswith("conv5_"):
            layer = f"Mconv{layer[6]}_stage1_{layer[-2:]}"
        np.save(folder / f"{'W' if kind == 'weight' else 'b'}_{layer}.npy", array)


@pytest.mark.parametrize(
    ("model", "renamed"), [("coco18", False), ("coco18", True), ("body25", False), ("hand21", False)]
)
def test_a_folder_of_npy_files_is_read_back_equal(tmp_path, small, model, renamed):
    arrays, info = small(model)
    _dump(tmp_path, arrays, renamed)

    found, found_info = sources.read(tmp_path)

    _assert_same(found, arrays)
    assert (found_info.spec, len(found_info.source_sha256)) == (info.spec, 64)


def test_a_faulty_folder_of_npy_files_is_refused(tmp_path, small):
    with pytest.raises(WeightError, match=r"a folder without W_LAYER.npy files"):
        npy_dump.read(tmp_path)
    _dump(tmp_path, small("coco18")[0], renamed=False)
    (tmp_path / "W_conv1_2.npy").rename(tmp_path / "aside")
    with pytest.raises(WeightError, match=r"183 of the 184 arrays of coco18 found; missing conv1_2.weight"):
        sources.read(tmp_path)
    np.save(tmp_path / "W_conv1_2.npy", np.array([{"code": 1}]), allow_pickle=True)
    with pytest.raises(WeightError, match=r"W_conv1_2.npy: not a whole .npy array"):
        sources.read(tmp_path)
    np.save(tmp_path / "W_conv1_2.npy", np.zeros((1, 1, 3, 3), np.int32))
    with pytest.raises(WeightError, match="holds int32, expected float32"):
        sources.read(tmp_path)
    (tmp_path / "W_conv1_2.npy").write_bytes((tmp_path / "aside").read_bytes()[:100])
    with pytest.raises(WeightError, match=r"W_conv1_2.npy: not a whole .npy array"):
        sources.read(tmp_path)
    (tmp_path / "aside").rename(tmp_path / "W_conv1_2.npy")
    np.save(tmp_path / "W_Mconv1_stage1_L1.npy", np.zeros(3, np.float32))
    with pytest.raises(WeightError, match=r"conv5_1_CPM_L1.weight is there in both spellings"):
        sources.read(tmp_path)
    (tmp_path / "W_Mconv1_stage1_L1.npy").rename(tmp_path / "mean.npy")
    with pytest.raises(WeightError, match=r"mean.npy: left over"):
        sources.read(tmp_path)
