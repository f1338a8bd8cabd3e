"""Protobuf messages from a table, built without protoc: the few fields of a foreign format that a reader needs."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "bytes": _Field.TYPE_BYTES, "bool": _Field.TYPE_BOOL, "int32": _Field.TYPE_INT32, "int64": _Field.TYPE_INT64,
    "uint32": _Field.TYPE_UINT32, "float": _Field.TYPE_FLOAT, "double": _Field.TYPE_DOUBLE,
}  # fmt: skip


def classes(package: str, messages: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Message name -> protobuf class.

    `messages` gives each message's fields, each "label type name = number", where "many" is protobuf's "repeated",
    "packed" its option, and a type that is not a scalar is another message.  Unknown fields of a file are skipped,
    as protobuf does.
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto2")
    for name, fields in messages.items():
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
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}
