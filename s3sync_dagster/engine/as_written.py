"""Whether a record is what was written, by what the catalog remembers of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3sync_dagster.core.plan import digests_at
from s3sync_dagster.core.records import metadata_digest, text_digest
from s3sync_dagster.model.document import Record

if TYPE_CHECKING:
    from s3sync_dagster.core.state import DocumentState
    from s3sync_dagster.engine.ports import StoredRecord
    from s3sync_dagster.model.source import Source


def as_written(document: DocumentState, place: int, stored: StoredRecord, *, text: bool) -> bool:
    """Return whether a record is what was written; ``text``: also by its text's digest."""
    of_text, of_metadata = digests_at(document, place)
    if metadata_digest(stored.metadata) != of_metadata:
        return False
    words = stored.document or ""
    record = Record(id=stored.id, document=words, embedding_text=words, metadata=stored.metadata)
    return not text or text_digest(record) == of_text


def tells_text(document: DocumentState, source: Source) -> bool:
    """Return whether the text of a document's records can be held against what was written.

    What stands before a text for the model alone is stored nowhere.
    """
    return not source.chunking.context and document.fingerprint in (None, source.fingerprint())
