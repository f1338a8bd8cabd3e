"""The part of caffe.proto that weights and deploy networks need, built without protoc.

Field numbers are those of BVLC Caffe 1.0.  Strings are declared as bytes, so that a damaged name is ours to report,
and packed numbers too: the wire image is the same, and NumPy reads a 209 MB file from it without a copy per number.
`Numbers` is BlobProto again with its numbers as protobuf declares them, for the rare file that writes a tag for
each.  Unknown fields are skipped, as protobuf does.
"""

import functools
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "bytes": _Field.TYPE_BYTES, "int32": _Field.TYPE_INT32, "int64": _Field.TYPE_INT64, "uint32": _Field.TYPE_UINT32,
    "float": _Field.TYPE_FLOAT, "double": _Field.TYPE_DOUBLE,
}  # fmt: skip
_PACKAGE = "pose_caffe"

# message -> its fields, each "label type name = number"; "many" is protobuf's "repeated", "packed" its option.
_MESSAGES = {
    "BlobShape": ("packed int64 dim = 1",),
    "BlobProto": (
        "one int32 num = 1", "one int32 channels = 2", "one int32 height = 3", "one int32 width = 4",
        "many bytes data = 5", "one BlobShape shape = 7", "many bytes double_data = 8",
    ),
    "Numbers": ("packed float data = 5", "packed double double_data = 8"),
    "ConvolutionParameter": ("one uint32 num_output = 1", "many uint32 pad = 3", "many uint32 kernel_size = 4"),
    "PoolingParameter": ("one int32 pool = 1", "one uint32 kernel_size = 2", "one uint32 stride = 3"),
    "ConcatParameter": ("one int32 axis = 2",),
    "LayerParameter": (
        "one bytes name = 1", "one bytes type = 2", "many bytes bottom = 3", "many bytes top = 4",
        "many BlobProto blobs = 7", "one ConcatParameter concat_param = 104",
        "one ConvolutionParameter convolution_param = 106", "one PoolingParameter pooling_param = 121",
    ),
    "V1LayerParameter": ("one bytes name = 4", "many BlobProto blobs = 6"),
    "NetParameter": (
        "one bytes name = 1", "many V1LayerParameter layers = 2", "many bytes input = 3", "many int32 input_dim = 4",
        "many LayerParameter layer = 100",
    ),
}  # fmt: skip


@functools.cache
def message(name: str) -> Any:
    """The protobuf class of that name."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(name="pose_caffe.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _MESSAGES.items():
        described = file.message_type.add(name=name)
        for line in fields:
            label, kind, field_name, _, number = line.split()
            field = described.field.add(name=field_name, number=int(number))
            field.label = _Field.LABEL_OPTIONAL if label == "one" else _Field.LABEL_REPEATED
            if label == "packed":
                field.options.packed = True
            if kind in _TYPES:
                field.type = _TYPES[kind]
            else:
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool
