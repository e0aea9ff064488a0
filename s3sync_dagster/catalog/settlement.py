"""The end of a batch's keys in bulk: documents become clean, invocations end, objects show it."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.claimed_before import MOVERS
from s3sync_dagster.catalog.collection_places import in_collection_as_known
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.deleted_sources import may_adopt
from s3sync_dagster.catalog.given_way import stand_again
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.said import keep_words
from s3sync_dagster.catalog.successions import count_out
from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.catalog.unclean import forget_kept, keep_untouched
from s3sync_dagster.core.intent import DocumentCommit
from s3sync_dagster.core.state import RESTORED, UNSEEN, UNTOLD, DocumentState
from s3sync_dagster.core.vouching import NOTHING
from s3sync_dagster.model.source import Source


def commit_documents(
    database: Database,
    tx: sa.Connection,
    token: str,
    written: Sequence[DocumentCommit],
    *,
    now: float,
) -> set[int]:
    """Make written documents clean; returns those that the batch does not hold any more.

    Nor does it hold what went into a collection that was found replaced by another meanwhile.
    """
    if not written:
        return set()
    held = set[int]()
    for part in groups([commit.id for commit in written]):
        held |= set(tx.execute(*_held(token, part, locks=not database.sqlite)).scalars())
    rows = [
        {
            "b_id": commit.id,
            "b_etag": commit.etag,
            "b_fingerprint": commit.fingerprint,
            "b_chunks": commit.count,
            "b_digests": commit.digests,
            "b_metadata_keys": list(commit.metadata_keys),
            "b_text_bytes": commit.text_bytes,
            "b_pages": commit.pages,
            "b_withheld": commit.withheld,
            "b_now": now,
        }
        for commit in written
        if commit.id in held
    ]
    if rows:
        tx.execute(_CLEAN, rows)
    return {commit.id for commit in written} - held


@built_once
def _held(token: str, ids: Sequence[int], *, locks: bool) -> sa.Select[Any]:
    query = sa.select(documents.c.id).where(
        documents.c.id.in_(ids),
        documents.c.batch_token == token,
        documents.c.phase == "writing",
        in_collection_as_known(),
    )
    return query.with_for_update() if locks else query


_CLEAN = (
    documents.update()
    .where(documents.c.id == sa.bindparam("b_id"))
    .values(
        phase="clean",
        batch_token=None,
        high_water=sa.bindparam("b_chunks"),
        indexed_at=sa.bindparam("b_now"),
        written_as=sa.null(),
        **{
            name: sa.bindparam(f"b_{name}")
            for name in (
                *("etag", "fingerprint", "chunks", "digests", "metadata_keys", "text_bytes"),
                *("pages", "withheld"),
            )
        },
    )
)


def forget_removed(
    tx: sa.Connection,
    token: str,
    ids: Iterable[int],
    *,
    source: Source | None = None,
    left: Collection[int] = (),
) -> tuple[set[str], set[str]]:
    """Delete the rows of documents whose records are gone, where the batch still holds them.

    What was to give way to one that was never whole stands again, as not clean. What was said of
    documents of ``source`` stays with their objects (``said.keep_words``), the last in order.

    Returns the custom ids that are free now, and the keys of which a document stands again. Of a
    document that was never whole its id is free where its object has left, ``left``: two that fail
    would ask for each other for ever.
    """
    freed, stood, begun = set[str](), set[str](), list[sa.Row[Any]]()
    forgotten: list[sa.Row[Any]] = []
    order = {one: place for place, one in enumerate(ids)}
    for part in groups(order):
        gone = tx.execute(
            documents.delete()
            .where(
                documents.c.id.in_(part),
                documents.c.batch_token == token,
                documents.c.phase == "removing",
            )
            .returning(*documents.c)
        ).all()
        forgotten += gone
        begun += [row for row in gone if row.etag is None]
        freed.update(
            row.custom_id
            for row in gone
            if row.custom_id is not None and (row.etag is not None or row.id in left)
        )
        if token not in MOVERS:
            count_out(tx, gone)
    for row in begun:
        if stand_again(tx, row, reader_keys=source.reader_keys if source else ()):
            stood.add(row.object_key)
    if source is not None:
        forgotten.sort(key=lambda row: order[row.id])
        freed.difference_update(keep_words(tx, source, forgotten))
    return freed, stood


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a write may have left behind, whoever owns the record ids now."""

    high_water: int
    metadata_keys: tuple[str, ...]


