"""What is known of a key before anything is done about it, and what only the bucket can tell."""

from dataclasses import dataclass, field

from s3sync_dagster.core.keys import partition_key
from s3sync_dagster.core.selection import decide
from s3sync_dagster.core.sidecar import is_sidecar
from s3sync_dagster.core.state import DocumentPhase, DocumentState, ObjectState
from s3sync_dagster.model.invocation import Invocation, Trigger
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import Source

BY_BYTES = frozenset({"empty_object"})
"""Selection's verdicts on the newest bytes: the text of older ones is not to be found any more.

What is too large is so by a setting: like all that is left out it goes by a listing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarState:
    """What a sidecar asked for when it was read last."""

    sidecar_key: str
    path: str
    custom_id: str | None
    target_collection_name: str | None
    metadata: dict[str, object]
    etag: str
    outdated: bool = field(default=False, compare=False)
    """Whether the bucket may have it with other bytes by now, which nobody has read yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarChange:
    """What the reading of a sidecar changes."""

    sidecar_key: str
    now: SidecarState | None
    """None: the sidecar is gone or invalid, and asks for nothing any more."""
    before: SidecarState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """One key of a batch: what the catalog knows of it, and what the bucket was asked."""

    key: str
    """The object key."""
    invocations: tuple[Invocation, ...]
    object: ObjectState | None
    documents: tuple[DocumentState, ...]
    inherited: DocumentState | None = None
    """Of the source in whose place this one stands, as a document of this one's collection."""
    before: tuple[DocumentState, ...] = ()
    """Of all sources in whose place this one stands, as they are."""
    sidecars: tuple[SidecarState, ...] = ()
    """Sidecars that name this key, the first claim of a collection first."""
    own_sidecar: SidecarState | None = None
    """For a sidecar's own key: what it asked for last time."""
    ref: ObjectRef | None = None
    """The object as listing, event, HEAD or GET told it; None: gone, or nobody could tell."""
    gone: bool = False
    """True when there is evidence that the bucket has no such object."""
    limit_met: bool = False
    """True when the source's ``document_limit`` is met before this key."""

    @property
    def etag(self) -> str:
        """Version that is looked at; empty where nothing told it."""
        if self.ref is not None:
            return self.ref.etag
        return self.object.etag if self.object else ""

    @property
    def partition_key(self) -> str:
        """Dagster's key of the object."""
        return self.object.partition_key if self.object else partition_key(self.key)

    def describes(self, source: Source) -> bool:
        """Return whether the object describes others, to this source."""
        return is_sidecar(self.key, bedrock=source.bedrock_sidecars)

    @property
    def automatic(self) -> bool:
        """Whether no person and no request asks for the key."""
        return all(one.trigger.automatic for one in self.invocations)

    @property
    def maybe_done(self) -> bool:
        """Whether nobody asks for the key but who had asked before the catalog was put back."""
        return all(one.trigger.automatic or one.restored for one in self.invocations)

    @property
    def forced(self) -> bool:
        """Whether somebody wants it indexed again though nothing changed."""
        return any(one.force for one in self.invocations)

    @property
    def reindexed(self) -> bool:
        """Whether somebody wants it indexed again where its configuration changed."""
        return any(one.reindex for one in self.invocations)

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1: those whose worker died are none."""
        return 1 + max((one.attempts for one in self.invocations), default=0)


def stands(facts: KeyFacts, invocation: Invocation) -> bool:
    """Return whether nothing newer was told of the object since a removal was asked for.

    Told by an event, a listing's page or a HEAD. The removal asks the bucket still, which alone is
    no evidence beside the guard: another bucket may stand in the place by now.
    """
    told_count = facts.object.told_count if facts.object is not None else 0
    if facts.object is not None and facts.object.gone and facts.ref is not None:
        return False  # a HEAD of this batch has found it again
    return invocation.kind == "remove" and invocation.told_count == told_count


def listed_as_gone(facts: KeyFacts) -> bool:
    """Return whether a complete listing that did not see the key is evidence enough."""
    return (
        facts.object is not None
        and facts.object.gone
        and any(stands(facts, one) for one in facts.invocations)
        and all(one.trigger is Trigger.LISTING for one in facts.invocations)
    )


def told_removed(facts: KeyFacts) -> bool:
    """Return whether an event told that the object was removed, and nobody since that it is there.

    A HEAD of this batch that has found it is newer, whatever a GET met after that.
    """
    return facts.ref is None and any(
        stands(facts, one) and one.trigger is Trigger.EVENT for one in facts.invocations
    )


def told_by_head_alone(facts: KeyFacts) -> bool:
    """Return whether no listing and no event speaks for a removal, but a 404 alone.

    What a listing made gone is not put in doubt by a person who asks the bucket as well.
    """
    listed = facts.object is not None and facts.object.gone and deselected_by_listing(facts)
    return not listed and not told_removed(facts)


def at_stake(facts: KeyFacts) -> int:
    """Return how many documents would go; one on its way out already had its evidence.

    None of one without records, which an owner has asked for in vain.
    """
    staying = sum(
        one.phase is not DocumentPhase.REMOVING and one.high_water > 0 for one in facts.documents
    )
    return staying + (facts.own_sidecar is not None)


def missed_by_unfinished_listing(facts: KeyFacts) -> bool:
    """Return whether a listing missed the object and has not made it gone.

    It was blocked by the guard, or has failed, or goes on: none of them is evidence.
    """
    return facts.object is not None and facts.object.missed and not facts.object.gone


def deselected_by_listing(facts: KeyFacts) -> bool:
    """Return whether a listing that passed the guard asks for the removal of its records.

    Any other door leaves the records of what is no longer selected to a listing.
    """
    return any(stands(facts, one) and one.trigger is Trigger.LISTING for one in facts.invocations)


def asks_whether_removed(facts: KeyFacts) -> bool:
    """Return whether a removal waits that an event told once, be it evidence still or not."""
    return any(
        one.kind == "remove" and one.trigger is not Trigger.LISTING for one in facts.invocations
    )


def awaits_approval(facts: KeyFacts) -> bool:
    """Return whether a blocked listing shows the object: what was made of it waits for a word."""
    return facts.object is not None and facts.object.awaits_approval


def told_ref(facts: KeyFacts) -> ObjectRef | None:
    """Return the object as listing or event told it, None when only a HEAD can tell."""
    known = facts.object
    if known is None or known.gone or not known.etag or known.size < 0:
        return None
    return ObjectRef(
        key=facts.key,
        etag=known.etag,
        size=known.size,
        version_id=known.version_id,
        storage_class=known.storage_class,
        # A listing that saw an archived object as readable left no skip on it.
        restored=known.skip_reason != "archived",
    )


def needs_head(facts: KeyFacts, told: ObjectRef | None, source: Source) -> bool:
    """Return whether the bucket is asked although something told what it has.

    People and removal events want to know what is there now, and what an event tells is not
    enough to take records away.
    """
    if told is None:
        return True
    if not facts.automatic or asks_whether_removed(facts):
        return True
    skip = decide(source, told)
    return (
        skip is not None
        and skip.reason in BY_BYTES
        and bool(facts.documents)
        and not awaits_approval(facts)
        and not deselected_by_listing(facts)
    )
