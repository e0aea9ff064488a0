"""What a batch starts from, and what intake and sidecars change."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.answers import ask_where_answered
from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.listing_end import blocked_listing
from s3sync_dagster.catalog.moves import documents_before, left_before
from s3sync_dagster.catalog.object_rows import (
    blank_etags,
    current_number,
    known_objects,
    objects_of_keys,
    store_objects,
    upsert_objects,
    within_limit,
)
from s3sync_dagster.catalog.overtaken import note_removals, unjudged
from s3sync_dagster.catalog.quotas import no_room, without_room
from s3sync_dagster.catalog.retried import OLDEST_FIRST
from s3sync_dagster.catalog.rows import document_of, groups, invocation_of, object_of
from s3sync_dagster.catalog.running import require_running
from s3sync_dagster.catalog.sidecar_rows import (
    claims_on,
    is_outdated,
    retire_unasked,
    sidecar_of,
    store_changes,
)
from s3sync_dagster.catalog.tables import (
    documents,
    has_place,
    invocations,
    is_gone,
    objects,
    sidecars,
    sources,
)
from s3sync_dagster.core.facts import KeyFacts, SidecarChange, SidecarState
from s3sync_dagster.core.news import Told, doubted, outdated_news, unchanged_since
from s3sync_dagster.core.state import ObjectState


@again_after_collisions
class Work:
    """Reads and writes around a batch's keys."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def load(self, token: str) -> list[KeyFacts]:
        """Return the keys that a batch holds, as they were leased: best, oldest, by key."""
        asked: dict[str, list[Any]] = defaultdict(list)
        turns: dict[str, tuple[int, float]] = {}
        objects_of: dict[str, ObjectState] = {}
        documents_of: dict[str, list[Any]] = defaultdict(list)
        claims: dict[str, list[SidecarState]] = defaultdict(list)
        own: dict[str, SidecarState] = {}
        with self._db.read() as tx:
            for row in tx.execute(*_held(token)):
                asked[row.object_key].append(invocation_of(row))
                turn = (row.priority, row.created_at)
                turns[row.object_key] = min(turns.get(row.object_key, turn), turn)
            if not asked:
                return []
            source_id = next(iter(asked.values()))[0].source_id
            inherited = documents_before(tx, source_id, sorted(asked))
            before = left_before(tx, source_id, sorted(asked))
            blocked = blocked_listing(tx, source_id)
            for keys in groups(sorted(asked)):
                for row in tx.execute(*objects_of_keys(source_id, keys)):
                    objects_of[row.object_key] = replace(
                        object_of(row),
                        awaits_approval=blocked is not None and row.shown_listing_id == blocked,
                    )
                for row in tx.execute(*_documents(source_id, keys)):
                    documents_of[row.object_key].append(document_of(row))
                for row in tx.execute(*_sidecars(source_id, keys)):
                    state = replace(sidecar_of(row), outdated=row.outdated)
                    claims[row.path].append(state)
                    own[row.sidecar_key] = state
        return [
            KeyFacts(
                key=key,
                invocations=tuple(asked[key]),
                object=objects_of.get(key),
                documents=tuple(documents_of[key]),
                inherited=inherited.get(key),
                before=tuple(before.get(key, ())),
                sidecars=tuple(claims[key]),
                own_sidecar=own.get(key),
            )
            for key in sorted(asked, key=lambda key: (turns[key], key))
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
        refs: Sequence[Told],
        *,
        known: Mapping[str, ObjectState | None] | None = None,
    ) -> dict[str, str | None]:
        """Store what a HEAD or GET told of objects; returns key -> selection's verdict.

        Args:
            source_id: the source.
            refs: what was told, with the verdict as far as the object alone decides it.
            known: what was known of each key when the bucket was asked. Rows of which something
                was told since are left alone: it may be newer.

        Raises:
            NoRoom: what is new was not stored, all else was.
        """
        with self._db.write() as tx:
            if not self._db.has_source(tx, source_id):
                return {ref.key: reason for ref, reason in refs}
            refs = stored = within_limit(tx, source_id, refs)
            if known is not None:
                stored = unchanged_since(known_objects(tx, source_id, known), refs, known)
            left_out = upsert_objects(self._db, tx, source_id, stored, now=self._now())
        self._refuse(left_out)
        return {ref.key: reason for ref, reason in refs}

    def require_room(self, source_id: str, keys: Collection[str]) -> None:
        """Raise ``NoRoom`` where there is no room for all keys."""
        with self._db.read() as tx:
            left_out = without_room(self._db, tx, source_id, keys)
        self._refuse(left_out)

    def record_events(
        self,
        source_id: str,
        *,
        upserts: Sequence[Told],
        sync: Sequence[str],
        remove: Sequence[str],
        sequencers: dict[str, str],
    ) -> None:
        """Commit a tick's events of one source: objects and invocations in one transaction.

        News that is older than what an event told before only makes the reader ask the bucket.

        Raises:
            NoRoom: what is new was not stored, all else was.
        """
        now = self._now()
        with self._db.write() as tx:
            if not self._db.has_source(tx, source_id):
                return
            known = known_objects(tx, source_id, {*sync, *remove, *(ref.key for ref, _ in upserts)})
            old = outdated_news(known, sequencers)
            fresh = [told for told in upserts if told[0].key not in old]
            left_out = upsert_objects(
                self._db,
                tx,
                source_id,
                within_limit(tx, source_id, doubted(known, fresh)),
                now=now,
                sequencers=sequencers,
            )
            # Only what tells a removal is evidence for one, together with a HEAD.
            told = sorted(key for key in remove if key not in old)
            number = current_number(tx, source_id)
            note_removals(tx, source_id, told, number=number, sequencers=sequencers)
            blank_etags(tx, source_id, old)
            insert_automatic(
                self._db,
                tx,
                source_id,
                [key for key in sync if key not in set(remove) and key not in left_out],
                trigger="event",
                now=now,
            )
            insert_automatic(self._db, tx, source_id, told, trigger="event", kind="remove", now=now)
            late = sorted(key for key in remove if key in old)
            insert_automatic(self._db, tx, source_id, late, trigger="event", now=now)
        self._refuse(left_out)

    def _refuse(self, left_out: Collection[str]) -> None:
        if left_out and self._db.quota is not None:
            raise no_room(self._db.quota, keys=left_out)

    def apply_sidecars(
        self,
        token: str,
        source_id: str,
        changes: Sequence[SidecarChange],
        *,
        held: Collection[str] = (),
    ) -> None:
        """Store what sidecars ask for now, and ask for the work that follows from it.

        A document that a sidecar asked for and asks for no more turns ``removing``; its records
        stay until the key's next batch, so that another key may take the custom id over.

        Args:
            token: the batch that read them. Once others have its keys, they may have read newer.
            source_id: the source.
            changes: at most one a sidecar.
            held: keys that the caller's batch looks at after this, with the new state.

        Raises:
            LeaseLost: the batch is not running any more; nothing was stored.
        """
        if not changes:
            return
        now = self._now()
        with self._db.write() as tx:
            require_running(self._db, tx, token, source_id)
            store_changes(tx, source_id, changes)
            there = [change.sidecar_key for change in changes if change.now is not None]
            store_objects(self._db, tx, source_id, there)
            retire_unasked(tx, source_id, changes, now=now, unjudged=unjudged(tx, token))
            touched = {
                state.path
                for change in changes
                for state in (change.before, change.now)
                if state is not None
            }
            # Other sidecars of these keys: who has the claim now, who has lost it?
            rivals = {
                one.sidecar_key
                for claims in claims_on(tx, source_id, touched).values()
                for one in claims
            } - {change.sidecar_key for change in changes}
            insert_automatic(
                self._db,
                tx,
                source_id,
                sorted((touched | rivals) - set(held)),
                trigger="sidecar",
                now=now,
            )

    def claims_of(self, source_id: str, paths: Collection[str]) -> dict[str, list[SidecarState]]:
        """Return the sidecars that name these keys, in the order of the sidecars' keys."""
        with self._db.read() as tx:
            return claims_on(tx, source_id, paths)

    def ask_again_where_answered(self, source_id: str) -> int:
        """Ask at once for what a service has failed that answers again; returns how many keys.

        While it does not answer a single key is sent now and then to see whether it does. At most
        1,000 keys a call.
        """
        with self._db.write() as tx:
            if not self._db.open_source(tx, source_id):
                return 0
            return ask_where_answered(self._db, tx, source_id, now=self._now())

    def untidy_sources(self) -> set[str]:
        """Return sources that may have documents to mend or partitions to take back.

        Those too of which a service does not answer, or has begun to again.

        One look for all of them: with 200 sources the questions themselves, asked of each every
        second, kept a third of a core busy.
        """
        unclean = sa.select(documents.c.source_id).where(
            documents.c.phase != "clean", documents.c.batch_token.is_(None)
        )
        silent = sa.select(sources.c.id).where(sources.c.unanswered_at.is_not(None))
        gone = sa.select(objects.c.source_id).where(is_gone, has_place)
        with self._db.read() as tx:
            return set(tx.execute(sa.union(unclean, gone, silent)).scalars())

    def _now(self) -> float:
        return self._db.now()


@built_once
def _held(token: str) -> sa.Select[Any]:
    query = sa.select(invocations).where(invocations.c.batch_token == token)
    return query.order_by(*OLDEST_FIRST)


@built_once
def _documents(source_id: str, keys: Sequence[str]) -> sa.Select[Any]:
    here = (documents.c.source_id == source_id, documents.c.object_key.in_(keys))
    return sa.select(documents).where(*here).order_by(documents.c.id)


@built_once
def _sidecars(source_id: str, keys: Sequence[str]) -> Any:
    names_one = sidecars.c.path.in_(keys) | sidecars.c.sidecar_key.in_(keys)
    return (
        sa.select(sidecars, is_outdated().label("outdated"))
        .where(sidecars.c.source_id == source_id, names_one)
        .order_by(sidecars.c.sidecar_key)
    )
