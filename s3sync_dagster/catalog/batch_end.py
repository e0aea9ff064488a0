"""What becomes of the keys of a batch that ends without them: back to pending, or suspects."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.rows import groups, source_of
from s3sync_dagster.catalog.tables import batches, documents, invocations, objects, sources
from s3sync_dagster.core.patience import TRANSIENT_RETRY_SECONDS
from s3sync_dagster.core.suspects import DEATHS_ALONE, Deaths
from s3sync_dagster.model.errors import FixConfiguration, FixInput, InvalidSetting, S3SyncError
from s3sync_dagster.model.invocation import Trigger

_TWIN = invocations.alias("twin")
_TELL_TWINS = (
    invocations.update()
    .where(invocations.c.id == sa.bindparam("b_id"))
    .values(
        kind=sa.bindparam("b_kind"),
        trigger=sa.bindparam("b_trigger"),
        told_count=sa.bindparam("b_told"),
    )
)


def end_running(tx: sa.Connection, source_id: str, *, now: float) -> None:
    """End the batches of a source that are at work, as what they go by counts no more.

    Who works on one hears of it before it claims, removes or commits anything more, and has what it
    was writing just then written again. For a transaction that has locked the source.
    """
    ended = (
        batches.update()
        .where(batches.c.source_id == source_id, batches.c.state == "running")
        .values(state="released", finished_at=now)
        .returning(batches.c.token)
    )
    for token in tx.execute(ended).scalars().all():
        let_go(tx, token, now=now)


def let_go(tx: sa.Connection, token: str, *, now: float) -> None:
    """Return what a batch still holds; documents that it did not finish stay not clean."""
    tx.execute(*_documents_let_go(token))
    return_to_pending(tx, token, now=now)


@built_once
def _documents_let_go(token: str) -> sa.Update:
    return documents.update().where(documents.c.batch_token == token).values(batch_token=None)


def return_to_pending(
    tx: sa.Connection, token: str, *, now: float, keys: Sequence[str] | None = None
) -> None:
    """Return leased rows of a batch, or of some of its keys, to pending.

    An automatic one that has a waiting twin ends here. The twin takes over what is known of
    deaths: a key that kills its workers stays a suspect, however many events of it arrive. It also
    takes over an event's question whether the object is gone: what made the twin may have been a
    sidecar, which knows nothing of that. So it does with what a listing asks for, as in
    ``insert_automatic``. And an order to reindex.
    """
    some, of_keys = keys or (), keys is not None
    rows = tx.execute(*_with_twins(token, some, of_keys=of_keys)).all()
    _store_deaths(
        tx,
        {
            row.twin_id: Deaths(begun=row.deaths, alone=row.deaths_alone, silent=row.silent_deaths)
            for row in rows
            if row.deaths or row.silent_deaths
        },
    )
    told = [
        {
            "b_id": row.twin_id,
            "b_kind": row.kind,
            "b_trigger": (Trigger.EVENT if row.asks else Trigger.LISTING).value,
            # What was told last counts, of which the twin may be.
            "b_told": max(row.told_count or 0, row.twin_told_count or 0)
            if row.asks
            else row.told_count,
        }
        for row in rows
        if row.asks or row.listed
    ]
    if told:
        tx.execute(_TELL_TWINS, told)
    for part in groups([row.twin_id for row in rows if row.reindex]):
        tx.execute(invocations.update().where(invocations.c.id.in_(part)).values(reindex=True))
    for part in groups([row.id for row in rows]):
        tx.execute(*_superseded(part, now))
    tx.execute(*_pending_again(token, some, of_keys=of_keys))


def _held(token: str, keys: Sequence[str], *, of_keys: bool) -> sa.ColumnElement[bool]:
    here = invocations.c.batch_token == token
    return sa.and_(here, invocations.c.object_key.in_(keys)) if of_keys else here


@built_once
def _with_twins(token: str, keys: Sequence[str], *, of_keys: bool) -> Any:
    twin = _TWIN
    waits = (
        twin.c.source_id == invocations.c.source_id,
        twin.c.object_key == invocations.c.object_key,
        twin.c.status == "pending",
        twin.c.automatic,
        twin.c.owner.is_(None),
    )
    return (
        sa.select(
            invocations.c.id,
            invocations.c.deaths,
            invocations.c.deaths_alone,
            invocations.c.silent_deaths,
            sa.and_(
                invocations.c.kind == "remove", invocations.c.trigger == Trigger.EVENT.value
            ).label("asks"),
            sa.and_(
                invocations.c.trigger == Trigger.LISTING.value,
                twin.c.trigger.in_([Trigger.SIDECAR.value, Trigger.RETRY.value]),
            ).label("listed"),
            invocations.c.kind,
            invocations.c.told_count,
            # A listing's number is evidence of that listing, and of no event.
            sa.case((twin.c.trigger == Trigger.EVENT.value, twin.c.told_count)).label(
                "twin_told_count"
            ),
            invocations.c.reindex,
            twin.c.id.label("twin_id"),
        )
        .join(twin, sa.and_(*waits))
        .where(
            _held(token, keys, of_keys=of_keys),
            invocations.c.automatic,
            invocations.c.owner.is_(None),
        )
    )


@built_once
def _superseded(ids: Sequence[str], now: float) -> sa.Update:
    return (
        invocations.update()
        .where(invocations.c.id.in_(ids))
        .values(
            status="cancelled",
            batch_token=None,
            begun=False,
            finished_at=now,
            reason="superseded",
            error="A newer automatic invocation of the same key waits already.",
        )
    )


@built_once
def _pending_again(token: str, keys: Sequence[str], *, of_keys: bool) -> sa.Update:
    return (
        invocations.update()
        .where(_held(token, keys, of_keys=of_keys))
        .values(status="pending", batch_token=None, run_id=None, begun=False, started_at=None)
    )


def mark_suspects(database: Database, tx: sa.Connection, token: str, *, alone: bool) -> None:
    """Note a worker's death on the keys of its batch; what is poison is failed.

    Args:
        database: gives dialect and time.
        tx: an open transaction.
        token: the batch, whose rows are still leased.
        alone: the batch had one key.
    """
    rows = tx.execute(
        sa.select(
            invocations.c.id,
            invocations.c.object_key,
            invocations.c.source_id,
            invocations.c.begun,
            invocations.c.deaths,
            invocations.c.deaths_alone,
            invocations.c.silent_deaths,
        ).where(invocations.c.batch_token == token)
    ).all()
    after = {
        row.id: Deaths(begun=row.deaths, alone=row.deaths_alone, silent=row.silent_deaths).after(
            begun=row.begun, alone=alone
        )
        for row in rows
    }
    _store_deaths(tx, after)
    poisoned = [row for row in rows if row.begun and after[row.id].poison]
    if poisoned:
        keys = sorted({row.object_key for row in poisoned})
        _fail_poison(database, tx, token, poisoned[0].source_id, keys)


def _store_deaths(tx: sa.Connection, deaths: Mapping[str, Deaths]) -> None:
    """Store what is known of workers' deaths, by invocation id."""
    if deaths:
        tx.execute(
            invocations.update()
            .where(invocations.c.id == sa.bindparam("b_id"))
            .values(
                deaths=sa.bindparam("b_begun"),
                deaths_alone=sa.bindparam("b_alone"),
                silent_deaths=sa.bindparam("b_silent"),
            ),
            [
                {
                    "b_id": invocation_id,
                    "b_begun": one.begun,
                    "b_alone": one.alone,
                    "b_silent": one.silent,
                }
                for invocation_id, one in deaths.items()
            ],
        )


