"""The end of a restore, where a source says who may read: all that records tell is known again."""

from collections.abc import Callable

from s3sync_dagster.core.plan import split_record_id
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.last_look import known_at, places_of, told_together
from s3sync_dagster.engine.own_records import open_there
from s3sync_dagster.engine.ports import Collections
from s3sync_dagster.engine.readers_told import hear_own
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import Source

KEYS_A_LOOK = 10_000


def end_restore(
    source: Source, *, catalog: CatalogPort, collections: Callable[[], Collections], due: bool
) -> None:
    """Have a source that says who may read be as any other, once its records are all known.

    The catalog was put back from a copy: until then each batch asks what was forgotten, and what is
    said of readers counts for less. Once all that is there was listed, what no document tells of is
    read back. Nobody has to rest for it: a batch has heard of what its keys had under other ids
    before it writes them, and claims an id before it has records. What waited in the copy has to be
    done before, as it is no newer than what records say. Sources that say nothing of readers ask
    nobody.

    Args:
        source: any source.
        catalog: the catalog.
        collections: opens Chroma; not called where there is nothing to do.
        due: whether the time has come to look at its records; where readers see nothing of the
            source before, it always has.

    Raises:
        S3SyncError: Chroma or the catalog does not answer; the next call looks again.
    """
    asks = due and source.reader_keys and catalog.sources.looked_through(source.id)
    if not asks and not catalog.sources.is_closed_unseen(source.id):
        return
    if catalog.sources.listing_asked(source.id) or catalog.invocations.waits_since_restore(
        source.id
    ):
        return
    chroma = collections()
    unknown = _unknown_keys(source, catalog, chroma)
    if unknown:
        heard, unheard = hear_own(source, unknown, catalog=catalog, collections=chroma)
        if heard:
            return  # what was read back is written, or listed, before the next look
        if unheard:
            raise Unavailable(told_together(list(unheard.values())), reason="collection_unanswered")
    else:
        catalog.sources.look_through(source.id, [])
    catalog.sources.open_seen(source.id)


def _unknown_keys(source: Source, catalog: CatalogPort, collections: Collections) -> list[str]:
    """Return objects of which a collection has records under the ids of no document, the first."""
    keys = set[str]()
    for place in places_of(source, catalog=catalog, collections=collections):
        collection = open_there(collections, place[2], tenant=place[0], database=place[1])
        if collection is None:
            continue
        known = known_at(collection, place)
        for page in collection.scan(source_id=source.id):
            told = {
                (split_record_id(record.id)[0], str(record.metadata.get("document_key")))
                for record in page
            }
            names = sorted({name for name, _ in told})
            held = {one.document_id for one in catalog.collections.holders(known, names)}
            keys.update(key for name, key in told if name not in held)
            if len(keys) >= KEYS_A_LOOK:
                return sorted(keys)
    return sorted(keys)
