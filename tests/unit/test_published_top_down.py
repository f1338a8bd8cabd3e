"""The published numbers of networks of one person: each row, the order they must have, and the tables of them."""

import json

import pytest

from eval import comparing, published, run_folder
from shared.arch import catalogue
from shared.arch.count import count


def printed(capsys, *arguments):
    assert comparing.main([str(a) for a in arguments]) == 0
    return capsys.readouterr().out


def table(capsys, *arguments):
    return json.loads(printed(capsys, "--published", *arguments, "--json"))


def test_the_readmes_table_of_coco_marks_ground_truth_boxes(capsys):
    out = printed(capsys, "--published", "coco")

    rows = [line.split() for line in out.splitlines()]
    (w32,) = [row for row in rows if row[:3] == ["pose_hrnet_w32", "argmax", "GT"]]
    assert w32[3:7] == ["256x192", "28.54M", "7.65", "7.12"]
    assert w32[7:] == ["0.765", "0.936", "0.838", "0.740", "0.810", "0.794", "0.945", "0.858", "0.763", "0.842"]
    assert len([row for row in rows if "GT" in row]) == 10 + 6
    assert len([row for row in rows if "det" in row]) == 10 + 3
    assert max(map(len, out.splitlines())) <= 130


def test_the_readmes_table_of_mpii(capsys):
    rows = [line.split() for line in printed(capsys, "--published", "mpii").splitlines()]

    (w48,) = [row for row in rows if row[:1] == ["pose_hrnet_w48"]]
    assert w48[-10:] == ["96.93", "95.771", "90.864", "86.329", "88.731", "86.862", "82.829", "90.208", "-", "38.002"]
    assert len([row for row in rows if "GT" in row]) == 2 + 4 + 1


@pytest.mark.parametrize("data", ["coco", "mpii"])
def test_each_row_has_its_own_cost(capsys, data):
    skeleton = {"coco": "coco17", "mpii": "mpii16"}[data]
    for row in table(capsys, data)["published"]:
        size = tuple(map(int, row["size"].split("x")))
        expected = count(catalogue.spec(row["model"], skeleton=skeleton), size)

        assert row["parameters"] == expected.parameters
        assert row["multiply_adds"] == expected.multiply_adds
        assert row["published_multiply_adds"] == expected.published_multiply_adds
        assert row["here"] == []


NUMBERS = [n for n in published.numbers() if "boxes" in n]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: f"{published.name(n)} {n['boxes']} {n['data']} {n['size']}")
def test_a_published_row_says_all_that_is_shown(number):
    kinds = ("model", "subset", "who", "protocol", "certain", "data", "boxes", "size", "decoder")
    names = set(run_folder.names(number["data"]))

    assert set(kinds) <= number.keys()
    assert number.keys() - {*kinds, "variant"} <= names
    assert len(number.keys() & names) >= 9
    assert number["boxes"] in published.BOXES
    most = 1 if number["data"] == "coco" else 100
    assert all(0.4 * most < number[name] < most for name in number.keys() & (names - {"Mean@0.11"}))
    assert catalogue.spec(number["model"])


def test_published_numbers_are_in_the_order_that_they_must_have():
    """A digit that was mistyped would show: AP rises with size, depth and training, and is below AP50 and AR."""
    found = [n for n in NUMBERS if "AP" in n]
    ap = {(n["model"], n["boxes"], n["size"], n.get("variant"), n["decoder"]): n["AP"] for n in found}
    sizes = ("256x192", "384x288")
    resnets = [ap[f"pose_resnet_{n}", "detector", size, None, "argmax"] for size in sizes for n in (50, 101, 152)]
    stages = [ap["lpn_18h", "gt", sizes[0], f"stage {k}" if k else None, "softargmax"] for k in range(7)]

    assert resnets == sorted(resnets)
    assert stages == sorted(stages)
    assert all(n["AP75"] < n["AP50"] and n["APm"] < n["AP"] < n["APl"] for n in found)
    assert all(n["AP"] < n["AR"] < n["AR50"] and n["ARm"] < n["AR"] < n["ARl"] for n in found)
