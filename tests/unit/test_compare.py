"""Runs side by side: the columns, what stands beside them, and what may not be compared."""

import copy
import json
import tomllib

import pytest

from eval import comparing, published
from eval.protocol import digest
from shared.coco_ap import NAMES

PROTOCOL = {
    "version": 1,
    "data": {"name": "coco", "annotations": "person_keypoints_val2014.json"},
    "subset": {"name": "1160", "images": 1160, "ids_sha256": "ab" * 32},
    "model": {"spec": {"name": "coco18", "stages": 6}},
    "boxes": None,
    "height": 368,
    "scales": [0.5, 1.0, 1.5, 2.0],
    "flip": True,
}
PAPER = 0.584


def metrics(framework="torch", weights="12" * 32, ap=0.5, **changes):
    record = {**copy.deepcopy(PROTOCOL), **changes}
    return {
        "numbers": {name: round(ap + i / 100, 3) for i, name in enumerate(NAMES)},
        "framework": framework,
        "weights": {"file": "w.safetensors", "sha256": weights},
        "protocol": record,
        "protocol_sha256": digest(record),
    }


@pytest.fixture
def folder(tmp_path):
    """A function that writes metrics.json into a folder of its own, and gives the folder."""

    def write(name, content):
        (tmp_path / name).mkdir()
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / name / "metrics.json").write_text(text)
        return str(tmp_path / name)

    return write


def refused(capsys, arguments, *words):
    assert comparing.main(arguments) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    for word in words:
        assert word in printed.err


def test_columns_stand_in_one_order_beside_the_paper(folder, capsys):
    runs = [folder(name, metrics(name, ap=ap)) for name, ap in (("keras", 0.53), ("torch", 0.52), ("caffe", 0.51))]

    assert comparing.main(runs) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"coco, 1160 (1160 images), protocol {digest(PROTOCOL)[:12]}"
    assert lines[1].split() == ["paper*", "original", "121212", "torch", "121212", "keras", "121212"]
    assert lines[2].split() == ["AP", "0.584", "0.510", "0.520", "0.530"]
    assert [line.split()[0] for line in lines[2:12]] == list(NAMES)
    assert lines[7].split() == ["AR", "-", "0.560", "0.570", "0.580"]  # the paper does not report it
    assert len({len(line) for line in lines[1:12]}) == 1


def test_published_numbers_are_shown_with_their_protocol_and_their_doubt(folder, capsys):
    comparing.main([folder("a", metrics())])

    notes = capsys.readouterr().out.split("* published numbers have protocols of their own")[1]
    assert "AP 0.584  the paper (Cao et al., CVPR 2017): COCO val2014, 1160 images" in notes
    assert notes.count("[quoted at second hand]") == 1
    assert notes.count("  AP 0.") == 4


