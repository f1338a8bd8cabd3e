"""The recipes by name: those of the originals, and ours."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared import augment, augment_person
from shared.arch import catalogue
from shared.codec import heatmaps, targets
from shared.codec.crops import CROPS
from shared.errors import UserError, unknown
from shared.preprocess import IMAGENET, IMAGENET_BGR, PREPROCESS
from shared.recipe import Optimizer, Recipe, Schedule, check

SAMPLES_TRAINVAL = 121_746  # the main persons of the Caffe training set, by which kevinlin's schedule counts
SAMPLES_KEVINLIN = 117_576  # kevinlin's own


def _kevinlin_drops(epochs: int = 100) -> tuple[int, ...]:
    """Epoch e trains at .333 ** floor(e * 117,570 / (121,746 * 17)); an epoch is 11,757 steps of 10."""
    per_epoch = SAMPLES_KEVINLIN // 10
    powers = [e * per_epoch * 10 // (SAMPLES_TRAINVAL * 17) for e in range(epochs)]
    return tuple(e * per_epoch for e in range(1, epochs) if powers[e] > powers[e - 1])


# Zhe Cao's prototxt: base 4e-5, dropped at 136,106 (of 10 samples each), 600,000 iterations.
ZC = Recipe(schedule=Schedule(base=4e-5, drops=(136_106, 272_212, 408_318, 544_424)))
KL = Recipe(  # kevinlin311tw/keras-openpose-reproduce
    main="keras", masks="keras", neck="keras", targets=targets.KERAS, augment=augment.KERAS,
    optimizer=Optimizer(groups="keras"),
    schedule=Schedule(base=2e-5, drops=_kevinlin_drops()),
    steps=100 * (SAMPLES_KEVINLIN // 10), validate=SAMPLES_KEVINLIN // 10,
)  # fmt: skip
HLIU = Recipe(  # H-Liu1997/Pytorch_Pose_Estimation_Framework, its HDF5 loader and defaults, on the paper's network
    main="keras", masks="keras", neck="keras", targets=targets.HL, augment=augment.HL, loss="euclidean_squared_mask",
    optimizer=Optimizer("adam", groups="hliu"),
    schedule=Schedule(base=1e-4, gamma=0.5, drops=(
        200_000, 300_000, 360_000, 420_000, 480_000, 540_000, 600_000, 700_000, 800_000, 900_000,
    )),
    steps=300 * 11_787, validate=11_787,
)  # fmt: skip
TENSORBOY = Recipe(  # tensorboy/pytorch_Realtime_Multi-Person_Pose_Estimation, its VGG-19 script
    preprocess=IMAGENET, samples="image", masks="none", neck="tensorboy", targets=targets.TENSORBOY,
    augment=augment.TENSORBOY, loss="mean",  # an epoch is 56,599 images of train2017 (those with keypoints) by 72
    optimizer=Optimizer(nesterov=True, velocity="torch", decay=0.0, groups="flat"),
    schedule=Schedule(law="plateau", base=1.0, gamma=0.8), batch=72, steps=80 * 786, validate=786,
)  # fmt: skip
MODERN = Recipe(  # ours, for the full network on COCO
    init="he", samples="image", main="caffe", masks="paper", neck="paper", targets=targets.PAPER,
    augment=augment.MODERN, norm=True,
    optimizer=Optimizer("adamw", decay=1e-2, groups="modern"),
    schedule=Schedule(law="cosine", base=1e-3, warmup=1000),
    batch=32, ema=0.9998, bf16=True, steps=200_000, validate=5000,
)  # fmt: skip
BUILTIN_SMALL = replace(  # drawn scenes are all of one size, and 20,000: little has to be augmented
    MODERN, width=0.25, stages=3,
    augment=replace(augment.MODERN, crop=256, scale=(0.9, 1.1), rotation=10.0, gain=0.1, offset=10.0),
    schedule=Schedule(law="cosine", base=3e-3, warmup=200), batch=8, ema=0.999, steps=16_000, validate=2000,
)  # fmt: skip
# A few pictures until they are learnt by heart: whether anything between file and AP is wrong.  One stage, since the
# refinement of a network this narrow has 32 features for 38 fields.  Windows begin at whole cells, as the picture does
# when it is evaluated, so that the network sees the same pixels; they are nearly as high as COCO's pictures, since
# what is near a window's border lacks its surroundings, and no larger, since a border in them is grey.
OVERFIT = replace(
    MODERN, width=0.25, stages=1, norm=False,
    augment=replace(
        augment.MODERN, crop=424, snap=8, scale=(1.0, 1.0), rotation=0.0, flip=0.0, gain=0.0, offset=0.0,
    ),
    optimizer=Optimizer("adamw", decay=0.0, groups="modern"),
    schedule=Schedule(law="cosine", base=7e-4, warmup=50), batch=2, clip=100.0, ema=0.99, steps=13_000, validate=6500,
)  # fmt: skip


def _experiment(people: int, batch: int, epochs: int, drops: tuple[int, ...], **changes: Any) -> Recipe:
    """One of HRNet's or LPN's: Adam at 1e-3, a tenth at each of `drops`, which are epochs as `epochs` are."""
    steps = [round(people * epoch / batch) for epoch in (*drops, epochs)]
    return replace(_PERSON, batch=batch, steps=steps[-1], validate=round(people / batch), schedule=Schedule(
        base=1e-3, gamma=0.1, drops=tuple(steps[:-1]),
    ), **changes)  # fmt: skip


PEOPLE_COCO, PEOPLE_MPII = 149_813, 22_246  # of train2017 with a keypoint, and of MPII's train.json
_PERSON = Recipe(  # what all published top-down experiments share; their weight decay does not reach Adam
    model="pose_hrnet_w32", init="hrnet", preprocess=IMAGENET, main="everyone", masks="none", loss="joints_mse",
    optimizer=Optimizer("adam", decay=0.0, groups="flat"),
)  # fmt: skip
_MPII: dict[str, Any] = {"skeleton": "mpii16", "size": (256, 256), "person": augment_person.MPII}
_LARGE: dict[str, Any] = {"size": (384, 288), "heatmaps": replace(heatmaps.MSRA, sigma=3.0)}
_RESNET: dict[str, Any] = {"model": "pose_resnet_50", "preprocess": IMAGENET_BGR}
# deep-high-resolution-net.pytorch trains on 128 people a step.  humanpose.pytorch's w18 and LPN had 512: each of its
# four processes takes what was meant for all.
HRNET = _experiment(PEOPLE_COCO, 128, 210, (170, 200))
HRNET_384 = _experiment(PEOPLE_COCO, 128, 210, (170, 200), **_LARGE)
HRNET_W18 = _experiment(PEOPLE_COCO, 512, 210, (170, 200), model="pose_hrnet_w18_v2")
HRNET_MPII = _experiment(PEOPLE_MPII, 128, 210, (170, 200), **_MPII)
LPN = _experiment(PEOPLE_COCO, 512, 150, (90, 120), model="lpn_50")
LPN_UPSTREAM = _experiment(PEOPLE_COCO, 128, 150, (90, 120), model="lpn_101", preprocess=IMAGENET_BGR,
                           person=augment_person.SIMPLE)  # fmt: skip
POSE_RESNET = _experiment(PEOPLE_COCO, 128, 140, (90, 120), **_RESNET, person=augment_person.SIMPLE)
POSE_RESNET_384 = _experiment(PEOPLE_COCO, 128, 140, (90, 120), **_RESNET, **_LARGE, person=augment_person.SIMPLE)
POSE_RESNET_MPII = _experiment(PEOPLE_MPII, 128, 140, (90, 120), **{**_MPII, **_RESNET})
HRNET_BUILTIN = replace(  # ours, small: w18 v1 on crops of 128x96, for the built-in benchmark; scenes never run out
    _PERSON, model="pose_hrnet_w18_v1", size=(128, 96), init="he", samples="image",
    heatmaps=heatmaps.DARK, person=replace(augment_person.NONE, scale=0.1, flip=0.5), per_image=3,
    schedule=Schedule(law="cosine", base=2e-3, warmup=500), batch=16, ema=0.999, bf16=True, steps=16_000, validate=2000,
)  # fmt: skip
HRNET_BUILTIN_192 = replace(  # goes on with its weights (--init) on crops in which a px is less
    HRNET_BUILTIN, size=(192, 128), schedule=Schedule(law="cosine", base=1e-3, warmup=200), steps=6000,
)  # fmt: skip
LPN_BUILTIN = replace(HRNET_BUILTIN, model="lpn_18h", width=0.5, steps=3000, validate=1000)

RECIPES = {
    "zc": ZC, "kl": KL, "hliu": HLIU, "tensorboy": TENSORBOY, "modern": MODERN, "builtin_small": BUILTIN_SMALL,
    "overfit": OVERFIT,
    "hrnet": HRNET, "hrnet_384": HRNET_384, "hrnet_w18": HRNET_W18, "hrnet_mpii": HRNET_MPII, "lpn": LPN,
    "lpn_upstream": LPN_UPSTREAM, "pose_resnet": POSE_RESNET, "pose_resnet_384": POSE_RESNET_384,
    "pose_resnet_mpii": POSE_RESNET_MPII, "hrnet_builtin": HRNET_BUILTIN, "hrnet_builtin_192": HRNET_BUILTIN_192,
    "lpn_builtin": LPN_BUILTIN,
}  # fmt: skip


def recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """The named recipe with changes such as "steps=100", "augment.crop=256" or "targets=paper".

    The heatmaps' sigma is the published one of the crops' size, in any profile, unless "heatmaps.sigma=2.5" sets it;
    then it holds for any profile and size.
    """
    if name not in RECIPES:
        raise unknown("--recipe", name, RECIPES)
    found = RECIPES[name]
    sigmas = [change for change in changes if change.startswith("heatmaps.sigma=")]
    for change in (*changes, *sigmas[-1:]):  # once more: a profile that came later had taken it away
        key, equals, text = change.partition("=")
        if not equals:
            raise UserError(f"--set {change}: expected KEY=VALUE, such as steps=1000 or augment.crop=256")
        found = _changed(found, key.split("."), text, key)
    check(found)
    if sigmas or not catalogue.top_down(found.spec):
        return found
    return replace(found, heatmaps=replace(found.heatmaps, sigma=heatmaps.published_sigma(found.spec.size)))


_NAMED: dict[str, Mapping[str, Any]] = {
    "targets": targets.TARGETS, "augment": augment.AUGMENTS, "preprocess": PREPROCESS, "crops": CROPS,
    "heatmaps": heatmaps.HEATMAPS, "person": augment_person.PERSON_AUGMENTS,
}  # fmt: skip


def _changed(value: Any, path: list[str], text: str, key: str) -> Any:
    fields = {field.name for field in dataclasses.fields(value)}
    if path[0] not in fields:
        raise unknown(f"--set {key}: the name", path[0], sorted(fields))
    old = getattr(value, path[0])
    if len(path) > 1:
        if not dataclasses.is_dataclass(old):
            raise UserError(f"--set {key}: {path[0]} has no parts; give it a value itself")
        return replace(value, **{path[0]: _changed(old, path[1:], text, key)})
    if path[0] in _NAMED:
        if text not in _NAMED[path[0]]:
            raise unknown(f"--set {key}: the profile", text, _NAMED[path[0]])
        return replace(value, **{path[0]: _NAMED[path[0]][text]})
    return replace(value, **{path[0]: _parsed(text, old, key)})


def _parsed(text: str, old: Any, key: str) -> Any:
    """`text` as a value of the kind of `old`."""
    like = f"a value like {old!r}"
    try:
        if key.endswith("joint_weights"):
            like = "none, or a number for each keypoint with commas, like 1,1.2,1.5"
            return None if text.lower() == "none" else tuple(float(part) for part in text.split(","))
        if isinstance(old, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(old, tuple):
            kind = float if any(isinstance(item, float) for item in old) else int
            found = tuple(kind(part) for part in text.split(",") if part)
            if len(found) == len(old) or key.endswith(("drops", "size")):
                return found
        if key.endswith(("stages", "cutoff")):
            return None if text.lower() == "none" else (int if key.endswith("stages") else float)(text)
        if isinstance(old, (int, float, str)):
            return type(old)(text)
    except (KeyError, ValueError):
        pass
    raise UserError(f"--set {key}={text}: expected {like}")
