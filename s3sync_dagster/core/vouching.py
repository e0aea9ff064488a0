"""Whose word counts for who may read: what a member said of a document names no reader of it.

A source may say later on who may read its documents. Metadata that a member gave until then, or
that nobody is known to have given, stay with the document; of the keys that name readers
(``Source.reader_keys``) its records get the source's own values alone.
"""

import json
from collections.abc import Iterable, Mapping

from s3sync_dagster.core.state import Target
from s3sync_dagster.model.document import MetadataValue
from s3sync_dagster.model.source import Source

NOTHING = "[]"
"""``DocumentState.withheld`` of records that hold whatever was said of them."""


def said(
    metadata: Mapping[str, MetadataValue], *, vouched: bool, keys: Iterable[str]
) -> dict[str, MetadataValue]:
    """Return what of a document's own metadata counts, where these keys name its readers."""
    if vouched:
        return dict(metadata)
    names = frozenset(keys)
    return {key: value for key, value in metadata.items() if key not in names}


def withheld_for(keys: Iterable[str]) -> str:
    """Return the text that says: of these keys the records have nothing that a member said."""
    return json.dumps(sorted(set(keys)))


def withheld(target: Target, source: Source) -> str | None:
    """Return ``DocumentState.withheld`` of a document once its records are written."""
    return None if target.vouched else withheld_for(source.reader_keys)
