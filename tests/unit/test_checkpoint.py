"""Checkpoints are whole or not there, and go on with nothing but the training that wrote them."""

import dataclasses
import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from shared import checkpoint
from shared.checkpoint import FORMAT, Checkpoint
from shared.errors import UserError
from shared.recipe import to_dict
from shared.recipes import KL, ZC, recipe

ABOUT = {"framework": "torch", "recipe": to_dict(ZC), "data": {"name": "drawn", "sha256": "ab", "samples": 10}}
STATE = {
    "weights/conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "optimizer/step": np.array(7, np.int64),
    "optimizer/turned": np.arange(6, dtype=np.float64).reshape(2, 3).T,
    "nothing": np.zeros((0, 3), np.float32),
}
POSITION = {"step": 1200, "factor": 0.8, "best": float("inf")}


def written(path: Path, **changes) -> Path:
    checkpoint.write(path, Checkpoint(**{"about": ABOUT, "position": POSITION, "state": STATE, **changes}))
    return path


def refused(path: Path, about=ABOUT) -> str:
    """What `read` says, which is one line that begins with the file."""
    with pytest.raises(UserError) as error:
        checkpoint.read(path, about)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert message.count("; ") >= 1
    return message.removeprefix(f"{path}: ")


def check_whole(path: Path, position=POSITION) -> None:
    found = checkpoint.read(path, ABOUT)
    assert found.position == position
    assert found.about == json.loads(json.dumps(ABOUT))
    assert found.state.keys() == STATE.keys()
    for name, array in STATE.items():
        assert found.state[name].dtype == array.dtype
        assert found.state[name].shape == array.shape
        np.testing.assert_array_equal(found.state[name], array)


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    check_whole(written(tmp_path / "new" / "checkpoint.safetensors"))


def test_the_same_state_is_the_same_file(tmp_path):
    one, other = (written(tmp_path / name) for name in "ab")

    assert one.read_bytes() == other.read_bytes()
    assert written(tmp_path / "b", position={**POSITION, "step": 1201}).read_bytes() != one.read_bytes()


