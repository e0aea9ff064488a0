"""The end of a restore, where a source says who may read: all that records tell is known again."""

from collections.abc import Callable, Iterator, Sequence

from s3sync_dagster.core.lives import is_of
from s3sync_dagster.core.plan import split_record_id
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.last_look import places_of, told_together
from s3sync_dagster.engine.own_records import known_at, of_no_document, open_there
from s3sync_dagster.engine.ports import CollectionPort, Collections, StoredRecord
from s3sync_dagster.engine.readers_told import hear_own
from s3sync_dagster.engine.rebuilding import documents_of
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import Source

RECORDS_A_LOOK = 10_000
RECORDS_TOLD_OF = 1_000


def end_restore(
    source: Source,
    *,
    catalog: CatalogPort,
    collections: Callable[[], Collections],
    due: bool,
    log: Callable[[str], None],
) -> None:
    """Have a source that says who may read be as any other, once its records are all known.

    The catalog was put back from a copy: until then each batch asks what was forgotten, and what is
    said of readers counts for less. Once all that is there was listed, what no document tells of is
    read back. Nobody has to rest for it: a batch has heard of what its keys had under other ids
    before it writes them, and claims an id before it has records. What waited in the copy has to be
    done before, as it is no newer than what records say. Sources that say nothing of readers ask
    nobody.

    Records that can be no document are told of once: nothing would ever make them known.

    Args:
        source: any source.
        catalog: the catalog.
        collections: opens Chroma; not called where there is nothing to do.
        due: whether the time has come to look at its records; where readers see nothing of the
            source before, it always has.
        log: takes a sentence for each collection where such records stay.

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
    left: dict[str, list[StoredRecord]] = {}
    for place in places_of(source, catalog=catalog, collections=chroma, log=log):
        collection = open_there(chroma, place[2], tenant=place[0], database=place[1])
        if collection is None:
            continue
        for records in _unknown(source, collection, place, catalog):
            told_keys = {one.metadata.get("document_key") for one in records}
            keys = sorted(key for key in told_keys if isinstance(key, str))
            heard, unheard = hear_own(source, keys, catalog=catalog, collections=chroma, log=log)
            if heard:
                return  # what was read back is written, or listed, before the next look
            if unheard:
                told = told_together(list(unheard.values()))
                raise Unavailable(told, reason="collection_unanswered")
            some = left.setdefault(collection.name, [])
            some += records[: RECORDS_TOLD_OF - len(some)]
    for name, records in left.items():
        _tell_of(source, name, records, log)
    catalog.sources.look_through(source.id, [])
    catalog.sources.open_seen(source.id)


def _unknown(
    source: Source,
    collection: CollectionPort,
    place: tuple[str, str, str],
    catalog: CatalogPort,
) -> Iterator[list[StoredRecord]]:
    """Yield records under the ids of no document of their objects, as many as a look takes."""
    known = known_at(collection, place)
    unknown: list[StoredRecord] = []
    for page in collection.scan(source_id=source.id):
        own = [one for one in page if is_of(source, place, one.metadata)]
        unknown += of_no_document(own, known, catalog)
        if len(unknown) >= RECORDS_A_LOOK:
            yield unknown
            unknown = []
    if unknown:
        yield unknown


def _tell_of(
    source: Source, name: str, records: Sequence[StoredRecord], log: Callable[[str], None]
) -> None:
    """Tell of records of which no document can be made; texts that a mode keeps are none."""
    tops = {one.document_id: one.high_water for one in documents_of(records, source)}
    parts = {one.id: split_record_id(one.id) for one in records}
    ids = [
        one
        for one, (document_id, number) in parts.items()
        if number is None or number >= tops.get(document_id, 0)
    ]
    if ids:
        log(
            f"{len(ids)} records of {source.name} in the collection {name!r} are of no document, "
            f"such as {ids[0]!r}: `s3sync verify {name} --fix` deletes them"
        )
