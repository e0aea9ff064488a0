"""Which documents a key is to have: what asks for it, and what has lost its reason."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from s3sync_dagster.core.document_targets import (
    as_it_is,
    as_it_is_to_be,
    said_of_readers,
    word_on,
)
from s3sync_dagster.core.facts import KeyFacts, SidecarState, deselected_by_listing
from s3sync_dagster.core.kept_text import Held, held, is_earlier, is_left_alone
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.requests import (
    adds_nothing,
    asked_for,
    is_answered,
    is_request,
    is_vouched,
    only_requests,
)
from s3sync_dagster.core.sidecar_owners import (
    KEPT_OWNER,
    SIDECAR_OWNER,
    collection_of,
    owed_to,
    owner_of,
    sidecar_claims,
)
from s3sync_dagster.core.state import (
    RECOVERED,
    DocumentPhase,
    DocumentState,
    Target,
    stood_last,
)
from s3sync_dagster.core.vouching import withheld
from s3sync_dagster.model.invocation import Invocation, Trigger
from s3sync_dagster.model.source import AutoSync, DeleteMode, Source


def wanted_documents(
    item: KeyFacts, source: Source
) -> tuple[tuple[Target, ...], tuple[DocumentState, ...], dict[str, str]]:
    """Decide which documents a selected, existing object is to have.

    Later rules win in their collection: documents that it has, the source's own document,
    sidecars (the first claim of a collection), explicit requests in the order they came. In
    append mode automatic work only adds: what is whole already is neither written nor removed.

    Returns:
        The documents, at most one a collection; those that lost their reason (a sidecar that is
        gone, another custom id); invocation id -> collection for those that asked for one.
    """
    wanted, asked = told_documents(item, source)
    if source.mode is DeleteMode.APPEND:
        left_alone = _left_alone(item, asked)
        wanted = {name: target for name, target in wanted.items() if name not in left_alone}
    if source.mode is DeleteMode.APPEND and item.automatic:
        wanted = {
            name: target
            for name, target in wanted.items()
            if not _is_kept_before(target, item, source)
        }
        removals = tuple(
            one
            for one in item.documents
            if one.phase is DocumentPhase.REMOVING
            or (one.begun_only and not _is_wanted(one, wanted))
        )
    else:
        removals = _unasked(item, source, wanted)
    return tuple(wanted.values()), removals, asked


def told_documents(item: KeyFacts, source: Source) -> tuple[dict[str, Target], dict[str, str]]:
    """Return what everybody who has a say asks for a key, whether it can be followed or not.

    Returns:
        Collection -> document; invocation id -> collection for those that asked for one.
    """
    wanted: dict[str, Target] = {}
    asked: dict[str, str] = {}
    claims = sidecar_claims(item.sidecars, source)
    before = _inherited(item)
    if before and before.owner == "request":
        wanted[before.collection_name] = before
    for document in _that_say(item):
        if document.owner.startswith((SIDECAR_OWNER, KEPT_OWNER)) and document.said is None:
            continue  # follows from the claims below, or has lost its reason
        wanted[document.collection_name] = as_it_is_to_be(document)
    if source.collection_name not in wanted and _wants_its_own(item, source):
        wanted[source.collection_name] = before or Target(collection_name=source.collection_name)
    for collection, sidecar in claims.items():
        wanted[collection] = _claimed(item, source, collection, sidecar)
    for document in _half_rewritten(item):
        if source.mode is not DeleteMode.MIRROR or _is_kept(document, item):
            wanted.setdefault(document.collection_name, as_it_is_to_be(document))
    said = _said_before(item)
    for invocation in item.invocations:
        if not is_request(invocation):
            continue
        collection = invocation.target_collection_name or source.collection_name
        asked[invocation.id] = collection
        here = said.get(collection, [])
        answered = is_answered(invocation, source, here)
        if answered:
            invocation = replace(invocation, vouched=False)
        if collection in claims and adds_nothing(invocation, source):
            continue  # the sidecar's word stands
        metadata = asked_for(invocation, source, here)
        wanted[collection] = Target(
            collection_name=collection,
            custom_id=invocation.custom_id,
            metadata=metadata,
            owner="request",
            vouched=is_vouched(invocation, metadata, here),
            recovered=answered,
        )
        said[collection] = [wanted[collection]]  # to who asks later in the same batch
    return wanted, asked


def _claimed(item: KeyFacts, source: Source, collection: str, sidecar: SidecarState) -> Target:
    """Return what a sidecar asks for; of readers, what records say where they may know it later.

    Those of a restored catalog do where the sidecar was rewritten since its backup.
    """
    target = Target(
        collection_name=collection,
        custom_id=sidecar.custom_id,
        metadata=sidecar.metadata,  # type: ignore[arg-type]  (checked by core.sidecar)
        owner=owner_of(sidecar),
        vouched=not source.place.owned,  # whoever uploads writes there
    )
    told = [
        one
        for one in item.documents
        if one.collection_name == collection and one.withheld == RECOVERED
    ]
    if not sidecar.outdated or not told:
        return target
    newest = max(told, key=stood_last)
    readers = {key: newest.metadata.get(key) for key in source.reader_keys}
    return replace(target, metadata={**target.metadata, **readers}, recovered=True)


def _that_say(item: KeyFacts) -> list[DocumentState]:
    """Return the documents that stand, and what was said of the last where none does.

    That one goes with bytes that gave no text; nobody has taken the word back.
    """
    stand = [one for one in item.documents if one.phase is not DocumentPhase.REMOVING]
    there = {one.collection_name for one in stand}
    last = {
        one.collection_name: one
        for one in sorted(item.documents, key=stood_last)
        if one.collection_name not in there
    }
    return [*stand, *(one for one in last.values() if word_on(one) is not None)]


def _said_before(item: KeyFacts) -> dict[str, list[Target]]:
    """Return collection -> what its documents hold already, which a member's request leaves."""
    said: dict[str, list[Target]] = {}
    for document in _that_say(item):
        said.setdefault(document.collection_name, []).append(as_it_is_to_be(document))
    if before := _inherited(item):
        said.setdefault(before.collection_name, [before])
    return said


