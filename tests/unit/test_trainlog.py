"""What a training leaves to read, also after it was interrupted."""

import json
import struct

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from shared.trainlog import Log

ABOUT = {"framework": "torch", "recipe": {"steps": 100}}


def logged(out, steps, first=0, **more):
    log = Log(out, ABOUT, 100, first)
    for step in steps:
        log.step(step, {"stage1": 3.0 + step, "stage2": 1.0}, 1e-3, 10 * step)
    log.close()


def entries(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def steps(out):
    return [entry.get("step") for entry in entries(out)]


def events(out):
    """TensorBoard's events, in the order in which they were written."""
    found = []
    for path in sorted((out / "tensorboard").iterdir()):
        data, place = path.read_bytes(), 0
        while place < len(data):  # length, its checksum, event, its checksum
            (n,) = struct.unpack_from("<Q", data, place)
            found.append(Event.FromString(data[place + 12 : place + 12 + n]))
            place += 16 + n
    return found


def scalars(out):
    return {(v.tag, e.step): v.simple_value for e in events(out) for v in e.summary.value}


def test_a_log_says_what_is_trained_and_then_how(tmp_path, capsys):
    logged(tmp_path, [10, 20])

    first, *rest = entries(tmp_path)
    assert first == ABOUT
    assert [e["step"] for e in rest] == [10, 20]
    assert rest[1]["loss"] == 24
    assert rest[1]["losses"] == {"stage1": 23.0, "stage2": 1.0}
    assert rest[1]["rate"] == 1e-3
    assert rest[1]["images_per_second"] > 0
    assert rest[1]["seconds"] >= rest[0]["seconds"] >= 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("step 20/100  loss 24.00  ")
    assert lines[1].endswith(" min left")


def test_every_entry_is_on_the_disk_at_once(tmp_path):
    log = Log(tmp_path, ABOUT, 100, 0)
    log.step(1, {"a": 1.0}, 1.0, 10)
    log.validation(1, {"AP": 0.25})

    assert steps(tmp_path) == [None, 1, 1]
    log.close()


def test_tensorboard_has_the_same_numbers(tmp_path):
    log = Log(tmp_path, ABOUT, 100, 0)
    log.step(5, {"stage1": 3.0, "stage2": 1.5}, 0.25, 50)
    log.validation(5, {"AP": 0.125, "loss": 2.0})
    log.close()

    found = scalars(tmp_path)
    assert found.pop(("images_per_second", 5)) > 0
    assert found == {
        ("loss/total", 5): 4.5,
        ("loss/stage1", 5): 3.0,
        ("loss/stage2", 5): 1.5,
        ("rate", 5): 0.25,
        ("validation/AP", 5): 0.125,
        ("validation/loss", 5): 2.0,
    }


def test_validations_and_skipped_samples_are_told(tmp_path, capsys):
    log = Log(tmp_path, ABOUT, 100, 0)
    log.validation(7, {"AP": 0.123456, "loss": 2.0})
    log.skipped(8, ("a.jpg: cut off", "b.jpg: no such file"))
    log.close()

    found = entries(tmp_path)[1:]
    assert found[0]["validation"] == {"AP": 0.1235, "loss": 2.0}
    assert [(e["step"], e["skipped"]) for e in found[1:]] == [(8, "a.jpg: cut off"), (8, "b.jpg: no such file")]
    assert capsys.readouterr().err.splitlines() == [
        "step 7/100  validation: AP 0.123  loss 2.000",
        "skipped: a.jpg: cut off",
        "skipped: b.jpg: no such file",
    ]


def test_a_resumed_log_keeps_what_was_before_the_checkpoint_and_drops_the_rest(tmp_path):
    logged(tmp_path, [10, 20, 30, 40])
    before = entries(tmp_path)

    logged(tmp_path, [30, 40], first=20)

    assert steps(tmp_path) == [None, 10, 20, 30, 40]
    assert entries(tmp_path)[:3] == before[:3]


@pytest.mark.parametrize("torn", ['{"step": 20, "los', "{", "\x00\x00\x00", '{"step": 20}{"st'])
def test_a_torn_last_line_is_dropped(tmp_path, torn):
    logged(tmp_path, [10])
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write(torn)

    logged(tmp_path, [20, 30], first=10)

    assert steps(tmp_path) == [None, 10, 20, 30]


def test_seconds_go_on_where_the_kept_entries_end(tmp_path):
    logged(tmp_path, [10, 20])
    path = tmp_path / "log.jsonl"
    path.write_text(path.read_text().replace(f'"seconds": {entries(tmp_path)[1]["seconds"]}', '"seconds": 500.0', 1))

    logged(tmp_path, [20], first=10)

    assert 500 <= entries(tmp_path)[-1]["seconds"] < 560


def test_a_new_training_begins_a_new_log(tmp_path):
    logged(tmp_path, [10, 20])

    logged(tmp_path, [10])

    assert steps(tmp_path) == [None, 10]


def test_a_resumed_training_whose_log_is_gone_begins_one(tmp_path):
    logged(tmp_path, [30], first=20)

    assert entries(tmp_path)[0] == ABOUT
    assert steps(tmp_path) == [None, 30]


def test_tensorboard_hides_what_came_after_the_checkpoint_and_nothing_else(tmp_path):
    """It hides earlier events from the step of a session's start on, that step too."""
    logged(tmp_path, [10, 20, 30])
    (first,) = (tmp_path / "tensorboard").iterdir()
    first.rename(first.with_name("0"))  # within a second the next has the same name

    logged(tmp_path, [30, 40], first=20)

    starts = [e.step for e in events(tmp_path) if e.session_log.status == SessionLog.START]
    assert starts == [21]
    assert {step for _, step in scalars(tmp_path)} == {10, 20, 30, 40}
