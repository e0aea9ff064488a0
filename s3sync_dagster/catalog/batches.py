"""Batches: who works on what, for how long, and what happens when he dies."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.batch_end import let_go, mark_suspects, return_to_pending
from s3sync_dagster.catalog.batch_rows import IS_LIVE, BatchRows, attempt_is_due
from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import batches, invocations, objects, sources
from s3sync_dagster.catalog.wholes import settle_wholes
from s3sync_dagster.core.patience import (
    LEASE_SECONDS,
    RESERVATION_SECONDS,
)
from s3sync_dagster.core.reservation import Due, Take, keys_of_batch, may_reserve, next_due
from s3sync_dagster.core.suspects import BEGUN_AT_ONCE
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.invocation import Batch, BatchState


@again_after_collisions
class Batches(BatchRows):
    """The table ``batches`` and the leases on invocations."""

    def reserve(
        self, source_id: str, *, take: Take, owner: str | None = None, run_id: str | None = None
    ) -> Batch | None:
        """Lease pending invocations of a source to a new batch.

        Without ``owner`` the batch is reserved for a run that will be requested; with it the
        batch is running at once, in the caller's process. Of a paused source only what people
        and requests ask for is taken. Returns None when nothing is due, the source has its full
        number of live batches or its tenant has, or it is being deleted.
        """
        now = self._now()
        with self._db.write() as tx:
            if not self._db.open_source(tx, source_id):
                return None
            live = tx.execute(*_live_priorities(source_id)).scalars().all()
            paused = tx.execute(*_paused(source_id)).scalar_one()
            asked_only = paused and not take.by_hand
            due = self._due(
                tx, source_id, now=now, take=take, busy=bool(live), asked_only=asked_only
            )
            if not due or not may_reserve(live, due[0].priority, max_live=take.max_live):
                return None
            if take.max_of_tenant is not None and self._is_full(tx, source_id, take.max_of_tenant):
                return None
            return self._insert(
                tx,
                source_id,
                keys_of_batch(due, take),
                priority=due[0].priority,
                owner=owner,
                run_id=run_id,
                now=now,
            )

    def lease_keys(
        self, source_id: str, keys: Sequence[str], *, owner: str, run_id: str
    ) -> tuple[Batch | None, dict[str, str]]:
        """Lease the pending invocations of just these keys to a running batch (UI launches).

        Returns the batch (None when every key is held, or the source is being deleted) and the
        held keys with the run that holds them (empty string where it has none yet).
        """
        now = self._now()
        with self._db.write() as tx:
            if not self._db.open_source(tx, source_id):
                return None, {}
            held = dict[str, str]()
            for part in groups(keys):
                for row in tx.execute(
                    sa.select(invocations.c.object_key, batches.c.run_id)
                    .join(batches, batches.c.token == invocations.c.batch_token)
                    .where(
                        invocations.c.source_id == source_id,
                        invocations.c.object_key.in_(part),
                        invocations.c.status == "processing",
                    )
                ):
                    held[row.object_key] = row.run_id or ""
            free = [key for key in keys if key not in held]
            if not free:
                return None, held
            batch = self._insert(
                tx, source_id, free, priority=0, owner=owner, run_id=run_id, now=now
            )
            return batch, held

    def start(self, token: str, *, owner: str, run_id: str) -> bool:
        """Compare and set ``reserved -> running``; False when the token is not reserved."""
        now = self._now()
        with self._db.write() as tx:
            self._db.lock_batch(tx, token)
            started = tx.execute(
                batches.update()
                .where(batches.c.token == token, batches.c.state == "reserved")
                .values(
                    state="running", owner=owner, run_id=run_id, lease_until=now + LEASE_SECONDS
                )
            ).rowcount
            if started:
                tx.execute(
                    invocations.update()
                    .where(invocations.c.batch_token == token)
                    .values(run_id=run_id, started_at=now)
                )
        return bool(started)

    def renew(self, token: str) -> float:
        """Extend the lease of a running batch.

        Returns:
            For how many seconds from now it holds; 0 when it is no longer ours.
        """
        with self._db.write() as tx:
            renewed = tx.execute(
                batches.update()
                .where(batches.c.token == token, batches.c.state == "running")
                .values(lease_until=self._now() + LEASE_SECONDS)
            ).rowcount
        return LEASE_SECONDS if renewed else 0.0

    def begin(self, token: str, keys: Collection[str], *, survived: Collection[str] = ()) -> None:
        """Mark keys as begun before risky work; an attempt counts where it ends in an error.

        Args:
            token: the batch.
            keys: those that come next.
            survived: those whose mark is taken back: they did not kill the worker.
        """
        with self._db.write() as tx:
            self._db.lock_batch(tx, token)
            for part in groups(survived):
                tx.execute(*_mark(token, part, begun=False))
            for part in groups(keys):
                tx.execute(*_mark(token, part, begun=True))

    def give_back(self, token: str, keys: Collection[str]) -> None:
        """Return keys that were not begun to pending, without an attempt."""
        with self._db.write() as tx:
            self._db.lock_batch(tx, token)
            for part in groups(keys):
                return_to_pending(tx, token, now=self._now(), keys=part)

    def finish(self, token: str) -> bool:
        """End a running batch; invocations that it still holds go back to pending."""
        with self._db.write() as tx:
            self._db.lock_batch(tx, token)
            done = tx.execute(*_done(token, self._now())).scalar_one_or_none()
            if done is not None:
                let_go(tx, token, now=self._now())
                settle_wholes(tx, done, now=self._now())
        return done is not None

    def release(self, token: str, *, died: bool) -> bool:
        """End a live batch that will not finish.

        Args:
            token: the batch.
            died: its worker is dead: keys that were begun become suspects.
        """
        return self._release(token, IS_LIVE, died=died)

    def take_back(self, token: str, *, why: S3SyncError | None = None) -> bool:
        """End a batch that is still reserved; one whose run has begun goes on.

        Its invocations say ``why`` they wait, where that is known.
        """
        here = batches.c.state == "reserved"
        return self._release(token, here, died=False, asked=False, why=why)

    def _release(
        self,
        token: str,
        which: sa.ColumnElement[bool],
        *,
        died: bool,
        asked: bool = True,
        why: S3SyncError | None = None,
    ) -> bool:
        yielded = {} if asked else {"yielded_at": None}
        with self._db.write() as tx:
            self._db.lock_batch(tx, token)
            row = tx.execute(
                batches.update()
                .where(batches.c.token == token, which)
                .values(state="released", finished_at=self._now(), **yielded)
                .returning(batches.c.size, batches.c.source_id)
            ).first()
            if row is None:
                return False
            if died:
                mark_suspects(self._db, tx, token, alone=row.size == 1)
            if why is not None:
                tx.execute(
                    invocations.update()
                    .where(invocations.c.batch_token == token)
                    .values(reason=why.reason, error=why.message)
                )
            let_go(tx, token, now=self._now())
        return True

    def yielded(self, token: str) -> None:
        """Note that a run was requested for a reserved batch."""
        with self._db.write() as tx:
            tx.execute(
                batches.update().where(batches.c.token == token).values(yielded_at=self._now())
            )

    def prolong(self, token: str) -> None:
        """Prolong the reservation of a batch whose run is still queued."""
        with self._db.write() as tx:
            tx.execute(
                batches.update()
                .where(batches.c.token == token, batches.c.state == "reserved")
                .values(lease_until=self._now() + RESERVATION_SECONDS)
            )

    def prune(self, *, older_than_seconds: float) -> int:
        """Delete ended batches by age."""
        old = batches.c.finished_at < self._now() - older_than_seconds
        return self._db.delete_in_parts(batches.c.token, old)

    def _due(
        self,
        tx: sa.Connection,
        source_id: str,
        *,
        now: float,
        take: Take,
        busy: bool,
        asked_only: bool,
    ) -> Sequence[Due]:
        """Return whom the next batch is for, best first, of keys that no live batch holds."""
        healthy, suspects = (
            [
                Due(
                    object_key=row.object_key,
                    priority=row.priority,
                    deaths=row.deaths,
                    size=row.size or 0,
                )
                for row in tx.execute(
                    *_due(
                        source_id,
                        now,
                        limit,
                        suspects=suspects,
                        asked_only=asked_only,
                        by_hand=take.by_hand,
                    )
                )
            ]
            for suspects, limit in ((False, take.max_keys * 2), (True, BEGUN_AT_ONCE))
        )
        return next_due(healthy, suspects, busy=busy)

    def _is_full(self, tx: sa.Connection, source_id: str, most: int) -> bool:
        """Return whether a source's tenant has so many live batches, until ``tx`` ends."""
        of_source = sa.select(sources.c.tenant).where(sources.c.id == source_id)
        tenant = tx.execute(of_source).scalar_one()
        self._db.lock_tenant(tx, tenant)
        own = sa.select(sources.c.id).where(sources.c.tenant == tenant)
        live = sa.select(sa.func.count()).where(IS_LIVE, batches.c.source_id.in_(own))
        return tx.execute(live).scalar_one() >= most

    def _insert(
        self,
        tx: sa.Connection,
        source_id: str,
        keys: Sequence[str],
        *,
        priority: int,
        owner: str | None,
        run_id: str | None,
        now: float,
    ) -> Batch:
        token = self._db.clock.uuid()
        state = BatchState.RUNNING if owner else BatchState.RESERVED
        lease = now + (LEASE_SECONDS if owner else RESERVATION_SECONDS)
        tx.execute(
            _INSERT,
            {
                "token": token,
                "source_id": source_id,
                "state": state.value,
                "priority": priority,
                "size": len(keys),
                "lease_until": lease,
                "owner": owner,
                "run_id": run_id,
                "created_at": now,
            },
        )
        for part in groups(keys):
            tx.execute(*_lease(source_id, part, token, run_id, now))
        return Batch(
            token=token,
            source_id=source_id,
            state=state,
            keys=tuple(sorted(keys)),
            lease_until=datetime.fromtimestamp(lease, UTC),
            created_at=datetime.fromtimestamp(now, UTC),
            owner=owner,
            run_id=run_id,
        )

    def _now(self) -> float:
        return self._db.now()


