"""What a batch starts from, and what intake and sidecars change."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.listings import upsert_objects
from s3sync_dagster.catalog.rows import document_of, groups, invocation_of, object_of
from s3sync_dagster.catalog.tables import documents, invocations, objects, sidecars
from s3sync_dagster.core.state import ObjectState
from s3sync_dagster.core.work import SidecarChange, SidecarState, WorkItem
from s3sync_dagster.model.object import ObjectRef


class Work:
    """Reads and writes around a batch's keys."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def load(self, token: str) -> list[WorkItem]:
        """Return the keys that a batch holds, in key order."""
        asked: dict[str, list[Any]] = defaultdict(list)
        objects_of: dict[str, ObjectState] = {}
        documents_of: dict[str, list[Any]] = defaultdict(list)
        claims: dict[str, list[SidecarState]] = defaultdict(list)
        own: dict[str, SidecarState] = {}
        with self._db.read() as tx:
            for row in tx.execute(
                sa.select(invocations)
                .where(invocations.c.batch_token == token)
                .order_by(invocations.c.created_at)
            ):
                asked[row.object_key].append(invocation_of(row))
            if not asked:
                return []
            source_id = next(iter(asked.values()))[0].source_id
            for keys in groups(sorted(asked)):
                for row in tx.execute(
                    sa.select(objects).where(
                        objects.c.source_id == source_id, objects.c.object_key.in_(keys)
                    )
                ):
                    objects_of[row.object_key] = object_of(row)
                for row in tx.execute(
                    sa.select(documents)
                    .where(documents.c.source_id == source_id, documents.c.object_key.in_(keys))
                    .order_by(documents.c.id)
                ):
                    documents_of[row.object_key].append(document_of(row))
                for row in tx.execute(
                    sa.select(sidecars)
                    .where(
                        sidecars.c.source_id == source_id,
                        sidecars.c.path.in_(keys) | sidecars.c.sidecar_key.in_(keys),
                    )
                    .order_by(sidecars.c.sidecar_key)
                ):
                    state = _sidecar_of(row)
                    claims[row.path].append(state)
                    own[row.sidecar_key] = state
        return [
            WorkItem(
                key=key,
                invocations=tuple(asked[key]),
                object=objects_of.get(key),
                documents=tuple(documents_of[key]),
                sidecars=tuple(claims[key]),
                own_sidecar=own.get(key),
            )
            for key in sorted(asked)
        ]

    def object(self, source_id: str, object_key: str) -> ObjectState | None:
        """Return what is known of one key."""
        with self._db.read() as tx:
            row = tx.execute(
                sa.select(objects).where(
                    objects.c.source_id == source_id, objects.c.object_key == object_key
                )
            ).first()
        return object_of(row) if row else None

    def keys_of_partitions(self, source_id: str, partitions: Sequence[str]) -> dict[str, str]:
        """Return partition key -> object key for those that the catalog knows."""
        found: dict[str, str] = {}
        with self._db.read() as tx:
            for part in groups(partitions):
                for row in tx.execute(
                    sa.select(objects.c.partition_key, objects.c.object_key).where(
                        objects.c.source_id == source_id, objects.c.partition_key.in_(part)
                    )
                ):
                    found[row.partition_key] = row.object_key
        return found

    def record_objects(
        self,
        source_id: str,
        refs: Iterable[tuple[ObjectRef, str | None]],
        *,
        sequencers: dict[str, str] | None = None,
    ) -> None:
        """Store what an event or a HEAD told of objects."""
        with self._db.write() as tx:
            upsert_objects(
                self._db,
                tx,
                source_id,
                list(refs),
                listing_id=None,
                now=self._db.clock.now().timestamp(),
                sequencers=sequencers,
            )

    def record_events(
        self,
        source_id: str,
        *,
        upserts: Sequence[tuple[ObjectRef, str | None]],
        sync: Sequence[str],
        remove: Sequence[str],
        sequencers: dict[str, str],
    ) -> None:
        """Commit a tick's events of one source: objects and invocations in one transaction."""
        now = self._db.clock.now().timestamp()
        with self._db.write() as tx:
            upsert_objects(
                self._db, tx, source_id, upserts, listing_id=None, now=now, sequencers=sequencers
            )
            insert_automatic(self._db, tx, source_id, sync, trigger="event", now=now)
            insert_automatic(
                self._db, tx, source_id, remove, trigger="event", kind="remove", now=now
            )

    def apply_sidecar(self, source_id: str, change: SidecarChange) -> None:
        """Store what a sidecar asks for now, and ask for the work that follows from it."""
        now = self._db.clock.now().timestamp()
        with self._db.write() as tx:
            tx.execute(
                sidecars.delete().where(
                    sidecars.c.source_id == source_id,
                    sidecars.c.sidecar_key == change.sidecar_key,
                )
            )
            if change.now is not None:
                tx.execute(
                    sidecars.insert().values(
                        source_id=source_id,
                        sidecar_key=change.sidecar_key,
                        path=change.now.path,
                        custom_id=change.now.custom_id,
                        target_collection_name=change.now.target_collection_name,
                        metadata=change.now.metadata,
                        etag=change.now.etag,
                    )
                )
            touched = {state.path for state in (change.before, change.now) if state is not None}
            insert_automatic(self._db, tx, source_id, sorted(touched), trigger="sidecar", now=now)

    def claims_of(self, source_id: str, path: str) -> list[SidecarState]:
        """Return the sidecars that name a key."""
        with self._db.read() as tx:
            return [
                _sidecar_of(row)
                for row in tx.execute(
                    sa.select(sidecars)
                    .where(sidecars.c.source_id == source_id, sidecars.c.path == path)
                    .order_by(sidecars.c.sidecar_key)
                )
            ]

    def partitions_to_add(self, source_id: str, keys: Sequence[str]) -> list[str]:
        """Return partition keys of these object keys that Dagster was not told yet."""
        names: list[str] = []
        with self._db.read() as tx:
            for part in groups(keys):
                names += tx.execute(
                    sa.select(objects.c.partition_key).where(
                        objects.c.source_id == source_id,
                        objects.c.object_key.in_(part),
                        objects.c.partition_added.is_(False),
                        objects.c.gone.is_(False),
                    )
                ).scalars()
        return names

    def partitions_added(self, source_id: str, partitions: Sequence[str], *, added: bool) -> None:
        """Note that Dagster knows these partitions, or knows them no more."""
        with self._db.write() as tx:
            for part in groups(partitions):
                tx.execute(
                    objects.update()
                    .where(objects.c.source_id == source_id, objects.c.partition_key.in_(part))
                    .values(partition_added=added)
                )

    def partitions_to_drop(self, source_id: str, *, limit: int = 500) -> list[str]:
        """Return partitions of objects that are gone and have neither documents nor work."""
        alive = sa.union_all(
            sa.select(documents.c.object_key).where(documents.c.source_id == source_id),
            sa.select(invocations.c.object_key).where(
                invocations.c.source_id == source_id,
                invocations.c.status.in_(["pending", "processing"]),
            ),
        )
        with self._db.read() as tx:
            return list(
                tx.execute(
                    sa.select(objects.c.partition_key)
                    .where(
                        objects.c.source_id == source_id,
                        objects.c.gone.is_(True),
                        objects.c.partition_added.is_(True),
                        objects.c.object_key.not_in(alive),
                    )
                    .limit(limit)
                ).scalars()
            )


def _sidecar_of(row: sa.Row[Any]) -> SidecarState:
    return SidecarState(
        sidecar_key=row.sidecar_key,
        path=row.path,
        custom_id=row.custom_id,
        target_collection_name=row.target_collection_name,
        metadata=row.metadata,
        etag=row.etag,
    )
