"""Documents: written under an intent, trusted only after the commit, removed with evidence."""

from collections.abc import Sequence

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.rows import document_of, groups
from s3sync_dagster.catalog.tables import batches, documents, invocations, objects, sources
from s3sync_dagster.core.state import DocumentPhase, DocumentState
from s3sync_dagster.core.work import Claim, DocumentCommit, Intent, KeyOutcome, Refusal
from s3sync_dagster.model.errors import LeaseLost
from s3sync_dagster.model.source import Source


class Documents:
    """The table ``documents`` and the settlement of keys."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def claim(self, token: str, source: Source, intents: Sequence[Intent]) -> list[Claim | Refusal]:
        """Put documents under the batch's intent before their first write, in one transaction.

        Raises ``LeaseLost`` when the batch is not running any more.
        """
        answers: list[Claim | Refusal] = []
        with self._db.write() as tx:
            self._must_run(tx, token)
            for intent in intents:
                answers.append(self._claim(tx, token, source, intent))
        return answers

    def claim_removal(self, token: str, ids: Sequence[int]) -> list[DocumentState]:
        """Turn documents ``removing`` under the batch; returns those that were there."""
        with self._db.write() as tx:
            self._must_run(tx, token)
            rows = []
            for part in groups(ids):
                rows += tx.execute(
                    documents.update()
                    .where(documents.c.id.in_(part))
                    .values(phase="removing", batch_token=token)
                    .returning(documents)
                ).all()
        return [document_of(row) for row in rows]

    def raise_high_water(self, marks: dict[int, int]) -> None:
        """Note that ids up to these marks were found in the collection."""
        with self._db.write() as tx:
            for row_id, mark in marks.items():
                tx.execute(
                    documents.update()
                    .where(documents.c.id == row_id, documents.c.high_water < mark)
                    .values(high_water=mark)
                )

    def commit(
        self,
        token: str,
        source: Source,
        *,
        written: Sequence[DocumentCommit] = (),
        removed: Sequence[int] = (),
        outcomes: Sequence[KeyOutcome] = (),
    ) -> set[int]:
        """Make acknowledged writes the truth and settle their keys, in one transaction.

        Returns ids of documents whose commit was lost to another batch: they are not clean and
        are enqueued. When the whole batch was lost nothing is settled and ``LeaseLost`` is raised
        after its documents were marked not clean.
        """
        now = self._db.clock.now().timestamp()
        with self._db.write() as tx:
            running = self._running(tx, token)
            lost = set[int]()
            if not running:
                lost = {commit.id for commit in written}
                self._distrust(tx, source, lost, now=now)
            else:
                for commit in written:
                    if not self._commit_one(tx, token, commit, now=now):
                        lost.add(commit.id)
                self._distrust(tx, source, lost, now=now)
                for part in groups(removed):
                    tx.execute(
                        documents.delete().where(
                            documents.c.id.in_(part), documents.c.batch_token == token
                        )
                    )
                for outcome in outcomes:
                    self._settle(tx, token, source.id, outcome, now=now)
        if not running:
            raise LeaseLost("Another batch took over; what this one wrote is written again.")
        return lost

    def of_source(
        self, source_id: str, *, after_id: int = 0, limit: int = 1000
    ) -> list[DocumentState]:
        """Return documents of a source by row id, a page at a time."""
        with self._db.read() as tx:
            return [
                document_of(row)
                for row in tx.execute(
                    sa.select(documents)
                    .where(documents.c.source_id == source_id, documents.c.id > after_id)
                    .order_by(documents.c.id)
                    .limit(limit)
                )
            ]

    def of_key(self, source_id: str, object_key: str) -> list[DocumentState]:
        """Return the documents of one object."""
        with self._db.read() as tx:
            return [
                document_of(row)
                for row in tx.execute(
                    sa.select(documents).where(
                        documents.c.source_id == source_id, documents.c.object_key == object_key
                    )
                )
            ]

    def collections(self, source_id: str) -> list[tuple[str, str, str]]:
        """Return (tenant, database, collection) of all documents of a source."""
        with self._db.read() as tx:
            return [
                (row.tenant, row.database_name, row.collection_name)
                for row in tx.execute(
                    sa.select(
                        documents.c.tenant, documents.c.database_name, documents.c.collection_name
                    )
                    .where(documents.c.source_id == source_id)
                    .distinct()
                )
            ]

    def distrust_all(self, source_id: str) -> int:
        """Mark every document of a source not clean, so that the next attempt writes it whole."""
        with self._db.write() as tx:
            tx.execute(
                objects.update()
                .where(objects.c.source_id == source_id, objects.c.outcome == "indexed")
                .values(outcome=None)
            )
            return tx.execute(
                documents.update()
                .where(documents.c.source_id == source_id, documents.c.phase == "clean")
                .values(phase="writing")
            ).rowcount

    def enqueue_unclean(self, source_id: str) -> int:
        """Ask for work on documents that are not clean and that nobody is asked to mend."""
        now = self._db.clock.now().timestamp()
        waiting = sa.select(invocations.c.object_key).where(
            invocations.c.source_id == source_id,
            invocations.c.status.in_(["pending", "processing"]),
        )
        resting = sa.select(objects.c.object_key).where(
            objects.c.source_id == source_id,
            objects.c.outcome == "failed",
            objects.c.next_retry_at.is_(None) | (objects.c.next_retry_at > now),
        )
        with self._db.write() as tx:
            keys = list(
                tx.execute(
                    sa.select(documents.c.object_key)
                    .where(
                        documents.c.source_id == source_id,
                        documents.c.phase != "clean",
                        documents.c.object_key.not_in(waiting),
                        documents.c.object_key.not_in(resting),
                    )
                    .distinct()
                    .limit(1000)
                ).scalars()
            )
            return insert_automatic(self._db, tx, source_id, keys, trigger="retry", now=now)

    def drop_source(self, source_id: str) -> None:
        """Forget a source and all that belongs to it; its records are the caller's business."""
        with self._db.write() as tx:
            for table in (documents, objects, invocations, batches):
                if table is invocations:  # finished ones stay as history until they are pruned
                    tx.execute(
                        invocations.update()
                        .where(
                            invocations.c.source_id == source_id,
                            invocations.c.status.in_(["pending", "processing"]),
                        )
                        .values(
                            status="cancelled",
                            batch_token=None,
                            finished_at=self._db.clock.now().timestamp(),
                            reason="source_deleted",
                        )
                    )
                    continue
                tx.execute(table.delete().where(table.c.source_id == source_id))
            tx.execute(sources.delete().where(sources.c.id == source_id))

    def _claim(
        self, tx: sa.Connection, token: str, source: Source, intent: Intent
    ) -> Claim | Refusal:
        place = (
            documents.c.tenant == source.tenant,
            documents.c.database_name == source.database_name,
            documents.c.collection_name == intent.target.collection_name,
        )
        row = tx.execute(
            sa.select(documents).where(*place, documents.c.document_id == intent.document_id)
        ).first()
        if row is not None and (
            row.source_id != source.id or (row.object_key != intent.key and row.phase != "removing")
        ):
            adopted = source.adopt and row.source_id != source.id
            if not adopted:
                return Refusal(message=self._collision(tx, source, intent, row))
        other = tx.execute(
            sa.select(documents).where(
                *place,
                documents.c.source_id == source.id,
                documents.c.object_key == intent.key,
                documents.c.phase != "removing",
                documents.c.document_id != intent.document_id,
            )
        ).first()
        if other is not None:
            tx.execute(
                documents.update()
                .where(documents.c.id == other.id)
                .values(phase="removing", batch_token=token)
            )
        values = {
            "source_id": source.id,
            "object_key": intent.key,
            "custom_id": intent.target.custom_id,
            "metadata": dict(intent.target.metadata),
            "owner": intent.target.owner,
            "phase": "writing",
            "batch_token": token,
        }
        if row is None:
            row = tx.execute(
                documents.insert()
                .values(
                    tenant=source.tenant,
                    database_name=source.database_name,
                    collection_name=intent.target.collection_name,
                    document_id=intent.document_id,
                    digests=b"",
                    metadata_keys=list(intent.metadata_keys),
                    high_water=intent.count,
                    **values,
                )
                .returning(documents)
            ).one()
            before = document_of(row)
        else:
            before = document_of(row)
            if before.object_key != intent.key:  # taken over: nothing of the other key is trusted
                before = _untrusted(before)
            tx.execute(
                documents.update()
                .where(documents.c.id == row.id)
                .values(
                    high_water=max(row.high_water, row.chunks, intent.count),
                    metadata_keys=sorted({*row.metadata_keys, *intent.metadata_keys}),
                    **values,
                )
            )
        return Claim(before=before, replaced=document_of(other) if other else None)

    def _collision(self, tx: sa.Connection, source: Source, intent: Intent, row: sa.Row) -> str:
        if row.source_id == source.id:
            return (
                f"The custom id {intent.target.custom_id!r} of {intent.key!r} belongs to "
                f"{row.object_key!r} in collection {intent.target.collection_name!r}; give one of "
                "them another id."
            )
        owner = tx.execute(
            sa.select(sources.c.name).where(
                sources.c.id == row.source_id, sources.c.tenant == source.tenant
            )
        ).scalar_one_or_none()
        return (
            f"The record ids of {intent.key!r} in collection {intent.target.collection_name!r} "
            f"belong to {'the source ' + repr(owner) if owner else 'another source'}, not to "
            f"{source.name!r}: use another collection, or give the source an id_prefix."
        )

    def _commit_one(
        self, tx: sa.Connection, token: str, commit: DocumentCommit, *, now: float
    ) -> bool:
        return bool(
            tx.execute(
                documents.update()
                .where(
                    documents.c.id == commit.id,
                    documents.c.batch_token == token,
                    documents.c.phase == "writing",
                )
                .values(
                    phase="clean",
                    batch_token=None,
                    etag=commit.etag,
                    fingerprint=commit.fingerprint,
                    chunks=commit.count,
                    high_water=commit.count,
                    digests=commit.digests,
                    metadata_keys=list(commit.metadata_keys),
                    text_bytes=commit.text_bytes,
                    pages=commit.pages,
                    indexed_at=now,
                )
            ).rowcount
        )

    def _distrust(self, tx: sa.Connection, source: Source, ids: set[int], *, now: float) -> None:
        """A late write may have hit what another batch wrote: nobody's commit counts."""
        if not ids:
            return
        keys = tx.execute(
            documents.update()
            .where(documents.c.id.in_(ids))
            .values(
                batch_token=None,
                phase=sa.case((documents.c.phase == "removing", "removing"), else_="writing"),
            )
            .returning(documents.c.object_key)
        ).scalars()
        insert_automatic(self._db, tx, source.id, sorted(set(keys)), trigger="retry", now=now)

    def _settle(
        self, tx: sa.Connection, token: str, source_id: str, outcome: KeyOutcome, *, now: float
    ) -> None:
        leased = sa.and_(
            invocations.c.batch_token == token, invocations.c.object_key == outcome.key
        )
        for invocation_id, message in outcome.refused.items():
            tx.execute(
                invocations.update()
                .where(leased, invocations.c.id == invocation_id)
                .values(
                    status="failed",
                    reason="conflict",
                    error=message,
                    batch_token=None,
                    begun=False,
                    finished_at=now,
                )
            )
        if outcome.status == "pending":
            tx.execute(
                invocations.update()
                .where(leased)
                .values(
                    begun=False,
                    next_attempt_at=outcome.next_at or 0,
                    reason=outcome.reason,
                    error=outcome.error,
                )
            )
            return  # the batch's end returns it to pending
        tx.execute(
            invocations.update()
            .where(leased)
            .values(
                status=outcome.status,
                result=outcome.result.value if outcome.result else None,
                reason=outcome.reason,
                error=outcome.error,
                batch_token=None,
                begun=False,
                finished_at=now,
            )
        )
        here = sa.and_(objects.c.source_id == source_id, objects.c.object_key == outcome.key)
        tx.execute(
            objects.update()
            .where(here)
            .values(
                outcome=outcome.outcome,
                outcome_etag=outcome.etag if outcome.etag is not None else objects.c.etag,
                fingerprint=outcome.fingerprint,
                reason=outcome.reason,
                error=outcome.error,
                retry_class=outcome.retry_class,
                next_retry_at=outcome.next_at,
                gone=outcome.gone,
            )
        )
        if outcome.etag and outcome.size is not None:
            # The read saw a version that no listing or event has told yet.
            tx.execute(
                objects.update()
                .where(here, objects.c.etag == "")
                .values(etag=outcome.etag, size=outcome.size, version_id=outcome.version_id)
            )

    def _running(self, tx: sa.Connection, token: str) -> bool:
        query = sa.select(batches.c.state).where(batches.c.token == token)
        if not self._db.sqlite:
            query = query.with_for_update()
        return tx.execute(query).scalar_one_or_none() == "running"

    def _must_run(self, tx: sa.Connection, token: str) -> None:
        if not self._running(tx, token):
            raise LeaseLost("Another batch took over; this one stops.")


def _untrusted(before: DocumentState) -> DocumentState:
    return DocumentState(
        id=before.id,
        source_id=before.source_id,
        object_key=before.object_key,
        tenant=before.tenant,
        database_name=before.database_name,
        collection_name=before.collection_name,
        document_id=before.document_id,
        custom_id=before.custom_id,
        metadata=before.metadata,
        owner=before.owner,
        phase=DocumentPhase.WRITING,
        count=before.count,
        high_water=before.high_water,
        metadata_keys=before.metadata_keys,
    )
