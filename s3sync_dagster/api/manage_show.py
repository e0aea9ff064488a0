"""Rows of the catalog as the operations beyond the contract show them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from s3sync_dagster.api.access import Caller
from s3sync_dagster.api.context import Context
from s3sync_dagster.api.manage_wire import (
    AroundShown,
    CountsShown,
    FailureShown,
    HitShown,
    ListingShown,
    ManagedSource,
    ObjectShown,
    PlaceShown,
    QueueTroubleShown,
    RunShown,
)
from s3sync_dagster.api.showing import moment
from s3sync_dagster.catalog.history import BatchHistory
from s3sync_dagster.catalog.views import ObjectRow, SourceCounts
from s3sync_dagster.core.naming import asset_path
from s3sync_dagster.core.state import ListingRow, ListingState, QueueTrouble, SourceRow
from s3sync_dagster.engine.neighbours import document_of
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.source import Source


def show_managed(here: Context, row: SourceRow, caller: Caller) -> ManagedSource:
    """Return a source with its counts and newest listing."""
    return show_managed_all(here, [row], caller)[0]


def show_managed_all(
    here: Context, rows: Sequence[SourceRow], caller: Caller
) -> list[ManagedSource]:
    """Return so many sources so, in few statements for each."""
    history = here.catalog.history
    ids = [row.source.id for row in rows]
    waiting, indexed = history.oldest_pending(ids), history.last_indexed(ids)
    blocked = here.catalog.listings.all_blocked(ids)
    troubles = here.catalog.queue_troubles.of([row.source for row in rows])
    rights = here.rights(caller)
    return [
        _managed(
            here,
            row,
            here.listings(row.source.id, caller, limit=2, rights=rights),
            waiting=waiting.get(row.source.id),
            indexed=indexed.get(row.source.id),
            blocked=blocked.get(row.source.id),
            trouble=troubles.get(row.source.id),
        )
        for row in rows
    ]


def _managed(
    here: Context,
    row: SourceRow,
    listings: Sequence[ListingRow],
    *,
    waiting: float | None,
    indexed: float | None,
    blocked: ListingRow | None,
    trouble: QueueTrouble | None,
) -> ManagedSource:
    source, catalog = row.source, here.catalog
    listing = listings[0] if listings else None
    now = here.parts.clock.now().timestamp()
    return ManagedSource(
        id=UUID(source.id),
        name=source.name,
        type=source.place.type,
        origin=row.origin,
        paused=row.paused,
        address=source.place.address(),
        settings=settings_of(source),
        counts=show_counts(catalog.views.counts(source.id, fingerprint=source.fingerprint())),
        listing=None if listing is None else show_listing(listing),
        blocked_listing=None if blocked is None else show_listing(blocked),
        listing_error=_why_unlisted(listings),
        queue_trouble=trouble and _show_trouble(trouble),
        last_indexed_at=None if indexed is None else moment(indexed),
        lag_seconds=None if waiting is None else max(0.0, round(now - waiting, 1)),
        created_at=moment(row.created_at),
        dagster_url=asset_url(here, source),
    )


def _show_trouble(trouble: QueueTrouble) -> QueueTroubleShown:
    return QueueTroubleShown(
        reason=trouble.reason, error=trouble.message, since=moment(trouble.since)
    )


def _why_unlisted(listings: Sequence[ListingRow]) -> str | None:
    """Return why nothing is known of the place now, given the newest listings first.

    What does not answer is asked again and again, and each time a listing runs for a while.
    """
    for one in listings:
        if one.state is ListingState.FAILED:
            return one.error or "it ended in the middle"
        if one.state is not ListingState.RUNNING or one.listed:
            break
    return None


def settings_of(source: Source) -> dict[str, Any]:
    """Return all settings but those that stand beside them. A source holds no secret."""
    settings = source.settings()
    for name in ("id", "name", "type"):
        del settings[name]
    return settings


def show_counts(counts: SourceCounts) -> CountsShown:
    """Return objects by state."""
    return CountsShown(
        objects=counts.objects,
        indexed=counts.indexed,
        pending=counts.pending,
        processing=counts.processing,
        skipped=counts.skipped,
        failed=counts.failed,
        documents=counts.documents,
        chunks=counts.chunks,
        text_bytes=counts.text_bytes,
        outdated=counts.outdated,
        leaving=counts.leaving,
    )


def show_listing(listing: ListingRow) -> ListingShown:
    """Return a listing."""
    return ListingShown(
        id=listing.id,
        state=listing.state.value,
        listed=listing.listed,
        new=listing.new,
        changed=listing.changed,
        gone=listing.gone,
        left_out=listing.left_out,
        started_at=moment(listing.started_at),
        finished_at=None if listing.finished_at is None else moment(listing.finished_at),
        error=listing.error,
    )


def show_object(row: ObjectRow) -> ObjectShown:
    """Return an object."""
    retried = row.next_retry_at if row.state == "failed" else None
    return ObjectShown(
        key=row.object_key,
        state=row.state,
        reason=row.reason,
        error=row.error if row.state in ("failed", "skipped") else None,
        size=row.size,
        etag=row.etag,
        chunks=row.chunks,
        next_try_at=None if retried is None else moment(retried),
    )


def show_run(here: Context, batch: BatchHistory, caller: Caller, *, source_id: str) -> RunShown:
    """Return a batch with the run that did it; failures have keys, which may be kept from some."""
    named = here.rights(caller).sees_all_of(source_id)
    ended = ("complete", "failed", "cancelled")
    return RunShown(
        run_id=batch.run_id,
        status=batch.state,  # type: ignore[arg-type]  (the table's check)
        triggers=batch.triggers,
        items=batch.size,
        items_processed=sum(batch.statuses.get(status, 0) for status in ended),
        items_failed=batch.statuses.get("failed", 0),
        started_at=moment(batch.created_at),
        finished_at=None if batch.finished_at is None else moment(batch.finished_at),
        failures=[
            FailureShown(
                invocation_id=UUID(failure.invocation_id),
                object_key=failure.object_key,
                reason=failure.reason,
                error=failure.error,
                failed_at=moment(failure.failed_at),
            )
            for failure in (batch.failures if named else ())
        ],
        dagster_url=run_url(here, batch.run_id),
    )


def show_hit(hit: Hit) -> HitShown:
    """Return a chunk with its place, its neighbours and the other places of its text."""
    return HitShown(
        **_place(hit),
        document=hit.document,
        score=hit.score,
        dense=hit.dense,
        words=hit.words,
        reranked=hit.reranked,
        metadata=dict(hit.metadata),
        copies=[PlaceShown(**_place(one)) for one in hit.copies],
        before=[AroundShown(**_place(one), document=one.document) for one in hit.before],
        after=[AroundShown(**_place(one), document=one.document) for one in hit.after],
    )


def _place(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.id,
        "document_id": document_of(hit)[0],
        "object_key": _text(hit.metadata.get("document_key")),
        "start_line": _number(hit.metadata.get("start_line")),
        "end_line": _number(hit.metadata.get("end_line")),
        "page": _text(hit.metadata.get("page")),
    }


def asset_url(here: Context, source: Source) -> str | None:
    """Return the page of the source's asset in Dagster."""
    base = here.options.dagster_public_url
    return None if base is None else f"{base}/assets/{'/'.join(asset_path(source))}"


def run_url(here: Context, run_id: str | None) -> str | None:
    """Return the page of a run in Dagster."""
    base = here.options.dagster_public_url
    return None if base is None or run_id is None else f"{base}/runs/{run_id}"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
