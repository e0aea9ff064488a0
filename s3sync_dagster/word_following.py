"""The index of words beside a collection, and how it is kept in step with the catalog."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.versions import collection_state, document_versions
from s3sync_dagster.engine.hybrid import versions_by_scan
from s3sync_dagster.engine.ports import CollectionPort
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.ports.word_file import DAMAGED, file_of
from s3sync_dagster.ports.word_index import FtsWordIndex
from s3sync_dagster.ports.word_memory import WordMemory
from s3sync_dagster.wiring import Parts

WORDS = "words"
"""Folder of the home with one word index for each collection that was searched by words."""
MOST_PARTS = 100
"""Of a collection that are read each by itself where they changed; of more all is read."""


@contextmanager
def word_index(
    parts: Parts, collection: CollectionPort, *, tenant: str, database: str
) -> Iterator[FtsWordIndex]:
    """Give the collection's index of words, in step with it."""
    # The address is no part of it: the local Chroma has another port at each start.
    place = f"{tenant}\n{database}\n{collection.name}"
    name = hashlib.sha256(place.encode()).hexdigest()[:32]
    path = file_of(parts.settings.home / WORDS, name)
    memory = parts.word_memory(path)
    index = FtsWordIndex(path, memory)
    try:
        keep_in_step(
            index,
            collection,
            parts.catalog.database,
            tenant=tenant,
            database=database,
            memory=memory,
        )
        yield index
    finally:
        index.close()


def keep_in_step(
    index: FtsWordIndex,
    collection: CollectionPort,
    catalog: Database,
    *,
    tenant: str,
    database: str,
    memory: WordMemory,
) -> None:
    """Look at the catalog before a question, or beside it where that is dear; see ``WordMemory``.

    A question is answered from what a look left that ended at most ``LONGEST_REST_SECONDS`` ago, or
    looks for itself. Arguments and errors are those of ``follow_catalog``.
    """

    def look(one: FtsWordIndex) -> None:
        with memory.following:
            if not memory.rests(time.monotonic(), collection.id):
                follow_catalog(
                    one, collection, catalog, tenant=tenant, database=database, memory=memory
                )

    def look_with_another() -> None:
        with closing(index.another()) as one:
            look(one)

    memory.is_of(index.file_id())
    now = time.monotonic()
    if memory.rests(now, collection.id):
        return
    if memory.is_recent(now, collection.id):
        memory.look_beside(look_with_another)
    else:
        look(index)


def follow_catalog(
    index: FtsWordIndex,
    collection: CollectionPort,
    catalog: Database,
    *,
    tenant: str,
    database: str,
    memory: WordMemory | None = None,
) -> None:
    """Bring a word index in line with a collection; one that no catalog knows is scanned.

    Args:
        index: of the words.
        collection: which it follows.
        catalog: knows the collection's documents.
        tenant: of the collection.
        database: of the collection, in Chroma.
        memory: is told what the look at the catalog took.
    """
    place = {"tenant": tenant, "database_name": database, "collection_name": collection.name}
    memory = memory or WordMemory()
    try:
        _follow(index, collection, catalog, place, memory)
    except Unavailable as error:
        if error.reason != DAMAGED:
            raise
        # It was emptied when the damage showed: what it had is filled in again.
        _follow(index, collection, catalog, place, memory)


def _follow(
    index: FtsWordIndex,
    collection: CollectionPort,
    catalog: Database,
    place: Mapping[str, str],
    memory: WordMemory,
) -> None:
    began, began_cpu = time.monotonic(), time.thread_time()
    # Before the versions are read: what changes in between makes the next question look again.
    sums = collection_state(catalog, **place)
    # One that was made anew under the name is another one.
    state = json.dumps([collection.id, sums], sort_keys=True)
    known = index.state()
    if not sums or known != state:
        parts = _changed(known, collection.id, sums)
        versions = document_versions(catalog, parts=parts, **place)
        looked = time.thread_time() - began_cpu
        documents = versions if sums else versions_by_scan(collection)
        index.follow(collection, documents, parts=parts, state=state)
    else:
        looked = time.thread_time() - began_cpu
    memory.looked(time.monotonic(), collection.id, cpu_seconds=looked, began=began)


def _changed(known: str | None, collection_id: str, sums: Mapping[str, str]) -> list[int] | None:
    """Return the parts of a collection that are others than those of a state; None: any may be."""
    if known is None or not sums:
        return None
    of, before = json.loads(known)
    if of != collection_id or not before:
        return None
    changed = [int(part) for part in {*before, *sums} if before.get(part) != sums.get(part)]
    return changed if len(changed) <= MOST_PARTS else None