_INSERT = batches.insert()


@built_once
def _live_priorities(source_id: str) -> sa.Select[Any]:
    return sa.select(batches.c.priority).where(batches.c.source_id == source_id, IS_LIVE)


@built_once
def _paused(source_id: str) -> sa.Select[Any]:
    return sa.select(sources.c.paused).where(sources.c.id == source_id)


@built_once
def _mark(token: str, keys: Sequence[str], *, begun: bool) -> sa.Update:
    held = (invocations.c.batch_token == token, invocations.c.object_key.in_(keys))
    return invocations.update().where(*held).values(begun=begun)


@built_once
def _done(token: str, now: float) -> Any:
    return (
        batches.update()
        .where(batches.c.token == token, batches.c.state == "running")
        .values(state="done", finished_at=now)
        .returning(batches.c.source_id)
    )


@built_once
def _due(
    source_id: str, now: float, limit: int, *, suspects: bool, asked_only: bool, by_hand: bool
) -> Any:
    """Return what is due, best first; of suspects that with the fewest deaths."""
    asked = invocations.c
    held = sa.select(asked.object_key).where(
        asked.source_id == source_id, asked.status == "processing"
    )
    same = sa.and_(objects.c.source_id == asked.source_id, objects.c.object_key == asked.object_key)
    query = (
        sa.select(asked.object_key, asked.priority, asked.deaths, objects.c.size)
        .outerjoin(objects, same)
        .where(
            asked.source_id == source_id,
            asked.status == "pending",
            asked.object_key.not_in(held),
            asked.deaths > 0 if suspects else asked.deaths == 0,
        )
        .order_by(asked.deaths if suspects else asked.priority, asked.created_at, asked.object_key)
        .limit(limit)
    )
    if asked_only:
        query = query.where(asked.automatic.is_(False))
    return query if by_hand else query.where(attempt_is_due(now))


@built_once
def _lease(
    source_id: str, keys: Sequence[str], token: str, run_id: str | None, now: float
) -> sa.Update:
    return (
        invocations.update()
        .where(
            invocations.c.source_id == source_id,
            invocations.c.status == "pending",
            invocations.c.object_key.in_(keys),
        )
        .values(status="processing", batch_token=token, run_id=run_id, started_at=now, begun=False)
    )
