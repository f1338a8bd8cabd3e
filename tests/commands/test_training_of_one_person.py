"""The training commands with networks of one person: killed, two together, from ImageNet on COCO, and on MPII."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from eval.cli import main as evaluate
from shared import framework, imagenet
from shared.data.builtin import Builtin
from shared.data.folder import Folder
from shared.data.mpii import mpii
from shared.data.sources import options_of
from shared.initial import initial
from shared.loader import ALONE, Share
from shared.recipe import learning_rate
from shared.recipes import recipe
from shared.samples import pipeline
from shared.scenes import dataset
from shared.training import command_of
from shared.weights import read
from tests.commands.trainings import (
    COMMANDS,
    both,
    command,
    eagerly,
    finished,
    in_two_processes,
    killed,
    log,
    losses,
    options,
)

pytestmark = pytest.mark.slow

SMALL = ["size=64,64", "batch=4", "bf16=false", "schedule.warmup=0"]
# Not narrower: oneDNN's gradient of a 1x1 kernel with stride 2 writes beyond its array for four channels, on AVX2.
LPN = [  # Adam by the gradient itself: rounding alone decides on the sign of one that is zero
    *SMALL, "width=0.125", "optimizer.epsilon=1", "schedule.law=constant", "schedule.base=0.1", "steps=24",
]  # fmt: skip
STILL = [*SMALL, "steps=1", "schedule.base=1e-12"]  # a step that leaves kernels where they are
HRNET = [*STILL, "model=pose_hrnet_w18_v1", "width=0.125"]
ON_MPII = [*STILL, "model=lpn_18h", "width=0.125", "init=he"]
LEARNT = ("running_mean", "running_var")  # what a step changes whatever its rate
FIRST, LATER = 1e-5, 3e-4  # relative: norms enlarge float32's rounding of a loss with every step


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def by_hand(chosen, source, arrays=None, steps=1, share=ALONE):
    """The losses of a process that trains in PyTorch without any other."""
    info, first = initial(chosen)
    ranks = framework.module("torch", "ranks").Ranks()
    made = framework.module("torch", "training").Trainer(info, arrays or first, chosen, ranks)
    samples = pipeline(source, chosen)
    batches = [samples.batch(share.positions(step, chosen.batch)) for step in range(steps)]
    return [sum(made.step(b, learning_rate(chosen, step), 0.0).values()) for step, b in enumerate(batches)]


def lpn(name, out, *more, **changes):
    return command(name, *options("lpn_builtin", LPN, out, *more, **changes))


@pytest.fixture(scope="module", params=COMMANDS)
def whole(request, tmp_path_factory):
    """A training of an LPN in one go: the framework and the folder."""
    out = tmp_path_factory.mktemp(request.param) / "whole"
    finished(lpn(request.param, out))
    return request.param, out


def test_a_killed_training_resumes_to_the_same_weights_bit_for_bit(whole, tmp_path):
    name, out = whole
    stopped = tmp_path / "killed"
    started = lpn(name, stopped, "--save-every", "2")
    killed(started, stopped)
    assert (stopped / "checkpoint.safetensors").read_bytes() != (out / "checkpoint.safetensors").read_bytes()

    finished([*started, "--resume"])

    for file in ("weights.safetensors", "checkpoint.safetensors"):
        assert (stopped / file).read_bytes() == (out / file).read_bytes()
    assert losses(stopped) == losses(out)


def test_two_processes_with_half_the_batch_are_one_with_the_whole(whole, tmp_path):
    name, out = whole
    in_two_processes(name, lpn(name, tmp_path / "together", steps=3))

    found, wanted = losses(tmp_path / "together"), losses(out)[:3]
    np.testing.assert_allclose(found[0], wanted[0], rtol=FIRST)
    np.testing.assert_allclose(found, wanted, rtol=LATER)


def test_processes_that_do_not_hear_of_each_other_would_be_seen(whole):
    chosen = recipe("lpn_builtin", LPN)
    source = Builtin(options=options_of(chosen))
    wanted = np.array(losses(whole[1])[:3])

    alone = by_hand(chosen, source, steps=3)
    apart = np.mean([by_hand(chosen, source, steps=3, share=Share(rank, 2)) for rank in (0, 1)], axis=0)

    np.testing.assert_allclose(alone[0], wanted[0], rtol=FIRST)
    np.testing.assert_allclose(alone, wanted, rtol=LATER)
    assert (np.abs(apart / wanted - 1) > 3 * LATER).all()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Drawn scenes as COCO files: the annotations, those for validation, the images.

    People of 200 times their area are forgiven more: an untrained network has an AP.
    """
    folder = tmp_path_factory.mktemp("coco")
    annotations = dataset.write(folder, "val", count=6)
    values = json.loads(annotations.read_text())
    for person in values["annotations"]:
        person["area"] *= 200
    (folder / "large.json").write_text(json.dumps(values))
    return annotations, folder / "large.json", folder / "images"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """An ImageNet file as small as the HRNet here: one block in layer1, and another head of the same name and shape."""
    _, arrays = initial(recipe("hrnet_builtin", [*HRNET, "seed=5"]))
    rng = np.random.default_rng(0)
    scales = {name: rng.uniform(0.5, 1.5, a.shape).astype(np.float32) for name, a in arrays.items() if a.ndim == 1}
    found = {**arrays, **{name: scale for name, scale in scales.items() if name.endswith(".weight")}}
    absent = ("layer1.1", "layer1.2", "layer1.3")
    tensors = {name: torch.from_numpy(array) for name, array in found.items() if not name.startswith(absent)}
    path = tmp_path_factory.mktemp("imagenet") / "hrnet_w18_small_model_v1.pth"
    torch.save({**tensors, "classifier.weight": torch.ones(10, 8)}, path)
    return path, {name: tensor.numpy() for name, tensor in tensors.items()}


