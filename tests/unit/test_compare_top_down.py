"""Runs of networks of one person beside published numbers: by model and by whose boxes."""

import copy
import json

import pytest

from eval import comparing, published, run_folder
from eval.protocol import digest
from shared.arch import catalogue

COCO = {
    "data": {"name": "coco", "annotations": "person_keypoints_val2017.json"},
    "subset": {"name": "all", "images": 5000},
    "model": {"spec": catalogue.to_dict(catalogue.spec("pose_hrnet_w32"))},
    "boxes": {"source": "ground truth"},
    "size": [256, 192],
    "decoder": {"name": "argmax"},
}
MPII = {
    **COCO,
    "data": {"name": "mpii", "annotations": "valid.json"},
    "subset": {"name": "all", "images": 2729},
    "model": {"spec": catalogue.to_dict(catalogue.spec("pose_hrnet_w32", skeleton="mpii16", size=(256, 256)))},
    "size": [256, 256],
}
DETECTIONS = {"source": "detections", "file": "d.json", "sha256": "ab" * 32, "threshold": 0.0}
PEOPLE = 2958
GT, DETECTOR = 0.765, 0.744  # w32 on val2017, 256x192


def model(name, **changes):
    return {"spec": catalogue.to_dict(catalogue.spec(name, **changes))}


def metrics(base=COCO, people=100, value=0.5, **changes):
    record = {**copy.deepcopy(base), **changes}
    return {
        "numbers": dict.fromkeys(run_folder.names(record["data"]["name"]), value),
        "framework": "torch",
        "weights": {"file": "w.safetensors", "sha256": "12" * 32},
        "protocol": record,
        "protocol_sha256": digest(record),
        "detections": people,
    }


@pytest.fixture
def folder(tmp_path):
    """A function that writes metrics.json into a folder of its own, and gives the folder."""

    def write(content, name="run"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps(content))
        return str(tmp_path / name)

    return write


def printed(capsys, *arguments):
    assert comparing.main([str(a) for a in arguments]) == 0
    return capsys.readouterr().out


def refused(capsys, *arguments):
    assert comparing.main([str(a) for a in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("boxes", "first", "apart", "words"),
    [
        ({"source": "ground truth"}, GT, DETECTOR, "ground-truth boxes"),
        (DETECTIONS, DETECTOR, GT, "a detector's boxes"),
    ],
)
def test_a_run_stands_beside_numbers_of_the_same_boxes_only(folder, capsys, boxes, first, apart, words):
    out = printed(capsys, folder(metrics(boxes=boxes)))

    lines = out.splitlines()
    beside, others = out.split("with other boxes or of another size, not to be set beside these runs:")
    assert lines[0].startswith(f"coco, all (5000 images), {words}, protocol ")
    assert lines[1].split() == ["published*", "torch", "121212"]
    assert lines[2].split() == ["AP", f"{first:.3f}", "0.500"]
    assert f"AP {first:.3f}  " in beside
    assert f"{apart:.3f}" not in beside
    assert f"AP {apart:.3f}  " in others
    assert all(f"[{text}, " in out for text in published.BOXES.values())


def test_numbers_of_another_size_are_told_apart(folder, capsys):
    beside, others = printed(capsys, folder(metrics(boxes=DETECTIONS, size=[384, 288]))).split("not to be set beside")

    assert beside.splitlines()[2].split() == ["AP", "0.758", "0.500"]
    assert ("0.744" in beside, "0.744" in others) == (False, True)


def test_the_number_of_the_runs_decoder_comes_first(folder, capsys):
    spec = model("pose_hrnet_w18_v2")
    found = [
        printed(capsys, folder(metrics(model=spec, decoder={"name": name}), name)).splitlines()[2].split()[1]
        for name in ("argmax", "softargmax", "dark")
    ]

    assert found == ["0.710", "0.713", "0.710"]


def test_a_model_without_numbers_for_its_boxes_says_so(folder, capsys):
    out = printed(capsys, folder(metrics(model=model("pose_hrnet_w48"))))

    assert out.splitlines()[2].split() == ["AP", "-", "0.500"]
    assert "nothing is published for this data, subset and model with ground-truth boxes at 256x192" in out
    assert "AP 0.751" in out.split("not to be set beside these runs:")[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"subset": {"name": "all", "images": 28}},
        {"subset": {"name": "all, first 5000", "images": 5000}},
        {"data": {"name": "builtin"}},
        {"model": model("pose_hrnet_w32", width=0.5)},
        {"model": model("lpn_101"), "data": {"name": "builtin"}},
    ],
)
def test_nothing_stands_beside_another_subset_or_a_narrower_network(folder, capsys, changes):
    out = printed(capsys, folder(metrics(**changes)))

    assert "nothing is published for this data, subset and model" in out
    assert "not to be set beside" not in out


