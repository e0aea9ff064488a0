"""Rows to values and back."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from s3sync_dagster.catalog.tables import sources
from s3sync_dagster.core.patience import CLOCKS_DIFFER_SECONDS
from s3sync_dagster.core.state import (
    LISTING_ASKED,
    LOOKED_THROUGH,
    BatchRow,
    DocumentPhase,
    DocumentState,
    ListedReport,
    ListingRow,
    ListingState,
    ObjectState,
    Said,
    SourceRow,
)
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.invocation import (
    BatchState,
    Invocation,
    InvocationStatus,
    Result,
    Trigger,
)
from s3sync_dagster.model.source import Source

T = TypeVar("T")
IN_LIST = 500
"""Values in one IN list: far below SQLite's bound of variables."""


def groups(items: Iterable[T], size: int = IN_LIST) -> Iterator[list[T]]:
    """Yield lists of at most ``size`` items."""
    group: list[T] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def no_index(column: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """Return a column of texts as the database looks for no index on it: another is the better."""
    return column.concat("")


def looked_through(tx: sa.Connection, source_id: str) -> list[str] | None:
    """Return where records may be that a restored catalog forgot, see ``CatalogPort``."""
    told = tx.execute(
        sa.select(sources.c.looked_through).where(sources.c.id == source_id)
    ).scalar_one_or_none()
    if told in (None, LOOKED_THROUGH):
        return None
    return json.loads(told) if told.startswith("[") else []


def due_at_once() -> sa.ColumnElement[float]:
    """Return the due time of a source that changed; who waits for a listing waits for a new one."""
    due = sources.c.list_due_at
    return sa.case((due < 0, sa.literal(LISTING_ASKED)), else_=sa.literal(0.0))


def is_due(column: sa.ColumnElement[float], *, now: float, at_most: float) -> Any:
    """Return what holds for rows whose time has come, as ``core.patience.is_due`` tells it."""
    return sa.or_(column <= now, column > now + at_most + CLOCKS_DIFFER_SECONDS)


def source_of(row: sa.Row[Any]) -> Source:
    """Return the source of a row of ``sources``. Raises ``InvalidSetting`` where it cannot."""
    try:
        return Source.from_json(row.config)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidSetting(
            f"The catalog's row of the source {row.name!r} cannot be read: another version of "
            f"s3sync wrote it, or somebody by hand ({type(error).__name__})."
        ) from error


def source_row_of(row: sa.Row[Any]) -> SourceRow:
    """Return the value of a row of ``sources``. Raises ``InvalidSetting`` where it cannot."""
    return SourceRow(
        source=source_of(row),
        origin=row.origin,
        created_at=row.created_at,
        updated_at=row.updated_at,
        paused=row.paused,
        deleting=row.deleting,
        list_due_at=row.list_due_at,
    )


def batch_of(row: sa.Row[Any]) -> BatchRow:
    """Return the value of a row of ``batches``."""
    return BatchRow(
        token=row.token,
        source_id=row.source_id,
        state=BatchState(row.state),
        priority=row.priority,
        size=row.size,
        lease_until=row.lease_until,
        created_at=row.created_at,
        owner=row.owner,
        run_id=row.run_id,
        yielded_at=row.yielded_at,
    )


def object_of(row: sa.Row[Any]) -> ObjectState:
    """Return the value of a row of ``objects``."""
    return ObjectState(
        source_id=row.source_id,
        object_key=row.object_key,
        partition_key=row.partition_key,
        etag=row.etag,
        size=row.size,
        version_id=row.version_id,
        sequencer=row.sequencer,
        storage_class=row.storage_class,
        gone=row.gone,
        missed=row.missed_listing_id > 0,
        shown=row.shown_listing_id > 0,
        skip_reason=row.skip_reason,
        outcome=row.outcome,
        outcome_etag=row.outcome_etag,
        fingerprint=row.fingerprint,
        reason=row.reason,
        error=row.error,
        retry_class=row.retry_class,
        next_retry_at=row.next_retry_at,
        told_count=row.told_count,
    )


def document_of(row: sa.Row[Any]) -> DocumentState:
    """Return the value of a row of ``documents``."""
    return DocumentState(
        id=row.id,
        source_id=row.source_id,
        object_key=row.object_key,
        tenant=row.tenant,
        database_name=row.database_name,
        collection_name=row.collection_name,
        document_id=row.document_id,
        custom_id=row.custom_id,
        metadata=row.metadata,
        carried=row.carried,
        owner=row.owner,
        phase=DocumentPhase(row.phase),
        etag=row.etag,
        fingerprint=row.fingerprint,
        count=row.chunks,
        high_water=row.high_water,
        digests=bytes(row.digests),
        metadata_keys=tuple(row.metadata_keys),
        batch_token=row.batch_token,
        collection_id=row.collection_id,
        withheld=row.withheld,
        said=None if row.said is None else Said(**row.said),
        written_as=tuple(row.written_as or ()),
    )


def invocation_of(row: sa.Row[Any]) -> Invocation:
    """Return the value of a row of ``invocations``."""
    return Invocation(
        id=row.id,
        source_id=row.source_id,
        object_key=row.object_key,
        tenant=row.tenant,
        database_name=row.database_name,
        collection_name=row.collection_name,
        kind=row.kind,
        trigger=Trigger(row.trigger),
        status=InvocationStatus(row.status),
        created_at=_time(row.created_at),
        target_collection_name=row.target_collection_name,
        custom_id=row.custom_id,
        metadata=row.metadata or {},
        vouched=row.vouched,
        owner=row.owner,
        force=row.force,
        reindex=row.reindex,
        restored=row.restored,
        told_count=row.told_count,
        attempts=row.attempts,
        deaths=row.deaths,
        silent_deaths=row.silent_deaths,
        result=Result(row.result) if row.result else None,
        reason=row.reason,
        error=row.error,
        next_attempt_at=_time(row.next_attempt_at) if row.next_attempt_at else None,
        started_at=_time(row.started_at) if row.started_at else None,
        finished_at=_time(row.finished_at) if row.finished_at else None,
        batch_token=row.batch_token,
        run_id=row.run_id,
    )


def listing_of(row: sa.Row[Any]) -> ListingRow:
    """Return the value of a row of ``listings``."""
    return ListingRow(
        id=row.id,
        source_id=row.source_id,
        state=ListingState(row.state),
        cursor=row.cursor,
        started_at=row.started_at,
        pages=row.pages,
        finished_at=row.finished_at,
        listed=row.listed,
        new=row.new,
        changed=row.changed,
        selected=row.selected,
        gone=row.gone,
        left_out=row.left_out,
        error=row.error,
        report=None if row.report is None else ListedReport(**row.report),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
