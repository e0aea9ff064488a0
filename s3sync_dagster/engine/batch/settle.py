"""How each key ends: committed outcomes, removals, retries, and what people are told."""

import threading
from collections.abc import Sequence

from s3sync_dagster.core.plan import record_ids
from s3sync_dagster.core.state import DocumentPhase, DocumentState, RetryClass, Target
from s3sync_dagster.core.targets import Wish
from s3sync_dagster.core.work import DocumentCommit, KeyOutcome
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.parts import Engine, KeyReport, KeyWork
from s3sync_dagster.engine.batch.read import partition_of
from s3sync_dagster.engine.ports import CollectionPort
from s3sync_dagster.model.errors import (
    FixConfiguration,
    FixInput,
    LeaseLost,
    NotFound,
    S3SyncError,
    Unavailable,
)
from s3sync_dagster.model.invocation import Result
from s3sync_dagster.model.source import DeleteMode

OUTCOMES_AT_ONCE = 200
DOCUMENTS_AT_ONCE = 200
CONFIGURATION_RETRY_SECONDS = 900.0
TRANSIENT_RETRY_SECONDS = 3600.0
REREAD_SECONDS = 86_400.0
"""For what only a read finds out, such as an archive tier that no listing shows."""
BUSY = "record_ids_busy"
BUSY_RETRY_SECONDS = 2.0
_STATES = {
    Result.INDEXED: "indexed",
    Result.UPDATED: "updated",
    Result.METADATA_UPDATED: "updated",
    Result.UNCHANGED: "unchanged",
}


def busy(message: str) -> Unavailable:
    """Return the error of a document whose record ids another one is about to give up."""
    return Unavailable(message, reason=BUSY, retry_after_seconds=BUSY_RETRY_SECONDS)


