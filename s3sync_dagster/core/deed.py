"""What was done for a key, and what follows from it for its documents."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from s3sync_dagster.core.decision import Decision, give_up, not_there
from s3sync_dagster.core.facts import SidecarChange
from s3sync_dagster.core.gave_way import outlives, still_gives_way
from s3sync_dagster.core.sidecar_owners import KEPT_OWNER, SIDECAR_OWNER, owner_of
from s3sync_dagster.core.state import BESIDE, DocumentPhase, DocumentState, Target, stood_last
from s3sync_dagster.model.document import Document, Metadata, MetadataValue
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.invocation import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """How far a decision was carried out. Errors travel here as data."""

    decision: Decision
    document: Document | None = None
    """The text that was read, for what is to be written."""
    given: Document | None = None
    """What the source's function made ``document`` of; None: nothing of it is the function's."""
    carried: Metadata = field(default_factory=dict[str, MetadataValue])
    """What the object that was read carries besides its bytes."""
    looked: Metadata | None = None
    """What the object was found to carry, whatever became of it; None: nobody asked, or knows."""
    chunks: int = 0
    cut_off: int = 0
    """Chunks of which the embedding model does not read the end."""
    sidecar: SidecarChange | None = None
    """What a sidecar's own key changes."""
    held: tuple[DocumentState, ...] = ()
    """Documents under this batch's intent, as they were before, or as they were committed."""
    aside: frozenset[str] = frozenset()
    """Collections where its document is whole under an id of its own, until others have given up
    that which it is to have: see ``core.handed_on_ids``."""
    written: Mapping[str, Result] = field(default_factory=dict[str, Result])
    """Collections whose target is committed."""
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    """Collection -> why its record ids are not ours."""
    removed: bool = False
    """True when records of the key are gone: a document may have none."""
    gone: bool = False
    """True when the object was gone at the time of its GET."""
    error: S3SyncError | None = None
    """Why it was given up in between."""
    ms: Mapping[str, float] = field(default_factory=dict[str, float])
    """Milliseconds per step."""

    @property
    def key(self) -> str:
        """The object key."""
        return self.decision.facts.key

    @property
    def end(self) -> Decision:
        """The decision as it stands after what was met on the way."""
        decision = not_there(self.decision.facts) if self.gone else self.decision
        return decision if self.error is None else give_up(decision, self.error)

    @property
    def writing(self) -> bool:
        """Whether records of it are still to be written."""
        return self.decision.verdict == "write" and self.error is None and not self.gone

    @property
    def open_targets(self) -> list[Target]:
        """Targets that are neither committed nor refused."""
        return [
            one
            for one in self.decision.targets or ()
            if one.collection_name not in self.written and one.collection_name not in self.refused
        ]


def documents_to_remove(deed: Deed, *, mirror: bool) -> list[DocumentState]:
    """Return the documents of a key whose records go now; deletes need evidence.

    A mode that keeps documents keeps whole ones: of what was only begun nothing stays, nor its ids,
    also where its removal was begun and not ended.
    """
    end = deed.end
    if end.held_back:
        return []
    known = list({one.id: one for one in (*end.facts.documents, *deed.held)}.values())
    doomed = [one for one in known if _named_by(end, one) and (mirror or one.never_whole)]
    etag = end.facts.ref.etag if end.facts.ref is not None else None
    stay = {one.id for one in known if outlives(one, known, etag)}
    if end.targets is not None:
        doomed += _without_reason(deed, end, stay, mirror=mirror)
    elif end.verdict != "fail":
        # Gone or left out: what was on its way in or out has nothing left to wait for.
        doomed += [
            one
            for one in known
            if one in end.removals
            or one.begun_only
            or (
                one.phase is DocumentPhase.REMOVING
                and not still_gives_way(one, known)
                and one.id not in stay
            )
        ]
    return list({one.id: one for one in doomed}.values())


def _named_by(end: Decision, document: DocumentState) -> bool:
    if end.remove == "nothing":
        return False
    return (
        end.remove == "all"
        or document.phase is not DocumentPhase.CLEAN
        or document.etag != end.facts.etag
    )


def _awaited(deed: Deed, end: Decision, *, mirror: bool) -> frozenset[str]:
    """Return the collections where a document is to come, the object has none, and none has come.

    Its object cannot be read for now, or its record ids are another's.
    """
    if end.remove != "nothing" and mirror:
        return frozenset()
    there = {one.collection_name for one in end.facts.documents if not one.never_whole}
    to_come = {one.collection_name for one in end.targets or ()}
    return frozenset(to_come - there - deed.written.keys() - deed.aside)


def _waits(document: DocumentState, end: Decision, awaited: frozenset[str]) -> bool:
    """Return whether a document has to outlive what is awaited in other collections.

    That is what its sidecar asks for in its place, and anything where the object cannot be read, or
    for a text of which nobody knows who asked for it.
    """
    if document.begun_only or not awaited:
        return False
    if document.owner == BESIDE:
        return True
    claims = {one.owner for one in end.targets or () if one.collection_name in awaited}
    claims |= {owner_of(one) for one in end.facts.sidecars if one.target_collection_name in awaited}
    owner = document.owner
    if owner.startswith(KEPT_OWNER):  # its sidecar is back, or its object: as ``targets`` has it
        owner = SIDECAR_OWNER + owner.removeprefix(KEPT_OWNER)
    return end.verdict == "fail" or (owner.startswith(SIDECAR_OWNER) and owner in claims)


def _without_reason(
    deed: Deed, end: Decision, stay: Collection[int], *, mirror: bool
) -> list[DocumentState]:
    """Return documents that lost their reason and that no document to come has to outlive.

    Where a collection has a target the claim has replaced what was there; one that was on its way
    out before goes when its successor is whole. Of several only the newest text waits for that: the
    others had successors, which have lost their reason since. What its sidecar asks for elsewhere
    in the place of one is waited for too, and where the object cannot be read whatever is to come.
    What has to ``stay`` does, unless in mode mirror nobody asks for any document in its collection.
    """
    awaited = _awaited(deed, end, mirror=mirror)
    kept = {target.collection_name for target in end.targets or ()}
    stand = {one.collection_name for one in end.facts.documents if one.phase is DocumentPhase.CLEAN}
    whole = kept if end.verdict == "unchanged" else stand | deed.written.keys() | deed.aside
    rewritten = {one.document_id for one in deed.held}
    leaving = [
        one
        for one in end.removals
        if one.phase is DocumentPhase.REMOVING and one.document_id not in rewritten
    ]
    had_text = [one for one in leaving if not one.never_whole]
    last = {one.collection_name: one.id for one in sorted(had_text, key=stood_last)}
    return [
        one
        for one in end.removals
        if (
            one.collection_name not in kept
            and not _waits(one, end, awaited)
            and (mirror or one.id not in stay)
        )
        or (one.begun_only and one.document_id not in rewritten)
        or (
            one in leaving
            and one.id not in stay
            and (one.collection_name in whole or one.id != last.get(one.collection_name))
        )
    ]
