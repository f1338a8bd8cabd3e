"""Runs that stop and go on: the same predictions as one that was never stopped."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eval import runner
from shared.errors import UserError
from tests.unit import runs
from tests.unit.runs import IDENTITY, N, Predictor, StoppedError, groups, read, run, stopping_after

ROOT = Path(__file__).resolve().parents[2]


def stopped(out, after=3):
    """The file that a run leaves that was stopped after so many images."""
    with pytest.raises(StoppedError):
        run(out, predictor=stopping_after(after))
    return out / runner.PART


@pytest.fixture
def whole(tmp_path):
    """The predictions of a run that was not stopped."""
    return run(tmp_path / "whole").flat()


def test_predictions_are_in_the_order_of_images(whole):
    assert [entry["image_id"] for entry in whole] == [1, 2, 2, 3, 3, 3, 5, 6, 6, 7, 7, 7]


@pytest.mark.parametrize("after", [1, 3, N - 1])
def test_a_stopped_run_goes_on_where_it_was(tmp_path, whole, after):
    part = stopped(tmp_path / "out", after)
    assert part.read_bytes().count(b"\n") == after + 1

    resumed = run(tmp_path / "out", resume=True, predictor=stopping_after(N - after))

    assert resumed.timed == N - after
    assert json.dumps(resumed.flat()) == json.dumps(whole)
    assert part.read_bytes() == (tmp_path / "whole" / runner.PART).read_bytes()


def test_a_run_that_was_done_predicts_nothing_again(tmp_path, whole):
    resumed = run(tmp_path / "whole", resume=True, predictor=stopping_after(0))

    assert (resumed.timed, resumed.flat()) == (0, whole)


def test_a_run_stopped_before_its_first_image_leaves_nothing(tmp_path):
    stopped(tmp_path / "out", after=0)

    assert not list(tmp_path.iterdir())


def test_resume_without_anything_to_resume_is_a_new_run(tmp_path, whole):
    assert run(tmp_path / "out", resume=True).flat() == whole


@pytest.mark.parametrize("cut", [1, 9, 30])
def test_a_torn_last_line_is_predicted_again(tmp_path, whole, cut):
    part = stopped(tmp_path / "out")
    part.write_bytes(part.read_bytes()[:-cut])

    resumed = run(tmp_path / "out", resume=True)

    assert resumed.timed == N - 2
    assert resumed.flat() == whole
    assert part.read_bytes() == (tmp_path / "whole" / runner.PART).read_bytes()


@pytest.mark.parametrize("left", [0, 20])
def test_a_torn_first_line_is_a_new_run(tmp_path, whole, left):
    part = stopped(tmp_path / "out")
    part.write_bytes(part.read_bytes()[:left])

    assert run(tmp_path / "out", resume=True).flat() == whole
    assert part.read_bytes() == (tmp_path / "whole" / runner.PART).read_bytes()


def test_a_group_that_was_stopped_in_the_middle_goes_through_the_network_whole_again(tmp_path, whole):
    """What shares a batch may change the last bits, so that it must be the same after a stop."""
    sizes = []

    class Counting(Predictor):
        def forward(self, images):
            sizes.append(len(images))
            return super().forward(images)

    for n in range(N):
        part = tmp_path / str(n) / runner.PART
        part.parent.mkdir()
        lines = (tmp_path / "whole" / runner.PART).read_bytes().splitlines(keepends=True)
        part.write_bytes(b"".join(lines[: n + 1]))
        sizes.clear()

        resumed = run(part.parent, True, Counting(), groups=groups(size=3))

        assert sizes == [3, 3, 2][n // 3 :]
        assert resumed.timed == N - n
        assert part.read_bytes() == (tmp_path / "whole" / runner.PART).read_bytes()


def refused(out, match, **options):
    """Refused in one line, with the file as it was."""
    before = (out / runner.PART).read_bytes()
    with pytest.raises(UserError, match=match) as caught:
        run(out, predictor=stopping_after(0), **options)
    assert "\n" not in str(caught.value)
    assert (out / runner.PART).read_bytes() == before


def test_an_unfinished_run_is_not_begun_anew_by_chance(tmp_path):
    stopped(tmp_path / "out")

    refused(tmp_path / "out", "holds an unfinished run; add --resume to go on, or choose another --out")


@pytest.mark.parametrize("key", IDENTITY)
def test_a_run_of_another_identity_is_refused(tmp_path, key):
    stopped(tmp_path / "out")

    other = {**IDENTITY, key: "ef" * 32}

    refused(tmp_path / "out", f"has another {key} {IDENTITY[key][:12]}, now efefef", resume=True, identity=other)


CORRUPT = {
    "no JSON": (2, b'{"image_id": 2, "po'),
    "bytes": (2, b"\xff\xfe\x00"),
    "an empty line": (2, b""),
    "a list": (3, b"[1, 2]"),
    "no poses": (3, b'{"image_id": 3}'),
    "poses as text": (3, b'{"image_id": 3, "poses": "none"}'),
    "an image of another run": (3, b'{"image_id": 99, "poses": []}'),
    "the first line": (0, b"%PDF"),
}


@pytest.mark.parametrize("fault", CORRUPT)
def test_a_corrupt_line_is_named_and_nothing_is_lost(tmp_path, fault):
    number, line = CORRUPT[fault]
    part = stopped(tmp_path / "out")
    lines = part.read_bytes().split(b"\n")
    lines[number] = line
    part.write_bytes(b"\n".join(lines))

    refused(tmp_path / "out", f"{runner.PART}, line {number + 1}: not what eval/run.py wrote", resume=True)


def test_a_picture_that_cannot_be_read_keeps_what_was_done(tmp_path, whole):
    def faulty(record):
        if record.id == 4:
            raise UserError(f"{record.file_name}: the picture is cut off")
        return read(record)

    with pytest.raises(UserError, match=r"^4\.png: the picture is cut off \(3 images are done: go on with --resume\)$"):
        run(tmp_path / "out", read=faulty)

    assert run(tmp_path / "out", resume=True).flat() == whole


def test_a_first_picture_that_cannot_be_read_leaves_nothing(tmp_path):
    def faulty(record):
        raise UserError(f"{record.file_name}: the picture is cut off")

    with pytest.raises(UserError, match=r"^1\.png: the picture is cut off$"):
        run(tmp_path / "out", read=faulty)

    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(UserError, match="expected a folder that can be written, choose another --out"):
        run(tmp_path / "file" / "out")


def test_progress_goes_to_stderr_with_an_end(tmp_path, capsys):
    run(tmp_path / "out", groups=groups(25))

    printed = capsys.readouterr()
    counts = [text.split(" ")[0] for text in printed.err.split("\r")[1:]]
    assert printed.out == ""
    assert counts == ["1/25", "10/25", "20/25", "25/25"]
    assert printed.err.endswith("\n")


KILLED = """
import importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("runs", {file!r})
runs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runs)
from pathlib import Path
def network(image):
    if image[0, 0, 0] == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return image
runs.runner.predict(runs.groups(), runs.read, runs.Predictor(network), Path({out!r}), runs.IDENTITY, False, threads=2)
"""


def test_a_process_that_is_killed_leaves_a_run_to_go_on_with(tmp_path, whole):
    script = KILLED.format(file=runs.__file__, out=str(tmp_path / "out"))

    killed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})

    assert killed.returncode == -signal.SIGKILL
    resumed = run(tmp_path / "out", resume=True)
    assert resumed.timed == N - 6 + 2  # 6 went through the network, the last 2 of them were not written yet
    assert json.dumps(resumed.flat()) == json.dumps(whole)
    assert (tmp_path / "out" / runner.PART).read_bytes() == (tmp_path / "whole" / runner.PART).read_bytes()
