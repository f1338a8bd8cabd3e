"""The published OpenPose checkpoints other than Caffe's: their names, as tables derived from our rows.

Source: the published loaders and files.  A table depends on the number of stages only; the
widths and the skeleton are then read off the shapes, as for any other file.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from converters.weight_map import HWIO_TO_OIHW, Rename, WeightMap
from shared import hdf5
from shared.arch import catalogue
from shared.arch.body25 import BLOCKS, Body25Spec
from shared.arch.openpose import FIELDS, OpenPoseSpec
from shared.arch.rows import Conv, Row
from shared.errors import WeightError
from shared.preprocess import CAFFE, IMAGENET, Preprocess
from shared.weights import Arrays

_BRANCH = {"paf": 1, "heat": 2}  # Caffe's numbers, which tensorboy and H-Liu keep
_STAGE = re.compile(r"(?:model|block_|_stage)(\d+)_")
_KERAS = re.compile(r"(?P<layer>[^/]+)/(?:(?P=layer)/)?(?P<kind>kernel|bias)(?::0)?")
_STAGE_1 = re.compile(r"Mconv([1-5])_stage1_(L[12])")
_OPTIMIZER = "optimizer_weights/"
_OFFSET_HEAD = 57  # 19 heatmaps and 38 offsets


@dataclass(frozen=True)
class Layout:
    """How one publisher names the network `model`: `modules` gives each layer's name, `mark` begins one of them."""

    title: str
    mark: str
    model: str
    modules: Callable[[Any], dict[str, str]]
    self_trained: Preprocess = CAFFE  # what weights saved by its training code want; converted ones want CAFFE

    def weight_map(self, names: Iterable[str]) -> WeightMap:
        """The table for a file with these names."""
        spec = catalogue.spec(self.model)
        if isinstance(spec, OpenPoseSpec):
            stages = {int(match[1]) for name in names if (match := _STAGE.search(name))}
            spec = catalogue.spec(self.model, stages=max(len(stages), 1))
        modules = self.modules(spec)
        parts = [(target, *target.rsplit(".", 1)) for target in spec.tensors()]
        return WeightMap(self.title, tuple(Rename(f"{modules[layer]}.{kind}", t) for t, layer, kind in parts))


def _sequential(rows: Iterable[Row], module: str) -> dict[str, str]:
    """Rows as they count in torch's Sequential, where pools and activations have numbers too."""
    names: dict[str, str] = {}
    index = 0
    for row in rows:
        names[row.name] = f"{module}.{index}"
        index += 1
        if isinstance(row, Conv) and row.act:
            names[row.act_name] = f"{module}.{index}"
            index += 1
    return names


def _tensorboy(spec: OpenPoseSpec) -> dict[str, str]:
    names = _sequential(spec.trunk(), "model0")
    for stage in range(1, spec.stages + 1):
        for field in FIELDS:
            names |= _sequential(spec.branch(stage, field), f"model{stage}_{_BRANCH[field]}")
    return names


def _hliu_old(spec: OpenPoseSpec) -> dict[str, str]:
    names = {row.name: f"block_0.{row.name.removesuffix('_CPM')}.con_layer" for row in spec.trunk()}
    for stage in range(1, spec.stages + 1):
        for field in FIELDS:
            for i, row in enumerate(spec.branch(stage, field), start=1):
                name = f"block_{stage}_{_BRANCH[field]}.conv{i}"
                names[row.name] = f"{name}.con_layer" if row.act else name
    return names


def _hliu_new(spec: Body25Spec) -> dict[str, str]:
    names: dict[str, str] = {}
    for row in spec.trunk():
        names[row.name] = f"state_0.{row.name.replace('_CPM', '_cmu')}"
        if isinstance(row, Conv) and row.act == "prelu":
            names[row.act_name] = f"state_0.{row.act_name.removeprefix('p').removesuffix('_CPM')}"
    for state, (field, stage) in enumerate(spec.sequence, start=1):
        for block in BLOCKS:
            for i, row in enumerate(spec.block(field, stage, block), start=1):
                names |= _sequential([row], f"state_{state}.block{block}.conv{i}")
        hidden, last = spec.head(field, stage)
        names |= _sequential([hidden], f"state_{state}.conv1")
        names[last.name] = f"state_{state}.conv2"
    return names


def _tensorboy_dense(spec: Body25Spec) -> dict[str, str]:
    names = _sequential(spec.trunk(), "feature_extractor")
    for field, stage in spec.sequence:
        module = f"{'l2' if field == 'paf' else 'l1'}_stages.{stage}"
        rows = {f"Mconv{b}_{i}": row for b in BLOCKS for i, row in enumerate(spec.block(field, stage, b))}
        hidden, last = spec.head(field, stage)
        for name, row in {**rows, "Mconv6": hidden}.items():
            names[row.name], names[row.act_name] = f"{module}.{name}.Mconv", f"{module}.{name}.MPrelu"
        names[last.name] = f"{module}.Mconv7"
    return names


