"""Messages of protobuf, which AutoGen's runtimes carry beside dataclasses and pydantic models."""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["plain"]


def plain(message: Any) -> object:
    """Return a runtime's message as it is to be sealed: of protobuf, its type's name and its fields.

    Such a message keeps its content outside of Python: sealed as it is, each would be equal to any other of its type.
    """
    protobuf = sys.modules.get("google.protobuf.message")
    if protobuf is None or not issubclass(type(message), protobuf.Message):
        return message
    as_json = importlib.import_module("google.protobuf.json_format")
    fields = as_json.MessageToDict(message, preserving_proto_field_name=True)
    return {"type": message.DESCRIPTOR.full_name, "fields": fields}