def half_written(self: Path, data: bytes) -> int:
    with self.open("wb") as file:
        file.write(data[: len(data) // 2])
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def stopped(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("owner", "name", "fails", "error"),
    [
        (Path, "write_bytes", half_written, UserError),
        (os, "fsync", full, UserError),
        (Path, "replace", full, UserError),
        (Path, "write_bytes", stopped, KeyboardInterrupt),
        (os, "fsync", stopped, KeyboardInterrupt),
    ],
)
def test_the_checkpoint_before_stays_whole_if_writing_fails(tmp_path, monkeypatch, owner, name, fails, error):
    path = written(tmp_path / "checkpoint.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fails)
        with pytest.raises(error):
            written(path, position={**POSITION, "step": 1300})

    check_whole(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    written(path, position={**POSITION, "step": 1300})
    check_whole(path, {**POSITION, "step": 1300})


def test_a_full_disk_is_one_line_with_the_room_that_is_needed(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.safetensors"
    monkeypatch.setattr(Path, "write_bytes", half_written)

    with pytest.raises(UserError) as error:
        written(path, state={"x": np.zeros(25_000_000, np.float32)})

    assert str(error.value) == (
        f"{path}: No space left on device; expected room for 100 MB; "
        "a checkpoint before it is whole: make room and go on with --resume"
    )


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(UserError, match=r"Not a directory|File exists"):
        written(tmp_path / "file" / "checkpoint.safetensors")


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(tmp_path, share):
    path = written(tmp_path / "checkpoint.safetensors")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])

    assert refused(path).startswith("not a whole checkpoint (")


def test_a_longer_file_is_refused(tmp_path):
    path = written(tmp_path / "checkpoint.safetensors")
    path.write_bytes(path.read_bytes() + b"more")

    assert refused(path).startswith("not a whole checkpoint (")


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "checkpoint.safetensors"

    assert refused(path) == "no such file; expected a checkpoint (checkpoint.safetensors)"
    path.write_bytes(b"")
    assert refused(path).startswith("the file is empty; expected a checkpoint")
    path.write_text("epoch,loss\n1,2\n" * 20)
    assert refused(path).startswith("not a whole checkpoint (")
    save_file({"x": np.zeros(3, np.float32)}, str(path), metadata={"pose-weights-1": "{}"})
    assert refused(path) == (f"not a checkpoint ({FORMAT}) but another safetensors file; --resume needs a checkpoint")
    save_file({"x": np.zeros(3, np.float32)}, str(path))
    assert refused(path).startswith("not a checkpoint (")


@pytest.mark.parametrize("text", ["not JSON", "{}", "[]", '{"about": {"framework": "torch"}}'])
def test_metadata_that_are_not_understood_are_refused(tmp_path, text):
    path = tmp_path / "checkpoint.safetensors"
    save_file({"x": np.zeros(3, np.float32)}, str(path), metadata={FORMAT: text})

    assert refused(path).startswith("metadata not understood (")


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"framework": "keras"}, "framework is 'torch' there and 'keras' here"),
        ({"recipe": to_dict(recipe("zc", ["batch=20"]))}, "recipe.batch is 10 there and 20 here"),
        ({"recipe": to_dict(recipe("zc", ["model=mpi15"]))}, "recipe.model is 'coco18' there and 'mpi15' here"),
        (
            {"recipe": to_dict(recipe("zc", ["augment.scale=0.5,0.9"]))},
            "recipe.augment.scale is [0.5, 1.1] there and [0.5, 0.9] here",
        ),
        (
            {"recipe": to_dict(recipe("zc", ["augment.decode=reduced"]))},
            "recipe.augment.decode is None there and 'reduced' here",
        ),
        ({"recipe": to_dict(recipe("zc", ["stages=3"]))}, "recipe.stages is None there and 3 here"),
        ({"data": {**ABOUT["data"], "sha256": "cd"}}, "data.sha256 is 'ab' there and 'cd' here"),
        ({"data": {**ABOUT["data"], "samples": 11}}, "data.samples is 10 there and 11 here"),
        ({"data": {"name": "drawn", "samples": 10}}, "data.sha256 is 'ab' there and None here"),
        ({"data": {**ABOUT["data"], "first": 3}}, "data.first is None there and 3 here"),
    ],
)
def test_another_training_is_refused_and_the_difference_named(tmp_path, changes, difference):
    path = written(tmp_path / "checkpoint.safetensors")

    assert refused(path, {**ABOUT, **changes}) == (
        f"a checkpoint of another training: {difference}; give the same recipe, data and framework, or another --out"
    )


def test_a_checkpoint_from_before_a_choice_is_of_its_default(tmp_path):
    """`augment.decode` came later; the recipe of a checkpoint from before is written down here."""
    before = {**dataclasses.asdict(ZC.augment)}
    del before["decode"]
    path = written(
        tmp_path / "checkpoint.safetensors", about={**ABOUT, "recipe": {**ABOUT["recipe"], "augment": before}}
    )

    assert checkpoint.read(path, {**ABOUT, "recipe": to_dict(ZC)}).position == POSITION
    reduced = to_dict(recipe("zc", ["augment.decode=reduced"]))
    assert "recipe.augment.decode is None there and 'reduced' here" in refused(path, {**ABOUT, "recipe": reduced})


def test_of_many_differences_three_are_named_and_the_rest_counted(tmp_path):
    path = written(tmp_path / "checkpoint.safetensors")

    message = refused(path, {**ABOUT, "recipe": to_dict(KL)})

    assert message.count(" there and ") == 3
    assert " more; give the same recipe" in message


def test_what_is_equal_in_json_is_the_same_training(tmp_path):
    """Tuples come back as lists."""
    path = written(tmp_path / "checkpoint.safetensors")

    assert checkpoint.read(path, {**ABOUT, "recipe": json.loads(json.dumps(to_dict(ZC)))}).position == POSITION


@pytest.mark.parametrize("name", ["weights/conv.weight", "optimizer/step"])
def test_a_single_other_bit_is_seen(tmp_path, name):
    path = written(tmp_path / "c.safetensors")
    whole = path.read_bytes()
    check_whole(path)
    array = np.asarray(STATE[name], order="C").tobytes()
    assert whole.count(array) == 1
    place = whole.index(array)
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])

    assert refused(path).startswith("damaged, its arrays are not those that were written")