@pytest.fixture(scope="module", params=COMMANDS)
def hrnet(request, scenes, classifier, tmp_path_factory):
    """A training of an HRNet on COCO, from ImageNet, with validation: the framework and the folder."""
    out = tmp_path_factory.mktemp(request.param) / "hrnet"
    files = ("--data", "coco", "--annotations", scenes[0], "--images", scenes[2], "--init", classifier[0])
    val = ("--val-annotations", scenes[1], "--val-images", scenes[2], "--validate-on", "6")
    with eagerly(request.param):
        assert command_of(request.param)(options("hrnet_builtin", HRNET, out, *map(str, (*files, *val)))) == 0
    return request.param, out


def begun(classifier):
    """What the HRNet has before its first step, and what it would have without a file."""
    _, fresh = initial(recipe("hrnet_builtin", HRNET))
    trunk = {name: array for name, array in classifier[1].items() if name.split(".")[0] in imagenet.LAYERS["hrnet"]}
    return {**fresh, **trunk}, fresh


def test_an_hrnet_begins_with_the_trunk_of_an_imagenet_file_and_with_a_head_of_its_own(hrnet, classifier):
    wanted, fresh = begun(classifier)

    found = load_file(hrnet[1] / "weights.safetensors")

    assert found.keys() == wanted.keys()
    for name in wanted:
        if not name.endswith(LEARNT):
            np.testing.assert_allclose(found[name], wanted[name], rtol=0, atol=1e-11, err_msg=name)
    kernels = [name for name in wanted if wanted[name].ndim == 4]
    differ = {name for name in kernels if not np.allclose(found[name], fresh[name], rtol=0, atol=1e-3)}
    assert {name.split(".")[0] for name in differ} >= {"conv1", "layer1", "stage2", "stage3", "stage4"}
    assert [name for name in kernels if name not in differ and name in classifier[1]] == ["final_layer.weight"]
    assert np.abs(classifier[1]["final_layer.weight"] - found["final_layer.weight"]).max() > 1e-3


def test_the_first_loss_on_coco_is_of_its_people(hrnet, scenes, classifier):
    chosen = recipe("hrnet_builtin", HRNET)
    arrays, fresh = begun(classifier)
    source = Folder(scenes[0], scenes[2], options_of(chosen))

    (found,) = losses(hrnet[1])

    assert found == pytest.approx(by_hand(chosen, source, arrays)[0], rel=FIRST)
    assert found != pytest.approx(by_hand(chosen, source, fresh)[0], rel=100 * FIRST)
    others = Builtin(options=options_of(chosen))
    assert found != pytest.approx(by_hand(chosen, others, arrays)[0], rel=100 * FIRST)


def test_the_ap_in_training_is_that_of_the_evaluation_with_the_recipes_decoder(hrnet, scenes, tmp_path):
    name, out = hrnet
    files = ("--data", "coco", "--annotations", scenes[1], "--images", scenes[2])

    def ap(decoder):
        given = (*files, "--framework", name, "--weights", out / "weights.safetensors", "--boxes", "gt")
        with eagerly(name):
            assert evaluate([*map(str, given), "--decoder", decoder, "--out", str(tmp_path / decoder)]) == 0
        numbers = json.loads((tmp_path / decoder / "metrics.json").read_text())["numbers"]
        return {key: round(numbers[key], 4) for key in ("AP", "AP50", "AP75")}

    (found,) = [entry["validation"] for entry in log(out) if "validation" in entry]
    loss = found.pop("loss")

    assert loss > 0
    assert 0.01 < found["AP"] < 0.99
    assert found == ap("dark")
    assert found != ap("argmax")


@pytest.fixture(scope="module")
def people(scenes):
    """The people of the drawn scenes as MPII would list them, joints anywhere in their boxes; and in another order."""
    values = json.loads(scenes[0].read_text())
    names = {image["id"]: image["file_name"] for image in values["images"]}
    rng, entries = np.random.default_rng(0), []
    for person in values["annotations"]:
        x, y, width, height = person["bbox"]
        entries.append({
            "image": names[person["image_id"]], "center": [x + width / 2, y + height / 2], "scale": height / 200,
            "joints": rng.uniform((x, y), (x + width, y + height), (16, 2)).tolist(), "joints_vis": [1] * 16,
        })  # fmt: skip
    paths = [scenes[0].with_name(name) for name in ("train.json", "turned.json")]
    paths[0].write_text(json.dumps(entries))
    paths[1].write_text(json.dumps([{**entry, "joints": entry["joints"][::-1]} for entry in entries]))
    return paths


@both
def test_mpii_trains_16_keypoints_of_its_people_and_is_validated_by_the_loss(name, scenes, people, tmp_path):
    files = ("--data", "mpii", "--annotations", people[0], "--images", scenes[2])
    val = ("--val-annotations", people[0], "--val-images", scenes[2], "--validate-on", "4")
    chosen = recipe("hrnet_mpii", ON_MPII)

    with eagerly(name):
        assert command_of(name)(options("hrnet_mpii", ON_MPII, tmp_path / "out", *map(str, (*files, *val)))) == 0

    wanted, other = (by_hand(chosen, mpii(each, scenes[2], options_of(chosen)))[0] for each in people)
    assert losses(tmp_path / "out") == [pytest.approx(wanted, rel=FIRST)]
    assert wanted != pytest.approx(other, rel=100 * FIRST)
    assert read(tmp_path / "out/weights.safetensors")[1].spec.skeleton == "mpii16"
    (found,) = [entry["validation"] for entry in log(tmp_path / "out") if "validation" in entry]
    assert list(found) == ["loss"]
