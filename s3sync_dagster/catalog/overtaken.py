"""Removals that wait while something newer is told of their objects.

A removal is asked for with the number of things that had been told of its object: it is evidence
while that is the number still (``core.facts.stands``). What is told counts by itself where it is
stored; here is what would change nothing else.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.batch_end import end_running
from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import documents, invocations, is_live, listings, objects
from s3sync_dagster.core.news import Told
from s3sync_dagster.core.page import PageCommit
from s3sync_dagster.core.sidecar_owners import SIDECAR_OWNER
from s3sync_dagster.core.state import ListingRow
from s3sync_dagster.model.source import DeleteMode, Source

EDITED = "mode, auto_sync or document_limit of its source was changed: the next one begins anew"
KEPT_TEXT = "kept"
"""In place of a fingerprint: no settings have this one."""
REMOVAL_STANDS = (
    is_live,
    invocations.c.kind == "remove",
    invocations.c.told_count == objects.c.told_count,
)
"""Holds beside the object's row for a removal that waits and is evidence still."""


def end_removals(tx: sa.Connection, listing: ListingRow, page: PageCommit) -> None:
    """End the force of removals that events told, of objects that a newer page has seen.

    Those of listings are about objects that are marked as gone: one that is seen is news, and
    stored, like one that is selected again.
    """
    if not page.seen:
        return
    query = _told_removals(listing.source_id, page.seen[0], page.seen[-1])
    told = set(tx.execute(*query).scalars()).intersection(page.seen)
    _tell(tx, listing.source_id, told, number=page.asked, than=page.asked)


@built_once
def _told_removals(source_id: str, first: str, last: str) -> sa.Select[Any]:
    return sa.select(invocations.c.object_key).where(
        invocations.c.source_id == source_id,
        is_live,
        invocations.c.kind == "remove",
        invocations.c.trigger != "listing",
        invocations.c.object_key >= first,
        invocations.c.object_key <= last,
    )


def note_removals(
    tx: sa.Connection,
    source_id: str,
    keys: Collection[str],
    *,
    number: int,
    sequencers: Mapping[str, str],
) -> None:
    """Count removals that events tell among what was told of their objects.

    A page that was asked for before is older, and older news are known by the sequencer.

    Args:
        tx: an open transaction.
        source_id: the source.
        keys: whose removal is told.
        number: of the newest page.
        sequencers: of the events, by key.
    """
    _tell(tx, source_id, keys, number=number)
    known = [{"b_key": key, "b_sequencer": sequencers[key]} for key in keys if key in sequencers]
    if known:
        here = (objects.c.source_id == source_id, objects.c.object_key == sa.bindparam("b_key"))
        tx.execute(
            objects.update().where(*here).values(sequencer=sa.bindparam("b_sequencer")), known
        )


def end_verdicts(
    tx: sa.Connection, before: Mapping[str, Any], source: Source, *, now: float
) -> None:
    """End what listings have told under another mode, limit, or word on sidecars.

    Batches that are at work go by the mode of before, and end. What a mode keeps is judged by
    nobody, and a sidecar that goes is no loss where its object is indexed by itself. What is beyond
    a limit only a listing tells: no look at the object finds that it is not any more. What a
    blocked listing shows stands under any mode: only `mirror` blocks one. For a transaction that
    changes the source.

    Args:
        tx: an open transaction.
        before: the source's configuration so far.
        source: what it is from now on.
        now: the time.
    """
    limited = before.get("document_limit") != source.document_limit
    same = (before.get("mode"), before.get("auto_sync")) == (source.mode, source.auto_sync)
    if same and not limited:
        return
    if before.get("mode") != source.mode:
        end_running(tx, source.id, now=now)
        if source.mode is DeleteMode.MIRROR:
            _look_at_kept(tx, source.id)
        else:  # what went already of such a text nobody knows: who looks at records tells
            going = _taken_off_their_way_out(source.id, objects.c.gone).where(sa.not_(_moved_on()))
            tx.execute(going.values(fingerprint=None))
    tx.execute(
        invocations.update()
        .where(
            invocations.c.source_id == source.id,
            is_live,
            invocations.c.kind == "remove",
            invocations.c.trigger == "listing",
        )
        .values(told_count=None)
    )
    here = listings.c.source_id == source.id
    tx.execute(
        listings.update()
        .where(here, listings.c.state == "running")
        .values(state="failed", finished_at=now, error=EDITED)
    )
    # By what a sidecar's end is more, or less, and what is selected.
    if limited or before.get("auto_sync") != source.auto_sync:
        tx.execute(
            listings.update()
            .where(here, listings.c.state.in_(["blocked", "approved"]))
            .values(state="complete")
        )