class Settler:
    """Collects outcomes of one batch and commits them in groups. Each key is settled once."""

    def __init__(self, engine: Engine, lease: Lease) -> None:
        self._engine = engine
        self._lease = lease
        self._mirror = engine.source.mode is DeleteMode.MIRROR
        self._waiting: list[tuple[KeyOutcome, KeyReport]] = []
        self._settled: set[KeyWork] = set()
        self._begun: dict[int, DocumentState] = {}
        self._lock = threading.RLock()  # the writer thread settles too

    def begin(self, documents: Sequence[DocumentState]) -> None:
        """Remember documents whose records the next call to Chroma changes."""
        with self._lock:
            self._begun.update({one.id: one for one in documents})

    def distrust_begun(self) -> None:
        """Tell the catalog what was begun and not committed: the lease is lost."""
        if self._begun:
            self._engine.catalog.documents.distrust(list(self._begun.values()))

    def settle_quiet(self, works: Sequence[KeyWork]) -> None:
        """Settle the keys that need no write at all."""
        for work in works:
            if work.verdict != "write" and not self._doomed(work):
                self._add(work)
        self.flush()

    def remove(self, works: Sequence[KeyWork]) -> None:
        """Take records away whose document lost its reason, and settle the keys they kept open."""
        doomed: list[tuple[KeyWork, DocumentState]] = []
        for work in works:
            if work.verdict == "write" and work.waiting:
                continue  # not whole: the next attempt removes
            doomed += [(work, document) for document in self._doomed(work)]
        by_collection: dict[str, list[tuple[KeyWork, DocumentState]]] = {}
        for work, document in doomed:
            by_collection.setdefault(document.collection_name, []).append((work, document))
        failed: dict[str, S3SyncError] = {}
        for name, pairs in by_collection.items():
            for start in range(0, len(pairs), DOCUMENTS_AT_ONCE):
                part = pairs[start : start + DOCUMENTS_AT_ONCE]
                try:
                    self._remove_documents(name, [document for _, document in part])
                except LeaseLost:
                    raise
                except S3SyncError as error:
                    failed.update({work.key: error for work, _ in part})
        for work in dict.fromkeys(work for work, _ in doomed):
            if work.key in failed:
                work.fail(failed[work.key])
            self._add(work, removed=True)

    def commit(
        self, written: Sequence[DocumentCommit], removed: Sequence[int], works: Sequence[KeyWork]
    ) -> None:
        """Commit written documents together with the keys that are whole now."""
        with self._lock:
            whole = [
                work
                for work in dict.fromkeys(works)
                if work.waiting == 0 and work.verdict == "write" and work not in self._settled
            ]
            self._settled.update(whole)
        settled = [self._outcome(work) for work in whole]
        lost = self._engine.catalog.documents.commit(
            self._lease.token,
            self._engine.source,
            written=written,
            removed=removed,
            outcomes=[outcome for outcome, _ in settled],
        )
        self._end([*(one.id for one in written), *removed])
        if lost:
            self._engine.log(f"{len(lost)} documents were taken over meanwhile; they are redone")
        self._engine.report([report for _, report in settled])

    def fail_unit(self, work: KeyWork, error: S3SyncError) -> None:
        """Give up a key with one of its targets."""
        if work.verdict != "write":
            return
        work.fail(error)
        if not self._doomed(work):
            self._add(work)

    def refuse(self, work: KeyWork, target: Target, message: str) -> None:
        """Give up one target of a key; the others go on."""
        work.refused[target.collection_name] = message
        work.waiting -= 1
        if work.waiting == 0 and work.verdict == "write":
            self._add(work)

    def flush(self) -> None:
        """Commit what was collected."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        self._engine.catalog.documents.commit(
            self._lease.token, self._engine.source, outcomes=[outcome for outcome, _ in waiting]
        )
        self._engine.report([report for _, report in waiting])

    def _add(self, work: KeyWork, *, removed: bool = False) -> None:
        with self._lock:
            if work in self._settled:
                return
            self._settled.add(work)
            self._waiting.append(self._outcome(work, removed=removed))
            full = len(self._waiting) >= OUTCOMES_AT_ONCE
        if full:
            self.flush()

    def _doomed(self, work: KeyWork) -> list[DocumentState]:
        """Return the documents of a key whose records go now; deletes need evidence.

        A mode that keeps documents keeps whole ones: of what was only begun nothing stays.
        """
        doomed = [one for one in work.doomed() if self._mirror or one.begun_only]
        if work.wish is not None:
            doomed += _unasked(work, work.wish)
        elif work.verdict != "failed":
            # Gone or left out: what was on its way in or out has nothing left to wait for.
            doomed += [
                one
                for one in work.documents()
                if one.phase is DocumentPhase.REMOVING or one.begun_only
            ]
        return list({one.id: one for one in doomed}.values())

    def _remove_documents(self, collection_name: str, documents: Sequence[DocumentState]) -> None:
        engine, lease = self._engine, self._lease
        held = engine.catalog.documents.claim_removal(lease.token, engine.source.id, documents)
        engine.at("claimed_removal")
        names = [
            name
            for document in held
            for name in record_ids(
                document.document_id, 0, max(document.high_water, document.count)
            )
        ]
        if (collection := self._open(collection_name)) is not None:
            step = collection.write_limits.max_records
            for start in range(0, len(names), step):
                lease.require()
                engine.at("before_remove")
                self.begin(held)
                collection.delete(names[start : start + step])
                engine.tally.chunks_deleted += len(names[start : start + step])
                engine.at("removed")
        ids = [document.id for document in held]
        engine.catalog.documents.commit(lease.token, engine.source, removed=ids)
        self._end(ids)

    def _end(self, ids: Sequence[int]) -> None:
        with self._lock:
            for one in ids:
                self._begun.pop(one, None)

    def _open(self, name: str) -> CollectionPort | None:
        """Return a collection; None when it is gone, and the records with it."""
        source = self._engine.source
        try:
            return self._engine.collections.open(
                name,
                tenant=source.tenant,
                database=source.database_name,
                embedder=self._engine.embedder,
                create=False,
            )
        except NotFound:
            return None

    def _outcome(self, work: KeyWork, *, removed: bool = False) -> tuple[KeyOutcome, KeyReport]:
        source = self._engine.source
        refused = self._refused(work)
        fingerprint = source.fingerprint()
        if work.verdict == "failed" and work.error is not None:
            outcome = self._failure(work, work.error)
        elif work.verdict == "gone":
            outcome = KeyOutcome(
                key=work.key,
                status="complete",
                result=Result.REMOVED if self._mirror else Result.SKIPPED,
                gone=True,
                reason="object_gone",
            )
        elif work.verdict in ("skipped", "sidecar"):
            outcome = KeyOutcome(
                key=work.key,
                status="complete",
                result=Result.REMOVED if removed else Result.SKIPPED,
                outcome="skipped",
                etag=work.etag,
                fingerprint=fingerprint,
                reason=work.reason,
                error=work.message,
                retry_class=work.cause,
                next_at=self._now() + REREAD_SECONDS if work.cause == "transient" else None,
            )
        else:
            outcome = KeyOutcome(
                key=work.key,
                status="complete",
                result=_strongest(work),
                outcome="indexed",
                etag=work.etag,
                fingerprint=_oldest_fingerprint(work, fingerprint),
                refused=refused,
            )
        return outcome, self._report(work, outcome)

    def _refused(self, work: KeyWork) -> dict[str, str]:
        """Return why invocations lost their target; the key fails where no one asked for it."""
        if not work.refused or work.wish is None:
            return {}
        refused = {
            invocation: work.refused[collection]
            for invocation, collection in work.wish.invocations.items()
            if collection in work.refused
        }
        asked = {work.wish.invocations[invocation] for invocation in refused}
        others = [message for name, message in work.refused.items() if name not in asked]
        if isinstance(work.error, Unavailable):
            return refused  # another target is still to be written: the next attempt tells of both
        if others or not work.results:
            message = others[0] if others else next(iter(work.refused.values()))
            work.error = FixConfiguration(message, reason="record_ids_taken")
            work.verdict = "failed"
        return refused

    def _now(self) -> float:
        return self._engine.clock.now().timestamp()

    def _failure(self, work: KeyWork, error: S3SyncError) -> KeyOutcome:
        now = self._now()
        patience, chance = self._engine.patience, self._engine.clock.random
        attempts = 1 + max((invocation.attempts for invocation in work.item.invocations), default=0)
        retry_class: RetryClass
        next_at: float | None
        if isinstance(error, FixInput):
            retry_class, next_at = "input", None
        elif isinstance(error, FixConfiguration):
            retry_class, next_at = "configuration", now + CONFIGURATION_RETRY_SECONDS
        elif attempts >= patience.attempts or (patience.final and error.reason != BUSY):
            retry_class, next_at = "transient", now + TRANSIENT_RETRY_SECONDS
        else:
            return KeyOutcome(
                key=work.key,
                status="pending",
                reason=error.reason,
                error=error.message,
                next_at=now + max(patience.backoff(attempts, chance), _asked_pause(error)),
            )
        return KeyOutcome(
            key=work.key,
            status="failed",
            outcome="failed",
            etag=work.etag or None,
            fingerprint=self._engine.source.fingerprint(),
            reason=error.reason,
            error=error.message,
            retry_class=retry_class,
            next_at=next_at,
        )

    def _report(self, work: KeyWork, outcome: KeyOutcome) -> KeyReport:
        if outcome.status == "complete":
            state = _STATES.get(outcome.result, "") if outcome.result else ""
            state = state or (outcome.result.value if outcome.result else "unchanged")
        else:
            state = outcome.status
        return KeyReport(
            key=work.key,
            partition_key=partition_of(work.item),
            state=state,
            reason=outcome.reason,
            error=outcome.error,
            chunks=len(work.chunks) or sum(one.count for one in work.item.documents),
            bytes=work.ref.size if work.ref else 0,
            cut_off=sum(chunk.truncated_tokens > 0 for chunk in work.chunks),
            pages=work.document.page_count if work.document else 0,
            etag=work.etag,
            ms=dict(work.ms),
        )


def _unasked(work: KeyWork, wish: Wish) -> list[DocumentState]:
    """Return documents that lost their reason and that no document to come has to outlive.

    Where a collection has a target the claim has replaced what was there; one that was on its way
    out before goes when its successor is whole. Of several only the newest waits for that: the
    others had successors, which have lost their reason since.
    """
    kept = {target.collection_name for target in wish.targets}
    whole = kept if work.verdict == "unchanged" else work.done
    written = {one.document_id for one in work.claimed}
    leaving = [
        one
        for one in wish.removals
        if one.phase is DocumentPhase.REMOVING and one.document_id not in written
    ]
    last = {one.collection_name: one.id for one in sorted(leaving, key=lambda one: one.id)}
    return [
        document
        for document in wish.removals
        if document.collection_name not in kept
        or (document.begun_only and document.document_id not in written)
        or (
            document in leaving
            and (document.collection_name in whole or document.id != last[document.collection_name])
        )
    ]


def _strongest(work: KeyWork) -> Result:
    for result in (
        Result.INDEXED,
        Result.UPDATED,
        Result.METADATA_UPDATED,
        Result.REMOVED,
        Result.UNCHANGED,
    ):
        if result in work.results:
            return result
    return Result.UNCHANGED


def _oldest_fingerprint(work: KeyWork, current: str) -> str:
    """Return what the object's documents were written under: one older one makes it outdated."""
    if work.verdict != "unchanged":
        return current
    older = {one.fingerprint for one in work.item.documents} - {current, None}
    return next(iter(sorted(one for one in older if one)), current)


def _asked_pause(error: S3SyncError) -> float:
    return float(getattr(error, "retry_after_seconds", 0.0))
