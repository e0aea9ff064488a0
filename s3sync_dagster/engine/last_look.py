"""The last look at what a source wrote, before its id is forgotten and nobody asks for it again.

A Chroma that has accepted a deletion and not done it, or that was put back from a copy, has records
of the source that no document of it tells of; so it has where the catalog was put back. Under
another id, as after a move, no check and no ``verify`` would ever meet them.
"""

from collections.abc import Callable, Sequence

from s3sync_dagster.core.lives import is_of
from s3sync_dagster.core.state import KnownCollection
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.own_records import (
    by_ids,
    known_at,
    names_there,
    open_there,
    owner_of,
    trouble_of_one,
)
from s3sync_dagster.engine.ports import CollectionPort, Collections, StoredRecord
from s3sync_dagster.engine.rebuilding import recover_documents
from s3sync_dagster.engine.standing import distrust_fallen, opening, sort_out_before
from s3sync_dagster.engine.unheld import delete_unheld, held_by_nobody
from s3sync_dagster.model.errors import NotFound, S3SyncError, Unavailable
from s3sync_dagster.model.source import Source

RECORDS_A_LOOK = 10_000


def delete_what_is_left(
    source: Source, *, catalog: CatalogPort, collections: Collections, said: bool = False
) -> int:
    """Delete records that say they are this source's, none of whose documents is left.

    One request for each collection that it has written to, where nothing is left. What another
    source's document has taken over stays: its next write says whose it is. So does what is of
    another bucket in a collection that is not the source's own: another installation's, whose
    source has the same name (``core.lives.is_of``).

    Returns:
        How many were deleted; not 0: look again, whether they are gone and whether there are more.

    Raises:
        S3SyncError: Chroma or the catalog does not answer; the next call looks again.
    """
    deleted = 0
    for known in catalog.collections.of_source(source.id):
        collection = open_there(
            collections,
            known.collection_name,
            tenant=known.tenant,
            database=known.database_name,
        )
        if collection is not None:
            deleted += _delete_left(source, collection, known, catalog, collections, said=said)
    return deleted


def look_elsewhere(
    source: Source,
    *,
    catalog: CatalogPort,
    collections: Collections,
    late: Callable[[], bool],
    log: Callable[[str], None],
    said: bool = False,
) -> bool:
    """Delete what a source has in collections of its database that it is not known to have written.

    A catalog that was put back from a copy has forgotten them; where none was, they are copies that
    somebody made, and stay. One request a collection.

    One for which Chroma refuses to answer may be anybody's, and hold what is looked for: the others
    are looked at, and the source is not forgotten until that one answers, or a person says so.

    Returns:
        Whether all were looked at; the next call goes on behind the last one that has nothing.

    Raises:
        S3SyncError: Chroma or the catalog does not answer, or not for one; the next call looks
            again.
    """
    waiting = look_round(source, catalog=catalog, collections=collections, log=log)
    tenant, database = source.tenant, source.database_name
    unread: list[S3SyncError] = []
    for name in list(waiting):
        try:
            collection = open_there(collections, name, tenant=tenant, database=database)
            there = None if collection is None else known_at(collection, (tenant, database, name))
            left = 0
            if collection and there:
                left = _delete_left(source, collection, there, catalog, collections, said=said)
            if left:
                return False
            waiting.remove(name)
        except S3SyncError as error:
            unread.append(
                trouble_of_one(collections, name, error, tenant=tenant, database=database)
            )
            waiting.remove(name)
            waiting.append(name)  # the next call begins with another one
        catalog.sources.look_through(source.id, waiting)
        if waiting and late():  # behind at least one: the time may be over before the first
            break
    if unread:
        raise Unavailable(
            f"{told_together(unread)} A restored catalog may have forgotten records of "
            f"{source.name!r} there, so its deletion waits; what else was met of it is gone. Have "
            f"Chroma answer, or delete the collection{_or_leave(source, catalog)}.",
            reason="collection_unanswered",
        )
    return not waiting


def _or_leave(source: Source, catalog: CatalogPort) -> str:
    """Return what else a person may say; of a source that was moved nobody says anything alone."""
    if source.id not in {one.id for one in catalog.sources.all()}:
        return ""
    return f"; or leave what may be there: `s3sync source delete {source.name} --keep-records`"


