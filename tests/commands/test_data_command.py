"""`python -m shared.data`: samples as pictures, masks as files, packed data; and one line for bad input."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from shared import pckh
from shared.data.__main__ import main
from shared.data.index import Index
from shared.data.masks import MASK, masks
from tests.unit.data.annotated import crowd, person, written
from tests.unit.test_pckh import matlab, same, truth

ROOT = Path(__file__).parents[2]
SMALL = ("--set", "augment.crop=64")


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def coco(tmp_path):
    """Two images: one of two people, one with somebody who was not labelled and a crowd."""
    people = [person(3), person(3, x=70.0), person(12, n_keypoints=0), person(12, x=60.0, width=20.0), crowd(12, 5600)]
    return written(tmp_path, people, name="person_keypoints_val2014.json")


def run(*arguments):
    return main([*map(str, arguments)])


def refused(capsys, *arguments) -> str:
    """The one line of an error, for which nothing else is written and the exit code is 2."""
    capsys.readouterr()
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err.removeprefix("error: ").removesuffix("\n")


def of(coco) -> tuple:
    return "--annotations", coco[0], "--images", coco[1]


def test_the_command_runs_as_a_module(tmp_path):
    command = [sys.executable, "-m", "shared.data"]

    shown = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True)
    wrong = subprocess.run([*command, "check", str(tmp_path / "no.h5")], cwd=ROOT, capture_output=True, text=True)

    assert shown.returncode == 0
    assert "{show,masks,pack,check,truth}" in shown.stdout
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("more", [(), ("--plain",), ("--epoch", "3", "--index", "1")])
def test_a_sample_is_shown_as_a_picture(tmp_path, coco, capsys, more):
    out = tmp_path / "sample.png"

    assert run("show", "--data", "coco", *of(coco), "--recipe", "modern", *SMALL, "--out", out, *more) == 0

    picture = cv2.imread(str(out))
    assert picture.shape[0] >= 64
    assert picture.shape[1] >= 4 * 64  # people, heatmaps, fields, mask
    text = capsys.readouterr().out
    assert text.startswith(f"{out}: 0")
    assert text.endswith(("2 people\n", "1 person\n"))


@pytest.mark.parametrize("more", [(), ("--plain",), ("--set", "heatmaps=udp", "--set", "crops=udp")])
def test_a_sample_of_one_person_is_shown_with_its_heatmaps(tmp_path, coco, capsys, more):
    out = tmp_path / "sample.png"

    assert run("show", "--data", "coco", *of(coco), "--recipe", "hrnet", *more, "--out", out) == 0

    picture = cv2.imread(str(out))
    assert picture.shape[0] > 256
    assert 2 * 192 <= picture.shape[1] < 2 * 192 + 20
    assert capsys.readouterr().out.endswith("1 person\n")


def test_the_built_in_samples_are_shown_where_no_data_are_named(tmp_path, capsys):
    assert run("show", *SMALL, "--out", tmp_path / "a.jpg") == 0
    assert run("show", *SMALL, "--out", tmp_path / "b.jpg", "--epoch", "1") == 0

    assert (tmp_path / "a.jpg").read_bytes() != (tmp_path / "b.jpg").read_bytes()
    assert "of train" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: {show,masks,pack,check,truth}; see --help"),
        (("shwo",), "argument {show,masks,pack,check,truth}: invalid choice: 'shwo' (choose from"),
        (("show",), "the following arguments are required: --out; see --help"),
        (("show", "--out", "x.png", "--index", "one"), "argument --index: invalid int value: 'one'; see --help"),
        (("show", "--out", "x.png", "--indx", "1"), "unrecognized arguments: --indx 1; see --help"),
        (("show", "--out", "x.png", "--recipe", "zz"), "--recipe zz: unknown; choose one of zc, kl,"),
        (("show", "--out", "x.png", "--set", "steps"), "--set steps: expected KEY=VALUE"),
        (("show", "--out", "x.png", "--data", "cooc"), "--data cooc: unknown (did you mean coco?); choose one of"),
        (("show", "--out", "x.png", "--data", "coco"), "--data coco needs --annotations and --images, or --root with"),
        (("show", "--out", "x.png", "--data", "packed"), "--data packed needs --file"),
        (("show", "--out", "x.png", "--data", "coco", "--root", "/nowhere"), "--root /nowhere: no annotations/person_"),
        (
            ("show", "--out", "x.png", "--data", "coco", "--root", "/nowhere", "--split", "mini"),
            "--split mini: unknown; choose one of official",
        ),
        (
            ("show", "--out", "x.png", "--data", "packed", "--file", "/nowhere.h5"),
            "/nowhere.h5: no such file; expected",
        ),
        (("show", "--out", "x.png", "--data", "kevinlin", "--file", "/no.h5"), "--data kevinlin: has one sample for"),
        (("show", "--out", "x.png", "--index", "-1"), "--index -1: there are "),
        (("show", "--out", "x.png", "--index", "999999999"), "--index 999999999: there are "),
        (("show", "--out", "x.png", "--epoch", "-1"), "--epoch -1: expected 0 or more"),
        (("show", *SMALL, "--out", "/nowhere/x.png"), "--out /nowhere/x.png: cannot be written; expected a .png or"),
        (("show", *SMALL, "--out", "/tmp/x.what"), "--out /tmp/x.what: cannot be written; expected a .png or"),
        (("masks", "--out", "x"), "the following arguments are required: --annotations; see --help"),
        (("masks", "--annotations", "/no.json", "--out", "/tmp/x"), "/no.json: "),
        (
            ("masks", "--annotations", "a", "--out", "x", "--rule", "paper"),
            "--rule paper: unknown; choose one of caffe",
        ),
        (("pack", "--annotations", "a", "--images", "b"), "the following arguments are required: --out; see --help"),
        (("pack", "--annotations", "/no.json", "--images", "/no", "--out", "/tmp/no.h5"), "/no.json: "),
        (("check",), "the following arguments are required: file; see --help"),
        (("check", "/nowhere.h5"), "/nowhere.h5: no such file; expected a packed data set"),
        (("truth", "/no.mat", "--out", "/tmp/x.json"), "/no.mat: No such file or directory; expected MPII's gt_valid"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message, capsys):
    assert refused(capsys, *arguments).startswith(message)


def test_annotations_without_their_images_are_refused(tmp_path, coco, capsys):
    images = coco[1]
    (images / "012.png").unlink()

    message = refused(capsys, "show", "--data", "coco", *of(coco), "--out", tmp_path / "x.png")
    assert message.startswith(f"{images}: 1 of 2 images are missing, first 012.png")
    message = refused(capsys, "pack", *of(coco), "--out", tmp_path / "x.h5")
    assert "012.png" in message
    assert not (tmp_path / "x.h5").exists()
    assert not (tmp_path / "x.png").exists()


def test_a_broken_image_is_refused(tmp_path, coco, capsys):
    for path in coco[1].iterdir():
        path.write_bytes(path.read_bytes()[:40])

    message = refused(capsys, "show", "--data", "coco", *of(coco), "--out", tmp_path / "x.png")

    assert "cut off" in message


def depth(path: Path) -> tuple[int, int]:
    """Bits per pixel, and the kind: 0 is grey."""
    header = path.read_bytes()[:33]
    assert header[12:16] == b"IHDR"
    return header[24], header[25]


@pytest.mark.parametrize(
    ("rule", "names", "bits"),
    [
        ("caffe", "mask2014/val2014_mask_{kind}_{id:012d}.png", 1),  # genCOCOMask.m, whose images are logical
        ("keras", "valmask2014/mask_{kind}_{id:012d}.png", 8),  # generate_masks.py
    ],
)
def test_masks_have_the_names_and_the_bits_of_the_originals(tmp_path, coco, capsys, rule, names, bits):
    out = tmp_path / "masks"

    assert run("masks", "--annotations", coco[0], "--rule", rule, "--out", out) == 0

    wanted = {names.format(kind=kind, id=identity) for kind in ("miss", "all") for identity in (3, 12)}
    assert {str(path.relative_to(out)) for path in out.rglob("*.png")} == wanted
    assert len([path for path in out.rglob("*") if path.is_file()]) == 4
    assert all(depth(out / name) == (bits, 0) for name in wanted)
    assert capsys.readouterr().out == f"{(out / names).parent}: 4 masks\n"
    index = Index.open(coco[0])
    for row, identity in enumerate(index.image_ids):
        rows = index.rows(row)
        segments = [index.segment(r) for r in rows]
        miss, everyone = masks(80, 100, segments, index.n_keypoints[rows], index.crowd[rows], MASK[rule])
        for kind, mask in (("miss", miss), ("all", everyone)):
            found = cv2.imread(str(out / names.format(kind=kind, id=identity)), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(found, 255 if mask is None else mask)
        assert (miss is None) == (identity == 3)


def test_masks_of_a_training_file_and_of_another_year_have_its_names(tmp_path, coco, capsys):
    path = coco[0].rename(tmp_path / "person_keypoints_train2017.json")

    for rule in ("caffe", "keras"):
        assert run("masks", "--annotations", path, "--rule", rule, "--year", "2017", "--out", tmp_path / "m") == 0

    found = {str(p.relative_to(tmp_path / "m")) for p in (tmp_path / "m").rglob("*_miss_*3.png")}
    assert found == {
        "mask2017/train2017_mask_miss_000000000003.png",
        "trainmask2017/mask_miss_000000000003.png",
    }


def test_masks_that_a_rule_refuses_or_that_have_no_room_are_one_line(tmp_path, capsys):
    annotations, _ = written(tmp_path, [person(3), crowd(3, 0), crowd(3, 900)])
    (tmp_path / "file").write_text("")

    message = refused(capsys, "masks", "--annotations", annotations, "--rule", "keras", "--out", tmp_path / "m")
    assert message.startswith(f"{annotations}, image 3: 2 crowd regions in one image")
    message = refused(
        capsys, "masks", "--annotations", annotations, "--rule", "caffe", "--out", tmp_path / "file" / "m"
    )
    assert "expected a folder that can be written" in message


def test_data_are_packed_checked_and_shown_again(tmp_path, coco, capsys):
    out = tmp_path / "packed.h5"

    assert run("pack", *of(coco), "--out", out) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{out}: ")
    assert printed.out.endswith(f"train with --data packed --file {out}\n")
    assert printed.err.endswith("2 of 2 images\n")
    assert run("check", out) == 0
    assert capsys.readouterr().out == f"{out}: every image, mask and annotation is whole\n"

    pictures = []
    for data in (("packed", "--file", out), ("coco", *of(coco))):
        picture = tmp_path / f"{data[0]}.png"
        assert run("show", "--recipe", "modern", *SMALL, "--data", *data, "--out", picture) == 0
        pictures.append(picture.read_bytes())
    assert pictures[0] == pictures[1]


def test_a_damaged_packed_file_is_found(tmp_path, coco, capsys):
    out = tmp_path / "packed.h5"
    assert run("pack", *of(coco), "--out", out) == 0
    data = bytearray(out.read_bytes())
    place = data.index(b"IDAT")
    data[place + 6] ^= 1
    out.write_bytes(data)

    assert "does not match its sha256" in refused(capsys, "check", out)
    out.write_bytes(data[:-1000])
    assert refused(capsys, "check", out).startswith(f"{out}: ")
    out.write_text(json.dumps({}))
    assert refused(capsys, "check", out).startswith(f"{out}: ")


def test_mpiis_truth_becomes_json_of_the_same_numbers(tmp_path, capsys):
    given, out = matlab(tmp_path / "gt_valid.mat"), tmp_path / "annot" / "gt_valid.json"

    assert run("truth", given, "--out", out) == 0

    found = pckh.read(out)
    same(found, truth())
    assert found.sha256 == pckh.read(given).sha256
    assert capsys.readouterr().out == f"{out}: 3 people, sha256 of the numbers {found.sha256[:12]}\n"


def test_a_truth_is_not_written_over_itself_or_a_folder(tmp_path, capsys):
    given = matlab(tmp_path / "gt_valid.mat")
    before = given.read_bytes()

    assert "is the truth that is read; choose another name" in refused(capsys, "truth", given, "--out", given)
    assert "expected a file that can be written" in refused(capsys, "truth", given, "--out", tmp_path)
    assert given.read_bytes() == before
    assert list(tmp_path.iterdir()) == [given]