def _fail_poison(
    database: Database,
    tx: sa.Connection,
    token: str,
    source_id: str,
    keys: Sequence[str],
) -> None:
    now = database.now()
    row = tx.execute(sa.select(sources).where(sources.c.id == source_id)).first()
    died = _death(row)
    by_bytes = isinstance(died, FixInput)
    fingerprint = _fingerprint(row)
    given_up = set(keys) if by_bytes else _died_before(tx, source_id, keys, fingerprint)
    for part in groups(keys):
        tx.execute(
            invocations.update()
            .where(
                invocations.c.batch_token == token,
                invocations.c.begun,
                invocations.c.object_key.in_(part),
            )
            .values(
                status="failed",
                reason=died.reason,
                error=died.message,
                finished_at=now,
                batch_token=None,
                begun=False,
            )
        )
        tx.execute(
            objects.update()
            .where(objects.c.source_id == source_id, objects.c.object_key.in_(part))
            .values(
                outcome="failed",
                outcome_etag=objects.c.etag,
                fingerprint=fingerprint,
                reason=died.reason,
                error=died.message,
                retry_class="configuration",
                next_retry_at=now + TRANSIENT_RETRY_SECONDS,
            )
        )
        ended = objects.c.object_key.in_(given_up.intersection(part))
        tx.execute(
            objects.update()
            .where(objects.c.source_id == source_id, ended)
            .values(retry_class="input", next_retry_at=None)
        )
        if not by_bytes:
            continue
        # Records of older bytes go, as with any file that cannot be read; nothing is read.
        left = tx.execute(
            sa.select(documents.c.object_key)
            .where(documents.c.source_id == source_id, documents.c.object_key.in_(part))
            .distinct()
        ).scalars()
        insert_automatic(database, tx, source_id, sorted(left), trigger="retry", now=now)


