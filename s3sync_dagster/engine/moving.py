"""A source moves: its new records first, then those that it left behind, through the guard."""

from dataclasses import dataclass
from typing import Protocol

from s3sync_dagster.core.guard import needs_approval
from s3sync_dagster.core.source_identity import Fate, LeftBehind
from s3sync_dagster.core.state import DocumentState
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.deleting import delete_records
from s3sync_dagster.engine.ports import Collections
from s3sync_dagster.model.source import DeleteMode, Source

DOCUMENTS_AT_ONCE = 200


class Moves(Protocol):
    """What is asked of the catalog (``catalog.Moves``)."""

    def left_behind(self, source: Source, remnant: Source) -> LeftBehind:
        """Count the documents of a remnant by what became of their objects."""
        ...

    def documents(
        self, source: Source, remnant: Source, *, fate: Fate, limit: int
    ) -> list[DocumentState]:
        """Return some documents of a remnant whose objects met one fate."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """What became of the documents that a source left behind."""

    removed: int
    waiting: int
    """Their objects are still to be indexed where the source is now: they serve until then."""
    blocked: int
    """Their objects are gone or left out: so many that a person has to say so."""
    kept: int
    """Likewise, by a delete mode that keeps them."""


def clear_left_behind(
    source: Source,
    remnant: Source,
    *,
    moves: Moves,
    catalog: CatalogPort,
    collections: Collections,
    approved: bool,
) -> Cleared:
    """Remove what a source left behind and needs no more; the remnant goes with its last document.

    Args:
        source: as it is now.
        remnant: the source that holds what it left.
        moves: of the catalog.
        catalog: the catalog.
        collections: Chroma.
        approved: a person lets go what the guard would stop.

    Raises:
        S3SyncError: Chroma or the catalog does not answer; the next call goes on.
    """
    before = moves.left_behind(source, remnant)
    fates: list[Fate] = ["followed"]
    blocked = kept = 0
    if source.mode is not DeleteMode.MIRROR:
        kept = before.left
    elif needs_approval(before.left, total=before.total) and not approved:
        blocked = before.left
    else:
        fates.append("left")
    removed = 0
    for fate in fates:
        while found := moves.documents(source, remnant, fate=fate, limit=DOCUMENTS_AT_ONCE):
            delete_records(found, catalog=catalog, collections=collections)
            removed += len(found)
    if removed == before.total:
        catalog.documents.drop_source(remnant.id)
    return Cleared(removed=removed, waiting=before.waiting, blocked=blocked, kept=kept)
