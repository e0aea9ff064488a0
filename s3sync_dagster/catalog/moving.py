"""A source that becomes another one: its row, and the documents that it leaves behind."""

import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.rows import document_of, groups, source_of
from s3sync_dagster.catalog.sources import SourceRows, source_columns
from s3sync_dagster.catalog.tables import (
    batches,
    collections,
    documents,
    invocations,
    listings,
    objects,
    sources,
)
from s3sync_dagster.core.source_identity import Fate, LeftBehind, target_changes
from s3sync_dagster.core.state import DocumentState
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import AutoSync, Source


class Moves:
    """Sources on their way."""

    def __init__(self, database: Database, rows: SourceRows) -> None:
        self._db, self._rows = database, rows

    def begin(self, before: Source, after: Source) -> bool:
        """Make a source another one, in one transaction.

        Where its records are to stand in another collection, what it has goes to a paused source
        of its own, which serves until it is removed; else what it has is written over in place.

        Returns:
            False while a batch of the source lives: nothing is changed.

        Raises:
            Conflict: another source is there already.
            InvalidSetting: a setting breaks its rule.
        """
        now = self._db.now()
        with self._db.write() as tx:
            self._db.lock_places(tx)
            self._db.lock_source(tx, before.id)
            live = sa.select(batches.c.token).where(
                batches.c.source_id == before.id, batches.c.state.in_(["reserved", "running"])
            )
            if tx.execute(live).first() is not None:
                return False
            self._rows.require_possible(tx, after)
            tx.execute(
                sources.update()
                .where(sources.c.id == before.id)
                .values(updated_at=now, list_due_at=0, wanted=sa.null(), **source_columns(after))
            )
            if target_changes(before, after):
                self._leave_behind(tx, before, after, now=now)
            self._begin_anew(tx, after, now=now)
        return True

    def remnants(self, source_id: str) -> list[Source]:
        """Return the sources that hold what a source left behind."""
        with self._db.read() as tx:
            rows = tx.execute(
                sa.select(sources)
                .where(sources.c.moved_to == source_id, sources.c.deleting.is_(None))
                .order_by(sources.c.created_at)
            ).all()
        return [source_of(row) for row in rows]

    def left_behind(self, source: Source, remnant: Source) -> LeftBehind:
        """Count the documents of a remnant by what became of their objects."""
        fate = _fate(source, remnant)
        with self._db.read() as tx:
            found = {
                row.fate: row.number
                for row in tx.execute(
                    sa.select(fate.label("fate"), sa.func.count().label("number"))
                    .where(documents.c.source_id == remnant.id)
                    .group_by(fate)
                )
            }
        return LeftBehind(
            followed=found.get("followed", 0),
            left=found.get("left", 0),
            waiting=found.get("waiting", 0),
        )

    def documents(
        self, source: Source, remnant: Source, *, fate: Fate, limit: int
    ) -> list[DocumentState]:
        """Return some documents of a remnant whose objects met one fate."""
        with self._db.read() as tx:
            return [
                document_of(row)
                for row in tx.execute(
                    sa.select(documents)
                    .where(documents.c.source_id == remnant.id, _fate(source, remnant) == fate)
                    .order_by(documents.c.id)
                    .limit(limit)
                )
            ]

    def _leave_behind(
        self, tx: sa.Connection, before: Source, after: Source, *, now: float
    ) -> None:
        remnant = before.with_changes(
            id=str(uuid.uuid4()),
            name=f"{before.name[:40]}_moved_{uuid.uuid4().hex[:8]}",
            auto_sync=AutoSync.NONE,  # and what its queue tells is nothing to it
        )
        tx.execute(
            sources.insert().values(
                id=remnant.id, origin="catalog", created_at=now, updated_at=now, paused=True,
                moved_to=before.id, **source_columns(remnant),
            )
        )  # fmt: skip
        # Other collections of the same database, which requests and sidecars named, stay theirs.
        same_database = (after.tenant, after.database_name) == (before.tenant, before.database_name)
        leaving = sa.and_(
            documents.c.source_id == before.id,
            documents.c.tenant == before.tenant,
            documents.c.database_name == before.database_name,
            documents.c.collection_name == before.collection_name if same_database else sa.true(),
        )
        self._ask_again(tx, before, after, leaving, now=now)
        tx.execute(documents.update().where(leaving).values(source_id=remnant.id))
        tx.execute(
            collections.update()
            .where(
                collections.c.source_id == before.id,
                collections.c.tenant == before.tenant,
                collections.c.database_name == before.database_name,
                collections.c.collection_name == before.collection_name
                if same_database
                else sa.true(),
            )
            .values(source_id=remnant.id)
        )

    def _ask_again(
        self,
        tx: sa.Connection,
        before: Source,
        after: Source,
        leaving: sa.ColumnElement[bool],
        *,
        now: float,
    ) -> None:
        """Ask again for documents that requests named: nothing in the bucket tells of them."""
        query = sa.select(documents).where(
            leaving, documents.c.owner == "request", documents.c.phase != "removing"
        )
        asked = [self._request(before, after, row, now=now) for row in tx.execute(query)]
        for part in groups(asked):
            tx.execute(invocations.insert(), part)

    def _request(
        self, before: Source, after: Source, row: sa.Row[Any], *, now: float
    ) -> Mapping[str, Any]:
        own = row.collection_name == before.collection_name
        target = None if own else row.collection_name
        return {
            "id": self._db.clock.uuid(),
            "source_id": before.id,
            "object_key": row.object_key,
            "tenant": after.tenant,
            "database_name": after.database_name,
            "collection_name": target or after.collection_name,
            "kind": "sync",
            "trigger": Trigger.CLI.value,
            "automatic": False,
            "priority": Trigger.CLI.priority,
            "status": "pending",
            "target_collection_name": target,
            "custom_id": row.custom_id,
            "metadata": dict(row.metadata) or None,
            "force": False,
            "created_at": now,
        }

    def _begin_anew(self, tx: sa.Connection, after: Source, *, now: float) -> None:
        """Trust nothing of what was: objects are met, and their documents written, again."""
        source_id, prefix = after.id, after.place.path_prefix
        tx.execute(
            listings.update()
            .where(listings.c.source_id == source_id, listings.c.state == "running")
            .values(
                state="failed", owner=None, finished_at=now, error="The source was moved meanwhile."
            )
        )
        tx.execute(
            invocations.update()
            .where(
                invocations.c.source_id == source_id,
                invocations.c.status == "pending",
                invocations.c.automatic,
            )
            .values(status="cancelled", finished_at=now, reason="source_moved")
        )
        # Versions and sequencers are those of the bucket before.
        tx.execute(
            objects.update()
            .where(objects.c.source_id == source_id)
            .values(outcome=None, version_id=None, sequencer=None)
        )
        # What cannot be written any more stays as it was: a listing decides about it.
        gone = sa.exists().where(
            objects.c.source_id == source_id,
            objects.c.object_key == documents.c.object_key,
            objects.c.gone.is_(True),
        )
        tx.execute(
            documents.update()
            .where(
                documents.c.source_id == source_id,
                documents.c.phase == "clean",
                sa.func.substr(documents.c.object_key, 1, len(prefix)) == prefix,
                ~gone,
            )
            .values(phase="writing")
        )


def _fate(source: Source, remnant: Source) -> sa.ColumnElement[str]:
    """Return what became of the object of a document, with the source that moved on."""
    source_id = source.id
    successor = documents.alias("successor")
    followed = sa.exists().where(
        successor.c.source_id == source_id,
        successor.c.object_key == documents.c.object_key,
        successor.c.collection_name
        == sa.case(
            (documents.c.collection_name == remnant.collection_name, source.collection_name),
            else_=documents.c.collection_name,
        ),
        successor.c.phase == "clean",
    )
    here = sa.and_(objects.c.source_id == source_id, objects.c.object_key == documents.c.object_key)
    there = sa.exists().where(
        here,
        objects.c.gone.is_(False),
        sa.func.coalesce(objects.c.outcome, "") != "skipped",
        objects.c.skip_reason.is_(None),
    )
    held_back = sa.exists().where(
        here, objects.c.outcome == "skipped", objects.c.reason == "removal_blocked"
    )
    return sa.case((followed, "followed"), (sa.or_(there, held_back), "waiting"), else_="left")