TENSORBOY = Layout("tensorboy's rtpose_vgg.py", "model0.", "coco18", _tensorboy, IMAGENET)
TENSORBOY_DENSE = Layout("tensorboy's openpose.py", "feature_extractor.", "coco18_dense", _tensorboy_dense, IMAGENET)
HLIU_OLD = Layout("H-Liu's CMU_old", "block_0.", "coco18", _hliu_old)
HLIU_NEW = Layout("H-Liu's CMU_new", "state_0.", "coco18_dense", _hliu_new)
TORCH = (TENSORBOY, TENSORBOY_DENSE, HLIU_OLD, HLIU_NEW)


def read_torch(checkpoint: Mapping[str, Any], where: str) -> tuple[Arrays, Preprocess] | None:
    """A checkpoint of tensorboy's or H-Liu's, as `read_native` gives it, under canonical names; None for any other.

    Training code leaves its mark on the names: `module.` (DataParallel), or `model.` and a state_dict (Lightning).
    """
    tensors, trained = _unwrapped(checkpoint)
    for layout in TORCH:
        if any(name.startswith(layout.mark) for name in tensors):
            _refuse_kin(tensors, where)
            arrays = layout.weight_map(tensors).apply(tensors, where)
            return arrays, layout.self_trained if trained else CAFFE
    return None


def _unwrapped(checkpoint: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The tensors without what training code adds to their names, and whether it added anything."""
    inside = [checkpoint[key] for key in ("state_dict", "model_state") if isinstance(checkpoint.get(key), Mapping)]
    tensors = dict(inside[0] if inside else checkpoint)
    trained = bool(inside)
    for prefix in ("model.", "module."):
        if tensors and all(str(name).startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
            trained = True
    return {str(name): tensor for name, tensor in tensors.items()}, trained


def _refuse_kin(tensors: Mapping[str, Any], where: str) -> None:
    """H-Liu's other networks have the same names but another wiring, which their shapes do not always show."""
    if any(name.endswith("running_mean") for name in tensors):
        raise WeightError(f"{where}: holds batch norms (H-Liu's CMU_bn_new?), expected one of {_titles()}")
    head = tensors.get("state_5.conv2.weight")
    if "state_7.conv2.weight" in tensors or (head is not None and len(head) == _OFFSET_HEAD):
        raise WeightError(
            f"{where}: is H-Liu's network with offset maps ({_OFFSET_HEAD} maps in its last stages), which is "
            "another architecture; expected CMU_new with 19 heatmaps, from before its commit 229888e"
        )


def _titles() -> str:
    return ", ".join(layout.title for layout in TORCH)


def keras_map(names: Iterable[str], renamed_stage_1: bool) -> WeightMap:
    """LAYER/kernel:0 (HWIO) and LAYER/bias:0; stage 1 is conv5_*_CPM_*, or Mconv*_stage1_* if `renamed_stage_1`."""
    stages = {int(match[1]) for name in names if (match := _STAGE.search(name))} | {1}
    rows = []
    for row in catalogue.spec("coco18", stages=len(stages)).rows():
        if isinstance(row, Conv):
            layer = re.sub(r"conv5_(\d)_CPM_(L\d)", r"Mconv\1_stage1_\2", row.name) if renamed_stage_1 else row.name
            rows.append(Rename(f"{layer}/kernel:0", f"{row.name}.weight", HWIO_TO_OIHW))
            rows.append(Rename(f"{layer}/bias:0", f"{row.name}.bias"))
    return WeightMap(
        "a Keras OpenPose file", tuple(rows), {_OPTIMIZER: "the state of the training run, not of the network"}
    )


def read_keras(path: Path) -> Arrays:
    """A `.h5` of michalfaber's, anatolix's or kevinlin's: weights alone or a whole model, of testing or of training.

    kevinlin's training model has layers `weight_stage*` without arrays.  Nothing but arrays is read.
    """
    with hdf5.opened(path, "a Keras .h5") as file:
        found = hdf5.arrays(file, path)
    arrays: dict[str, np.ndarray] = {}
    for name, array in found.items():
        match = _KERAS.fullmatch(name.removeprefix("model_weights/"))
        key = f"{match['layer']}/{match['kind']}:0" if match else name
        if key in arrays:
            raise WeightError(f"{path}: two arrays are {key}, expected one; which is meant is unknown")
        arrays[key] = array
    return keras_map(arrays, any(map(_STAGE_1.match, arrays))).apply(arrays, str(path))


def is_keras(file: h5py.File) -> bool:
    """Whether an HDF5 file has the layout that Keras 1 and 2 wrote."""
    return "layer_names" in file.attrs or "model_weights" in file


def caffe_layer(name: str) -> str:
    """Caffe's name of a layer of stage 1 that kevinlin and anatolix renamed; any other name as it is."""
    return _STAGE_1.sub(r"conv5_\1_CPM_\2", name) if _STAGE_1.fullmatch(name) else name
