"""Timing takes medians of interleaved rounds; reports are a table and a file."""

import json

import pytest

from benchmarks import __main__ as command
from benchmarks import harness
from benchmarks.harness import Report


class Clock:
    """Time that passes only while something is worked on."""

    def __init__(self):
        self.now, self.log = 0.0, []

    def __call__(self):
        return self.now

    def work(self, name, seconds):
        def run():
            self.log.append(name)
            self.now += seconds[min(self.log.count(name), len(seconds)) - 1]

        return run


@pytest.fixture
def clock():
    return Clock()


def test_the_time_is_the_median_and_the_first_calls_do_not_count(clock):
    found = harness.measure({"a": clock.work("a", [99, 50, 1, 1, 1, 7, 1])}, 5, clock)["a"]

    assert (found.median, found.least, found.most, found.rounds) == (1, 1, 7, 5)


def test_works_take_turns(clock):
    harness.measure({"a": clock.work("a", [1]), "b": clock.work("b", [1])}, 5, clock)

    assert "".join(clock.log) == "aabb" + "ab" * 5


def test_short_work_is_repeated_within_a_round(clock):
    found = harness.measure({"a": clock.work("a", [0.001])}, 0.05, clock)["a"]

    assert found.median == pytest.approx(0.001)
    assert clock.log.count("a") == 2 + 10 * found.rounds


REPORT = Report("x", "nothing", {"n": 1}, [{"what": "a", "ms": 1.5}, {"what": "b", "ms": 12345.6}], {"cores": 2})


def test_a_report_is_a_markdown_table():
    assert harness.text(REPORT).splitlines() == [
        "| what | ms       |",
        "| ---- | -------- |",
        "| a    | 1.500    |",
        "| b    | 12,345.6 |",
        "",
        "Of nothing.",
        "Machine: cores 2.",
    ]


def test_a_report_is_saved_whole(tmp_path):
    harness.save(REPORT, tmp_path / "r.json")

    saved = json.loads((tmp_path / "r.json").read_text())
    assert saved["rows"] == REPORT.rows
    assert saved["machine"] == {"cores": 2}


def test_the_machine_is_named():
    found = harness.machine()

    assert found["cores"] >= 1
    assert {"processor", "load", "python", "numpy"} <= found.keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("ceiling --data coco", "--data coco and --annotations FILE: belong together"),
        ("ceiling --annotations x.json", "--data coco and --annotations FILE: belong together"),
        ("ceiling --data coco --annotations none.json", "none.json: No such file"),
        ("ceiling --strides eight", "--strides eight: expected some of 8, 4, 2, 1"),
        ("data --seconds nan", "--seconds nan: expected a number above 0"),
        ("eval --images 161", "--images 161: expected 1 to 160"),
        ("eval --many 3", "--many, --batch or --wait: expected 20 images or more"),
        ("eval --plot x.gif", "--plot x.gif: expected a name that ends in .png or .svg"),
        ("startup --rounds 0", "--rounds 0: expected 1 or more"),
        ("index --images 10 --people 31", "10 images, 31 people: expected"),
        ("speed", "invalid choice: 'speed'"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message, capsys):
    assert command.main(arguments.split()) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_the_command_prints_and_saves(tmp_path, capsys):
    path = tmp_path / "ceiling.json"

    arguments = f"ceiling --limit 2 --targets paper --strides 8 --decoders reference-tensorboy --out {path}"
    assert command.main(arguments.split()) == 0

    printed = capsys.readouterr().out
    assert "Of drawn scenes" in printed
    assert "2 images" in printed
    assert [row["targets"] for row in json.loads(path.read_text())["rows"]] == ["the annotations", "paper"]
