"""What the training commands say to bad input: one line, exit code 2, nothing lost."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from shared.scenes import dataset
from shared.training import command_of

SMALL = [
    "--set", "width=0.0625", "--set", "stages=2", "--set", "augment.crop=64", "--set", "batch=2", "--set", "steps=2",
    "--set", "bf16=false", "--set", "norm=false", "--validate-on", "0", "--log-every", "1",
]  # fmt: skip


@pytest.fixture
def train(tmp_path, capsys):
    """A function that trains into tmp_path/out in PyTorch and gives the exit code and what was said."""

    def run(*more):
        code = command_of("torch")([*SMALL, "--out", str(tmp_path / "out"), *map(str, more)])
        return code, capsys.readouterr().err

    return run


def refused(result, *words):
    code, said = result
    assert code == 2, said
    lines = [line for line in said.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    for word in words:
        assert word in lines[0], lines[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--recipe", "zcc"), ("zcc", "did you mean zc")),
        (("--set", "stepss=3"), ("stepss", "did you mean steps")),
        (("--set", "steps"), ("KEY=VALUE",)),
        (("--set", "steps=many"), ("steps=many", "like")),
        (("--set", "batch=3", "--set", "accumulate=2"), ("batch 3", "2 parts")),
        (("--set", "augment.crop=60"), ("60", "multiple")),
        (("--set", "loss=l3"), ("l3",)),
        (("--set", "optimizer.groups=none"), ("none",)),
        (("--set", "optimizer.name=lion"), ("lion",)),
        (("--set", "schedule.law=none", "--set", "schedule.warmup=0"), ("none",)),
        (("--set", "neck=long"), ("long",)),
        (("--set", "model=coco19"), ("coco19",)),
        (("--data", "cocoo"), ("cocoo", "did you mean coco")),
        (("--data", "coco"), ("--annotations", "--images", "--root")),
        (("--data", "kevinlin"), ("--file",)),
        (("--data", "coco", "--root", "/nowhere"), ("/nowhere", "unpacks")),
        (("--device", "cuda"), ("cuda",)),
        (("--init", "/nowhere.safetensors"), ("/nowhere.safetensors",)),
        (("--validate-on", "-1"), ("-1",)),
    ],
)
def test_options_that_cannot_be_are_refused_and_nothing_is_written(train, tmp_path, options, words):
    refused(train(*options), *words)

    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_folder_with_a_training_is_not_written_over(train, tmp_path):
    assert train()[0] == 0
    before = (tmp_path / "out/checkpoint.safetensors").read_bytes()

    refused(train(), "--resume")
    refused(train("--resume", "--set", "seed=1"), "seed", "0", "1")
    refused(train("--resume", "--set", "width=0.125"), "width")

    assert (tmp_path / "out/checkpoint.safetensors").read_bytes() == before


def test_a_checkpoint_of_the_other_framework_is_refused(train, tmp_path):
    train()
    path = tmp_path / "out/checkpoint.safetensors"
    arrays = load_file(path)
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        (key, text), *_ = file.metadata().items()
    save_file(arrays, path, {key: text.replace('"torch"', '"keras"')})

    refused(train("--resume"), "framework", "keras", "torch")


@pytest.mark.parametrize("size", [0, 7, 5000])
def test_a_truncated_checkpoint_is_refused(train, tmp_path, size):
    train()
    path = tmp_path / "out/checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:size])

    refused(train("--resume"), "checkpoint")


def test_a_weight_file_is_no_checkpoint(train, tmp_path):
    train()
    out = tmp_path / "out"
    (out / "checkpoint.safetensors").write_bytes((out / "weights.safetensors").read_bytes())

    refused(train("--resume"), "not a checkpoint")


@pytest.mark.parametrize("name", ["torch", "keras"])
@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_with_its_batch_on_the_disk(name, tmp_path, capsys):
    code = command_of(name)([*SMALL, "--out", str(tmp_path), "--set", "steps=9", "--set", "schedule.base=1e30",
                             "--set", "schedule.warmup=0", "--set", "optimizer.name=sgd"])  # fmt: skip

    refused((code, capsys.readouterr().err), "loss", "nan_batch", "checkpoint")
    (saved,) = tmp_path.glob("nan_batch_*.npz")
    batch = np.load(saved)
    assert batch["images"].shape == (2, 64, 64, 3)
    assert len(batch["names"]) == 2


@pytest.fixture
def scenes(tmp_path):
    """Four drawn scenes as COCO files: annotations, images."""
    folder = tmp_path / "coco"
    return dataset.write(folder, "val", count=4), folder / "images"


def coco(scenes):
    return ("--data", "coco", "--annotations", scenes[0], "--images", scenes[1])


def test_a_missing_image_is_named_before_anything_begins(train, scenes, tmp_path):
    next(iter(sorted(scenes[1].iterdir()))).unlink()

    refused(train(*coco(scenes)), "1 of", "missing", "val_000000.png")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_broken_image_is_skipped_and_named_in_the_log(train, scenes, tmp_path):
    first = min(scenes[1].iterdir())
    first.write_bytes(first.read_bytes()[:500])

    code, said = train(*coco(scenes), "--set", "steps=4")

    assert code == 0, said
    entries = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    skipped = [entry["skipped"] for entry in entries if "skipped" in entry]
    assert skipped
    assert all(first.name in reason for reason in skipped)


@pytest.mark.slow
def test_too_many_broken_images_stop_the_training(train, scenes):
    for path in scenes[1].iterdir():
        path.write_bytes(b"")

    refused(train(*coco(scenes)), "cannot be read", "empty")


def test_no_people_is_an_error(train, scenes):
    annotations = json.loads(scenes[0].read_text())
    scenes[0].write_text(json.dumps({**annotations, "annotations": []}))

    refused(train(*coco(scenes)), "no samples")
