"""What a deploy prototxt computes, and whether that is the network of a spec.

Every blob is written as an expression over convolutions, such as
`Concat(conv5_5_CPM_L1, conv5_5_CPM_L2, ReLU(conv4_4_CPM))`.  Two networks are the same if their layers with weights
have the same settings and read the same expressions, and the same maps come out; names of blobs and of layers
without weights do not matter, nor does the order of the layers.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converters import deploy, prototxt
from converters.deploy import Layer
from converters.prototxt import Message
from shared.arch import catalogue
from shared.errors import UserError, WeightError

# Types of Caffe's old format (V1LayerParameter) -> today's
_OLD_TYPES = {
    "CONVOLUTION": "Convolution", "POOLING": "Pooling", "CONCAT": "Concat", "RELU": "ReLU", "DROPOUT": "Dropout",
    "SPLIT": "Split",
}  # fmt: skip
_COPIES = ("Dropout", "Split")  # what comes out of them, in a deploy network, is what goes in
# type -> the message with its settings, and the defaults of those that change what the layer computes
_SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "Convolution": (
        "convolution_param",
        {"num_output": 0, "kernel_size": 0, "pad": 0, "stride": 1, "dilation": 1, "group": 1, "bias_term": True},
    ),
    "Pooling": (
        "pooling_param",
        {"pool": "MAX", "kernel_size": 0, "pad": 0, "stride": 1, "global_pooling": False, "round_mode": "CEIL"},
    ),
    "Concat": ("concat_param", {"axis": 1, "concat_dim": 1}),
    "ReLU": ("relu_param", {"negative_slope": 0}),
    "PReLU": ("prelu_param", {"channel_shared": False}),
}
_AXES = {"kernel_size": "kernel", "pad": "pad", "stride": "stride"}  # kernel_h and kernel_w may stand for kernel_size


@dataclass(frozen=True)
class Deploy:
    """A prototxt that was understood: the network it describes and what it calls itself."""

    spec: Any
    title: str


@dataclass(frozen=True)
class _Blob:
    """The expression that a blob holds, its channels, and the convolutions that it concatenates."""

    text: str
    channels: int
    parts: tuple[str, ...]


@dataclass
class _Meaning:
    """Layers with weights -> what they compute of what, the shapes of all weights, and the maps that come out."""

    weighted: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    outputs: set[str] = field(default_factory=set)


def read(path: Path) -> Deploy:
    """The network that a prototxt describes.  Raises `UserError` for one that describes none of ours exactly."""
    message = prototxt.read(path)
    meaning = _meaning(_layers(message, str(path)), str(path))
    spec = catalogue.infer(meaning.shapes, str(path))
    expected = _meaning([_input(deploy.INPUT, 3), *deploy.layers(spec)], spec.name)
    for name, wanted in expected.weighted.items():
        if meaning.weighted[name] != wanted:
            raise WeightError(
                f"{path}: layer {name} is {meaning.weighted[name]}; expected {wanted} as {spec.name} has it; "
                "give the prototxt that was published with the weights"
            )
    if meaning.outputs != expected.outputs:
        raise WeightError(
            f"{path}: ends in {', '.join(sorted(meaning.outputs))}; expected {', '.join(sorted(expected.outputs))} "
            f"as {spec.name} does; give the deploy prototxt, not the one for training"
        )
    return Deploy(spec, _text(message, "name", str(path)))


def _meaning(layers: Iterable[Layer], where: str) -> _Meaning:
    meaning = _Meaning()
    blobs: dict[str, _Blob] = {}
    unread: set[str] = set()
    for layer in layers:
        missing = [name for name in layer.bottoms if name not in blobs]
        if missing:
            raise UserError(f"{where}: layer {layer.name} reads {missing[0]}, which no layer above it makes")
        unread -= set(layer.bottoms)
        made = _computed(layer, [blobs[name] for name in layer.bottoms], meaning, where)
        blobs.update(dict.fromkeys(layer.tops, made))
        unread |= set(layer.tops)
    meaning.outputs = {part for name in unread for part in blobs[name].parts}
    return meaning


def _computed(layer: Layer, sources: list[_Blob], meaning: _Meaning, where: str) -> _Blob:
    """The blob that `layer` makes of `sources`; its weights are entered into `meaning`."""
    settings = {**_SETTINGS.get(layer.kind, ("", {}))[1], **dict(layer.settings)}
    if layer.kind == "Input":
        return _Blob(deploy.INPUT, settings["channels"], (deploy.INPUT,))
    if layer.kind in _COPIES and len(sources) == 1:
        return sources[0]
    channels = sum(source.channels for source in sources)
    told = "".join(f", {key} {value}" for key, value in _changed(layer))
    text = f"{layer.kind}({', '.join(source.text for source in sources)}{told})"
    if layer.kind not in ("Convolution", "PReLU"):
        return _Blob(text, channels, tuple(part for source in sources for part in source.parts))
    if layer.name in meaning.weighted:
        raise UserError(f"{where}: two layers are named {layer.name}, expected one; which is meant is unknown")
    meaning.weighted[layer.name] = text
    if layer.kind == "PReLU":
        meaning.shapes[f"{layer.name}.weight"] = (1 if settings["channel_shared"] else channels,)
        return _Blob(f"{layer.name}({sources[0].text})" if sources else text, channels, (layer.name,))
    out, kernel, group = (settings[key] for key in ("num_output", "kernel_size", "group"))
    meaning.shapes[f"{layer.name}.weight"] = (out, channels // max(group, 1), kernel, kernel)
    if settings["bias_term"]:
        meaning.shapes[f"{layer.name}.bias"] = (out,)
    return _Blob(layer.name, out, (layer.name,))


def _changed(layer: Layer) -> list[tuple[str, object]]:
    """The settings that are not Caffe's defaults, in one order for all files."""
    defaults = _SETTINGS.get(layer.kind, ("", {}))[1]
    given = dict(layer.settings)
    return [(key, given[key]) for key in defaults if key in given and given[key] != defaults[key]]