def _inherited(item: KeyFacts) -> Target | None:
    """Return a document of the source before of which something was said that no bucket says.

    It was asked for, or nobody knows who said it: records tell it, that were read back.
    """
    return word_on(item.inherited) if item.inherited else None


def _wants_its_own(item: KeyFacts, source: Source) -> bool:
    """Return whether a key is to have a document in its source's collection, by the mode.

    A request that names its document asks for no other. Nor does a retry, which asks for what has
    failed: that of a sidecar in another collection would be written here without its word. Nor is
    any other made beside those that are mended of an object that is done.
    """
    if source.auto_sync is AutoSync.DIRECT:
        return True
    plain = [one for one in item.invocations if not is_request(one) and not _mends(one, item)]
    if source.auto_sync is AutoSync.METADATA:
        known = bool(item.sidecars or item.documents or any(map(is_request, item.invocations)))
        return any(not (one.trigger.automatic or (known and _is_retry(one))) for one in plain)
    return bool(plain)


def _mends(invocation: Invocation, item: KeyFacts) -> bool:
    """Return whether it asks for no more than documents that the object has, and nothing failed."""
    failed = item.object is not None and item.object.outcome == "failed"
    retry = invocation.trigger is Trigger.RETRY and not invocation.reindex
    has_some = any(one.phase is not DocumentPhase.REMOVING for one in item.documents)
    return retry and has_some and not failed


def _is_retry(invocation: Invocation) -> bool:
    return invocation.trigger in (Trigger.CLI, Trigger.UI) and invocation.force


def _unasked(
    item: KeyFacts, source: Source, wanted: Mapping[str, Target]
) -> tuple[DocumentState, ...]:
    """Return documents that lost their reason. Modes that keep records only replace them.

    So does a sidecar that asks for its object's document in another collection by now.
    """
    mirror = source.mode is DeleteMode.MIRROR
    moved = _moved_by_sidecars(item, source, wanted)
    return tuple(
        document
        for document in item.documents
        if document.phase is DocumentPhase.REMOVING
        or (
            document.collection_name not in wanted
            and (
                (mirror and not _is_kept(document, item))
                or document.begun_only
                or document.owner in moved
            )
        )
        or (document.collection_name in wanted and not _is_wanted(document, wanted))
    )