def test_json_has_every_run_even_of_equal_weights(folder, capsys):
    runs = [folder("b", metrics("keras", ap=0.4)), folder("c", metrics(ap=0.5)), folder("d", metrics(ap=0.6))]

    assert comparing.main([*runs, "--json"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert shown["protocol_sha256"] == digest(PROTOCOL)
    assert [(run["run"], run["numbers"]["AP"]) for run in shown["runs"]] == [
        ("torch 121212", 0.5),
        ("torch 121212", 0.6),
        ("keras 121212", 0.4),
    ]
    assert shown["published"][0]["AP"] == PAPER


UNLIKE = {
    "height": {"height": 184},
    "scales": {"scales": [1.0]},
    "flip": {"flip": False},
    "subset.images": {"subset": {**PROTOCOL["subset"], "images": 3}},
    "data.name": {"data": {**PROTOCOL["data"], "name": "builtin"}},
    "model.spec.stages": {"model": {"spec": {"name": "coco18", "stages": 3}}},
}


@pytest.mark.parametrize("name", UNLIKE)
def test_unlike_protocols_are_refused_with_what_differs(folder, capsys, name):
    runs = [folder("a", metrics()), folder("b", metrics("keras")), folder("c", metrics(**UNLIKE[name]))]

    refused(capsys, runs, f"cannot compare {runs[0]} and {runs[2]}", f"differ in {name}: ", "run both with the same")


def test_runtimes_and_weights_may_differ(folder, capsys):
    runs = [folder("a", metrics()), folder("b", metrics("onnx", weights="34" * 32))]

    assert comparing.main(runs) == 0
    assert "onnx 343434" in capsys.readouterr().out


def changed(*path, to):
    found = metrics()
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return found


TAMPERED = {
    "another height": (changed("protocol", "height", to=184), "its protocol's hash is not its own"),
    "another hash": (changed("protocol_sha256", to="00" * 32), "its protocol's hash is not its own"),
    "protocol as text": (changed("protocol", to="the paper's"), "its protocol's hash is not its own"),
    "no numbers": (changed("numbers", to=None), "not understood"),
    "a list of numbers": (changed("numbers", to=[0.5]), "not understood"),
    "only AP": (changed("numbers", to={"AP": 0.9}), "KeyError('AP50')"),
    "AP as a word": (changed("numbers", "AP", to="high"), "not understood"),
    "AP of nothing": (changed("numbers", "AP", to=None), "not understood"),
    "AP above 1": (changed("numbers", "AP", to=58.4), "AP is 58.4, expected -1 or 0 to 1"),
    "AP that is none": (changed("numbers", "AP", to=float("nan")), "AP is nan"),
    "unknown framework": (changed("framework", to="jax"), "framework or weights are unknown"),
    "framework as a list": (changed("framework", to=["torch"]), "not understood"),
    "no weights": (changed("weights", to=None), "not understood"),
    "weights without a hash": (changed("weights", "sha256", to=""), "framework or weights are unknown"),
    "a list": ("[1, 2]", "not understood"),
    "half a file": (json.dumps(metrics())[:-9], "not understood"),
    "nothing": ("", "not understood"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_run_is_refused(folder, capsys, name):
    content, message = TAMPERED[name]
    run = folder("a", content)

    refused(capsys, [run], f"{run}/metrics.json: ", message)


def test_no_run_is_refused(capsys):
    refused(capsys, [], "no RUN; expected folders that eval/run.py wrote, or --published coco or mpii")


def test_a_run_that_is_not_there_or_not_finished_is_refused(folder, tmp_path, capsys):
    (tmp_path / "unfinished").mkdir()

    for name in ("none", "unfinished"):
        message = f"{tmp_path / name}/metrics.json: no such file; expected the folder of a finished run"
        refused(capsys, [folder(f"beside {name}", metrics()), str(tmp_path / name)], message)


@pytest.mark.parametrize(
    ("changes", "aps"),
    [
        ({}, {0.584, 0.563, 0.582}),
        ({"subset": {"name": "5000", "images": 5000}}, {0.486}),
        ({"subset": {"name": "all", "images": 5000}}, {0.486}),
        ({"subset": {"name": "2693", "images": 2693}}, {0.653}),
        ({"subset": {"name": "all", "images": 40504}, "model": {"spec": {"name": "mobilenet_v2_small"}}}, {0.173}),
        ({"subset": {"name": "1160, first 3", "images": 3}}, set()),
        ({"subset": {"name": "listed", "images": 5000}}, set()),
        ({"model": {"spec": {"name": "body25"}}}, set()),
        ({"data": {"name": "builtin"}}, set()),
    ],
)
def test_only_numbers_of_this_data_subset_and_model_are_shown(folder, capsys, changes, aps):
    found = published.matching({**PROTOCOL, **changes})

    assert {number["AP"] for number in found} == aps
    comparing.main([folder("a", metrics(**changes))])
    assert ("* nothing is published" in capsys.readouterr().out) == (not aps)


PUBLISHED = tomllib.loads(published.FILE.read_text())["number"]


@pytest.mark.parametrize("number", PUBLISHED, ids=lambda number: f"{number['who'][:20]} {number['subset']}")
def test_a_published_number_says_all_that_is_shown(number):
    kinds = {"model": str, "subset": str, "AP": float, "who": str, "protocol": str, "certain": bool}

    assert {key: type(number[key]) for key in kinds} == kinds
    assert number.keys() - kinds.keys() <= set(NAMES)
    assert all(0 < value < 1 for key, value in number.items() if key in NAMES)
    assert number in published.matching(
        {
            "data": {"name": "coco"},
            "subset": {"name": "all" if number["subset"] == "40504" else number["subset"], "images": 40504},
            "model": {"spec": {"name": number["model"]}},
        }
    )


def test_numbers_are_published():
    assert len(PUBLISHED) >= 5