def _died_before(
    tx: sa.Connection, source_id: str, keys: Sequence[str], fingerprint: str | None
) -> set[str]:
    """Return the keys whose workers died alone before, an hour ago or more, of the same bytes.

    They are not tried for ever: until the bytes or the settings change, or somebody retries them.
    """
    found: set[str] = set()
    for part in groups(keys):
        query = (
            sa.select(objects.c.object_key)
            .join(
                invocations,
                sa.and_(
                    invocations.c.source_id == objects.c.source_id,
                    invocations.c.object_key == objects.c.object_key,
                ),
            )
            .where(
                objects.c.source_id == source_id,
                objects.c.object_key.in_(part),
                objects.c.outcome == "failed",
                objects.c.outcome_etag == objects.c.etag,
                objects.c.fingerprint == fingerprint,
                invocations.c.status == "failed",
                invocations.c.reason == objects.c.reason,
                invocations.c.deaths_alone >= DEATHS_ALONE,
                invocations.c.batch_token.is_(None),
            )
        )
        found |= set(tx.execute(query).scalars())
    return found


def _death(row: sa.Row[Any] | None) -> S3SyncError:
    """Return what three deaths of its worker say of a key.

    Whether one died of the bytes or of what the operator's function made of them, nobody saw.
    """
    config: dict[str, Any] = {} if row is None else row.config or {}
    if config.get("enrich") is not None:
        return FixConfiguration(
            "Its worker process died three times while it was alone, and its source has the "
            f"function {config['enrich']!r}: look at that, then at the file. Its records stay as "
            "they were. It is tried once more in an hour, then when file or settings change, or "
            "with `s3sync retry`.",
            reason="enrichment_failed",
        )
    return FixInput(
        "Its worker process died three times while it was alone; look at the file.",
        reason="worker_died",
    )


def _fingerprint(row: sa.Row[Any] | None) -> str | None:
    """Return the settings under which a key died: else it counts as never tried under them.

    None, which stands for any settings, where the source cannot be read: its batches end still.
    """
    try:
        return None if row is None else source_of(row).fingerprint()
    except InvalidSetting:
        return None
