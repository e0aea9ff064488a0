"""A file of another product, to the sources that are in it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.moving import chroma_sync, coco, supermemory
from s3sync_dagster.moving.wanted import NotWanted, Wanted

_LISTS = ("connections", "connectors", "sources", "datasources")
"""What a list of theirs may be called."""


def read_configuration(content: bytes) -> list[Wanted | NotWanted]:
    """Return what a file has, in its order; each entry is of the product that its fields tell.

    Args:
        content: JSON: an entry, a list of them, or the answer of a search with hits.

    Raises:
        InvalidSetting: it is no JSON, or has no entries. What it holds is not repeated.
    """
    try:
        given = json.loads(content)
    except (ValueError, RecursionError):
        raise InvalidSetting("The file is no JSON in UTF-8.") from None
    entries = list(_entries(given))
    if not entries:
        raise InvalidSetting("The file has no sources: neither an object nor a list of some.")
    return [_read(one, number) for number, one in enumerate(entries, start=1)]


def _entries(given: Any) -> Iterator[Any]:
    if isinstance(given, list):
        for one in given:  # pyright: ignore[reportUnknownVariableType]
            yield from _entries(one) if isinstance(one, dict) and "_source" in one else [one]
        return
    if not isinstance(given, dict) or not given:
        return
    hits: Any = given.get("hits")
    if "_source" in given:  # a document of theirs
        yield given["_source"]
    elif isinstance(hits, dict):  # an answer of Coco's search
        yield from _entries(hits.get("hits"))
    elif lists := [name for name in _LISTS if isinstance(given.get(name), list)]:
        for name in lists:
            yield from _entries(given[name])
    else:
        yield given


def _read(given: Any, number: int) -> Wanted | NotWanted:
    label = f"entry {number}"
    read = _reader(given)
    if read is None:
        why = "It is of none of the products: Chroma Sync, Supermemory, Coco."
        return NotWanted(label=label, why=why)
    try:
        return read(given)
    except InvalidSetting as error:
        return NotWanted(label=label, why=error.message)


def _reader(given: Any) -> Callable[[object], Wanted] | None:
    if not isinstance(given, dict):
        return None
    if "connector" in given:
        return coco.datasource_of
    if "provider" in given or isinstance(given.get("metadata"), dict):  # pyright: ignore[reportUnknownMemberType]
        return supermemory.connection_of
    return chroma_sync.source_of if chroma_sync.is_source(given) else None  # pyright: ignore[reportUnknownArgumentType]