def _moved_by_sidecars(
    item: KeyFacts, source: Source, wanted: Mapping[str, Target]
) -> frozenset[str]:
    """Return the owners of documents in whose place sidecars ask for others; append has none.

    Also of those that the mode kept while nobody knew the object: it is back.
    """
    if source.mode is DeleteMode.APPEND:
        return frozenset()
    return frozenset(
        owner
        for one in item.sidecars
        if collection_of(one, source) in wanted
        for owner in (owner_of(one), KEPT_OWNER + one.sidecar_key)
    )


def _is_kept(document: DocumentState, item: KeyFacts) -> bool:
    """Return whether a document has no reason but that a mode kept it, and no listing ends it."""
    return document.owner.startswith(KEPT_OWNER) and not deselected_by_listing(item)


def kept_alone(item: KeyFacts, source: Source) -> tuple[DocumentState, ...]:
    """Return the documents that a listing ends of an object that it does not leave out.

    Their mode kept them when their sidecars went, and they are none that the source makes itself.
    """
    if source.mode is not DeleteMode.MIRROR:
        return ()
    direct = source.auto_sync is AutoSync.DIRECT
    return tuple(
        one
        for one in item.documents
        if one.owner.startswith(KEPT_OWNER)
        and not (direct and one.collection_name == source.collection_name)
    )


def _is_wanted(document: DocumentState, wanted: Mapping[str, Target]) -> bool:
    target = wanted.get(document.collection_name)
    return target is not None and target.custom_id == document.custom_id


def _half_rewritten(item: KeyFacts) -> list[DocumentState]:
    """Return documents that were whole once and are written whole again, asked for or not."""
    return [
        one for one in item.documents if one.phase is DocumentPhase.WRITING and not one.begun_only
    ]


def _left_alone(item: KeyFacts, asked: Mapping[str, str]) -> set[str]:
    """Return the collections whose documents append mode leaves as they are."""
    whole = {one.collection_name for one in item.documents if is_left_alone(one, item.etag)}
    if item.automatic:
        return whole
    left = set[str]()
    if only_requests(item):
        # A copy was asked for elsewhere: what is whole here is nobody's to write over.
        left |= whole - set(asked.values())
    if item.maybe_done:
        # What a restored catalog does not know as it is was written since the backup, maybe for
        # those who ask: they have it, and the text is nowhere else.
        trusted = {
            one.collection_name for one in item.documents if one.phase is DocumentPhase.CLEAN
        }
        left |= whole - trusted
    return left


def _is_kept_before(target: Target, item: KeyFacts, source: Source) -> bool:
    """Return whether a write would go over an earlier text of a source that was moved here."""
    name = document_id(item.key, custom_id=target.custom_id, id_prefix=source.id_prefix)
    return any(
        (one.collection_name, one.document_id) == (target.collection_name, name)
        and is_earlier(one, item.etag)
        for one in item.before
    )


def all_clean(item: KeyFacts, source: Source, targets: Sequence[Target]) -> bool:
    """Return whether the object at this version needs no download: all its documents are clean.

    An older fingerprint alone makes work only where somebody asked for the key, or the source
    reindexes on a change of its configuration. So it does where the object has failed: what was
    asked of it then was not done. Documents to remove are no reason to read.
    """
    if item.forced:
        return False
    failed = item.object is not None and item.object.outcome == "failed"
    strict = not item.automatic or item.reindexed or source.renews_outdated or failed
    documents = {
        document.collection_name: document
        for document in item.documents
        if document.phase is DocumentPhase.CLEAN
    }
    for target in targets:
        document = documents.get(target.collection_name)
        if (
            document is None
            or document.etag != item.etag
            or document.custom_id != target.custom_id
            or dict(document.metadata) != dict(target.metadata)
            or said_of_readers(document) != withheld(target, source)
            or owed_to(document.owner) != owed_to(target.owner)
            or (strict and document.fingerprint != source.fingerprint())
        ):
            return False
    return True


def changed_in_append_mode(item: KeyFacts, source: Source, targets: Sequence[Target]) -> bool:
    """Return whether append mode leaves a newer version of the object alone."""
    if source.mode is not DeleteMode.APPEND or targets:
        return False
    return any(held(one, item.etag) is Held.ALONE for one in item.documents) or any(
        _is_kept_before(as_it_is(one), item, source) for one in item.before
    )


def keeps_whole(item: KeyFacts, removals: Sequence[DocumentState]) -> bool:
    """Return whether the key has a document that can be trusted and stays, asked for or not."""
    return any(one.phase is DocumentPhase.CLEAN and one not in removals for one in item.documents)
