"""A worker's reply as data: JSON and raw bytes, in which nothing names what is to be called.

A worker reads hostile files and may have been taken over by one. So what its reply can make of
itself in the caller is plain values and the few classes of ``CLASSES``, whose fields are of their
types; a pickle would be a program. What a reply makes of its bytes is bounded before it is made:
long texts are raw bytes, and of what is left marks are counted.
"""

import dataclasses
import functools
import importlib
import json
import struct
import typing
from collections.abc import Callable
from typing import Any, cast

from s3sync_dagster.workers.shapes import MOST, Check, check_of

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
SHORT_CHARACTERS = 256
"""A longer text is raw bytes: its commas are no values."""
MOST_VALUES = 8_000_000
"""Marks of JSON that begin or part values; each makes at most 100 bytes of memory. Of 250,000
pieces with six names around each there are as many."""
MOST_TABLES = 10_000
"""Dictionaries and sets: each takes 250 bytes, and readers return a few."""
MAX_TREE_BYTES = 128 * 1024**2
"""Of JSON: as text it may be four times as large."""
_LENGTH = struct.Struct(">Q")


class BrokenReply(Exception):
    """The bytes are no reply."""


def dump_value(value: object) -> bytes:
    """Return the reply of a function's value.

    Raises:
        TypeError: it holds something that is neither plain nor of ``CLASSES``.
    """
    blobs: list[bytes] = []
    text = json.dumps(_encode(value, blobs), ensure_ascii=False, separators=(",", ":"))
    body = text.encode("utf-8", "surrogatepass")
    return b"".join([_LENGTH.pack(len(body)), body, *blobs])


def load_value(reply: bytes) -> Any:
    """Return what ``dump_value`` was given. Raises ``BrokenReply``."""
    try:
        begins = _LENGTH.size + _LENGTH.unpack(reply[: _LENGTH.size])[0]
        if begins > MAX_TREE_BYTES:
            raise BrokenReply
        body = reply[_LENGTH.size : begins]
        if sum(map(body.count, (b",", b"[", b"{"))) > MOST_VALUES:
            raise BrokenReply
        text = body.decode("utf-8", "surrogatepass")
        # Views are closed: one that anything still names keeps the reply until a collection.
        with memoryview(reply) as view, view[begins:] as blobs:
            return json.loads(text, object_pairs_hook=_Reader(blobs).made_of)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is no reply
        raise BrokenReply from None


def _encode(value: Any, blobs: list[bytes]) -> Any:
    """Return the JSON form; what JSON does not tell apart is ``{tag: content}``."""
    kind = type(value)
    if value is None or kind in (bool, int, float):
        return value
    if kind is str:
        if len(value) <= SHORT_CHARACTERS:
            return value
        blobs.append(value.encode("utf-8", "surrogatepass"))
        return {"str": len(blobs[-1])}
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


class _Reader:
    """Makes values of a reply's objects, from the innermost to the outermost, as they close."""

    def __init__(self, blobs: memoryview) -> None:
        self._blobs = blobs
        self._position = 0
        self._tables = 0

    def made_of(self, pairs: list[tuple[str, Any]]) -> Any:
        """Return the value of ``{tag: content}``; ``json`` calls it for each object."""
        ((tag, content),) = pairs
        if type(content) is not list:
            return _BLOBS[tag](self._next(content))
        if tag == "tuple":
            return tuple(cast("list[Any]", content))
        if tag in _TABLES:
            self._tables += 1
            if self._tables > MOST_TABLES:
                raise BrokenReply
            keys = [key for key, _ in content] if tag == "dict" else content
            if not all(map(_is_key, keys)):
                raise BrokenReply
            return _TABLES[tag](content)
        kind, checks = _find_class(tag)
        values = cast("list[Any]", content)
        if len(values) != len(checks):
            raise BrokenReply
        for check, value in zip(checks, values, strict=True):
            if not check(value):
                raise BrokenReply
        return kind(*values)

    def _next(self, size: Any) -> memoryview:
        begins, self._position = self._position, self._position + size
        if type(size) is not int or not begins <= self._position <= len(self._blobs):
            raise BrokenReply
        return self._blobs[begins : self._position]


_BLOBS: dict[str, Callable[[memoryview], Any]] = {
    "str": lambda data: str(data, "utf-8", "surrogatepass"),
    "bytes": bytes,
    "bytearray": bytearray,
}


def _is_key(key: object) -> bool:
    """Say whether a table may have a key: greater numbers may all be at one place of it."""
    return type(key) is str or (type(key) is int and 0 <= key <= MOST)


_TABLES: dict[str, Callable[[Any], Any]] = {
    "dict": lambda pairs: {key: of for key, of in pairs},
    "set": set,
    "frozenset": frozenset,
}


@functools.cache
def _find_class(name: str) -> tuple[Callable[..., Any], tuple[Check, ...]]:
    """Return what makes a value of the class from its fields in order, and their checks."""
    kind: Any = getattr(importlib.import_module(CLASSES[name]), name)
    names, hints = _fields(kind), typing.get_type_hints(kind)
    checks = tuple(check_of(hints[one]) for one in names)
    make: Callable[..., Any] = kind
    if not dataclasses.is_dataclass(kind):
        return make, checks
    return lambda *values: make(**dict(zip(names, values, strict=True))), checks


@functools.cache
def _fields(kind: Any) -> tuple[str, ...]:
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    return kind._fields  # a NamedTuple
