"""Whether a record is what was written, by what the catalog remembers of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3sync_dagster.core.plan import digests_at
from s3sync_dagster.core.records import metadata_digest, text_digest
from s3sync_dagster.model.document import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3sync_dagster.core.state import DocumentState
    from s3sync_dagster.engine.ports import StoredRecord
    from s3sync_dagster.model.source import Source


def as_written(document: DocumentState, place: int, stored: StoredRecord, *, text: bool) -> bool:
    """Return whether a record is what was written; ``text``: also by its text's digest."""
    if metadata_digest(stored.metadata) != digests_at(document, place)[1]:
        return False
    return not text or has_its_text(document, place, stored)


def has_its_text(document: DocumentState, place: int, stored: StoredRecord) -> bool:
    """Return whether a record has the text that was written."""
    words = stored.document or ""
    record = Record(id=stored.id, document=words, embedding_text=words, metadata=stored.metadata)
    return text_digest(record) == digests_at(document, place)[0]


def texts_told(source: Source) -> Callable[[DocumentState], bool]:
    """Return what says of a document whether its texts can be held against what was written.

    What stands before a text for the model alone is stored nowhere. The settings are looked at
    once, whatever number of documents is asked about.
    """
    known, whole = (None, source.fingerprint()), not source.chunking.context
    return lambda document: whole and document.fingerprint in known
