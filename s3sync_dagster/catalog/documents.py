"""Documents: written under an intent, trusted only after the commit, removed with evidence."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from s3sync_dagster.catalog.answers import note_answers
from s3sync_dagster.catalog.changed_meanwhile import ask_for_overtaken
from s3sync_dagster.catalog.claims import claim_documents
from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import ROWS_A_PART
from s3sync_dagster.catalog.deleted_sources import (
    ask_for_freed,
    forget_swept,
    remember_deleted,
    waiting_for_ids,
)
from s3sync_dagster.catalog.deletions import Deletions
from s3sync_dagster.catalog.document_rows import DocumentRows
from s3sync_dagster.catalog.doubted import settle_readers
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.kept_ids import free_by_now, refused_before
from s3sync_dagster.catalog.recovered import forget_bytes, forget_texts, store_recovered
from s3sync_dagster.catalog.removals import (
    claim_removals,
    claim_told_by_heads,
    count_told_by_heads,
)
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.running import is_running, require_running
from s3sync_dagster.catalog.said import end_words, keep_said
from s3sync_dagster.catalog.settled_keys import settle_keys
from s3sync_dagster.catalog.settlement import (
    Trace,
    adopt_orphans,
    commit_documents,
    distrust,
    forget_removed,
    owners_of,
    same_records,
    trace_of,
)
from s3sync_dagster.catalog.tables import (
    batches,
    collections,
    documents,
    hours,
    invocations,
    is_live,
    listings,
    objects,
    shards,
    sidecars,
    sources,
    upload_files,
    uploads_elsewhere,
    wholes,
)
from s3sync_dagster.catalog.unclean import (
    is_kept_as_it_was,
    keys_to_mend,
    lost_its_trust,
)
from s3sync_dagster.catalog.uploads import Uploads
from s3sync_dagster.core.intent import Claim, DocumentCommit, Intent, Refusal
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.core.state import DocumentState
from s3sync_dagster.engine.rebuilding import RecoveredDocument
from s3sync_dagster.model.errors import LeaseLost
from s3sync_dagster.model.invocation import Result
from s3sync_dagster.model.source import Source


@again_after_collisions
class Documents(DocumentRows, Deletions):
    """The table ``documents`` and the settlement of keys."""

    def claim(self, token: str, source: Source, intents: Sequence[Intent]) -> list[Claim | Refusal]:
        """Put documents under the batch's intent before their first write, in one transaction.

        Raises ``LeaseLost`` when the batch is not running any more.
        """
        with self._db.write() as tx:
            require_running(self._db, tx, token, source.id)
            return claim_documents(self._db, tx, token, source, intents)

    def forget_bytes(self, token: str, source_id: str, ids: Sequence[int]) -> None:
        """Forget of which bytes documents are that were read back and are written over now."""
        with self._db.write() as tx:
            require_running(self._db, tx, token, source_id)
            forget_bytes(tx, token, ids)

    def claim_removal(
        self, token: str, source_id: str, states: Sequence[DocumentState]
    ) -> list[DocumentState]:
        """Turn documents ``removing`` under the batch; returns those that were there."""
        with self._db.write() as tx:
            require_running(self._db, tx, token, source_id)
            return claim_removals(tx, token, source_id, states)

    def claim_told_by_heads(
        self, token: str, source_id: str, states: Sequence[DocumentState]
    ) -> bool:
        """Claim and count removals that only HEADs tell; False: too many, and none is claimed."""
        now = self._db.now()
        with self._db.write() as tx:
            require_running(self._db, tx, token, source_id)
            return claim_told_by_heads(tx, token, source_id, states, now=now)

    def count_told_by_heads(self, source_id: str, *, keys: int, going: int) -> bool:
        """Count documents that lose a sidecar of which a HEAD alone told that it is gone.

        Returns False where those are too many with what went lately: none is counted.
        """
        now = self._db.now()
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            return count_told_by_heads(tx, source_id, keys=keys, going=going, now=now)

    def commit(
        self,
        token: str,
        source: Source,
        *,
        written: Sequence[DocumentCommit] = (),
        removed: Sequence[int] = (),
        left: Collection[int] = (),
        outcomes: Sequence[KeyOutcome] = (),
    ) -> set[int]:
        """Make acknowledged writes the truth and settle their keys, in one transaction.

        Args:
            token: of the batch.
            source: whose documents these are.
            written: documents of which each record is acknowledged.
            removed: row ids of documents whose records are gone.
            left: those among them whose objects are gone, or left out.
            outcomes: of keys.

        Returns ids of documents whose commit was lost to another batch: they are not clean and
        are enqueued. When the whole batch was lost nothing is settled and ``LeaseLost`` is raised
        after its documents were marked not clean.
        """
        now = self._db.now()
        with self._db.write() as tx:
            running = is_running(self._db, tx, token, source.id)
            if running:
                lost = commit_documents(self._db, tx, token, written, now=now)
                freed, stood = forget_removed(tx, token, removed, source=source, left=left)
                settle_keys(tx, token, source.id, outcomes, now=now)
                closings = {one.key: one.closing for one in outcomes}
                done = {one.id for one in written} - lost
                settle_readers(tx, source, closings, written=done)
                keep_said(self._db, tx, source, closings)
                freed |= end_words(tx, source, [one.key for one in outcomes if one.gone])
                note_answers(tx, source.id, outcomes, now=now)
                # A request that was refused its id has left the document that stands there as it
                # was: without the request the key's next batch brings it in line. So it does with
                # what stands again.
                refused = [*stood, *(one.key for one in outcomes if one.refused)]
                refused += free_by_now(tx, source, outcomes)
                refused += refused_before(tx, source.id, freed)
                insert_automatic(self._db, tx, source.id, refused, trigger="retry", now=now)
                ended = [one for one in outcomes if one.result is not Result.PENDING]
                ask_for_overtaken(
                    self._db,
                    tx,
                    source,
                    {one.key: one.told_count for one in ended if one.result.done and not one.gone},
                    failed={one.key: one.told_count for one in ended if not one.result.done},
                    gone=[one.key for one in ended if one.gone],
                    known_gone={one.key for one in ended if one.known_gone},
                    now=now,
                )
            else:
                lost = {commit.id for commit in written}
            traces = {one.id: trace_of(one) for one in written if one.id in lost}
            for part in groups(sorted(lost)):
                taken = documents.c.id.in_(part)
                # Another source may have them, whose work is asked for again: out of the order in
                # which sources are locked, so that this transaction may have to be done again.
                self._db.lock_sources(tx, owners_of(tx, taken) - {source.id})
                distrust(self._db, tx, taken, lambda row: traces[row.id], now=now)
        if not running:
            raise LeaseLost("Another batch took over; what this one wrote is written again.")
        return lost

    def distrust(self, states: Sequence[DocumentState], *, spoilt: bool = False) -> None:
        """Mark the owners of these record ids not clean and enqueue them.

        For a worker that finds its lease lost after a write: whoever owns the records now, and
        however he came by them, can rely on nothing. Records that nobody owns any more get an
        owner again, which is to be removed.

        Args:
            states: the documents.
            spoilt: others did it, and left some of their records. Nothing of the object's was
                written over these, so that append mode keeps what its object has no more.
        """
        now = self._db.now()
        traces = {
            one.document_id: Trace(
                high_water=max(one.high_water, one.count), metadata_keys=one.metadata_keys
            )
            for one in states
        }
        concerned = {state.source_id for state in states}
        while True:
            with self._db.write() as tx:
                self._db.lock_sources(tx, concerned)
                conditions = same_records(states)
                others = {one for where in conditions for one in owners_of(tx, where)} - concerned
                if not others:
                    owned = {
                        document_id
                        for condition in conditions
                        for document_id in distrust(
                            self._db,
                            tx,
                            condition,
                            lambda row: traces[row.document_id],
                            now=now,
                            spoilt=spoilt,
                        )
                    }
                    orphans = [state for state in states if state.document_id not in owned]
                    adopt_orphans(self._db, tx, orphans, now=now)
                    return
            concerned |= others  # locked together with the first ones, in the order of all

    def forget_texts(self, source_id: str, states: Sequence[DocumentState]) -> int:
        """Let append mode write documents of whose untrusted records none is left; ask for them.

        Until then each was kept for the text of before that was not all of it lost.

        Returns how many keys these are of.
        """
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            keys = forget_texts(tx, [one.id for one in states])
            insert_automatic(self._db, tx, source_id, keys, trigger="retry", now=self._db.now())
        return len(keys)

    def read_back(
        self,
        source: Source,
        found: Sequence[RecoveredDocument],
        *,
        collection_name: str,
        collection_id: str,
    ) -> int:
        """Add documents that the catalog does not have, as not clean; return how many were added.

        They take the place of such as were begun, have no record and are in nobody's hands.

        Raises ``NotFound`` for a source that is deleted.
        """
        self._forget_begun(source.id, collection_name, [one.object_key for one in found])
        return store_recovered(
            self._db,
            source,
            found,
            collection_name=collection_name,
            collection_id=collection_id,
        )

    def _forget_begun(self, source_id: str, collection_name: str, keys: Sequence[str]) -> None:
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            for part in groups(keys):
                tx.execute(
                    documents.delete().where(
                        documents.c.source_id == source_id,
                        documents.c.collection_name == collection_name,
                        documents.c.object_key.in_(part),
                        documents.c.phase == "writing",
                        documents.c.high_water == 0,
                        documents.c.etag.is_(None),
                        documents.c.said.is_(None),
                        documents.c.batch_token.is_(None),
                    )
                )

    def distrust_all(self, source_id: str) -> int:
        """Mark every document of a source not clean, so that the next attempt writes it whole.

        Also what a batch is writing: its plan trusted what is not to be trusted any more, so its
        commit counts for nothing, and the document is asked for again. Not what a mode keeps and
        its object would not give again: it is gone, or in append mode has other bytes; what has
        them only once its turn has come is known by ``lost_its_trust``.
        """
        with self._db.write() as tx:
            tx.execute(
                objects.update()
                .where(objects.c.source_id == source_id, objects.c.outcome == "indexed")
                .values(outcome=None)
            )
            return tx.execute(
                documents.update()
                .where(
                    documents.c.source_id == source_id,
                    documents.c.phase != "removing",
                    sa.not_(is_kept_as_it_was(tx, source_id)),
                )
                .values(batch_token=None, **lost_its_trust(tx, source_id))
            ).rowcount

    def enqueue_unclean(self, source_id: str) -> int:
        """Ask for work on documents that are not clean and that somebody can mend now.

        What a live batch holds is its own business: it mends it, or gives it back at its end.
        """
        now = self._db.now()
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            keys = keys_to_mend(tx, source_id, now=now)
            return insert_automatic(self._db, tx, source_id, keys, trigger="retry", now=now)

    def forget(self, ids: Sequence[int]) -> None:
        """Delete document rows whose records are gone."""
        with self._db.write() as tx:
            for part in groups(ids):
                tx.execute(documents.delete().where(documents.c.id.in_(part)))

    def forget_swept(self, ids: Sequence[int]) -> list[DocumentState]:
        """Delete rows whose records were swept; return those that their source has again."""
        with self._db.write() as tx:
            return forget_swept(tx, ids)

    def drop_source(self, source_id: str) -> None:
        """Forget a source and all that belongs to it; its records are the caller's business.

        It may be a million rows, so they go in parts: who dies between two leaves a source that is
        still being deleted. Finished invocations stay as history until they are pruned.
        """
        self._cancel_all(source_id)
        Uploads(self._db).clear(source_id)
        for key in (documents.c.id, objects.c.object_key, sidecars.c.sidecar_key):
            self._db.delete_in_parts(key, key.table.c.source_id == source_id)
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            remember_deleted(self._db, tx, source_id, now=self._db.now())
            # What came meanwhile, and the short tables. Bytes of a file that came are pruned.
            for table in (
                upload_files,
                uploads_elsewhere,
                documents,
                collections,
                objects,
                sidecars,
                batches,
                listings,
                hours,
                wholes,
                shards,
            ):
                tx.execute(table.delete().where(table.c.source_id == source_id))
            tx.execute(sources.delete().where(sources.c.id == source_id))
        self._cancel_all(source_id)

    def ask_for_freed(self) -> int:
        """Let all keys whose record ids were others' come now; returns how many.

        For whoever has taken records of a source away for good.
        """
        with self._db.read() as tx:
            waiting, asked = waiting_for_ids(tx), 0
        for source_id in waiting:
            part = 1
            while part:  # those asked for are not failed ones to be asked for any more
                with self._db.write() as tx:
                    self._db.lock_source(tx, source_id)
                    part = ask_for_freed(self._db, tx, source_id, now=self._db.now())
                asked += part
        return asked

    def _cancel_all(self, source_id: str) -> None:
        while True:
            with self._db.write() as tx:
                self._db.lock_source(tx, source_id)
                live = (
                    sa.select(invocations.c.id)
                    .where(invocations.c.source_id == source_id, is_live)
                    .limit(ROWS_A_PART)
                )
                cancelled = tx.execute(
                    invocations.update()
                    .where(invocations.c.id.in_(live))
                    .values(
                        status="cancelled",
                        batch_token=None,
                        finished_at=self._db.now(),
                        reason="source_deleted",
                    )
                ).rowcount
            if cancelled < ROWS_A_PART:
                return
