"""Whose word counts for who may read: what a member said of a document names no reader of it.

A source may say later on who may read its documents. Metadata that a member gave until then, or
that nobody is known to have given, stay with the document. Where they say else under a key that
names readers (``Source.reader_keys``) than source, path and object do, nobody knows which of the
two was to hold: an owner may have closed what the path opens. Such a document names nobody.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from s3sync_dagster.core.state import RECOVERED, DocumentPhase, DocumentState, Target
from s3sync_dagster.model.document import MetadataValue
from s3sync_dagster.model.source import Source

NOTHING = "[]"
"""``DocumentState.withheld`` of records that hold whatever was said of them."""
NOBODY = ""
"""What records say under a key that is disputed; no group is called so."""


def disputed(
    own: Mapping[str, MetadataValue],
    metadata: Mapping[str, MetadataValue],
    *,
    vouched: bool,
    keys: Iterable[str],
) -> list[str]:
    """Return keys that name readers under which nobody vouches for another value.

    Args:
        own: what source, path and object say.
        metadata: the document's own.
        vouched: whether an owner gave those.
        keys: that name readers.
    """
    if vouched:
        return []
    return [key for key in keys if key in metadata and own.get(key) != metadata[key]]


def with_said(
    own: Mapping[str, MetadataValue],
    metadata: Mapping[str, MetadataValue],
    *,
    vouched: bool,
    keys: Iterable[str],
) -> dict[str, MetadataValue]:
    """Return the metadata of a document's records: as ``disputed``, its own above the others.

    Where one of the keys is disputed none of them names a reader.
    """
    keys = tuple(keys)
    unclear = disputed(own, metadata, vouched=vouched, keys=keys)
    both = {**own, **metadata}
    if not unclear:
        return both
    rest = {key: value for key, value in both.items() if key not in keys}
    return {**rest, **dict.fromkeys(unclear, NOBODY)}


def readers(
    own: Mapping[str, MetadataValue], target: Target, *, keys: Iterable[str]
) -> dict[str, MetadataValue]:
    """Return what records of a document say under the keys that name readers.

    Args:
        own: what source, path and object say.
        target: the document.
        keys: that name readers.
    """
    keys = tuple(keys)
    told = with_said(own, target.metadata, vouched=target.vouched, keys=keys)
    return {key: told[key] for key in keys if key in told}


def names_any(metadata: Mapping[str, MetadataValue], keys: Iterable[str]) -> bool:
    """Return whether metadata say something under one of these keys."""
    return not metadata.keys().isdisjoint(keys)


def in_doubt(document: DocumentState, keys: Iterable[str]) -> bool:
    """Return whether a document's records may say else of its readers than the catalog does.

    ``catalog.doubted`` asks the same of many. Metadata without any of the keys say nothing of
    readers, whoever gave them; while records are written those of before may be there.
    """
    keys = tuple(keys)
    if document.withheld in (None, withheld_for(keys)):
        return False
    whole = document.phase is DocumentPhase.CLEAN and document.withheld.startswith("[")
    return not whole or names_any(document.metadata, keys)


def believed(target: Target, told: Mapping[str, MetadataValue], keys: Iterable[str]) -> Target:
    """Return a document that was read back from records, as one of its source where it is that.

    Nobody knows who said what its records say of readers: a request that kept it from others, or a
    tag that is another by now. Where source, path and object say the same, nothing is lost. Else it
    is for nobody with groups until somebody asks for it anew.

    Args:
        target: what is to be written.
        told: what the source, the path and the object say.
        keys: those that name readers.
    """
    names = frozenset(keys)
    if not target.recovered or any(
        told.get(key) != value for key, value in target.metadata.items() if key in names
    ):
        return target
    rest = {key: value for key, value in target.metadata.items() if key not in names}
    return replace(target, metadata=rest, vouched=not rest, recovered=False)


def withheld_for(keys: Iterable[str]) -> str:
    """Return the text that says: under these keys the records have nothing that a member said."""
    return json.dumps(sorted(set(keys)))


def withheld(target: Target, source: Source) -> str | None:
    """Return ``DocumentState.withheld`` of a document once its records are written."""
    if target.recovered:
        return RECOVERED
    return None if target.vouched else withheld_for(source.reader_keys)
