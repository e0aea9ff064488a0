"""A collection has an identity: what was written to one says nothing about another of its name.

Who deletes a collection and makes it anew, restores an older copy of it, or names another server
leaves a catalog whose documents look whole. Chroma's id tells, and it comes with the open.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from s3sync_dagster.core.state import ABSENT, KnownCollection
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.ports import CollectionPort, Collections
from s3sync_dagster.engine.unheld import mend_cut_off
from s3sync_dagster.model.errors import NotFound, S3SyncError
from s3sync_dagster.model.source import Source

BUDGET_SECONDS = 15.0
"""Of a tick, for documents that lose their trust; what is left follows at the next."""


def check_collections(
    source: Source,
    *,
    catalog: CatalogPort,
    collections: Callable[[], Collections],
    log: Callable[[str], None],
    seconds: float = 3600,
) -> int:
    """Look whether the collections that a source wrote to are those that are there now.

    One request to Chroma for each; where Chroma does not answer nothing is learned, and what is
    known of it stands until it does.

    Args:
        source: the source.
        catalog: what is known.
        collections: opens Chroma; not called for a source that has written nothing.
        log: takes a sentence for each collection that is another one.
        seconds: for documents that lose their trust; what is left follows at the next look.

    Returns:
        How many documents have to be written again.
    """
    distrusted = 0
    for known in catalog.collections.of_source(source.id):
        try:
            looked = look_at(source, known, catalog=catalog, collections=collections())
            distrusted += mend_cut_off(source, known, looked.port, catalog.documents)
        except S3SyncError as error:
            log(f"the collection {known.collection_name!r} could not be looked at: {error.message}")
            continue
        if looked.met != known or looked.port is None:  # as a rule it is the one that is known
            distrusted += meet(source, looked, catalog=catalog, log=log, seconds=seconds)
    return distrusted


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a look at a collection told."""

    met: KnownCollection
    port: CollectionPort | None
    """None: there is none of that name."""
    emptied: bool = False
    """It is the one that was written to, but it has no record at all."""


def look_at(
    source: Source, known: KnownCollection, *, catalog: CatalogPort, collections: Collections
) -> Looked:
    """Look which collection of that name there is now; one request.

    One that documents from before ids were kept are said to be in must have records.
    """
    port = _opened(known, collections)
    if port is None:
        return Looked(met=replace(known, collection_id=ABSENT), port=None)
    emptied = (
        known.collection_id is None
        and catalog.collections.records(source.id, known) > 0
        and port.count() == 0
    )
    return Looked(met=replace(known, collection_id=port.id), port=port, emptied=emptied)


def meet_collection(
    source: Source, port: CollectionPort, *, catalog: CatalogPort, log: Callable[[str], None]
) -> None:
    """Note a collection that was opened to be written to, before anything of it is claimed."""
    met = KnownCollection(
        tenant=source.tenant,
        database_name=source.database_name,
        collection_name=port.name,
        collection_id=port.id,
    )
    meet(source, Looked(met=met, port=port), catalog=catalog, log=log)


def _opened(known: KnownCollection, collections: Collections) -> CollectionPort | None:
    try:
        return collections.open(
            known.collection_name,
            tenant=known.tenant,
            database=known.database_name,
            embedder=None,  # which model it has is the business of who writes
            create=False,
        )
    except NotFound:
        return None


def meet(
    source: Source,
    looked: Looked,
    *,
    catalog: CatalogPort,
    log: Callable[[str], None],
    seconds: float = 3600,
) -> int:
    """Note what a look told; returns how many documents have to be written again."""
    met, emptied = looked.met, looked.emptied
    number = catalog.collections.meet(source.id, met, emptied=emptied, seconds=seconds)
    if number != 0:
        what = "does not exist any more" if met.collection_id == ABSENT else "is another one now"
        log(
            f"the collection {met.collection_name!r} {'is empty' if emptied else what}: "
            f"{'many' if number is None else number} documents of {source.name} are written again"
        )
    if looked.port is None:
        catalog.collections.forget_unused(source.id, met)
    return number or 0
