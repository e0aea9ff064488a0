"""Whose word counts for who may read: what a member said of a document names no reader of it.

A source may say later on who may read its documents. Metadata that a member gave until then, or
that nobody is known to have given, stay with the document; of the keys that name readers
(``Source.reader_keys``) its records get the source's own values alone.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from s3sync_dagster.core.state import RECOVERED, Target
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
    """Return the text that says: of these keys the records have nothing that a member said."""
    return json.dumps(sorted(set(keys)))


def withheld(target: Target, source: Source) -> str | None:
    """Return ``DocumentState.withheld`` of a document once its records are written."""
    if target.recovered:
        return RECOVERED
    return None if target.vouched else withheld_for(source.reader_keys)
