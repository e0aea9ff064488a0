"""Step three of a batch, upsert: intents, vectors, group-committed writes, commits.

The next group is prepared and embedded while Chroma takes the one before: with a real model the
two cost about as much as the dearer of them.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from s3sync_dagster.core.handed_on_ids import id_aside
from s3sync_dagster.core.intent import DocumentCommit
from s3sync_dagster.core.plan import result_of
from s3sync_dagster.core.state import DocumentState, Target
from s3sync_dagster.core.vouching import withheld
from s3sync_dagster.engine.batch.blame import (
    beside_the_bytes,
    fault_of_refused,
    fault_of_text,
    refusal_of_collection,
    refusal_of_model,
)
from s3sync_dagster.engine.batch.claim import claim_group
from s3sync_dagster.engine.batch.cut import Cuts
from s3sync_dagster.engine.batch.groups import (
    Write,
    WriteGroup,
    build_write,
    fill_groups,
    plan_group,
)
from s3sync_dagster.engine.batch.handing_on import HandingOn, Turn
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.ledger import Ledger
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.batch.room import memory_of_records
from s3sync_dagster.engine.identity import meet_collection
from s3sync_dagster.engine.own_records import delete_in_steps, ids_to_delete
from s3sync_dagster.engine.ports import CollectionPort
from s3sync_dagster.engine.unexpected import unexpected_error
from s3sync_dagster.model.errors import FixInput, LeaseLost, S3SyncError
from s3sync_dagster.model.invocation import Result

Step = Callable[[WriteGroup], WriteGroup]

GROUP_SECONDS = 10.0
"""A group takes the model about so long: what it has done so far is seen, and kept, so often."""
FIRST_RECORDS = 500
"""In a group before it is known how fast the model is."""


class Writer:
    """Writes the documents of a batch, one group in flight while the next is prepared."""

    def __init__(self, parts: BatchParts, lease: Lease, ledger: Ledger, cuts: Cuts) -> None:
        self._parts, self._lease, self._ledger, self._cuts = parts, lease, ledger, cuts
        self._room = parts.room
        self._in_time = FIRST_RECORDS
        self._handing = HandingOn(parts, lease, ledger)

    def write(self) -> None:
        """Write all that is to be written, turn by turn, and commit it group by group."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="s3sync-write") as writer:
            for turn in self._handing.turns():
                self._write_turn(turn, writer)

    def _write_turn(self, turn: Turn, writer: ThreadPoolExecutor) -> None:
        running: Future[None] | None = None
        try:
            for group in self._groups(turn):
                self._lease.require(seconds=0)
                size = memory_of_records(one for write in group.writes for one in write.records)
                self._room.hold(size)
                ready = self._prepare(group)
                vectors = sum(one.vectors.nbytes for one in ready if one.vectors is not None)
                self._room.hold(vectors)
                size += vectors
                if running is not None:
                    running.result()  # one write in flight; its errors end the batch
                    running = None
                # Beside its writing the next is prepared, where that has room if it is as large.
                if self._parts.threads > 1 and self._room.fits(size):
                    running = writer.submit(self._write, ready, size)
                else:
                    self._write(ready, size)
                del group, ready  # nothing of it is kept while the next is made
        finally:  # that the lease is lost counts for more than what was met beside it
            if running is not None:
                running.result()

    def _groups(self, turn: Turn) -> Iterator[WriteGroup]:
        """Yield groups collection by collection; what cannot be written is given up."""
        by_collection: dict[str, list[tuple[str, Target]]] = {}
        for key in turn.keys:
            deed = self._ledger.deed(key)
            for target in deed.open_targets if deed.writing else ():
                by_collection.setdefault(target.collection_name, []).append((key, target))
        source = self._parts.source
        for name, pairs in by_collection.items():
            try:
                collection = self._parts.collections.open(
                    name,
                    tenant=source.tenant,
                    database=source.database_name,
                    embedder=self._parts.embedder,
                )
                # Before anything of it is claimed: what a document says of another collection of
                # this name is not to be planned with.
                meet_collection(
                    source, collection, catalog=self._parts.catalog, log=self._parts.log
                )
            except S3SyncError as error:
                for key, _target in pairs:
                    self._ledger.fail(key, beside_the_bytes(error))
                continue
            writes = self._writes(pairs, aside=turn.aside)
            yield from fill_groups(collection, writes, in_time=lambda: self._in_time)

    def _writes(self, pairs: list[tuple[str, Target]], *, aside: bool) -> Iterator[Write]:
        for key, target in pairs:
            deed = self._ledger.deed(key)
            if not deed.writing:
                continue  # another target of the key failed with its bytes
            try:
                cut = self._cuts.take(key)
                if not deed.chunks:
                    self._ledger.cut(key, cut.chunks, milliseconds=cut.milliseconds)
                steps_aside = aside and self._handing.waits(key, target)
                if steps_aside:
                    target = replace(target, custom_id=id_aside(self._parts.source.id, key))
                write = build_write(self._parts.source, deed, target, cut.chunks, aside=steps_aside)
            except S3SyncError as error:
                self._ledger.fail(key, fault_of_text(self._parts, deed, target, error))
            except Exception as error:  # noqa: BLE001  (a fault must not end the batch)
                self._ledger.fail(key, unexpected_error(error, f"{key!r} could not be written"))
            else:
                del cut
                yield write
                del write  # nothing of it is kept while the next is made

    def _prepare(self, group: WriteGroup) -> list[WriteGroup]:
        """Claim, plan and embed a group; returns what of it is ready to be written."""
        try:
            claimed = claim_group(
                self._parts,
                self._lease,
                group,
                self._ledger,
                is_to_come=self._handing.is_to_come,
            )
            self._parts.at("claimed")
            planned = plan_group(group.collection, claimed, log=self._parts.log)
        except LeaseLost:
            raise
        except S3SyncError as error:
            self._fail(group, beside_the_bytes(error))
            return []
        if not planned:
            return []
        self._parts.at("before_embed")
        ready = self._together_or_alone(
            WriteGroup(collection=group.collection, writes=planned), self._embed, name="embed"
        )
        self._parts.at("after_embed")
        return ready

    def _embed(self, group: WriteGroup) -> WriteGroup:
        texts = [record.embedding_text for record in group.upserts()]
        if not texts:
            return group
        begun = self._parts.clock.monotonic()
        ready = replace(group, vectors=self._parts.embedder.embed_documents(texts))
        seconds = max(self._parts.clock.monotonic() - begun, 0.001)
        self._in_time = max(int(len(texts) * GROUP_SECONDS / seconds), 1)
        return ready

    def _write(self, groups: list[WriteGroup], size: int) -> None:
        """Write groups and commit them; the memory that they take is given back."""
        try:
            self._write_all(groups)
        finally:
            groups.clear()
            self._room.give_back(size)

    def _write_all(self, groups: list[WriteGroup]) -> None:
        for group in groups:
            for done in self._together_or_alone(group, self._write_records, name="upsert"):
                self._parts.at("before_commit")
                for whole in self._without_replaced(done):
                    self._commit(whole)
                    self._parts.at("after_commit")

    def _without_replaced(self, group: WriteGroup) -> list[WriteGroup]:
        """Delete what gives way to a group's documents; returns what of it may be committed.

        They are known to be whole before: else a batch that dies here leaves a text that counts as
        begun, and another one that counts as whole and is gone.
        """
        if not group.replaced():
            return [group]
        lost = self._ledger.store([one[2] for one in self._commits(group)])
        self._parts.at("stored")
        if lost:  # written anew by whoever has them: what they replace stays until then
            writes = [one for one in group.writes if one.before and one.before.id in lost]
            ended = tuple(one for one in writes if not one.aside)
            self._ledger.commit(self._commits(replace(group, writes=ended)), [])
            kept = tuple(one for one in group.writes if one not in writes)
            group = replace(group, writes=kept, vectors=None)
        if not group.writes:
            return []
        return self._together_or_alone(group, self._delete_replaced, name="upsert")

    def _delete_replaced(self, group: WriteGroup) -> WriteGroup:
        ids = ids_to_delete(group.collection, group.replaced(), catalog=self._parts.catalog)
        self._delete(group.replaced(), group.collection, ids)
        return group

    def _write_records(self, group: WriteGroup) -> WriteGroup:
        collection, tally, at = group.collection, self._parts.tally, self._parts.at
        read_back = [one.id for one in group.states() if one.etag and one.fingerprint is None]
        if read_back:
            source_id = self._parts.source.id
            self._parts.catalog.documents.forget_bytes(self._lease.token, source_id, read_back)
        step = collection.write_limits.max_records
        upserts = group.upserts()
        for start in range(0, len(upserts), step):
            part = upserts[start : start + step]
            self._begin(group)
            collection.upsert(part, group.vectors[start : start + step])
            tally.chunks_written += len(part)
            at("upserted")
        updates = [record for one in group.writes if one.plan for record in one.plan.update]
        for start in range(0, len(updates), step):
            self._begin(group)
            part = updates[start : start + step]
            collection.update_metadata(
                [record.id for record in part], [record.metadata for record in part]
            )
            tally.metadata_updated += len(part)
            at("updated")
        tails = [name for one in group.writes for name in one.tail()]
        self._delete(group.states(), collection, tails)
        return group

    def _delete(
        self, states: Sequence[DocumentState], collection: CollectionPort, ids: Sequence[str]
    ) -> None:
        """Delete records of documents that are these."""
        tally, at = self._parts.tally, self._parts.at

        def before_delete() -> None:
            self._lease.ask()
            self._ledger.begin(states)
            at("before_delete")

        def deleted(number: int) -> None:
            tally.chunks_deleted += number
            at("deleted")

        try:
            delete_in_steps(collection, ids, before=before_delete, deleted=deleted)
        except FixInput as error:
            raise beside_the_bytes(error) from None

    def _begin(self, group: WriteGroup) -> None:
        """Make sure of the lease right before a call that changes records."""
        self._lease.ask()
        self._ledger.begin(group.states())

    def _together_or_alone(
        self, group: WriteGroup, step: Step, *, name: str, again: bool = False
    ) -> list[WriteGroup]:
        """Do a step for a group; what one document causes fails that one alone.

        Args:
            group: the documents.
            step: what is done.
            name: of the step, for what it takes.
            again: the one document was refused before, and another text taken after it.

        Returns:
            The groups for which it was done: the one that came in, or one a document.
        """
        first, started = group.writes[0].key, self._parts.clock.monotonic()
        cause: S3SyncError
        try:
            done = step(group)
        except LeaseLost:
            raise
        except FixInput as error:
            cause = self._whose_fault(group, error, name=name)
            if not isinstance(cause, FixInput):
                self._fail(group, cause)
                return []
        except S3SyncError as error:
            self._fail(group, error)
            return []
        except Exception as error:  # noqa: BLE001  (a fault of the program must not end the batch)
            cause = unexpected_error(error, f"{first!r} could not be written")
        else:
            self._charge(group, name, (self._parts.clock.monotonic() - started) * 1000)
            return [done]
        if len(group.writes) == 1:
            if isinstance(cause, FixInput) and not again:
                # What was taken after the refusal may have met a service that is well again.
                return self._together_or_alone(group, step, name=name, again=True)
            aside = group.writes[0].aside  # of its own id nothing was asked: no evidence
            blamed = beside_the_bytes if aside else partial(fault_of_refused, self._parts, group)
            self._ledger.fail(first, blamed(cause))
            return []
        return [
            done
            for alone in group.one_by_one()
            for done in self._together_or_alone(alone, step, name=name)
        ]

    def _whose_fault(self, group: WriteGroup, error: FixInput, *, name: str) -> S3SyncError:
        if name == "embed":
            return refusal_of_model(self._parts, group, error)
        return refusal_of_collection(self._parts, group, error)

    def _fail(self, group: WriteGroup, error: S3SyncError) -> None:
        for one in group.writes:
            self._ledger.fail(one.key, error)

    def _charge(self, group: WriteGroup, step: str, milliseconds: float) -> None:
        """Charge each document its share, by records, of a step that the group does together."""
        records = max(sum(len(one.records) for one in group.writes), 1)
        shares: dict[str, float] = {}
        for one in group.writes:
            share = milliseconds * len(one.records) / records
            shares[one.key] = shares.get(one.key, 0.0) + share
        self._ledger.charge(shares, step)

    def _commit(self, group: WriteGroup) -> None:
        self._ledger.commit(self._commits(group), group.replaced())

    def _commits(self, group: WriteGroup) -> list[tuple[str, str, DocumentCommit, Result | None]]:
        """Return key, collection, document and what became of it, of what is written."""
        fingerprint = self._parts.source.fingerprint()
        return [
            (
                one.key,
                one.target.collection_name,
                DocumentCommit(
                    id=one.before.id,
                    etag=one.deed.decision.facts.etag,
                    fingerprint=fingerprint,
                    count=len(one.records),
                    digests=one.plan.digests,
                    metadata_keys=one.plan.metadata_keys,
                    text_bytes=sum(len(record.document.encode()) for record in one.records),
                    pages=one.deed.document.page_count if one.deed.document else 0,
                    withheld=withheld(one.target, self._parts.source),
                ),
                None if one.aside else result_of(one.before, one.plan),
            )
            for one in group.writes
            if one.before is not None and one.plan is not None
        ]