def _look_at_kept(tx: sa.Connection, source_id: str) -> None:
    """Forget under which settings bytes gave no text whose earlier text the mode so far has kept.

    The next listing asks for them, and what they were before goes.
    """
    same = (
        documents.c.source_id == objects.c.source_id,
        documents.c.object_key == objects.c.object_key,
        documents.c.high_water > 0,
    )
    tx.execute(
        objects.update()
        .where(
            objects.c.source_id == source_id,
            objects.c.outcome.in_(["failed", "skipped"]),
            objects.c.retry_class == "input",
            sa.select(documents.c.id).where(*same).exists(),
        )
        .values(fingerprint=KEPT_TEXT)
    )


def unjudged(tx: sa.Connection, token: str) -> set[str]:
    """Return a batch's keys whose removal was asked for by a listing that counts for nothing."""
    query = sa.select(invocations.c.object_key).where(
        invocations.c.batch_token == token,
        invocations.c.kind == "remove",
        invocations.c.trigger == "listing",
        invocations.c.told_count.is_(None),
    )
    return set(tx.execute(query).scalars())


def keep_returned(
    tx: sa.Connection, source_id: str, told: Collection[Told], *, asked: int | None
) -> None:
    """Take documents off their way out whose object was gone or left out, and is no more.

    What was to go with it is written anew; where selection leaves the object out from then on, the
    guard has not judged that. Not what gave way to another document of the same place, which goes.

    Args:
        tx: an open transaction that is about to store the news.
        source_id: the source.
        told: objects that are there, with selection's verdict.
        asked: number of the page that tells it; None: others do (``upsert_objects``).
    """
    if tx.execute(*_leaves_any(source_id)).first() is None:
        return
    there = [ref.key for ref, _ in told]
    taken = [ref.key for ref, skip in told if skip is None]
    for keys, left_out in ((there, False), (taken, True)):
        for part in groups(keys):
            by_page = asked is not None
            tx.execute(*_stand_again(source_id, part, asked, by_page=by_page, left_out=left_out))


def _is_leaving(source_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        documents.c.source_id == source_id,
        documents.c.phase == "removing",
        documents.c.batch_token.is_(None),
        documents.c.etag.is_not(None),
    )


@built_once
def _leaves_any(source_id: str) -> sa.Select[Any]:
    unclean = sa.text("documents.phase <> 'clean'")  # SQLite's word for the index of these
    return sa.select(documents.c.id).where(unclean, *_is_leaving(source_id)).limit(1)


@built_once
def _stand_again(
    source_id: str, keys: Sequence[str], asked: int | None, *, by_page: bool, left_out: bool
) -> sa.Update:
    older = [objects.c.told_number < asked] if by_page else []
    known = (*older, objects.c.skip_reason.is_not(None) if left_out else objects.c.gone)
    return _taken_off_their_way_out(source_id, *known).where(documents.c.object_key.in_(keys))


def _taken_off_their_way_out(source_id: str, *known: sa.ColumnElement[bool]) -> sa.Update:
    """Return the statement for documents of which this is known of their objects.

    Not for what gave way to another document of the same place.
    """
    same = (
        objects.c.source_id == documents.c.source_id,
        objects.c.object_key == documents.c.object_key,
    )
    follows = _gave_way("tenant", "database_name", "collection_name")
    return (
        documents.update()
        .where(*_is_leaving(source_id), sa.exists().where(*same, *known), sa.not_(follows))
        .values(phase="writing")
    )


def _moved_on() -> sa.ColumnElement[bool]:
    """Return what holds for a document whose sidecar has asked for another one in its place since.

    It goes by the sidecar's word, whatever becomes of the object.
    """
    return sa.and_(documents.c.owner.startswith(SIDECAR_OWNER), _gave_way("owner"))


def _gave_way(*same: str) -> sa.ColumnElement[bool]:
    """Return what holds for a document on its way out beside one of the object that stands.

    Or beside a later one that goes as well; ``same``: columns that both have alike.
    """
    other = documents.alias("other")
    return sa.exists().where(
        *(other.c[name] == documents.c[name] for name in ("source_id", "object_key", *same)),
        sa.or_(other.c.phase != "removing", other.c.id > documents.c.id),
    )


def _tell(
    tx: sa.Connection,
    source_id: str,
    keys: Collection[str],
    *,
    number: int,
    than: int | None = None,
) -> None:
    for part in groups(sorted(keys)):
        tx.execute(*_count_telling(source_id, part, number, than, by_page=than is not None))


@built_once
def _count_telling(
    source_id: str, keys: Sequence[str], number: int, than: int | None, *, by_page: bool
) -> sa.Update:
    older = [objects.c.told_number < than] if by_page else []
    return (
        objects.update()
        .where(objects.c.source_id == source_id, objects.c.object_key.in_(keys), *older)
        .values(told_count=objects.c.told_count + 1, told_number=number)
    )
