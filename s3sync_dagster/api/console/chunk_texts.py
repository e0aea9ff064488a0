"""The chunks of an object as its collection has them, a page of them, as bands of its text."""

from dataclasses import dataclass, field
from uuid import UUID

from s3sync_dagster.api.access import Caller
from s3sync_dagster.api.console.bands import Band, composed, document_anchor
from s3sync_dagster.api.console.best_chunks import Best, best_of
from s3sync_dagster.api.context import Context
from s3sync_dagster.api.searching import tenants_embedding
from s3sync_dagster.catalog.rights import sees_document
from s3sync_dagster.core.state import DocumentPhase, DocumentState
from s3sync_dagster.engine.hybrid import fetch_hits
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.search import opened

SHOWN = 50
"""Chunks a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks:
    """A page of an object's chunks in one collection."""

    collection_name: str
    anchor: str
    """Fragment of its heading."""
    total: int
    numbers: range
    """Of the page, from 0."""
    bands: list[Band] = field(default_factory=list[Band])
    problem: str = ""
    """Why none can be shown."""
    best: Best = field(default_factory=Best)
    """Of all its chunks, for the question that was asked."""
    unsettled: bool = False
    """Whether it is being written: what is shown may be of two versions."""

    @property
    def earlier(self) -> int | None:
        """Number of a chunk on the page before; None: this is the first."""
        return self.numbers.start - SHOWN if self.numbers.start else None

    @property
    def later(self) -> int | None:
        """Number of a chunk on the next page; None: this is the last."""
        return self.numbers.stop if self.numbers.stop < self.total else None


def chunks_of(
    here: Context, source_id: UUID, key: str, caller: Caller, *, chunk: int = 0, question: str = ""
) -> list[Chunks]:
    """Return the chunks in each collection that the caller may see; one request for each.

    Args:
        here: the server.
        source_id: whose object it is.
        key: of the object.
        caller: sees what a search shows to him, and no other record.
        chunk: one on the wanted page; where a document has fewer, its last page is meant.
        question: to find the best ones by, if anything is asked.
    """
    source = here.source(source_id, caller)
    rights = here.rights(caller)
    return [
        _page(here, document, caller, chunk=chunk, question=question)
        for document in here.catalog.documents.of_key(source.id, key)
        if sees_document(rights, source, document) and document.count
    ]


def _page(
    here: Context, document: DocumentState, caller: Caller, *, chunk: int, question: str
) -> Chunks:
    name, total = document.collection_name, document.count
    first = min(chunk, total - 1) // SHOWN * SHOWN
    numbers = range(first, min(first + SHOWN, total))
    anchor = document_anchor(document.database_name, name, document.document_id)
    bands: list[Band] = []
    problem = ""
    try:
        with opened(
            here.parts,
            name,
            reader=caller.reader,
            tenant=document.tenant,
            database=document.database_name,
            ranking="dense",
            embedding=tenants_embedding(here, name, document.database_name, caller),
        ) as searcher:
            # With the one before the page: where it ends tells whether text is missing.
            wanted = range(max(0, first - 1), numbers.stop)
            ids = {f"{document.document_id}-{number}": number for number in wanted}
            found = fetch_hits(searcher.collection, list(ids))
            hits = {ids[one]: hit for one, hit in found.items()}
            before = hits.get(first - 1)
            bands = list(composed(anchor, hits, numbers, before=before))
    except S3SyncError as error:
        problem = error.message
    return Chunks(
        collection_name=name,
        anchor=anchor,
        total=total,
        numbers=numbers,
        bands=bands,
        problem=problem,
        best=Best() if problem else best_of(here, document, question, caller),
        unsettled=document.phase is not DocumentPhase.CLEAN,
    )
