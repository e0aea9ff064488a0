"""What is to be done about a key: decided from its facts alone, before anything is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from s3sync_dagster.core.facts import (
    BY_BYTES,
    KeyFacts,
    awaits_approval,
    deselected_by_listing,
    missed_by_unfinished_listing,
    told_removed,
)
from s3sync_dagster.core.gave_way import standing_again
from s3sync_dagster.core.selection import KEEPS_RECORDS, Skip, decide
from s3sync_dagster.core.state import DocumentState, RetryClass, Target
from s3sync_dagster.core.targets import (
    all_clean,
    changed_in_append_mode,
    keeps_whole,
    kept_alone,
    wanted_documents,
)
from s3sync_dagster.model.errors import EmptyText, FixInput, S3SyncError, UnsupportedFile
from s3sync_dagster.model.source import Source

Verdict = Literal["write", "unchanged", "skip", "gone", "fail", "sidecar"]
NO_SIDECAR = "In metadata mode only objects that a .meta.json names are indexed."
APPENDED = "The source's mode is append: what was indexed once stays as it is."
REMOVAL_BLOCKED = (
    "The object is missing like many others of its source: its records stay until a listing is "
    "complete and `s3sync approve-deletes` lets them go."
)
_LEFT_ALONE = frozenset({"archived", "too_large"})
"""What a read may meet although no listing said so: selection's business, not the bytes'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done about a key."""

    facts: KeyFacts
    verdict: Verdict
    targets: tuple[Target, ...] | None = None
    """Documents that it is to have, at most one a collection; None: nobody came to ask."""
    removals: tuple[DocumentState, ...] = ()
    """Documents that lost their reason: a sidecar that is gone, another custom id, a mode's end."""
    asked: Mapping[str, str] = field(default_factory=dict[str, str])
    """Invocation id -> collection, for invocations that asked for one document."""
    remove: Literal["nothing", "stale", "all"] = "nothing"
    """Which of its documents go in mirror mode: those of other bytes, or all."""
    held_back: bool = False
    """True where the guard keeps every document of the key, whatever else it is asked."""
    reason: str | None = None
    """Stable word for a skip."""
    message: str | None = None
    """Sentence for people."""
    cause: RetryClass = "configuration"
    """What has to change before a skipped key is looked at again."""
    error: S3SyncError | None = None
    """Why it is given up, with ``fail``."""

    @property
    def has_left(self) -> bool:
        """Whether its object is gone, or not one to be indexed."""
        return self.verdict in ("gone", "skip", "sidecar")


def decide_key(facts: KeyFacts, source: Source) -> Decision:
    """Return what the key needs: its text read and written, or nothing of the kind, and why."""
    if facts.describes(source):
        # Records that it has are of before it was taken for one: they leave like what is left out.
        return _ended_by_listing(Decision(facts=facts, verdict="sidecar"), source)
    if facts.gone:
        return not_there(facts)
    left_out = leave_out(facts, source)
    if left_out is not None:
        return left_out
    error = _failed_before(facts, source)
    if error is not None:
        return give_up(Decision(facts=facts, verdict="fail"), error)
    facts = standing_again(facts, source)
    targets, removals, asked = wanted_documents(facts, source)
    write = Decision(facts=facts, verdict="write", targets=targets, removals=removals, asked=asked)
    if changed_in_append_mode(facts, source, targets):
        return replace(write, verdict="skip", reason="changed_in_append_mode", message=APPENDED)
    if not targets and not keeps_whole(facts, removals):
        return replace(write, verdict="skip", reason="no_sidecar", message=NO_SIDECAR)
    if not targets or all_clean(facts, source, targets):
        return replace(write, verdict="unchanged")
    return write


def not_there(facts: KeyFacts) -> Decision:
    """Return the decision on a key that HEAD, GET or a complete listing did not find.

    What a blocked listing missed stays until the listing is approved, whoever asks for the key.
    """
    if missed_by_unfinished_listing(facts) and not told_removed(facts):
        return hold_back(facts)
    return Decision(facts=facts, verdict="gone", remove="all", reason="object_gone")


def hold_back(facts: KeyFacts) -> Decision:
    """Return the decision to keep the records of an object that is missing."""
    return Decision(
        facts=facts,
        verdict="skip",
        held_back=True,
        reason="removal_blocked",
        message=REMOVAL_BLOCKED,
    )


def leave_out(facts: KeyFacts, source: Source) -> Decision | None:
    """Return the decision to leave an object alone that selection does not take."""
    if facts.ref is None:
        return None
    skip = decide(source, facts.ref)
    if skip is None and facts.limit_met:
        skip = Skip(
            "document_limit",
            f"The source takes the first {source.document_limit} objects in key order.",
        )
    if skip is None:
        return None
    left_out = _ended_by_listing(
        Decision(facts=facts, verdict="skip", reason=skip.reason, message=skip.message), source
    )
    if skip.reason in BY_BYTES and left_out.remove != "all" and not awaits_approval(facts):
        return replace(left_out, remove="stale")
    return left_out


def _ended_by_listing(left_out: Decision, source: Source) -> Decision:
    """Return a decision with what a listing that passed the guard has ended of the key.

    All of it where the listing left the object out. Of any other the listing has counted what a
    mode kept and no more, whatever selection says since.
    """
    known = left_out.facts.object
    if not deselected_by_listing(left_out.facts):
        return left_out
    if known is not None and known.skip_reason not in (None, *KEEPS_RECORDS):
        return replace(left_out, remove="all")
    return replace(left_out, removals=kept_alone(left_out.facts, source))


def give_up(decision: Decision, error: S3SyncError) -> Decision:
    """Return the decision on a key that cannot go on: skipped where nothing is to index.

    What the bytes cause takes the records of older bytes along: searches never return text
    that the object no longer has. What may be the fault of the operator's function does not.
    """
    if error.reason in _LEFT_ALONE:
        return _skipped(decision, error, cause="transient")
    if isinstance(error, UnsupportedFile | EmptyText):
        return replace(_skipped(decision, error, cause="input"), remove="stale")
    failed = replace(decision, verdict="fail", error=error)
    by_bytes = isinstance(error, FixInput) and error.reason != "enrichment_failed"
    if by_bytes and decision.facts.ref is not None and decision.remove != "all":
        return replace(failed, remove="stale")
    return failed


def _skipped(decision: Decision, error: S3SyncError, *, cause: RetryClass) -> Decision:
    return replace(
        decision, verdict="skip", reason=error.reason, message=error.message, cause=cause
    )


def _failed_before(facts: KeyFacts, source: Source) -> S3SyncError | None:
    """Return why these bytes failed before, unless somebody asks to try them again."""
    known = facts.object
    if (
        known is None
        or known.outcome != "failed"
        or known.retry_class != "input"
        or known.outcome_etag != facts.etag
        or known.fingerprint not in (None, source.fingerprint())
        or not facts.automatic
        or facts.forced
    ):
        return None
    return FixInput(known.error or "It could not be read before.", reason=known.reason)
