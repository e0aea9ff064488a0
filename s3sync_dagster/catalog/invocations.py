"""Invocations: asked for in bulk, coalesced while they wait, listed for people."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import COALESCING, Database, insert_into
from s3sync_dagster.catalog.invocation_rows import InvocationRows
from s3sync_dagster.catalog.retried import asked_anew, failed_requests
from s3sync_dagster.catalog.rows import groups, invocation_of
from s3sync_dagster.catalog.tables import invocations, objects, sources
from s3sync_dagster.model.errors import Conflict, NotFound
from s3sync_dagster.model.invocation import InvocationKind, Trigger
from s3sync_dagster.model.source import Source

KEYS_AT_ONCE = 1000
"""Rows that one transaction inserts or deletes where they may be a million."""
REQUESTS_AT_ONCE = 100
"""With what they bring, which may be 16 KiB each."""


def source_gone() -> NotFound:
    """Return the answer to a request for a source that went before it was stored."""
    return NotFound("The source is deleted, or was moved.", reason="source_not_found")


@again_after_collisions
class Invocations(InvocationRows):
    """The table ``invocations``."""

    def request(
        self,
        source: Source,
        keys: Iterable[str],
        *,
        trigger: Trigger,
        kind: InvocationKind = "sync",
        target_collection_name: str | None = None,
        custom_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        vouched: bool = False,
        owner: str | None = None,
        force: bool = False,
    ) -> list[str]:
        """Ask for work on keys; each gets a row of its own. Returns the new ids in key order."""
        rows = [
            self.prepare(
                source,
                key,
                trigger=trigger,
                kind=kind,
                target_collection_name=target_collection_name,
                custom_id=custom_id,
                metadata=metadata,
                vouched=vouched,
                owner=owner,
                force=force,
            )
            for key in keys
        ]
        if self.insert(rows):
            raise source_gone()
        return [str(row["id"]) for row in rows]

    def prepare(
        self,
        source: Source,
        key: str,
        *,
        trigger: Trigger,
        kind: InvocationKind = "sync",
        target_collection_name: str | None = None,
        custom_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        vouched: bool = False,
        owner: str | None = None,
        force: bool = False,
        restored: bool = False,
    ) -> dict[str, Any]:
        """Return the row of a request, with its new id, for ``insert``.

        ``vouched`` says that an owner gave the metadata, which may then name readers; ``restored``
        that it was asked before the catalog was put back from a copy, and may have been done.
        """
        return {
            "id": self._db.clock.uuid(),
            "source_id": source.id,
            "object_key": key,
            "tenant": source.tenant,
            "database_name": source.database_name,
            "collection_name": target_collection_name or source.collection_name,
            "kind": kind,
            "trigger": trigger.value,
            "automatic": trigger.automatic,
            "priority": trigger.priority,
            "status": "pending",
            "target_collection_name": target_collection_name,
            "custom_id": custom_id,
            "metadata": dict(metadata) if metadata else None,
            "vouched": vouched,
            "owner": owner,
            "force": force,
            "restored": restored,
            "created_at": self._db.now(),
        }

    def insert(self, rows: Sequence[Mapping[str, Any]]) -> set[str]:
        """Store prepared requests, of any sources, in one transaction.

        Returns the ids of sources that were deleted or moved: no request for these is stored.
        """
        if not rows:
            return set()
        with self._db.write() as tx:
            gone = self._gone(tx, {str(row["source_id"]) for row in rows})
            kept = [_with_place(row) for row in rows if row["source_id"] not in gone]
            if kept:
                tx.execute(numbered(invocations.insert()), kept)
        return gone

    def _gone(self, tx: sa.Connection, source_ids: set[str]) -> set[str]:
        there = (sources.c.id.in_(source_ids), sources.c.origin != "moved")
        query = sa.select(sources.c.id).where(*there).order_by(sources.c.id)
        # Shared: who asks waits for nobody but a deletion, which would not see the new rows.
        query = query if self._db.sqlite else query.with_for_update(read=True, key_share=True)
        return source_ids - set(tx.execute(query).scalars())

    def request_automatic(
        self,
        source_id: str,
        keys: Sequence[str],
        *,
        trigger: Trigger,
        kind: InvocationKind = "sync",
    ) -> int:
        """Ask for automatic work; coalesces with what waits. Returns how many rows were new."""
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            return insert_automatic(
                self._db,
                tx,
                source_id,
                keys,
                trigger=trigger.value,
                kind=kind,
                now=self._db.now(),
            )

    def cancel(self, invocation_id: str, *, tenant: str | None = None) -> None:
        """Cancel a pending invocation. Raises ``NotFound``; ``Conflict`` in any other state."""
        source_id = self.find(invocation_id, tenant=tenant).source_id
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            changed = tx.execute(
                invocations.update()
                .where(invocations.c.id == invocation_id, invocations.c.status == "pending")
                .values(status="cancelled", finished_at=self._db.now())
            ).rowcount
        if not changed:
            raise Conflict(
                f"Invocation {invocation_id!r} is no longer pending; only pending ones can be "
                "cancelled.",
                reason="not_pending",
            )

    def retry_failed(
        self,
        source: Source,
        *,
        keys: Sequence[str] | None = None,
        reason: str | None = None,
        trigger: Trigger = Trigger.CLI,
        requests: bool = True,
    ) -> int:
        """Ask again for what failed; a worker's death is forgotten. Returns how many.

        What a request asked for with an id, metadata or a target of its own is asked for again
        just so.

        Args:
            source: of which.
            keys: of these alone.
            reason: what failed for it alone.
            trigger: at which door a person asks.
            requests: False for whoever may not say what those say: each key is asked for alone.
        """
        with self._db.read() as tx:
            query = sa.select(objects.c.object_key).where(
                objects.c.source_id == source.id,
                objects.c.outcome == "failed",
                objects.c.gone.is_(False),
            )
            if reason is not None:
                query = query.where(objects.c.reason == reason)
            failed = list(tx.execute(query).scalars())
        if keys is not None:
            wanted = set(keys)
            failed = [key for key in failed if key in wanted]
        asked = failed_requests(self._db, source.id, failed) if requests else {}
        for part in groups([one for ids in asked.values() for one in ids], REQUESTS_AT_ONCE):
            self._request_again(source, part)
        waiting = asked_anew(self._db, source.id, failed)
        plain = [key for key in failed if key not in asked and key not in waiting]
        for part in groups(plain, KEYS_AT_ONCE):
            self.request(source, part, trigger=trigger, force=True)
        return len(failed)

    def _request_again(self, source: Source, ids: Sequence[str]) -> None:
        """Ask for what requests have asked for, in the order of their ids here."""
        with self._db.read() as tx:
            query = sa.select(invocations).where(invocations.c.id.in_(ids))
            before = {row.id: invocation_of(row) for row in tx.execute(query)}
        rows = [
            self.prepare(
                source,
                one.object_key,
                trigger=Trigger.API,
                target_collection_name=one.target_collection_name,
                custom_id=one.custom_id,
                metadata=one.metadata,
                vouched=one.vouched,
                force=True,
                restored=one.restored,
            )
            for one in map(before.get, ids)
            if one is not None
        ]
        if self.insert(rows):
            raise source_gone()

    def prune(self, *, older_than_seconds: float) -> int:
        """Delete finished automatic rows by age; the latest per key stays."""
        limit = self._db.now() - older_than_seconds
        later = invocations.alias("later")
        return self._db.delete_in_parts(
            invocations.c.id,
            sa.and_(
                invocations.c.automatic,
                invocations.c.finished_at < limit,
                sa.exists().where(
                    later.c.source_id == invocations.c.source_id,
                    later.c.object_key == invocations.c.object_key,
                    sa.or_(
                        later.c.number > invocations.c.number,
                        # Rows of before there were numbers.
                        sa.and_(
                            later.c.number == invocations.c.number,
                            later.c.created_at > invocations.c.created_at,
                        ),
                    ),
                ),
            ),
        )


def insert_automatic(
    database: Database,
    tx: sa.Connection,
    source_id: str,
    keys: Sequence[str],
    *,
    trigger: str,
    now: float,
    kind: InvocationKind = "sync",
    reindex: bool = False,
) -> int:
    """Insert automatic invocations in an open transaction; what waits already is refreshed.

    One row stands for all that was told, so it keeps the question that asks the bucket most: an
    event makes the reader ask whether the object is there, where a listing alone would not. A
    removal is noted with how much had been told of its object by then: later news end its force.
    """
    if not keys:
        return 0
    source = tx.execute(*_place_of(source_id)).first()
    if source is None:
        return 0
    statement, _ = _coalescing(
        sqlite=database.sqlite,
        removes=kind == "remove",
        # News of nothing: a listing's word stands.
        unasked=trigger in (Trigger.SIDECAR, Trigger.RETRY),
    )
    wish = Trigger(trigger)
    tx.execute(
        statement,
        [
            {
                "id": database.clock.uuid(),
                "source_id": source_id,
                "object_key": key,
                "tenant": source.tenant,
                "database_name": source.database_name,
                "collection_name": source.collection_name,
                "kind": kind,
                "trigger": trigger,
                "automatic": True,
                "priority": wish.priority,
                "status": "pending",
                "force": False,
                "reindex": reindex,
                "created_at": now,
                "of_source": source_id,
                "of_key": key,
            }
            for key in keys
        ],
    )
    return len(keys)


@built_once
def _place_of(source_id: str) -> Any:
    place = (sources.c.tenant, sources.c.database_name, sources.c.collection_name)
    return sa.select(*place).where(sources.c.id == source_id)


@built_once
def _coalescing(*, sqlite: bool, removes: bool, unasked: bool) -> Any:
    insert = numbered(insert_into(invocations, sqlite=sqlite))
    if removes:
        insert = insert.values(told_count=_TOLD_SO_FAR)
    event = invocations.c.trigger == Trigger.EVENT.value
    stays, removal = event, invocations.c.kind == "remove"
    if unasked:
        stays = sa.or_(event, invocations.c.trigger == Trigger.LISTING.value)
    return insert.on_conflict_do_update(
        index_elements=["source_id", "object_key"],
        index_where=COALESCING,
        set_={
            "kind": sa.case((sa.and_(stays, removal), "remove"), else_=insert.excluded.kind),
            "trigger": sa.case((stays, invocations.c.trigger), else_=insert.excluded.trigger),
            "told_count": sa.case(
                # What a listing ends is no word of the event that waits, and gives it no force.
                (
                    sa.and_(
                        insert.excluded.kind == "remove",
                        sa.or_(sa.not_(event), insert.excluded.trigger == Trigger.EVENT.value),
                    ),
                    insert.excluded.told_count,
                ),
                else_=invocations.c.told_count,
            ),
            "priority": sa.case(
                (invocations.c.priority < insert.excluded.priority, invocations.c.priority),
                else_=insert.excluded.priority,
            ),
            "next_attempt_at": 0,
            "reindex": sa.or_(invocations.c.reindex, insert.excluded.reindex),
        },
    )


def _next_number() -> Any:
    before = invocations.alias("before")
    highest = sa.select(sa.func.coalesce(sa.func.max(before.c.number), 0) + 1).where(
        before.c.source_id == sa.bindparam("of_source", type_=sa.Text()),
        before.c.object_key == sa.bindparam("of_key", type_=invocations.c.object_key.type),
    )
    return highest.scalar_subquery()


_NEXT_NUMBER = _next_number()


def _told_so_far() -> Any:
    known = sa.select(objects.c.told_count).where(
        objects.c.source_id == sa.bindparam("of_source", type_=sa.Text()),
        objects.c.object_key == sa.bindparam("of_key", type_=objects.c.object_key.type),
    )
    return sa.func.coalesce(known.scalar_subquery(), 0)


_TOLD_SO_FAR = _told_so_far()


def numbered(insert: Any) -> Any:
    """Return an INSERT of invocations whose rows get the next number of their keys.

    Its rows name source and key once more, as ``of_source`` and ``of_key``.
    """
    return insert.values(number=_NEXT_NUMBER)


def _with_place(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "of_source": row["source_id"], "of_key": row["object_key"]}
