"""A worker's reply as data: JSON and raw bytes, in which nothing names what is to be called.

A worker reads hostile files and may have been taken over by one. So what its reply can make of
itself in the caller is plain values, the few classes of ``CLASSES`` and the errors of ours that
say something of a file; a pickle would be a program.
"""

import dataclasses
import functools
import importlib
import json
import struct
from collections.abc import Callable
from typing import Any, cast

from s3sync_dagster.model import errors
from s3sync_dagster.model.errors import S3SyncError

CLASSES = {
    "Document": "s3sync_dagster.model.document",
    "Page": "s3sync_dagster.model.document",
    "Converted": "s3sync_dagster.extraction.steps",
    "Attachment": "s3sync_dagster.extraction.steps",
    "Mail": "s3sync_dagster.extraction.steps",
    "PdfPages": "s3sync_dagster.extraction.steps",
    "Picture": "s3sync_dagster.extraction.steps",
    "Piece": "s3sync_dagster.chunking.outline",
}
"""Class -> module of all that functions in workers return: frozen values without behaviour."""
OUTSIDE = (errors.ObjectChanged, errors.LeaseLost)
"""Errors that no file can cause: a worker that says so would have its batch given back."""
_LENGTH = struct.Struct(">Q")


class BrokenReply(Exception):
    """The bytes are no reply."""


def dump_value(value: object) -> bytes:
    """Return the reply of a function's value.

    Raises:
        TypeError: it holds something that is neither plain nor of ``CLASSES``.
    """
    blobs: list[bytes] = []
    return _frame(_encode(value, blobs), blobs)


def load_value(reply: bytes) -> Any:
    """Return what ``dump_value`` was given. Raises ``BrokenReply``."""
    return _load(reply, _decode)


def dump_error(error: S3SyncError) -> bytes:
    """Return the reply of an error; its attributes are plain values."""
    blobs: list[bytes] = []
    attributes = {"reason": error.reason, **vars(error)}
    return _frame([type(error).__name__, _encode(attributes, blobs)], blobs)


def load_error(reply: bytes) -> S3SyncError:
    """Return the error that ``dump_error`` was given. Raises ``BrokenReply``."""
    return _load(reply, _decode_error)


def _frame(tree: object, blobs: list[bytes]) -> bytes:
    text = json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
    body = text.encode("utf-8", "surrogatepass")
    return b"".join([_LENGTH.pack(len(body)), body, *blobs])


def _load(reply: bytes, decode: Callable[[Any, memoryview], Any]) -> Any:
    try:
        begins = _LENGTH.size + _LENGTH.unpack(reply[: _LENGTH.size])[0]
        # Views are closed: one that anything still names keeps the reply until a collection.
        with memoryview(reply) as view, view[begins:] as blobs:
            text = str(view[_LENGTH.size : begins], "utf-8", "surrogatepass")
            return decode(json.loads(text), blobs)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is no reply
        raise BrokenReply from None


def _encode(value: Any, blobs: list[bytes]) -> Any:
    """Return the JSON form; what JSON does not tell apart is ``{tag: content}``."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [_encode(one, blobs) for one in value]
    if kind is tuple:
        return {"tuple": [_encode(one, blobs) for one in value]}
    if kind in (set, frozenset):
        return {kind.__name__: [_encode(one, blobs) for one in value]}
    if kind is dict:
        return {"dict": [[_encode(key, blobs), _encode(of, blobs)] for key, of in value.items()]}
    if kind in (bytes, bytearray):
        blobs.append(value)
        return {kind.__name__: len(value)}
    if CLASSES.get(kind.__name__) != kind.__module__:
        raise TypeError(f"A reply may not hold a {kind.__name__}.")
    return {kind.__name__: [_encode(getattr(value, name), blobs) for name in _fields(kind)]}


def _decode(tree: Any, blobs: memoryview) -> Any:
    position = 0

    def decode(tree: Any) -> Any:
        nonlocal position
        if isinstance(tree, list):
            return [decode(one) for one in cast("list[Any]", tree)]
        if not isinstance(tree, dict):
            return tree
        ((tag, content),) = cast("dict[str, Any]", tree).items()
        if tag in ("bytes", "bytearray"):
            begins, position = position, position + content
            if not begins <= position <= len(blobs):
                raise BrokenReply
            return _CONTAINERS[tag](blobs[begins:position])
        if tag == "dict":
            return {decode(key): decode(of) for key, of in content}
        values = [decode(one) for one in content]
        if tag in _CONTAINERS:
            return _CONTAINERS[tag](values)
        kind = _find_class(tag)
        return kind(**dict(zip(_fields(kind), values, strict=True)))

    return decode(tree)


def _decode_error(tree: Any, blobs: memoryview) -> S3SyncError:
    name, attributes = tree
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, S3SyncError)) or kind in OUTSIDE:
        raise BrokenReply
    values = cast("dict[str, Any]", _decode(attributes, blobs))
    error = kind(str(values.pop("message")))
    for attribute, value in values.items():
        if attribute.startswith("_"):
            raise BrokenReply
        setattr(error, attribute, value)
    return error


_CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "bytes": bytes,
    "bytearray": bytearray,
}


@functools.cache
def _find_class(name: str) -> type:
    return getattr(importlib.import_module(CLASSES[name]), name)


@functools.cache
def _fields(kind: Any) -> tuple[str, ...]:
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    return kind._fields  # a NamedTuple
