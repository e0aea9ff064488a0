"""Documents that are not clean: which of them the next work mends, and which rest as they are."""

from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.rows import is_due
from s3sync_dagster.catalog.tables import (
    documents,
    has_records,
    invocations,
    is_live,
    objects,
    sources,
)
from s3sync_dagster.core.patience import TRANSIENT_RETRY_SECONDS
from s3sync_dagster.core.state import BESIDE
from s3sync_dagster.model.source import DeleteMode

KEYS_AT_ONCE = 1000

DOCUMENTS_AND_OBJECTS = documents.outerjoin(
    objects,
    sa.and_(
        objects.c.source_id == documents.c.source_id,
        objects.c.object_key == documents.c.object_key,
    ),
)


def rests(*, mirror: bool) -> sa.ColumnElement[bool]:
    """Return what holds for half-written documents that no work on their object mends.

    A skipped object is not written; nor can a mode that keeps records mend what was half written,
    or lost its trust, when the object went, nor any what has no records and waits for its object.
    What never was whole is not kept. What has to outlive such a document rests beside it.
    """
    kept = sa.not_(has_records) if mirror else sa.true()
    half_written = sa.and_(
        documents.c.phase == "writing",
        sa.or_(
            objects.c.outcome == "skipped",
            sa.and_(objects.c.gone.is_(True), kept),
        ),
    )
    left_beside = sa.and_(
        _outlives(),
        sa.or_(
            objects.c.outcome == "skipped",
            sa.and_(objects.c.gone.is_(True), sa.literal(not mirror)),
        ),
    )
    return sa.and_(documents.c.etag.is_not(None), sa.or_(half_written, left_beside))


def is_mirror(tx: sa.Connection, source_id: str) -> bool:
    """Return whether a source's documents go with their objects."""
    return mode_of(tx, source_id) == DeleteMode.MIRROR


def _outlives() -> sa.ColumnElement[bool]:
    """Return what ``core.gave_way.outlives`` says of documents of ``DOCUMENTS_AND_OBJECTS``."""
    other = documents.alias("other")
    follows = sa.or_(
        documents.c.etag == "",
        other.c.etag == documents.c.etag,
        sa.and_(other.c.etag == objects.c.etag, sa.not_(objects.c.gone)),
    )
    followed = sa.exists().where(
        other.c.source_id == documents.c.source_id,
        other.c.object_key == documents.c.object_key,
        other.c.tenant == documents.c.tenant,
        other.c.database_name == documents.c.database_name,
        other.c.collection_name == documents.c.collection_name,
        other.c.phase == "clean",
        follows,
    )
    return sa.and_(
        documents.c.phase == "removing",
        documents.c.owner == BESIDE,
        sa.not_(followed),
    )


def is_kept_as_it_was(tx: sa.Connection, source_id: str) -> sa.ColumnElement[bool]:
    """Return what holds for whole documents that no work on their object would write just so.

    A mode keeps them: the object is gone, or append mode has them alone (``core.kept_text.held``).
    """
    mode = mode_of(tx, source_id)
    if mode == DeleteMode.MIRROR:
        return sa.false()
    same = (
        objects.c.source_id == documents.c.source_id,
        objects.c.object_key == documents.c.object_key,
    )

    def exists(*which: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        return sa.select(objects.c.object_key).where(*same, *which).correlate(documents).exists()

    if mode == DeleteMode.APPEND:
        at_hand = sa.and_(objects.c.etag == documents.c.etag, objects.c.etag != "")
        kept = ~exists(sa.not_(objects.c.gone), at_hand)
    else:
        kept = exists(objects.c.gone)
    return sa.and_(documents.c.phase == "clean", kept)


def lost_its_trust(tx: sa.Connection, source_id: str) -> dict[str, Any]:
    """Return the values of documents that are to be written whole again, as they are known.

    Append mode has to tell those that nothing was written over since: they count as read back.
    """
    values: dict[str, Any] = {"phase": "writing"}
    if mode_of(tx, source_id) == DeleteMode.APPEND:
        whole = documents.c.phase == "clean"
        values["fingerprint"] = sa.case((whole, sa.null()), else_=documents.c.fingerprint)
    return values


def keep_untouched(tx: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    """Have modes that keep texts tell, of whole documents that others spoilt, that we did not.

    Append mode writes nothing over those, and no such text is trusted again by less than its text.
    """
    keeping = sa.select(sources.c.id).where(
        sources.c.config["mode"].as_string() != DeleteMode.MIRROR.value
    )
    here = (documents.c.phase == "clean", documents.c.source_id.in_(keeping))
    tx.execute(documents.update().where(which, *here).values(phase="writing", fingerprint=None))


def forget_kept(tx: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    """Forget of which bytes documents are that count as read back and may be written over by now.

    Append mode asks their records what they hold before it writes: a text that is whole stays.
    """
    read_back = (documents.c.phase == "writing", documents.c.fingerprint.is_(None))
    known = documents.c.etag.is_not(None)
    tx.execute(documents.update().where(which, known, *read_back).values(etag=""))


def mode_of(tx: sa.Connection, source_id: str) -> str | None:
    """Return the mode that a source has by now; None: there is no such source any more."""
    return tx.execute(*_mode_of(source_id)).scalar_one_or_none()


@built_once
def _mode_of(source_id: str) -> sa.Select[Any]:
    return sa.select(sources.c.config["mode"].as_string()).where(sources.c.id == source_id)


def keys_to_mend(tx: sa.Connection, source_id: str, *, now: float) -> list[Any]:
    """Return keys with documents that are not clean and that somebody can mend now.

    What a live batch holds is its own business, what failed waits for its time, and what the guard
    holds back for a person.
    """
    query = _to_mend(source_id, now, mirror=is_mirror(tx, source_id))
    return list(tx.execute(*query).scalars())


@built_once
def _to_mend(source_id: str, now: float, *, mirror: bool) -> sa.Select[Any]:
    waiting = sa.select(invocations.c.object_key).where(
        invocations.c.source_id == source_id,
        is_live,
    )
    held_back = sa.and_(objects.c.outcome == "skipped", objects.c.reason == "removal_blocked")
    failed = sa.and_(
        objects.c.outcome == "failed",
        sa.or_(
            objects.c.next_retry_at.is_(None),
            sa.not_(is_due(objects.c.next_retry_at, now=now, at_most=TRANSIENT_RETRY_SECONDS)),
        ),
    )
    left = sa.or_(rests(mirror=mirror), held_back, failed)
    return (
        sa.select(documents.c.object_key)
        .select_from(DOCUMENTS_AND_OBJECTS)
        .where(
            documents.c.source_id == source_id,
            documents.c.phase != "clean",
            documents.c.batch_token.is_(None),
            documents.c.object_key.not_in(waiting),
            sa.func.coalesce(sa.not_(left), sa.true()),
        )
        .distinct()
        .limit(KEYS_AT_ONCE)
    )