def test_mpii_has_its_own_names_in_percent(folder, capsys):
    out = printed(capsys, folder(metrics(MPII, people=PEOPLE, value=89.123)))

    lines = out.splitlines()
    assert [line.split()[0] for line in lines[2:12]] == list(run_folder.names("mpii"))
    assert lines[2].split() == ["Head", "97.067", "89.123"]
    assert lines[9].split() == ["Mean", "89.927", "89.123"]
    assert lines[10].split() == ["Mean@0.10", "-", "89.123"]
    assert lines[11].split() == ["Mean@0.11", "37.931", "89.123"]
    assert len({len(line) for line in lines[1:12]}) == 1
    assert "Mean 90.3  deep-high-resolution-net.pytorch (README)" in out
    assert "its Mean@0.1 is at 0.11" in out


def test_another_file_of_mpii_has_nothing_beside_it(folder, capsys):
    assert "nothing is published" in printed(capsys, folder(metrics(MPII, people=3, value=50.0)))


@pytest.mark.parametrize(
    ("base", "value", "message"),
    [
        (MPII, 100.5, "Head is 100.5, expected -1 or 0 to 100"),
        (COCO, 50.0, "AP is 50.0, expected -1 or 0 to 1"),
    ],
)
def test_numbers_that_cannot_be_are_refused(folder, capsys, base, value, message):
    assert message in refused(capsys, folder(metrics(base, value=value)))


def test_numbers_of_nothing_are_accepted(folder, capsys):
    assert "-1.000" in printed(capsys, folder(metrics(MPII, people=PEOPLE, value=-1)))


@pytest.mark.parametrize(
    "changes", [{"boxes": {"file": "d.json"}}, {"size": 256}, {"decoder": None}, {"model": {"spec": {"width": 1}}}]
)
def test_a_protocol_without_its_parts_is_refused(folder, capsys, changes):
    assert "not understood" in refused(capsys, folder(metrics(**changes)))


def test_json_tells_the_boxes_apart(folder, capsys):
    found = json.loads(printed(capsys, folder(metrics()), "--json"))

    assert [(n["boxes"], n["AP"]) for n in found["published"]] == [("gt", GT)]
    assert {n["boxes"] for n in found["published_otherwise"]} == {"detector"}


def table(capsys, *arguments):
    return json.loads(printed(capsys, "--published", *arguments, "--json"))


RUNS = {
    "narrow, on the built-in benchmark": (
        {"model": model("lpn_18h", width=0.5), "data": {"name": "builtin"}, "size": [128, 96]},
        ("lpn_18h", None, "gt", "256x192"),
    ),
    "soft-argmax": (
        {"model": model("pose_hrnet_w18_v2"), "decoder": {"name": "softargmax"}},
        ("pose_hrnet_w18_v2", "softargmax", "gt", "256x192"),
    ),
    "larger": ({"boxes": DETECTIONS, "size": [384, 288]}, ("pose_hrnet_w32", "argmax", "detector", "384x288")),
    "ground truth": ({}, ("pose_hrnet_w32", "argmax", "gt", "256x192")),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_stands_once_under_the_row_of_its_model_and_boxes(folder, capsys, name):
    changes, (wanted, decoder, boxes, size) = RUNS[name]
    found = table(capsys, "coco", folder(metrics(**changes)))

    (row,) = [row for row in found["published"] if row["here"]]
    assert (row["model"], row["boxes"], row["size"]) == (wanted, boxes, size)
    assert decoder in (None, row["decoder"])
    assert "variant" not in row
    assert [run["boxes"] for run in row["here"]] == [boxes]
    assert found["without_a_row"] == []


def test_a_run_is_printed_with_what_it_is_of(folder, capsys):
    changes = {"model": model("lpn_18h", width=0.5), "data": {"name": "builtin"}, "size": [128, 96]}
    run = folder(metrics(**changes, subset={"name": "all", "images": 160}))

    lines = printed(capsys, "--published", "coco", run).splitlines()

    (here,) = [line for line in lines if line.endswith("here: builtin, 160 images, width 0.5")]
    assert here.split()[:4] == ["torch", "121212", "argmax", "GT"]
    assert lines[lines.index(here) - 1].split()[:2] == ["lpn_18h", "softargmax"]


def test_a_run_with_boxes_that_have_no_row_is_listed_by_itself(folder, capsys):
    run = folder(metrics(model=model("pose_hrnet_w48")))

    out = printed(capsys, "--published", "coco", run)

    assert "without a published row of the model with such boxes:\n  torch 121212" in out
    assert [row["model"] for row in table(capsys, "coco", run)["without_a_row"]] == ["pose_hrnet_w48"]


BOTTOM_UP = {"model": {"spec": {"name": "coco18", "stages": 6}}, "boxes": None}


@pytest.mark.parametrize(
    ("data", "content", "message"),
    [
        ("coco", metrics(**BOTTOM_UP), "of a network that finds people itself"),
        ("mpii", metrics(), "of coco17, --published mpii is of mpii16; leave it out"),
        ("coco", metrics(MPII), "of mpii16, --published coco is of coco17; leave it out"),
    ],
)
def test_a_run_of_another_kind_is_refused(folder, capsys, data, content, message):
    assert message in refused(capsys, "--published", data, folder(content))


def test_unknown_tables_are_refused(capsys):
    assert "--published coko: unknown (did you mean coco?)" in refused(capsys, "--published", "coko")
