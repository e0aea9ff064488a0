"""What a collection should have of a source's documents, and what of it was met."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from s3sync_dagster.core.plan import digests_at, split_record_id
from s3sync_dagster.core.records import metadata_digest
from s3sync_dagster.core.state import DocumentPhase, DocumentState
from s3sync_dagster.engine.as_written import has_its_text
from s3sync_dagster.engine.ended import EndedDocuments

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import StoredRecord
    from s3sync_dagster.engine.rebuilding import RecoveredDocument
    from s3sync_dagster.model.source import Source

PAGE = 1000


class VerifiedDocuments(EndedDocuments, Protocol):
    """What verification asks of the catalog (``catalog.Documents``)."""

    def of_source(
        self, source_id: str, *, after_id: int = 0, limit: int = 1000
    ) -> list[DocumentState]:
        """Return documents of a source by row id, a page at a time."""
        ...

    def written_by(
        self,
        source: Source,
        collection_name: str,
        document_ids: Sequence[str],
        *,
        collection_id: str,
    ) -> dict[str, str]:
        """Return the ids of the sources that wrote documents to this very collection, by theirs."""
        ...

    def read_back(
        self,
        source: Source,
        found: Sequence[RecoveredDocument],
        *,
        collection_name: str,
        collection_id: str,
    ) -> int:
        """Add documents that the catalog does not have, as not clean; return how many."""
        ...


class Expected:
    """What each clean document should have, and what was met of it."""

    def __init__(self, documents: Iterable[DocumentState]) -> None:
        self._documents: dict[str, DocumentState] = {}
        self._met: dict[str, bytearray] = {}
        self._altered: dict[str, set[str]] = {}
        self._of_key: dict[str, list[DocumentState]] = {}
        self._kept: dict[str, bytearray] = {}
        """What was met of texts that a mode keeps and nobody trusts: they may be lost for good."""
        self.clean = self.in_work = 0
        for document in documents:
            self._documents[document.document_id] = document
            self._of_key.setdefault(document.object_key, []).append(document)
            if document.phase is DocumentPhase.CLEAN:
                self.clean += 1
                self._met[document.document_id] = bytearray(document.count)
            elif document.high_water:  # else what is asked of an object that gives no text now
                self.in_work += 1
                if document.etag is not None and document.fingerprint is None:
                    self._kept[document.document_id] = bytearray(document.count)

    def meets(self, record: StoredRecord) -> bool:
        """Take note of a record; False when no document has it."""
        document_id, place = split_record_id(record.id)
        document = self._documents.get(document_id)
        if document is None or place is None:
            return False
        if document.phase is not DocumentPhase.CLEAN:
            kept = self._kept.get(document_id, bytearray())
            if place < len(kept):
                kept[place] = 1
            return True
        if place >= document.count:
            return False
        self._met[document_id][place] = 1
        if digests_at(document, place)[1] != metadata_digest(record.metadata):
            self._altered.setdefault(document_id, set()).update(record.metadata)
        return True

    def reads(self, record: StoredRecord, *, told: Callable[[DocumentState], bool]) -> None:
        """Take note of the text of a record that was met, where it is ``told`` from another."""
        document_id, place = split_record_id(record.id)
        document = self._documents.get(document_id)
        if document is None or place is None or document.phase is not DocumentPhase.CLEAN:
            return
        here = place < document.count and told(document)
        if here and not has_its_text(document, place, record):
            self._altered.setdefault(document_id, set()).update(record.metadata)

    def knows(self, document_id: str) -> bool:
        """Return whether a document of this id is known, whatever its phase."""
        return document_id in self._documents

    def has_of(self, object_key: str) -> bool:
        """Return whether a document of an object is known here that is more than begun."""
        return any(
            one.high_water or one.count or one.said is not None
            for one in self._of_key.get(object_key, ())
        )

    def writes_over(
        self, unknown: RecoveredDocument, *, etags: Collection[str] | None = None
    ) -> bool:
        """Return whether its object has a document here that was written in place of this one.

        Only one that is whole, as far as records were met: the text of any other may be lost.

        Args:
            unknown: of which nothing is known but its records.
            etags: only one of one of these was; None: whichever is whole.
        """
        return any(
            self._is_whole(one) and (etags is None or one.etag in etags)
            for one in self._of_key.get(unknown.object_key, ())
        )

    def _is_whole(self, document: DocumentState) -> bool:
        met = self._met.get(document.document_id)
        return bool(met) and 0 not in met and document.document_id not in self._altered

    def numbers(self) -> tuple[int, int]:
        """Return how many records there should be, and how many of them were met."""
        return sum(map(len, self._met.values())), sum(map(sum, self._met.values()))

    def lacking(self) -> list[DocumentState]:
        """Return the clean and the kept documents of which not all records were met."""
        every = (*self._met.items(), *self._kept.items())
        return [self._documents[name] for name, met in every if 0 in met]

    def altered(self) -> list[DocumentState]:
        """Return those of the others that have a record with another text, or other metadata."""
        lacking = {name for name, met in self._met.items() if 0 in met}
        return [self._documents[name] for name in sorted(self._altered.keys() - lacking)]

    def with_keys_met(self, document: DocumentState) -> DocumentState:
        """Return the document with the metadata keys that its changed records have.

        Who writes it next clears the keys that do not belong there: a write keeps what it does
        not name.
        """
        met = self._altered.get(document.document_id, set())
        return replace(document, metadata_keys=tuple(sorted({*document.metadata_keys, *met})))


def of_collection(
    source: Source, documents: VerifiedDocuments, collection_name: str
) -> Iterator[DocumentState]:
    """Return a source's documents in a collection, a page of the catalog's at a time."""
    after = 0
    while page := documents.of_source(source.id, after_id=after, limit=PAGE):
        yield from (one for one in page if one.collection_name == collection_name)
        after = page[-1].id
