"""Custom ids of documents that wait for a listing, and whose sidecars give them to others."""

from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.database import ROWS_A_PART, Database
from s3sync_dagster.catalog.exchanged_ids import Rings
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import documents, invocations, is_live, objects, sidecars
from s3sync_dagster.core.intent import Intent
from s3sync_dagster.core.outcome import LACKS_AN_ID, KeyOutcome
from s3sync_dagster.core.sidecar_owners import KEPT_OWNER, SIDECAR_OWNER
from s3sync_dagster.model.source import DeleteMode, Source

REFUSED_AT_ONCE = 20_000
"""Keys that are looked through for those that wait for an id; beyond it a retry asks for them."""
ASKED_AT_ONCE = 500


def give_way(
    database: Database, tx: sa.Connection, source: Source, intents: Sequence[Intent]
) -> None:
    """Turn documents ``removing`` whose ids their own sidecars give to objects that are written.

    They were kept because the sidecars named objects that nobody knew. Those are there: their keys
    would be refused the ids, and nobody would ask for them again when the ids are free. A mode that
    keeps what is gone lets nothing give way.

    Args:
        database: gives dialect and time.
        tx: an open transaction that has locked the source.
        source: of the batch.
        intents: of one collection, or of several.
    """
    if source.mode is not DeleteMode.MIRROR:
        return
    asked = {
        (one.target.collection_name, one.document_id): (
            one.key,
            KEPT_OWNER + one.target.owner.removeprefix(SIDECAR_OWNER),
        )
        for one in intents
        if one.target.custom_id is not None and one.target.owner.startswith(SIDECAR_OWNER)
    }
    giving: dict[int, str] = {}
    for part in groups(dict.fromkeys(document_id for _, document_id in asked)):
        query = sa.select(documents).where(
            documents.c.tenant == source.tenant,
            documents.c.database_name == source.database_name,
            documents.c.collection_name.in_({name for name, _ in asked}),
            documents.c.document_id.in_(part),
            documents.c.source_id == source.id,
            documents.c.phase != "removing",
            documents.c.batch_token.is_(None),
        )
        for row in tx.execute(query):
            key, owner = asked.get((row.collection_name, row.document_id), (row.object_key, ""))
            if row.owner == owner and row.object_key != key:
                giving[row.id] = row.object_key
    for part in groups(giving):
        tx.execute(documents.update().where(documents.c.id.in_(part)).values(phase="removing"))
    keys = sorted(set(giving.values()))
    insert_automatic(database, tx, source.id, keys, trigger="retry", now=database.now())


def free_by_now(tx: sa.Connection, source: Source, outcomes: Sequence[KeyOutcome]) -> list[str]:
    """Return keys that end here for an id which nothing has any more since it was refused them.

    Whoever freed it, this batch or another, found no key that had failed of it. With them the one
    that closes a ring, once, where another batch wrote the others beside this one: it steps aside
    in its next.

    Args:
        tx: an open transaction that has locked the source, behind what it removes.
        source: of the batch.
        outcomes: of its keys.
    """
    held = set[tuple[str, str]]()
    refused = {one.key: one.refused_ids for one in outcomes if one.refused_ids}
    asked_before = {one.key for one in outcomes if one.lacked_an_id}
    ids = {document_id for some in refused.values() for _, document_id in some}
    for part in groups(ids):
        query = sa.select(documents.c.collection_name, documents.c.document_id).where(
            documents.c.tenant == source.tenant,
            documents.c.database_name == source.database_name,
            documents.c.document_id.in_(part),
        )
        held.update((row.collection_name, row.document_id) for row in tx.execute(query))
    free = {key for key, some in refused.items() if not some <= held}
    free.update(
        Rings(tx, source).closed(
            {key: some for key, some in refused.items() if key not in asked_before}
        )
    )
    return sorted(free)


def refused_before(tx: sa.Connection, source_id: str, freed: Collection[str]) -> list[str]:
    """Return keys that failed of a custom id which is free now, and their sidecars give it them.

    Nothing is told of such a key when a document gives its id up: by events alone it would never be
    asked for again. With each those that wait for the id that it gives up in turn, and so on: as
    many as one batch can hand on.

    Args:
        tx: an open transaction.
        source_id: whose documents have just gone.
        freed: their custom ids.
    """
    if not freed:
        return []
    query = (
        sa.select(sidecars.c.path, sidecars.c.custom_id, documents.c.custom_id.label("held"))
        .select_from(objects)
        .join(
            sidecars,
            sa.and_(
                sidecars.c.source_id == objects.c.source_id,
                sidecars.c.path == objects.c.object_key,
            ),
        )
        .outerjoin(
            documents,
            sa.and_(
                documents.c.source_id == objects.c.source_id,
                documents.c.object_key == objects.c.object_key,
                documents.c.phase != "removing",
            ),
        )
        .where(
            objects.c.source_id == source_id,
            objects.c.outcome == "failed",
            objects.c.reason.in_(LACKS_AN_ID),
        )
        .limit(REFUSED_AT_ONCE)
    )
    waiting: dict[str, set[str]] = defaultdict(set)
    holding: dict[str, set[str]] = defaultdict(set)
    for row in tx.execute(query):
        waiting[row.custom_id].add(row.path)
        holding[row.path].update([row.held] if row.held else [])
    keys: dict[str, None] = {}
    ids = deque(sorted(freed))
    while ids and len(keys) < ASKED_AT_ONCE:
        for key in sorted(waiting.pop(ids.popleft(), ())):
            keys[key] = None
            ids.extend(sorted(holding[key]))
    return sorted(keys)


def given_up(source_id: str) -> sa.Select[Any]:
    """Return the query for keys that an earlier text of a source before had the ids of.

    A person has let that go, so that what the object has is written.
    """
    has = sa.exists().where(
        documents.c.source_id == source_id, documents.c.object_key == objects.c.object_key
    )
    asked = sa.exists().where(
        invocations.c.source_id == source_id,
        invocations.c.object_key == objects.c.object_key,
        is_live,
    )
    return (
        sa.select(objects.c.object_key)
        .where(
            objects.c.source_id == source_id,
            objects.c.outcome == "skipped",
            objects.c.reason == "changed_in_append_mode",
            objects.c.gone.is_(False),
            sa.not_(has),
            sa.not_(asked),
        )
        .limit(ROWS_A_PART)
    )
