"""What Chroma answers over HTTP, or a refusal: another server may stand at its address.

A page that says "back soon" with status 200 is no word of Chroma's. Who believes it takes a
collection for deleted, or a record for gone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from s3sync_dagster.model.errors import Unavailable

_MAPPINGS = ("metadata", "configuration_json", "schema")
_WITHIN = ("embedding_function", "hnsw", "spann")
"""Of a collection's configuration."""
_TROUBLE = frozenset(("error", "errors", "message", "detail", "status", "code"))
"""Chroma's own errors have the first and the third of them, gateways the others."""
Fields = dict[str, Any]


def not_chroma() -> Unavailable:
    """Return the error for an answer that is none of Chroma's."""
    return Unavailable("what answers at the address of Chroma is not Chroma", reason="bad_answer")


def collection_of(answer: Any) -> Fields:
    """Return the collection that an answer shows. Raises ``Unavailable``."""
    found = named_of(answer)
    _require(_is_text(found.get("id")))
    parts = [found.get(name) for name in _MAPPINGS]
    configuration = found.get("configuration_json")
    if isinstance(configuration, dict):
        parts += [cast("Fields", configuration).get(name) for name in _WITHIN]
    _require(all(one is None or isinstance(one, dict) for one in parts))
    return found


def named_of(answer: Any) -> Fields:
    """Return what an answer shows by its name, such as a database. Raises ``Unavailable``."""
    found = _fields(answer)
    _require(_is_text(found.get("name")))
    return found


def collections_of(answer: Any) -> list[Fields]:
    """Return the collections that an answer lists. Raises ``Unavailable``."""
    return [named_of(one) for one in _list(answer)]


def whole_number_of(answer: Any, *, least: int) -> int:
    """Return a whole number. Raises ``Unavailable``."""
    _require(isinstance(answer, int) and not isinstance(answer, bool) and answer >= least)
    return answer


def text_of(answer: Any, name: str) -> str:
    """Return a text of an answer. Raises ``Unavailable``."""
    found = _fields(answer).get(name)
    _require(_is_text(found))
    return cast("str", found)


def number_of(answer: Any, name: str) -> int:
    """Return a whole number above 0 of an answer. Raises ``Unavailable``."""
    return whole_number_of(_fields(answer).get(name), least=1)


def reader_of(operation: str, body: Mapping[str, Any] | None) -> Callable[[Any], Any]:
    """Return what reads the answer to an operation on a collection; it raises ``Unavailable``."""
    if operation == "count":
        return lambda answer: whole_number_of(answer, least=0)
    if operation == "get" and body is not None:
        return lambda answer: _records(answer, body)
    if operation == "query":
        return _hits
    return written


def written(answer: Any) -> Fields:
    """Return the answer to a write or a deletion. Raises ``Unavailable``.

    Nothing has to stand in it. A blank page is none, nor what tells of trouble with status 200.
    """
    found = _fields(answer)
    _require(not _TROUBLE & found.keys())
    return found


def _records(answer: Any, body: Mapping[str, Any]) -> Fields:
    found = _fields(answer)
    ids = _column(found.get("ids"), str)
    _require(None not in ids)
    if "ids" in body:  # what was not asked for is another's
        _require(set(ids) <= set(body["ids"]))
    for name, kind in (("metadatas", dict), ("documents", str), ("embeddings", list)):
        if name in body["include"]:
            _require(len(_column(found.get(name), kind)) == len(ids))
    if "embeddings" in body["include"]:
        vectors = found["embeddings"]
        _require(all(one is None or _is_vector(one) for one in vectors))
        # A number that JSON has no word for is null: a vector with one is none.
        found = {**found, "embeddings": [None if one and None in one else one for one in vectors]}
    return found


def _hits(answer: Any) -> Fields:
    found = _fields(answer)
    columns = [
        _column(_only(found.get(name)), kind)
        for name, kind in (("ids", str), ("metadatas", dict), ("documents", str))
    ]
    distances = _list(_only(found.get("distances")))
    _require(None not in columns[0])
    _require({len(one) for one in columns} == {len(distances)})
    # One of a collection that is being deleted has none, nor one that is too far for a number: a
    # neighbour's vector of 1e30.
    _require(all(one is None or _is_finite(one) for one in distances))
    return found


def _only(value: Any) -> Any:
    found = _list(value)
    _require(len(found) == 1)
    return found[0]


def _column(value: Any, kind: type) -> list[Any]:
    found = _list(value)
    _require(all(one is None or isinstance(one, kind) for one in found))
    return found


def _list(value: Any) -> list[Any]:
    _require(isinstance(value, list))
    return value


def _fields(answer: Any) -> Fields:
    _require(isinstance(answer, dict))
    return answer


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _is_vector(numbers: Sequence[Any]) -> bool:
    try:
        return all(one is None or math.isfinite(one) for one in numbers)
    except (TypeError, OverflowError):
        return False


def _require(holds: bool) -> None:
    if not holds:
        raise not_chroma()
