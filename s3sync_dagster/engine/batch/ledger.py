"""What was done for each key of a batch so far; each key is settled once, in groups."""

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from s3sync_dagster.core.decision import Decision, hold_back
from s3sync_dagster.core.deed import Deed, documents_to_remove
from s3sync_dagster.core.intent import DocumentCommit
from s3sync_dagster.core.outcome import KeyOutcome, outcome_of
from s3sync_dagster.core.state import DocumentPhase, DocumentState, stood_last
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.model.document import Chunk
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.invocation import Result
from s3sync_dagster.model.source import DeleteMode

OUTCOMES_AT_ONCE = 200


class Ledger:
    """The deeds of one batch, which the writer's thread enters too, and their commits."""

    def __init__(self, parts: BatchParts, lease: Lease, deeds: Sequence[Deed]) -> None:
        self._parts = parts
        self._lease = lease
        self._mirror = parts.source.mode is DeleteMode.MIRROR
        self._fingerprint = parts.source.fingerprint()
        self._deeds = {deed.key: deed for deed in deeds}
        self._settled: set[str] = set()
        self._waiting: list[KeyOutcome] = []
        self._key_of: dict[int, str] = {}
        self._begun: dict[int, DocumentState] = {}
        self._stored: set[int] = set()
        self._refused: dict[str, set[tuple[str, str]]] = {}
        self._lock = threading.RLock()

    # --- reading --------------------------------------------------------------------------------

    def deed(self, key: str) -> Deed:
        """Return what was done for a key so far."""
        return self._deeds[key]

    def deeds(self) -> list[Deed]:
        """Return all deeds, in the order of the batch."""
        return list(self._deeds.values())

    def doomed(self, key: str) -> list[DocumentState]:
        """Return the documents of a key whose records go now."""
        return documents_to_remove(self._deeds[key], mirror=self._mirror)

    # --- entering -------------------------------------------------------------------------------

    def cut(self, key: str, chunks: Sequence[Chunk], *, milliseconds: float) -> None:
        """Enter that a document was cut."""
        cut_off = sum(chunk.truncated_tokens > 0 for chunk in chunks)
        with self._lock:
            deed = self._deeds[key]
            ms = {**deed.ms, "chunk": milliseconds}
            self._deeds[key] = replace(deed, chunks=len(chunks), cut_off=cut_off, ms=ms)

    def hold(self, key: str, before: DocumentState) -> None:
        """Enter that a document of a key is under this batch's intent."""
        with self._lock:
            deed = self._deeds[key]
            self._deeds[key] = replace(deed, held=(*deed.held, before))
            self._key_of[before.id] = key

    def charge(self, milliseconds: dict[str, float], step: str) -> None:
        """Enter what a step took, by key."""
        with self._lock:
            for key, spent in milliseconds.items():
                deed = self._deeds[key]
                ms = {**deed.ms, step: round(deed.ms.get(step, 0.0) + spent, 1)}
                self._deeds[key] = replace(deed, ms=ms)

    def fail(self, key: str, error: S3SyncError) -> None:
        """Give up a key with one of its targets."""
        with self._lock:
            if not self._deeds[key].writing:
                return
            self._deeds[key] = replace(self._deeds[key], error=error)
        if not self.doomed(key):
            self.settle(key)

    def refuse(
        self, key: str, collection_name: str, message: str, *, document_id: str | None = None
    ) -> None:
        """Give up one target of a key, whose record ids are others'; the others go on.

        Args:
            key: the key.
            collection_name: of the target.
            message: for people.
            document_id: which the catalog has as another document's; None: strangers' records.
        """
        with self._lock:
            if document_id is not None:
                self._refused.setdefault(key, set()).add((collection_name, document_id))
            deed = self._deeds[key]
            deed = replace(deed, refused={**deed.refused, collection_name: message})
            self._deeds[key] = deed
        if deed.writing and not deed.open_targets:
            self.settle(key)

    def begin(self, documents: Iterable[DocumentState]) -> None:
        """Remember documents whose records the next call to Chroma changes."""
        with self._lock:
            self._begun.update({one.id: one for one in documents})

    def distrust_begun(self) -> None:
        """Tell the catalog what was begun and not committed: the lease is lost."""
        if self._begun:
            self._parts.catalog.documents.distrust(list(self._begun.values()))

    # --- committing -----------------------------------------------------------------------------

    def store(self, written: Sequence[DocumentCommit]) -> set[int]:
        """Commit documents that are whole, before what they replace is deleted; no key ends.

        Returns those that others have taken over, or trust no more: nothing may go for them.
        """
        with self._lock:
            self._stored.update(one.id for one in written)
        return self._commit([], written, [])

    def commit(
        self,
        written: Sequence[tuple[str, str, DocumentCommit, Result | None]],
        removed: Sequence[DocumentState],
    ) -> None:
        """Commit written documents together with the keys that are whole now.

        Args:
            written: key, collection, document and what became of it; None: its key has stepped
                aside, and is not whole.
            removed: documents that gave way to them.
        """
        with self._lock:
            for key, collection_name, commit, result in written:
                if result is not None:
                    deed = self._deeds[key]
                    done = {**deed.written, collection_name: result}
                    self._deeds[key] = replace(deed, written=done)
            whole = [
                key
                for key in dict.fromkeys(key for key, *_ in written)
                if key not in self._settled
                and self._deeds[key].writing
                and not self._deeds[key].open_targets
                and not self.doomed(key)  # else who dies now leaves what nobody asks for
            ]
            self._settled.update(whole)
        new = [one[2] for one in written if one[2].id not in self._stored]
        lost = self._commit([self._outcome(key) for key in whole], new, removed)
        with self._lock:
            for key, collection_name, commit, result in written:
                if result is None and commit.id not in lost:
                    deed = self._deeds[key]
                    self._deeds[key] = replace(deed, aside=deed.aside | {collection_name})

    def removed(self, documents: Sequence[DocumentState]) -> None:
        """Commit that the records of documents are gone."""
        left = {one.id for one in documents if self._deeds[one.object_key].end.has_left}
        self._commit([], [], documents, left=left)

    def hold_back(self, key: str) -> None:
        """Settle a key whose documents stay: too many went that only HEADs told to be gone."""
        with self._lock:
            deed = self._deeds[key]
            self._deeds[key] = Deed(decision=hold_back(deed.decision.facts), ms=deed.ms)
        self.settle(key)

    def decide_anew(self, key: str, decision: Decision) -> None:
        """Go on with a key of which the catalog knows more than when it was decided on."""
        with self._lock:
            deed = replace(self._deeds[key], decision=decision)
            self._deeds[key] = deed
        if not deed.open_targets if deed.writing else not self.doomed(key):
            self.settle(key)

    def settle_removed(self, key: str, error: S3SyncError | None) -> None:
        """Settle a key whose documents were to be removed.

        One that is whole in another place ends with that: what is left is on its way out, and asked
        for as such.
        """
        with self._lock:
            deed, had_records = self._deeds[key], any(one.high_water for one in self.doomed(key))
            self._deeds[key] = replace(
                deed,
                removed=error is None and had_records and not deed.written,
                error=deed.error if deed.written else error or deed.error,
            )
        self.settle(key)

    def settle(self, key: str) -> None:
        """Let a key end as it stands; what it ends with is committed in a group."""
        with self._lock:
            if key in self._settled:
                return
            self._settled.add(key)
            self._waiting.append(self._outcome(key))
            full = len(self._waiting) >= OUTCOMES_AT_ONCE
        if full:
            self.flush()

    def flush(self) -> None:
        """Commit what was collected."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        if waiting:
            self._commit(waiting, [], [])

    def _commit(
        self,
        outcomes: Sequence[KeyOutcome],
        written: Sequence[DocumentCommit],
        removed: Sequence[DocumentState],
        *,
        left: Collection[int] = (),
    ) -> set[int]:
        gone = [one.id for one in sorted(removed, key=stood_last)]
        lost = self._parts.catalog.documents.commit(
            self._lease.token,
            self._parts.source,
            written=written,
            removed=gone,
            left=left,
            outcomes=outcomes,
        )
        with self._lock:
            for one in (*(commit.id for commit in written), *gone):
                self._begun.pop(one, None)
            for commit in written:
                if commit.id not in lost:
                    self._is_whole(commit)
        if lost:
            self._parts.log(f"{len(lost)} documents were taken over meanwhile; they are redone")
        self._parts.report(outcomes)
        return lost

    def _is_whole(self, commit: DocumentCommit) -> None:
        """Remember a document as it was committed: what its key fails of later is not its fault."""
        deed = self._deeds[self._key_of[commit.id]]
        held = tuple(
            replace(
                one,
                phase=DocumentPhase.CLEAN,
                etag=commit.etag,
                fingerprint=commit.fingerprint,
                count=commit.count,
                high_water=commit.count,
            )
            if one.id == commit.id
            else one
            for one in deed.held
        )
        self._deeds[deed.key] = replace(deed, held=held)

    def _outcome(self, key: str) -> KeyOutcome:
        parts = self._parts
        outcome = outcome_of(
            self._deeds[key],
            parts.source,
            fingerprint=self._fingerprint,
            patience=parts.patience,
            now=parts.now(),
            chance=parts.clock.random,
        )
        refused = self._refused.get(key)
        return replace(outcome, refused_ids=frozenset(refused)) if refused else outcome
