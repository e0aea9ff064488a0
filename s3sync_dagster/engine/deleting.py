"""The end of a source: its records first, unless they are to stay, then all that names it."""

from collections.abc import Callable, Sequence

from s3sync_dagster.core.state import DocumentState
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.last_look import delete_what_is_left, look_elsewhere
from s3sync_dagster.engine.own_records import (
    delete_in_steps,
    ids_to_delete,
    names_there,
    open_there,
)
from s3sync_dagster.engine.ports import Collections
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import Source

DOCUMENTS_A_PAGE = 200
Place = tuple[str, str, str]
"""Tenant, database and collection."""


def take_down(
    source: Source,
    *,
    catalog: CatalogPort,
    collections: Callable[[], Collections],
    clock: Clock,
    drop_partitions: Callable[[float], bool],
    log: Callable[[str], None],
    budget_seconds: float = 20.0,
    said: bool = False,
) -> str:
    """Take a source down once no batch of it lives; goes on at the next call after its budget.

    A batch whose records are to go ends at the first call; one whose records stay goes on.

    Args:
        source: that is being deleted.
        catalog: the catalog.
        collections: opens Chroma, where records are to go.
        clock: time.
        drop_partitions: takes Dagster's partitions back until that monotonic time; True when
            none is left.
        log: takes the last word.
        budget_seconds: for this call.
        said: a person's word that what nothing followed goes with what was before a move.

    Returns:
        A sentence on how far it came.

    Raises:
        S3SyncError: Chroma or the catalog does not answer; the next call goes on.
    """
    if live := catalog.batches.live(source_id=source.id):
        # Who works on it hears of that before the next write; what is on its way is swept later.
        if catalog.sources.deleting(source.id) == "records":
            for batch in live:
                catalog.batches.release(batch.token, died=False)
        return f"{source.name} is deleted once its batches have ended"
    until = clock.monotonic() + budget_seconds
    if catalog.sources.deleting(source.id) == "records":
        after, refused = 0, dict[Place, S3SyncError]()
        while documents := catalog.documents.of_source(
            source.id, after_id=after, limit=DOCUMENTS_A_PAGE
        ):
            after = documents[-1].id
            went = _delete_where_it_goes(
                documents, catalog=catalog, collections=collections(), refused=refused
            )
            # What is refused stays first in line, and may take all the time: some go in each call.
            if went and clock.monotonic() > until:
                break
        for error in refused.values():
            raise error
        if documents:
            return f"{source.name}: its records are being deleted"
    for before in catalog.moves.left_by(source.id):  # which look for what nobody holds
        take_down(
            before,
            catalog=catalog,
            collections=collections,
            clock=clock,
            drop_partitions=lambda _until: True,
            log=log,
            budget_seconds=max(0.0, until - clock.monotonic()),
        )
        if catalog.sources.deleting(before.id) is not None:
            return f"{source.name}: the records of before its move are being deleted"
    if not drop_partitions(until):
        return f"{source.name}: its partitions are being taken back"
    if catalog.sources.deleting(source.id) == "records":
        left = delete_what_is_left(source, catalog=catalog, collections=collections(), said=said)
        if left:
            return f"{source.name}: {left} records of it were left, and are looked for again"
        if not look_elsewhere(
            source,
            catalog=catalog,
            collections=collections(),
            late=lambda: clock.monotonic() > until,
            log=log,
            said=said,
        ):
            return f"{source.name}: other collections are looked through for records of it"
    catalog.documents.drop_source(source.id)
    catalog.documents.ask_for_freed()
    log(f"source {source.name} is deleted")
    return f"source {source.name} is deleted"


def sweep(
    *,
    catalog: CatalogPort,
    collections: Callable[[], Collections],
    late: Callable[[], bool] = lambda: False,
) -> int:
    """Remove what late workers wrote for sources that were deleted; returns how many documents.

    For the one dispatcher of a catalog: two that sweep at once might meet a new owner of the ids.
    Once it is ``late`` the rest is left to the next call, behind at least one document.

    Raises:
        S3SyncError: Chroma or the catalog does not answer; the next call goes on.
    """

    def forget(ids: Sequence[int]) -> None:
        if taken := catalog.documents.forget_swept(ids):
            catalog.documents.distrust(taken)  # what they have may have gone with the late records

    swept, after, refused = 0, 0, dict[Place, S3SyncError]()
    while documents := catalog.documents.left_behind(after_id=after, limit=DOCUMENTS_A_PAGE):
        after = documents[-1].id
        # Another sweeper may have been faster, and a new owner of the ids have written since.
        went = _delete_where_it_goes(
            documents,
            catalog=catalog,
            collections=collections(),
            refused=refused,
            look=True,
            forget=forget,
        )
        swept += went
        if went and late():
            break
    if swept:
        catalog.documents.ask_for_freed()
    for error in refused.values():
        raise error
    return swept


def delete_records(
    documents: Sequence[DocumentState],
    *,
    catalog: CatalogPort,
    collections: Collections,
    look: bool = False,
    forget: Callable[[Sequence[int]], None] | None = None,
) -> None:
    """Delete the records of documents, wherever they stand, and forget the documents.

    Args:
        documents: whose.
        catalog: the catalog.
        collections: Chroma.
        look: see ``ids_to_delete``.
        forget: takes the ids of documents whose records are gone; None: they are forgotten.

    Raises:
        S3SyncError: Chroma or the catalog does not answer; what is left is done by the next call.
    """
    refused: dict[Place, S3SyncError] = {}
    _delete_where_it_goes(
        documents,
        catalog=catalog,
        collections=collections,
        refused=refused,
        look=look,
        forget=forget,
    )
    for error in refused.values():
        raise error


def _delete_where_it_goes(
    documents: Sequence[DocumentState],
    *,
    catalog: CatalogPort,
    collections: Collections,
    refused: dict[Place, S3SyncError],
    look: bool = False,
    forget: Callable[[Sequence[int]], None] | None = None,
) -> int:
    """Do that in all collections but those that refuse, which are added to ``refused``.

    One collection that answers nothing but errors keeps no other's records.

    Returns:
        How many went.

    Raises:
        S3SyncError: Chroma answers for none: each other one would be waited for in vain.
    """
    by_place: dict[Place, list[DocumentState]] = {}
    for one in documents:
        place = one.tenant, one.database_name, one.collection_name
        by_place.setdefault(place, []).append(one)
    went = 0
    for place, held in by_place.items():
        if place in refused:
            continue
        tenant, database, name = place
        try:
            collection = open_there(collections, name, tenant=tenant, database=database)
            if collection is not None:
                ids = ids_to_delete(collection, held, catalog=catalog, look=look)
                delete_in_steps(collection, ids)
        except S3SyncError as error:
            names_there(collections, tenant=tenant, database=database)
            refused[place] = error
        else:
            (forget or catalog.documents.forget)([one.id for one in held])
            went += len(held)
    return went
