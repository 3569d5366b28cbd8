"""Caffe's messages as classes of the protobuf runtime, made while Python runs: no compiler, no generated code, no Caffe.

The runtime reads the text form (prototxt) and the settings of a layer in the binary form; the weights themselves are found by
:mod:`fullconv.interop.caffe.caffemodel`, which does not copy them.
"""

import functools
import re
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from fullconv.interop.caffe.fields import ENUMS, MESSAGES, OLD_KINDS, PACKED, SPELLED

PACKAGE = "caffe"
_SCALARS = {
    name: getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in ("float", "double", "int32", "int64", "uint32", "bool", "string")
}


def message(name: str) -> Any:
    """Return an empty message of Caffe's, such as ``LayerParameter``."""
    return _classes()[f"{PACKAGE}.{name}"]()


@functools.cache
def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="fullconv/caffe.proto", package=PACKAGE, syntax="proto2")
    old = {SPELLED.get(name, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()): n for name, n in OLD_KINDS.items()}
    for name, values in (ENUMS | {"OldKind": old}).items():
        # values of an enumeration lie in the scope around it, so each has a message for itself
        scope = file.message_type.add(name=f"{name}Scope").enum_type.add(name=name)
        for value, number in values.items():
            scope.value.add(name=value, number=number)
    for name, fields in MESSAGES.items():
        made = file.message_type.add(name=name)
        for line in fields.split(";"):
            _add_field(made, *line.split())
    pool = descriptor_pool.DescriptorPool()  # of our own: another Caffe schema may be loaded beside it
    pool.Add(file)
    return message_factory.GetMessageClassesForFiles([file.name], pool)


def _add_field(made: descriptor_pb2.DescriptorProto, number: str, name: str, kind: str) -> None:
    kind, _, default = kind.partition("=")
    repeated, kind = kind.startswith("*"), kind.removeprefix("*")
    field = made.field.add(name=name, number=int(number))
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    elif kind in MESSAGES:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    else:
        field.type, field.type_name = field.TYPE_ENUM, f".{PACKAGE}.{kind}Scope.{kind}"
    if default:
        field.default_value = default
    field.options.packed = (made.name, name) in PACKED
    if not repeated:
        field.options.ClearField("packed")


def upgraded(old: Any) -> Any:
    """Return a layer of the older form (``V1LayerParameter``) as one of the newer form, without its weights."""
    layer = message("LayerParameter")
    kinds = {number: name for name, number in OLD_KINDS.items()}
    layer.name, layer.type = old.name, kinds[old.type]
    layer.bottom.extend(old.bottom)
    layer.top.extend(old.top)
    layer.include.extend(old.include)
    layer.exclude.extend(old.exclude)
    for field, value in old.ListFields():
        if field.name.endswith("_param"):
            getattr(layer, field.name).CopyFrom(value)
    return layer
