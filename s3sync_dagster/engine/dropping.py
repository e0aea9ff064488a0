"""The end of a collection that is written anew: only where nothing is lost with it unasked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from s3sync_dagster.core.lives import Lives
from s3sync_dagster.core.plan import split_record_id
from s3sync_dagster.core.state import KnownCollection, ListingRow, ListingState
from s3sync_dagster.core.writers import is_free
from s3sync_dagster.engine.own_records import owner_of
from s3sync_dagster.engine.readers_told import hear_all
from s3sync_dagster.model.errors import Conflict, NotFound
from s3sync_dagster.model.source import AutoSync, DeleteMode, Source

if TYPE_CHECKING:
    from s3sync_dagster.core.state import DocumentState
    from s3sync_dagster.engine.catalog_port import CatalogPort
    from s3sync_dagster.engine.ports import CollectionPort, Collections

SHOWN_KEYS = 3


def drop_collection(
    source: Source,
    listing: ListingRow,
    *,
    catalog: CatalogPort,
    collections: Collections,
    approved: bool,
) -> int:
    """Delete a source's collection, to be written anew by what works on the source next.

    Args:
        source: whose.
        listing: of the source, of a moment ago: what the bucket has decides what may go.
        catalog: the catalog.
        collections: Chroma.
        approved: a person lets go what is not written again.

    Returns:
        How many documents went with it that nothing writes again.

    Raises:
        Conflict: something would be lost; nothing was touched, and the message names it.
        S3SyncError: Chroma or the catalog does not answer.
    """
    _refuse_other_sources(source, catalog)
    place = {"tenant": source.tenant, "database": source.database_name}
    name = source.collection_name
    try:
        port = collections.open(name, **place, embedder=None, create=False, reads=True)
    except NotFound:
        return 0
    known = KnownCollection(
        tenant=source.tenant,
        database_name=source.database_name,
        collection_name=name,
        collection_id=port.id,
    )
    ours, others, under_their_names = _look_through(source, port, catalog)
    _refuse_records_of_others(source, others, catalog)
    # What was taken over and never written anew bears the name of who had it before.
    for named in under_their_names.values():
        taken = catalog.collections.holders(known, sorted(named))
        here = (one.document_id for one in taken if one.source_id == source.id)
        ours |= {one: named[one] for one in here}
    if listing.state is ListingState.BLOCKED:
        raise Conflict(
            f"{listing.gone} documents of {source.name} lost their objects, more than may go "
            f"without a person's word, so the collection {name!r} is left as it is. Look at the "
            f"bucket; `s3sync rebuild {source.name} --drop --approve-deletes` lets them go.",
            reason="removal_blocked",
        )
    hear_all(source, catalog=catalog, collections=collections)
    lost = [one for one in catalog.rebuilding.not_written_again(source) if one.document_id in ours]
    # A catalog that was restored knows less than the collection keeps.
    holders = {one.document_id for one in catalog.collections.holders(known, sorted(ours))}
    keys = {name: key for name, key in ours.items() if name not in holders}
    again = set[str]()
    # Of any other source nothing asks again for what it does not know that somebody asked for.
    if source.mode is DeleteMode.MIRROR and source.auto_sync is AutoSync.DIRECT:
        again = catalog.rebuilding.to_be_read(source, set(keys.values()))
    unknown = sum(key not in again for key in keys.values())
    if (lost or unknown) and not approved:
        raise Conflict(_why_kept(source, lost, unknown), reason="removal_blocked")
    collections.delete_collection(name, **place)
    catalog.rebuilding.gone_with_collection(source, lost)
    return len(lost) + unknown


def _look_through(
    source: Source, port: CollectionPort, catalog: CatalogPort
) -> tuple[dict[str, str], Counter[str], defaultdict[str, dict[str, str]]]:
    """Return the source's documents with records, id -> key, and whose the other records are.

    These as numbers of the records that it may not write over, and as documents of the others, by
    owner: id -> key.
    """
    numbers, documents = Counter[str](), defaultdict[str, dict[str, str]](dict)
    place = (source.tenant, source.database_name, source.collection_name)
    free: dict[str, Lives | None] = {source.id: None}
    asked = {source.id, ""}
    for page in port.scan():
        if new := set(map(owner_of, page)) - asked:
            free |= catalog.documents.may_write_over(source.id, new)
            asked |= new
        for record in page:
            owner = owner_of(record)
            if is_free(free, place, record.metadata):
                key = str(record.metadata.get("document_key") or "")
                documents[owner][split_record_id(record.id)[0]] = key
            else:
                numbers[owner] += 1
    return documents.pop(source.id, {}), numbers, documents


def _refuse_other_sources(source: Source, catalog: CatalogPort) -> None:
    place = (source.tenant, source.database_name, source.collection_name)
    others = [
        one.name
        for one in catalog.sources.all(moved=True)
        if one.id != source.id and place in catalog.documents.collections(one.id)
    ]
    if others:
        raise Conflict(
            f"The collection {source.collection_name!r} is also filled by {', '.join(others)}: "
            "delete it by hand and rebuild each of them. What is left of one that was moved goes "
            "at the end of the move, or with `s3sync source move NAME --now`."
        )


def _refuse_records_of_others(source: Source, others: Counter[str], catalog: CatalogPort) -> None:
    """Refuse where records would go that no work of this source writes again.

    Of a source that was deleted with its records a late worker may have left some: nobody's loss.
    """
    names = {one.id: one.name for one in catalog.sources.all(moved=True)}
    held = [f"{number} of {_whose(owner, names)}" for owner, number in sorted(others.items())]
    if held:
        raise Conflict(
            f"The collection {source.collection_name!r} has records that {source.name} did not "
            f"write and would not write again: {', '.join(held)}. `s3sync reindex {source.name} "
            "--into COLLECTION` fills another collection; to do without them delete this one by "
            f"hand, then `s3sync rebuild {source.name}`."
        )


def _whose(owner: str, names: dict[str, str]) -> str:
    if not owner:
        return "nobody known, by hand or of another program"
    return names.get(owner, f"the source {owner}, which was deleted or is of another installation")


def _why_kept(source: Source, lost: Sequence[DocumentState], unknown: int) -> str:
    keys = [repr(one.object_key) for one in lost[:SHOWN_KEYS]]
    shown = f" ({', '.join(keys)}{', ...' if len(lost) > SHOWN_KEYS else ''})" if keys else ""
    what: list[str] = []
    if lost:
        what.append(
            f"{len(lost)} documents of {source.name}{shown} are kept and cannot be written again "
            "now: their objects are gone, changed in append mode, archived, left out or not to be "
            "read"
        )
    if unknown:
        what.append(
            f"{unknown} documents of {source.name} are in the collection alone, the catalog does "
            "not know them"
        )
    return (
        f"{'; '.join(what)}. They would be lost with the collection {source.collection_name!r}, "
        f"which is left as it is: `s3sync rebuild {source.name}` without --drop keeps them, "
        "--approve-deletes lets them go."
    )
