"""Keys as people give them: plain or as ``s3://bucket/key``, and what is near a mistyped one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

from s3sync_dagster.model.source import Source

if TYPE_CHECKING:
    from s3sync_dagster.catalog import Catalog
    from s3sync_dagster.catalog.views import ObjectRow

PAGE = 1000
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://")
LOOKED_AT = 20_000
"""Keys of a source among which near ones are looked for."""
NEAR = 3


def key_in(source: Source, text: str) -> str | None:
    """Return the key that a text names in a source; None for an address of another place."""
    root = source.place.address("")
    if text.startswith(root):
        return text.removeprefix(root)
    scheme, named, _ = root.partition("://")
    if not named:  # a folder: no key of one begins with a slash, and no path like an address
        return None if text.startswith("/") or _ADDRESS.match(text) else text
    return None if text.startswith((f"{scheme}://", "s3://")) else text


def rows_under(
    catalog: Catalog,
    source: Source,
    *,
    prefix: str = "",
    state: str | None = None,
    reason: str | None = None,
) -> Iterator[ObjectRow]:
    """Yield the objects of a source whose keys begin so, in key order."""
    after = _before(prefix)
    while rows := catalog.views.object_rows(
        source.id, state=state, reason=reason, after=after, limit=PAGE
    ):
        after = rows[-1].object_key
        for row in rows:
            if row.object_key.startswith(prefix):
                yield row
            elif row.object_key > prefix:
                return


def near_keys(catalog: Catalog, source: Source, key: str) -> list[str]:
    """Return keys that were possibly meant: of the same name elsewhere, else spelt alike."""
    name = key.rpartition("/")[2].casefold()
    same: list[str] = []
    known: list[str] = []
    for row, _ in zip(rows_under(catalog, source), range(LOOKED_AT), strict=False):
        known.append(row.object_key)
        if name and row.object_key.rpartition("/")[2].casefold() == name:
            same.append(row.object_key)
    return same[:NEAR] or get_close_matches(key, known[:PAGE], n=NEAR, cutoff=0.75)


def _before(prefix: str) -> str | None:
    """Return a text that is smaller than all keys with the prefix, and near them."""
    if not prefix or prefix[-1] == "\x00":
        return prefix[:-1] or None
    code = ord(prefix[-1]) - 1
    return prefix[:-1] + chr(0xD7FF if 0xD800 <= code <= 0xDFFF else code)  # no half of a pair