def _layers(message: Message, where: str) -> list[Layer]:
    """The prototxt's layers, its inputs first."""
    names = [name for name in message.get("input", []) if isinstance(name, str)]
    dims = message.get("input_dim", []) or [d for s in message.get("input_shape", []) for d in _inside(s, "dim")]
    if len(dims) != 4 * len(names):
        raise UserError(f"{where}: {len(dims)} input dimensions for {len(names)} inputs, expected four for each")
    layers = [_input(name, dims[4 * i + 1]) for i, name in enumerate(names)]
    given = message.get("layer", []) + message.get("layers", [])
    if not all(isinstance(layer, dict) for layer in given) or not given:
        raise UserError(f"{where}: describes no layers, expected a deploy prototxt of Caffe")
    layers += [_layer(layer, where) for layer in given]
    inputs = [layer for layer in layers if layer.kind == "Input"]
    if len(inputs) != 1 or dict(inputs[0].settings)["channels"] != 3:
        raise UserError(f"{where}: {len(inputs)} inputs, expected one of 3 channels; give the deploy prototxt")
    return layers


def _layer(message: Message, where: str) -> Layer:
    name, kind = _text(message, "name", where), _text(message, "type", where)
    kind = _OLD_TYPES.get(kind, kind)
    bottoms, tops = (tuple(map(str, message.get(key, []))) for key in ("bottom", "top"))
    if not name or not kind or not tops:
        raise UserError(f"{where}: layer {name or kind or '?'} lacks its name, type or top; is the file damaged?")
    if kind == "Input":
        shapes = [shape for param in message.get("input_param", []) for shape in _inside(param, "shape")]
        dims = [dim for shape in shapes for dim in _inside(shape, "dim")]
        return _input(tops[0], dims[1] if len(dims) == 4 else 0)
    field_name, defaults = _SETTINGS.get(kind, ("", {}))
    params = message.get(field_name, [{}])[0]
    settings = _settings(params, defaults, f"{where}: layer {name}") if isinstance(params, dict) else {}
    return Layer(kind, name, bottoms, tops, tuple(settings.items()))


def _settings(params: Message, defaults: dict[str, Any], where: str) -> dict[str, Any]:
    """Each setting that is given, as one value; a setting that differs between the axes is not ours."""
    found: dict[str, Any] = {}
    for key, default in defaults.items():
        sides = [f"{_AXES[key]}_{side}" for side in "hw"] if key in _AXES else []
        values = params.get(key, []) + [value for side in sides for value in params.get(side, [])]
        if not values:
            continue
        if any(value != values[0] for value in values) or not _alike(values[0], default):
            raise UserError(f"{where}: {key} is {values}, expected one {type(default).__name__} for both axes")
        found[key] = values[0]
    return found


def _alike(value: object, default: object) -> bool:
    if isinstance(default, bool | str):
        return isinstance(value, type(default))
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _input(name: str, channels: object) -> Layer:
    return Layer("Input", name, (), (name,), (("channels", channels),))


def _inside(message: object, name: str) -> list:
    return message.get(name, []) if isinstance(message, dict) else []


def _text(message: Message, name: str, where: str) -> str:
    (value, *others) = message.get(name, [""])
    if others or not isinstance(value, str):
        raise UserError(f"{where}: field {name} is {message[name]}, expected one text")
    return str(value)
