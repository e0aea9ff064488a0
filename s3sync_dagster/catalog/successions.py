"""How documents of a source that was moved stand to its successor's, and which of them leave."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.claimed_before import MOVER, MOVER_FOR_GOOD, MOVERS, take_right
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.rows import document_of
from s3sync_dagster.catalog.sidecar_rows import is_archived, is_read_sidecar
from s3sync_dagster.catalog.tables import (
    documents,
    has_records,
    invocations,
    is_live,
    is_missed,
    listings,
    objects,
    sources,
)
from s3sync_dagster.core.moving import CERTAIN, Standing, Succession, which_may_go
from s3sync_dagster.core.state import BESIDE, RESTORED, DocumentState
from s3sync_dagster.model.source import DeleteMode, Source

_LEAVES_BY_ITSELF = (
    documents.c.phase == "removing",
    sa.func.coalesce(documents.c.batch_token, "").not_in(MOVERS),
    documents.c.etag.is_not(None),
    documents.c.owner != BESIDE,
    has_records,
)
"""Whole once, on their way out on other evidence than a move: neither successors nor without.

What a restored catalog had forgotten is none of what its source had: nothing counts it out."""


def look_at_succession(tx: sa.Connection, source: Source, before: Source) -> Succession:
    """Return how far a source has come in the place of the one before."""
    newest = tx.execute(*_newest_end(source.id)).first()
    row = tx.execute(*_counted_of(before.id)).first()
    found = tx.execute(*_numbers(*_pair(source, before), append=_appends(source, before))).all()
    leaving = tx.execute(*_leaving_by_itself(before.id)).scalar_one()
    counts = dict.fromkeys(Standing, 0)
    for one in found:
        counts[Standing(one.standing)] += one.number
    return Succession(
        listed=newest is not None,
        held=newest is not None and newest.state != "complete",
        left_out=newest.left_out if newest is not None else 0,
        keeps={before.mode, source.mode} != {DeleteMode.MIRROR},
        standing=counts,
        unguarded=sum(
            one.number for one in found if one.was_leaving and one.standing == Standing.GONE
        ),
        records=sum(one.records for one in found),
        had=row.moved_documents - leaving if row is not None else 0,
        went=row.moved_gone if row is not None else 0,
        unwritten=tx.execute(*_unwritten(source.id)).scalar_one(),
    )


@built_once
def _newest_end(source_id: str) -> Any:
    # One that the guard held counts as complete once a newer one has ended: that one tells.
    ended = (
        listings.c.source_id == source_id,
        listings.c.state.in_(["complete", "blocked", "approved"]),
    )
    query = sa.select(listings.c.state, listings.c.left_out).where(*ended)
    return query.order_by(listings.c.id.desc()).limit(1)


@built_once
def _counted_of(before_id: str) -> Any:
    columns = (sources.c.moved_documents, sources.c.moved_gone)
    return sa.select(*columns).where(sources.c.id == before_id)


@built_once
def _numbers(
    source_id: str, collection: str, before_id: str, before_collection: str, *, append: bool
) -> Any:
    standing = _standing(source_id, collection, before_id, before_collection, append=append)
    standing = standing.label("standing")
    was_leaving = (documents.c.phase == "removing").label("was_leaving")
    return (
        sa.select(
            standing,
            was_leaving,
            sa.func.count().label("number"),
            sa.func.sum(documents.c.high_water).label("records"),
        )
        .where(documents.c.source_id == before_id)
        .group_by(standing, was_leaving)
    )


@built_once
def _leaving_by_itself(before_id: str) -> sa.Select[Any]:
    here = (documents.c.source_id == before_id, *_LEAVES_BY_ITSELF)
    return sa.select(sa.func.count()).where(*here)


@built_once
def _unwritten(source_id: str) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(documents).where(*unwritten_since(source_id))


def _pair(source: Source, before: Source) -> tuple[str, str, str, str]:
    """Return what ``_standing`` takes of both."""
    return source.id, source.collection_name, before.id, before.collection_name


def _appends(source: Source, before: Source) -> bool:
    return DeleteMode.APPEND in (before.mode, source.mode)


def _standing(
    source_id: str, collection: str, before_id: str, before_collection: str, *, append: bool
) -> sa.Case[str]:
    """Return the expression on a document of the source before for how it stands.

    What is worked on, has failed or lies there unread is not said to be gone, whatever told it.
    """
    theirs = documents.alias("theirs")
    same_key = (theirs.c.object_key == documents.c.object_key,)
    own = sa.and_(
        documents.c.collection_name == before_collection,
        theirs.c.collection_name == collection,
    )
    followed = sa.exists().where(
        theirs.c.source_id == source_id,
        *same_key,
        theirs.c.phase == "clean",
        sa.or_(own, theirs.c.collection_name == documents.c.collection_name),
    )
    # Append mode keeps a text that no object has any more: only one of the same bytes follows it.
    earlier = sa.and_(_is_whole(), followed) if append else sa.false()
    if append:
        followed = sa.or_(
            sa.and_(sa.not_(_is_whole()), followed),
            followed.where(theirs.c.etag == documents.c.etag),
        )
    half = sa.exists().where(
        theirs.c.source_id == source_id, *same_key, theirs.c.phase == "writing"
    )
    stands_too = sa.exists().where(
        theirs.c.source_id == before_id, *same_key, theirs.c.phase != "removing"
    )
    there = (
        objects.c.source_id == source_id,
        objects.c.object_key == documents.c.object_key,
        objects.c.gone.is_(False),
    )
    failed = sa.exists().where(*there, objects.c.outcome == "failed")
    unread = sa.exists().where(*there, objects.c.outcome.is_(None), objects.c.skip_reason.is_(None))
    # What a listing missed that is not complete, or not approved, is said to be gone by nobody.
    held = sa.exists().where(*there, is_missed)
    asks = (
        invocations.c.source_id == source_id,
        invocations.c.object_key == documents.c.object_key,
    )
    live = sa.exists().where(*asks, is_live)
    told = sa.exists().where(
        *asks,
        invocations.c.kind == "remove",
        invocations.c.trigger == "event",
        invocations.c.status == "complete",
        invocations.c.reason == "object_gone",
        # and nothing was told of it since
        invocations.c.told_count
        == sa.func.coalesce(
            sa.select(objects.c.told_count)
            .where(objects.c.source_id == source_id, objects.c.object_key == documents.c.object_key)
            .correlate(documents)
            .scalar_subquery(),
            0,
        ),
    )
    is_there = sa.exists().where(*there)
    # What is left out since it was read as archived is not archived for this.
    taken = sa.func.coalesce(objects.c.skip_reason, "archived") == "archived"
    archived = sa.exists().where(*there, is_archived, taken)
    # Nothing asks for it, or for it in that collection, as far as sidecars were read.
    unasked = sa.or_(objects.c.reason == "no_sidecar", objects.c.outcome == "indexed")
    unasked_there = sa.exists().where(*there, objects.c.skip_reason.is_(None), unasked)
    sidecars = (
        objects.c.source_id == source_id,
        objects.c.skip_reason == "sidecar",
        objects.c.gone.is_(False),
        sa.not_(is_read_sidecar),
    )
    unheard = sa.and_(has_records, unasked_there, sa.exists().where(*sidecars))
    heard_soon = sa.exists().where(
        *sidecars,
        invocations.c.source_id == source_id,
        invocations.c.object_key == objects.c.object_key,
        is_live,
    )
    if append:
        changed = sa.exists().where(*there, objects.c.etag != documents.c.etag)
        earlier = sa.or_(earlier, sa.and_(_is_whole(), changed))
    leaves = sa.and_(documents.c.phase == "removing", documents.c.owner != BESIDE)
    leaving = sa.and_(leaves, sa.not_(stands_too), sa.not_(half))
    return sa.case(
        (documents.c.batch_token.in_(MOVERS), Standing.LEAVING.value),
        (followed, Standing.FOLLOWED.value),
        (leaving, Standing.LEAVING.value),
        (live, Standing.WORKING.value),
        (failed, Standing.FAILED.value),
        (sa.or_(unread, half, held), Standing.UNFINISHED.value),
        (earlier, Standing.KEPT.value),
        (sa.and_(documents.c.owner.in_(["request", BESIDE]), is_there), Standing.ASKED.value),
        (sa.and_(sa.not_(has_records), sa.not_(is_there)), Standing.LEAVING.value),
        (sa.and_(told, sa.not_(is_there)), Standing.TOLD.value),
        (sa.and_(has_records, archived), Standing.ARCHIVED.value),
        (sa.and_(unheard, heard_soon), Standing.WORKING.value),
        (unheard, Standing.UNHEARD.value),
        else_=Standing.GONE.value,
    )


def _is_whole() -> sa.ColumnElement[bool]:
    """Return what holds for documents of known bytes that nothing was written over since."""
    read_back = sa.and_(documents.c.fingerprint.is_(None), documents.c.high_water > 0)
    restored = documents.c.collection_id.startswith(RESTORED)
    writing = sa.and_(documents.c.phase == "writing", sa.or_(read_back, restored))
    known = sa.func.coalesce(documents.c.etag, "") != ""
    return sa.and_(known, sa.or_(documents.c.phase == "clean", writing))


def claim_leaving(
    database: Database, source: Source, before: Source, *, limit: int
) -> list[DocumentState] | None:
    """Claim documents of the source before that may go now; None: another process is at it.

    They are found without a lock, and looked at again under that of both sources, so that nobody
    takes their ids over or writes them while they go.
    """
    with database.read() as tx:
        ids = _find(tx, source, before, CERTAIN, limit=limit)
        if not ids:
            going = which_may_go(look_at_succession(tx, source, before))
            ids = _find(tx, source, before, going, limit=limit)
    if not ids:
        return []
    with database.write() as tx:
        database.lock_sources(tx, {source.id, before.id})
        if not take_right(tx, before.id, now=database.now()):
            return None
        append = _appends(source, before)
        rows = tx.execute(*_claimable(*_pair(source, before), ids, append=append)).all()
        going = CERTAIN
        if any(row.standing not in CERTAIN for row in rows):
            going = which_may_go(look_at_succession(tx, source, before))
        taken = [row for row in rows if row.standing in going]
        for_good = [row.id for row in taken if not _goes_for_another(row)]
        token = sa.case((documents.c.id.in_(for_good), MOVER_FOR_GOOD), else_=MOVER)
        tx.execute(
            documents.update()
            .where(documents.c.id.in_([row.id for row in taken]))
            .values(phase="removing", batch_token=token)
        )
        counted = [row.standing for row in taken if row.phase != "removing"]
        count_out(tx, [row for row in taken if row.phase == "removing" and row.batch_token is None])
        tx.execute(
            sources.update()
            .where(sources.c.id == before.id)
            .values(
                moved_gone=sources.c.moved_gone + counted.count(Standing.GONE),
                moved_documents=sources.c.moved_documents - counted.count(Standing.TOLD),
            )
        )
    return [document_of(row) for row in taken]


def _goes_for_another(row: sa.Row[Any]) -> bool:
    """Return whether a document goes for its successor alone, which has to stand when it does."""
    return row.standing == Standing.FOLLOWED and row.phase != "removing"


def that_follow(
    tx: sa.Connection, source: Source, before: Source, *, limit: int
) -> list[DocumentState]:
    """Return the documents in whose favour those of a source before would leave next."""
    ids = _find(tx, source, before, {Standing.FOLLOWED}, limit=limit)
    keys = sa.select(documents.c.object_key).where(documents.c.id.in_(ids))
    theirs = documents.alias("theirs")
    here = (theirs.c.source_id == source.id, theirs.c.object_key.in_(keys))
    query = sa.select(theirs).where(*here, theirs.c.phase == "clean")
    return [document_of(row) for row in tx.execute(query)] if ids else []


def _find(
    tx: sa.Connection,
    source: Source,
    before: Source,
    standing: Collection[Standing],
    *,
    limit: int,
) -> list[int]:
    append = _appends(source, before)
    query = _that_stand(*_pair(source, before), list(standing), limit, append=append)
    return list(tx.execute(*query).scalars())


@built_once
def _that_stand(
    source_id: str,
    collection: str,
    before_id: str,
    before_collection: str,
    standings: Sequence[str],
    limit: int,
    *,
    append: bool,
) -> sa.Select[Any]:
    standing = _standing(source_id, collection, before_id, before_collection, append=append)
    here = (*_may_be_taken(before_id), standing.in_(standings))
    return sa.select(documents.c.id).where(*here).order_by(documents.c.id).limit(limit)


@built_once
def _claimable(
    source_id: str,
    collection: str,
    before_id: str,
    before_collection: str,
    ids: Sequence[int],
    *,
    append: bool,
) -> Any:
    standing = _standing(source_id, collection, before_id, before_collection, append=append)
    here = (*_may_be_taken(before_id), documents.c.id.in_(ids))
    return sa.select(documents, standing.label("standing")).where(*here)


def _may_be_taken(before_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    """What a late batch holds is its own business until it ends.

    What is claimed in favour of a successor is given back first, and asked for again.
    """
    free = sa.or_(documents.c.batch_token.is_(None), documents.c.batch_token == MOVER_FOR_GOOD)
    return documents.c.source_id == before_id, free


def unwritten_since(source_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Return what holds for documents whose records may still name a source before this one.

    Taken over by it, or by one in between that was moved itself before it had written them. What
    append mode has taken over and keeps as it was is written by nobody.
    """
    chain = sa.select(sources.c.id).where(sources.c.moved_to == source_id)
    rests = sa.exists().where(
        objects.c.source_id == documents.c.source_id,
        objects.c.object_key == documents.c.object_key,
        sa.or_(objects.c.outcome == "skipped", objects.c.skip_reason.is_not(None), objects.c.gone),
    )
    before, names = sources.alias("before"), sa.cast(documents.c.written_as, sa.Text)
    return (
        sa.or_(documents.c.source_id == source_id, documents.c.source_id.in_(chain)),
        documents.c.phase == "writing",
        sa.exists().where(before.c.moved_to == source_id, names.contains(before.c.id)),
        sa.or_(sa.func.coalesce(documents.c.etag, "") == "", sa.not_(rests)),
    )


def count_out(tx: sa.Connection, left: Sequence[Any]) -> None:
    """Take documents that went out on other evidence than a move out of what their source had.

    Beside them all the others would go as "not all of them".

    Args:
        tx: an open transaction.
        left: rows of ``documents``; where their source is not moved nothing counts.
    """
    counted = [
        row for row in left if row.etag is not None and row.high_water and row.owner != BESIDE
    ]
    for source_id, number in Counter(row.source_id for row in counted).items():
        tx.execute(
            sources.update()
            .where(sources.c.id == source_id, sources.c.moved_to.is_not(None))
            .values(moved_documents=sources.c.moved_documents - number)
        )