def look_round(
    source: Source,
    *,
    catalog: CatalogPort,
    collections: Collections,
    log: Callable[[str], None],
) -> list[str]:
    """Return the collections where a restored catalog may have forgotten records of a source.

    Also such as it knows the source to have written to. They are looked for once, soon after the
    restore: what names the source later, elsewhere, is a copy that somebody made. One request a
    collection, a second one where it has such records, then none. Where all that bear the source's
    id are of other buckets, they are another installation's, and told of.

    Raises:
        S3SyncError: Chroma or the catalog does not answer; the next call looks.
    """
    told = catalog.sources.looked_through(source.id)
    if told is None or told:
        return list(told or ())
    tenant, database = source.tenant, source.database_name
    named = {"s3sync_source": source.id}
    unknown = {"s3sync_source": {"$nin": sorted(catalog.sources.ids())}}
    here = {"$and": [named, {"s3sync_bucket": source.place.identity().bucket_name}]}
    names, strange = list[str](), list[str]()
    for name in sorted(names_there(collections, tenant=tenant, database=database)):
        try:
            port = open_there(collections, name, tenant=tenant, database=database)
            is_own = name == source.collection_name
            # In its own all may bear the name of who came after it, whom nobody knows here.
            asked = {"$or": [named, unknown]} if is_own else named
            if port is None or port.ids_meeting(asked, most=0) == []:
                continue
            if not is_own and port.ids_meeting(here, most=0) == []:
                strange.append(name)
                continue
        except S3SyncError as error:
            trouble_of_one(collections, name, error, tenant=tenant, database=database)
        names.append(name)
    catalog.sources.look_through(source.id, names)
    for name in strange:
        log(
            f"Records in the collection {name!r} bear the id of {source.name}, and are of another "
            "bucket: another installation's, whose source has the same name. They stay as they are."
        )
    if not names:
        catalog.sources.open_seen(source.id)  # no record is left that could say who reads it
    return names


def may_have_forgotten(source: Source, *, catalog: CatalogPort) -> bool:
    """Return whether a source is of a restored catalog, and has records that nobody knows maybe."""
    sources = catalog.sources
    return sources.looked_through(source.id) is not None or sources.listing_asked(source.id)


def places_of(
    source: Source,
    *,
    catalog: CatalogPort,
    collections: Collections,
    log: Callable[[str], None],
) -> list[tuple[str, str, str]]:
    """Return (tenant, database, collection) where a source of a restored catalog may have records.

    Raises:
        S3SyncError: Chroma or the catalog does not answer; the next call looks again.
    """
    known = {
        (one.tenant, one.database_name, one.collection_name)
        for one in catalog.collections.of_source(source.id)
    }
    forgotten = look_round(source, catalog=catalog, collections=collections, log=log)
    return sorted(known | {(source.tenant, source.database_name, name) for name in forgotten})


def told_together(troubles: Sequence[S3SyncError]) -> str:
    """Return the first of some troubles for people, and how many there are."""
    more = f" Nor could {len(troubles) - 1} more." if len(troubles) > 1 else ""
    return f"{troubles[0].message.rstrip('.')}.{more}"


def read_back_forgotten(
    source: Source,
    *,
    catalog: CatalogPort,
    collections: Collections,
    log: Callable[[str], None],
) -> int:
    """Add the documents of a source that collections alone tell of, as ``look_elsewhere`` has it.

    A catalog that was put back from a copy, however long ago, is no evidence against what was
    written since: its records are all that tells of it.

    Returns:
        How many there were.

    Raises:
        S3SyncError: Chroma or the catalog does not answer; the next call looks again.
    """
    added, unread = 0, list[S3SyncError]()
    for place in places_of(source, catalog=catalog, collections=collections, log=log):
        try:
            collection = open_there(collections, place[2], tenant=place[0], database=place[1])
            if collection is None:
                continue
            found = recover_documents(
                source, collection, known_sources={source.id}, written_by=source.id
            ).documents
        except NotFound:  # deleted since
            continue
        except S3SyncError as error:
            tenant, database, name = place
            unread.append(
                trouble_of_one(collections, name, error, tenant=tenant, database=database)
            )
            continue
        there = known_at(collection, place)
        holders = catalog.collections.holders(there, [one.document_id for one in found])
        held = {one.document_id for one in holders}
        added += catalog.documents.read_back(
            source,
            [one for one in found if one.document_id not in held],
            collection_name=place[2],
            collection_id=collection.id,
        )
    if unread and not added:
        raise Unavailable(told_together(unread), reason="collection_unanswered")
    return added


def _delete_left(
    source: Source,
    collection: CollectionPort,
    known: KnownCollection,
    catalog: CatalogPort,
    collections: Collections,
    *,
    said: bool,
) -> int:
    """Delete the first of those that nobody holds; those of others, however many, are passed by.

    So is what a source that was moved has left and nothing stands for by now, unless a person has
    ``said`` that it goes: whoever looks for records of sources that ended meets it (``ended``).
    """
    place = (known.tenant, known.database_name, known.collection_name)
    lives, opened = catalog.documents.lives(source.id), opening(collections)

    def over(page: Sequence[StoredRecord]) -> list[str]:
        own = {
            one.id: one
            for one in page
            if owner_of(one) == source.id
            and is_of(source, place, one.metadata)
            and not lives.kept(place, one.metadata)
        }
        free = held_by_nobody([*own], known, catalog.collections.holders)
        records = [own[name] for name in free]
        found = sort_out_before(records, place, catalog.documents, opened, said=said)
        distrust_fallen(found.fallen, catalog.documents)
        return found.over.get(source.id, [])

    left: list[str] = []
    for page in collection.scan(source_id=source.id):
        left += over(page)
        if len(left) >= RECORDS_A_LOOK:
            break
    return delete_unheld(
        left,
        collection,
        known,
        catalog.documents,
        look=lambda ids: [name for page in by_ids(collection, ids) for name in over(page)],
    )
