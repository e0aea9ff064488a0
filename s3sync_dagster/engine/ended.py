"""What stands of lives of sources that ended, and took their records along (``core.lives``).

A Chroma that was put back from a copy of its data has it again, and no document tells of it: a
source that was moved since bears another id, and of one that was deleted nothing else is known.
It looks just like what another installation has by now: it goes by a person's word alone.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from s3sync_dagster.core.lives import NONE_ENDED, Lives, Place
from s3sync_dagster.engine.deletions_port import StandingDocuments
from s3sync_dagster.engine.own_records import by_ids, known_at, names_there, open_there, owner_of
from s3sync_dagster.engine.ports import CollectionPort, Collections, StoredRecord
from s3sync_dagster.engine.standing import Before, Opened, sort_out_before
from s3sync_dagster.engine.unheld import delete_unheld, held_by_nobody

IDS_ASKED_FOR = 500


class EndedDocuments(StandingDocuments, Protocol):
    """What the catalog tells of them (``catalog.Documents``)."""

    def ended(self) -> dict[str, Lives]:
        """Return the lives of sources that ended, by their ids."""
        ...

    def ask_for_freed(self) -> int:
        """Let keys come that were refused ids of others; return how many."""
        ...


def written_by(
    records: Iterable[StoredRecord], place: Place, ended: Mapping[str, Lives]
) -> dict[str, str]:
    """Return those of a place's records that such sources wrote, by ids, with whose they are."""
    return {
        one.id: owner_of(one)
        for one in records
        if ended.get(owner_of(one), NONE_ENDED).over(place, one.metadata)
    }


def unheld(
    written: Mapping[str, str],
    collection: CollectionPort,
    place: Place,
    documents: EndedDocuments,
) -> dict[str, str]:
    """Return those of such records that no document has; what one has it writes anew."""
    if not written:
        return {}
    known = known_at(collection, place)
    return {one: written[one] for one in held_by_nobody([*written], known, documents.holders)}


def standing_of(
    collection: CollectionPort,
    place: Place,
    ended: Mapping[str, Lives],
    documents: EndedDocuments,
) -> list[str]:
    """Return the ids of all such records in a collection that no document has."""
    names = sorted(name for name, lives in ended.items() if place in lives.places)
    found: list[str] = []
    for start in range(0, len(names), IDS_ASKED_FOR):
        some = names[start : start + IDS_ASKED_FOR]
        if collection.ids_meeting({"s3sync_source": {"$in": some}}, most=0) == []:
            continue
        for name in some:
            for page in collection.scan(source_id=name):
                found += unheld(written_by(page, place, ended), collection, place, documents)
    return found


def left_of_ended(
    ids: Sequence[str],
    collection: CollectionPort,
    place: Place,
    ended: Mapping[str, Lives],
    documents: EndedDocuments,
    opened: Opened,
) -> Before:
    """Return which of those stand there still, and no document has; and which of these may go.

    Raises:
        S3SyncError: Chroma does not answer.
    """
    still: list[StoredRecord] = []
    for page in by_ids(collection, ids):
        left = unheld(written_by(page, place, ended), collection, place, documents)
        still += [one for one in page if one.id in left]
    return sort_out_before(still, place, documents, opened)


def delete_of_ended(
    left: Mapping[str, Sequence[str]],
    collection: CollectionPort,
    place: Place,
    ended: Mapping[str, Lives],
    documents: EndedDocuments,
    opened: Opened,
) -> None:
    """Delete what is left of them; what was refused its id for that comes now.

    What lacks in their place is written again: it is asked for once more right before.
    """

    def look(names: Sequence[str]) -> list[str]:
        before = left_of_ended(names, collection, place, ended, documents, opened)
        return [name for some in before.over.values() for name in some]

    ids = [name for names in left.values() for name in names]
    if not ids:
        return
    delete_unheld(ids, collection, known_at(collection, place), documents, look=look)
    documents.ask_for_freed()


def places_of_ended(
    ended: Mapping[str, Lives], *, collections: Collections, name: str | None = None
) -> list[tuple[Place, CollectionPort]]:
    """Return the collections that are there of those that such sources had written to.

    Raises:
        S3SyncError: Chroma does not answer.
    """
    places = sorted({place for lives in ended.values() for place in lives.places})
    there: dict[tuple[str, str], Collection[str]] = {}
    found: list[tuple[Place, CollectionPort]] = []
    for place in places:
        tenant, database, collection = place
        if name not in (None, collection):
            continue
        if (tenant, database) not in there:
            there[tenant, database] = names_there(collections, tenant=tenant, database=database)
        if collection in there[tenant, database]:
            port = open_there(collections, collection, tenant=tenant, database=database)
            found += [] if port is None else [(place, port)]
    return found