def trace_of(commit: DocumentCommit) -> Trace:
    """Return what the write of a document may have left."""
    return Trace(high_water=commit.count, metadata_keys=commit.metadata_keys)


def owners_of(tx: sa.Connection, which: sa.ColumnElement[bool]) -> set[str]:
    """Return the ids of the sources that have these documents."""
    return set(tx.execute(sa.select(documents.c.source_id).where(which).distinct()).scalars())


def distrust(
    database: Database,
    tx: sa.Connection,
    condition: sa.ColumnElement[bool],
    trace_of: Callable[[sa.Row[Any]], Trace],
    *,
    now: float,
    spoilt: bool = False,
) -> list[str]:
    """A late write may have hit what another batch wrote: nobody's commit counts.

    Nor what was found whole, and kept so, since that write was begun: its records are asked again.

    Args:
        database: gives dialect and time.
        tx: an open transaction.
        condition: which rows.
        trace_of: what the write may have left of a row's document.
        now: the time.
        spoilt: others did it, who have written nothing of the object's.

    Returns:
        The document ids that were found.
    """
    rows = tx.execute(sa.select(documents).where(condition)).all()
    if not rows:
        return []
    (keep_untouched if spoilt else forget_kept)(tx, condition)
    tx.execute(
        documents.update()
        .where(documents.c.id == sa.bindparam("b_id"))
        .values(
            batch_token=None,
            phase=sa.case((documents.c.phase == "removing", "removing"), else_="writing"),
            high_water=sa.bindparam("b_high_water"),
            metadata_keys=sa.bindparam("b_metadata_keys"),
            withheld=sa.bindparam("b_withheld"),
        ),
        [
            {
                "b_id": row.id,
                "b_high_water": max(row.high_water, trace_of(row).high_water),
                "b_metadata_keys": sorted({*row.metadata_keys, *trace_of(row).metadata_keys}),
                "b_withheld": _distrusted(row.withheld),
            }
            for row in rows
        ],
    )
    _ask_again(database, tx, {(row.source_id, row.object_key) for row in rows}, now=now)
    return [row.document_id for row in rows]


def _distrusted(withheld: str | None) -> str:
    if withheld is not None and withheld.startswith(UNTOLD):
        return withheld  # what is known of its object is no newer
    return UNSEEN if withheld in (None, UNSEEN, RESTORED) else NOTHING


def adopt_orphans(
    database: Database, tx: sa.Connection, states: Sequence[DocumentState], *, now: float
) -> None:
    """Give records that a late write made, and that nobody owns, an owner to be removed.

    Those of a source that was deleted with its records too, which then owns them until they are
    swept; where its records were to stay, these do.
    """
    states = [one for one in states if may_adopt(tx, one.source_id)]
    if not states:
        return
    tx.execute(
        database.insert(documents).on_conflict_do_nothing(),
        [
            {
                "source_id": state.source_id,
                "object_key": state.object_key,
                "tenant": state.tenant,
                "database_name": state.database_name,
                "collection_name": state.collection_name,
                "document_id": state.document_id,
                "custom_id": state.custom_id,
                "metadata": dict(state.metadata),
                "owner": state.owner,
                "phase": "removing",
                "high_water": max(state.high_water, state.count),
                "withheld": state.withheld,
                "digests": b"",
                "metadata_keys": list(state.metadata_keys),
                "collection_id": state.collection_id,
                "written_as": list(state.written_as),
            }
            for state in states
        ],
    )
    _ask_again(database, tx, {(one.source_id, one.object_key) for one in states}, now=now)


def _ask_again(
    database: Database, tx: sa.Connection, keys: Collection[tuple[str, str]], *, now: float
) -> None:
    by_source: dict[str, list[str]] = defaultdict(list)
    for source_id, key in sorted(keys):
        by_source[source_id].append(key)
    for source_id, names in by_source.items():
        insert_automatic(database, tx, source_id, names, trigger="retry", now=now)


def same_records(states: Collection[DocumentState]) -> list[sa.ColumnElement[bool]]:
    """Return conditions for the rows that own these record ids now, whoever they belong to."""
    ids: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for one in states:
        ids[one.tenant, one.database_name, one.collection_name].append(one.document_id)
    return [
        sa.and_(
            documents.c.tenant == tenant,
            documents.c.database_name == database_name,
            documents.c.collection_name == collection_name,
            documents.c.document_id.in_(part),
        )
        for (tenant, database_name, collection_name), names in ids.items()
        for part in groups(names)
    ]
