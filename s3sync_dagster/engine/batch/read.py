"""Step one of a batch, extract: what each key needs, its bytes, its text."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from s3sync_dagster.core.decision import (
    Decision,
    decide_key,
    give_up,
    hold_back,
    leave_out,
)
from s3sync_dagster.core.deed import Deed
from s3sync_dagster.core.facts import (
    KeyFacts,
    asks_whether_removed,
    at_stake,
    listed_as_gone,
    needs_head,
    told_by_head_alone,
    told_ref,
)
from s3sync_dagster.core.guard import FEW_DOCUMENTS, heads_need_approval
from s3sync_dagster.core.selection import decide, require_inside_prefix
from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.core.suspects import BEGUN_AT_ONCE, NOT_PROVEN, TRIES_ALONE, keeps_its_mark
from s3sync_dagster.engine.batch.blame import beside_the_bytes
from s3sync_dagster.engine.batch.carried import carried_with, looked_at, unless_carried_else
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.batch.restored import believe_restored
from s3sync_dagster.engine.batch.room import NoRoom, Share, memory_of
from s3sync_dagster.engine.batch.sidecars import apply_sidecars, end_sidecars, read_sidecar
from s3sync_dagster.engine.identity import check_collections
from s3sync_dagster.engine.pages import expect, renew, tells_of_one
from s3sync_dagster.engine.unexpected import unexpected_error
from s3sync_dagster.model.errors import EmptyPlace, S3SyncError, Unavailable
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import DeleteMode

_ENOUGH = "enough text is held"
"""Why keys go back that there is no room for."""


def read_batch(parts: BatchParts, lease: Lease) -> list[Deed]:
    """Read and extract the keys that the batch holds; keys not begun in time go back.

    Sidecars are begun first, then the others as they were leased: who goes back comes first next
    time.

    Args:
        parts: the batch's.
        lease: of the batch.

    Raises:
        LeaseLost: another batch took over.
    """
    until, begun = parts.clock.monotonic() + parts.take_seconds, set[str]()
    # Before the catalog is believed that a key is as it should be.
    check_collections(
        parts.source,
        catalog=parts.catalog,
        collections=lambda: parts.collections,
        log=parts.log,
    )
    found = parts.catalog.work.load(lease.token)
    told, unseen = believe_restored(parts, found)
    if told:
        found = parts.catalog.work.load(lease.token)
    left = [_unseen(facts, unseen[facts.key]) for facts in found if facts.key in unseen]
    renew(parts.store)  # a copy that is older than what the catalog was told is no evidence
    if end_sidecars(parts, lease.token, found):
        found = parts.catalog.work.load(lease.token)
    found = [facts for facts in found if facts.key not in unseen]
    first = [facts for facts in found if facts.describes(parts.source)]
    deeds = _guarded(parts, _read_all(parts, lease, first, begun, until=until))
    if deeds:  # what they ask for concerns other keys of this batch
        # First: who dies before they are applied counts them twice.
        held = [facts.key for facts in found]
        deeds = apply_sidecars(parts, lease.token, _counted(parts, deeds), held=held)
        parts.at("sidecars")
        found = parts.catalog.work.load(lease.token)
        renew(parts.store)
    rest = [
        facts for facts in found if facts.key not in unseen and not facts.describes(parts.source)
    ]
    more = _read_all(parts, lease, rest, begun, until=until)
    return left + deeds + _guarded(parts, more)


def _unseen(facts: KeyFacts, error: S3SyncError) -> Deed:
    return Deed(decision=Decision(facts=facts, verdict="fail", error=beside_the_bytes(error)))


def _gone_by_head(deed: Deed) -> bool:
    return deed.end.verdict == "gone" and told_by_head_alone(deed.decision.facts)


def _missed(parts: BatchParts, deeds: Sequence[Deed]) -> dict[str, int]:
    """Return how many documents go by key, where a HEAD alone tells that it is gone.

    None in a mode that keeps them.
    """
    if parts.source.mode is not DeleteMode.MIRROR:
        return {}
    stakes = {deed.key: at_stake(deed.decision.facts) for deed in deeds if _gone_by_head(deed)}
    return {key: number for key, number in stakes.items() if number}


def _held_back(deeds: list[Deed], keys: Collection[str]) -> list[Deed]:
    return [
        Deed(decision=hold_back(deed.decision.facts), ms=deed.ms) if deed.key in keys else deed
        for deed in deeds
    ]


def _counted(parts: BatchParts, deeds: list[Deed]) -> list[Deed]:
    """Count sidecars that HEADs alone miss; hold all back where batches beside took too many."""
    missed = _missed(parts, deeds)
    if not missed or parts.catalog.documents.count_told_by_heads(
        parts.source.id, keys=len(missed), going=sum(missed.values())
    ):
        return deeds
    parts.log(f"{len(missed)} sidecars stay: too many were found missing one by one lately")
    return _held_back(deeds, missed)


def _guarded(parts: BatchParts, deeds: list[Deed]) -> list[Deed]:
    """Hold removals back that a HEAD alone tells, where they are many: a listing has to say so.

    A bucket that was emptied, or another one in its place, answers 404 to every key: also where
    they are few of the source's documents, most of what a batch asks for is missing then. What
    went like that in the batches before counts as well; what those beside it take meanwhile, the
    removal itself asks again, and ``_counted`` of sidecars.
    """
    doubtful = _missed(parts, deeds)
    if not doubtful:
        return deeds
    before = parts.catalog.documents.removed_by_heads(parts.source.id)
    going = sum(doubtful.values())
    mostly = 2 * len(doubtful) > sum(at_stake(deed.decision.facts) > 0 for deed in deeds)
    total = parts.catalog.documents.count(parts.source.id)
    if not (mostly and len(doubtful) >= FEW_DOCUMENTS) and not heads_need_approval(
        len(doubtful), documents=going, before=before, total=total
    ):
        return deeds
    return _held_back(deeds, doubtful)


def _read_all(
    parts: BatchParts,
    lease: Lease,
    found: Sequence[KeyFacts],
    begun: set[str],
    *,
    until: float,
) -> list[Deed]:
    """Return the deeds of what is read, in the order of keys."""
    deeds: list[Deed] = []
    waiting, left, marked = list(found), list[KeyFacts](), list[str]()
    tried_late: str | None = None
    careful = any(
        keeps_its_mark(one.deaths, one.silent_deaths)
        for facts in found
        for one in facts.invocations
    )

    def read(facts: KeyFacts) -> Deed | None:
        # Of those that are begun together each may take minutes: none is read late, but the first,
        # nor where one did not end, so that it is proven in time whether it ever does.
        if read_so_far and (parts.clock.monotonic() > until or any(map(_not_proven, read_so_far))):
            return None
        deed = _read_one(parts, facts)
        read_so_far.append(deed)
        return deed

    def may_try(key: str) -> bool:
        # One goes on when time is up: what takes half of it would never be proven else, and be
        # begun for ever. What was not read has gone back then, and does not wait for it.
        nonlocal tried_late
        if parts.clock.monotonic() <= until:
            return True
        if left or waiting:
            _give_back(parts, lease, [*left, *waiting], "time is up")
            left.clear()
            waiting.clear()
        tried_late = tried_late or key
        return key == tried_late

    with ThreadPoolExecutor(max_workers=max(parts.threads, 1)) as threads:
        while waiting:
            group = waiting[:BEGUN_AT_ONCE]
            why = "time is up" if begun and parts.clock.monotonic() > until else None
            if not begun:
                parts.room.wait_for_others()
            if parts.room.is_full:
                why = _ENOUGH
            if why is not None:
                _give_back(parts, lease, waiting, why)
                break
            del waiting[:BEGUN_AT_ONCE]
            lease.require(seconds=0)
            keys = [facts.key for facts in group]
            parts.catalog.batches.begin(lease.token, keys, survived=marked)
            begun.update(keys)
            marked = [] if careful else keys
            parts.at("begun")
            read_so_far: list[Deed | None] = []
            done = list(threads.map(read, group) if parts.threads > 1 else map(read, group))
            parts.at("fetched")
            left += [facts for facts, deed in zip(group, done, strict=True) if deed is None]
            # Before others are begun: what took long is proven, or it takes as long each time.
            for deed in filter(None, done):
                alone = _read_alone(parts, lease, deed, may_try=may_try)
                if alone is None:
                    left.append(deed.decision.facts)
                else:
                    deeds.append(alone)
            if left:
                why = "some of a group did not end" if any(map(_not_proven, done)) else _ENOUGH
                late = parts.clock.monotonic() > until
                _give_back(parts, lease, left, "time is up" if late else why)
                left.clear()
    if marked:
        parts.catalog.batches.begin(lease.token, (), survived=marked)
    return sorted(deeds, key=lambda deed: deed.key)


def _not_proven(deed: Deed | None) -> bool:
    """Return whether a worker did not survive or finish a document, for whatever reason."""
    return deed is not None and deed.error is not None and deed.error.reason in NOT_PROVEN


def _give_back(parts: BatchParts, lease: Lease, left: Sequence[KeyFacts], why: str) -> None:
    parts.catalog.batches.give_back(lease.token, [facts.key for facts in left])
    parts.log(f"{why}: {len(left)} keys go back to pending")


def _read_alone(
    parts: BatchParts, lease: Lease, deed: Deed, *, may_try: Callable[[str], bool]
) -> Deed | None:
    """Read again, with nothing beside it, what a worker did not survive or finish.

    One death proves nothing: a host that is short of memory or time kills whoever is at work. None:
    the batch has no room for it.
    """
    for _ in range(TRIES_ALONE):
        if not _not_proven(deed):
            return deed
        assert deed.error is not None
        if not may_try(deed.key):
            why = Unavailable(deed.error.message, reason=deed.error.reason)
            return replace(deed, error=why)
        lease.require(seconds=0)
        parts.at("alone")
        again = _read_one(parts, deed.decision.facts)
        if again is None:
            return None
        deed = again
    return deed


def _read_one(parts: BatchParts, facts: KeyFacts) -> Deed | None:
    """Learn, decide and read one key; whatever goes wrong is its own affair.

    None: the batch has no room for it.
    """
    started = parts.clock.monotonic()
    deed = Deed(decision=Decision(facts=facts, verdict="fail"))
    try:
        decision = decide_key(learn(parts, facts), parts.source)
        deed = Deed(decision=decision)
        if decision.verdict == "sidecar":
            deed = read_sidecar(parts, decision)
        elif decision.verdict == "unchanged":
            deed = unless_carried_else(parts, decision)
        if deed.decision.verdict == "write":
            with Share(parts.room) as share:
                deed = _read_object(parts, deed.decision, share)
                if deed.document is not None:
                    share.keep(memory_of(deed.document))
    except NoRoom:
        return None
    except S3SyncError as error:
        deed = _given_up(deed, error)
    except Exception as error:  # noqa: BLE001  (a fault of the program must not end the batch)
        deed = _given_up(deed, unexpected_error(error, f"{facts.key!r} could not be read"))
    deed = looked_at(parts, deed)
    return replace(deed, ms={"extract": round((parts.clock.monotonic() - started) * 1000, 1)})


def _given_up(deed: Deed, error: S3SyncError) -> Deed:
    if deed.decision.verdict == "fail":
        return replace(deed, decision=give_up(deed.decision, error))
    return replace(deed, error=error)


def learn(parts: BatchParts, facts: KeyFacts) -> KeyFacts:
    """Return the facts with what the bucket has, asked with as few requests as that takes.

    Raises:
        S3SyncError: the bucket could not be asked, or the key is none of the source's.
    """
    if listed_as_gone(facts):
        return _ended(parts, facts)
    require_inside_prefix(parts.source, facts.key)
    if facts.describes(parts.source):
        return facts  # a sidecar is read whatever was told of it
    told = told_ref(facts)
    if told is not None and not needs_head(facts, told, parts.source):
        limit_met = facts.object is not None and facts.object.skip_reason == "document_limit"
        return replace(facts, ref=told, limit_met=limit_met)
    ref = parts.ask_bucket(lambda: parts.store.head(facts.key))
    return replace(facts, gone=True) if ref is None else _with_ref(parts, facts, ref)


def _ended(parts: BatchParts, facts: KeyFacts) -> KeyFacts:
    """Return the facts of an object that a listing ended.

    One that was blocked may have been approved long after it had seen the bucket.
    """
    if facts.object is None or not facts.object.shown or not tells_of_one(parts.store):
        return replace(facts, gone=True)
    try:
        ref = parts.ask_bucket(lambda: parts.store.head(facts.key))
    except EmptyPlace:
        ref = None  # just that was shown, and a person has said that it is so
    return replace(facts, gone=True) if ref is None else _with_ref(parts, facts, ref)


def _read_object(parts: BatchParts, decision: Decision, share: Share) -> Deed:
    """Read what is to be written; a GET may meet another version than was decided on.

    The deed of what fails after the GET names the version that the GET gave. Raises ``NoRoom``.
    """
    source, facts = parts.source, decision.facts
    expect(parts.store, facts.key, facts.etag)
    body = parts.ask_bucket(
        lambda: parts.store.read(facts.key, max_size_bytes=source.max_size_bytes)
    )
    if body is None:
        return Deed(decision=decision, gone=True)
    try:
        if body.ref.etag != decision.facts.etag:
            facts = _with_ref(parts, facts, body.ref)
            left_out = leave_out(facts, source)
            if left_out is not None:
                return Deed(decision=left_out)
            if source.mode is DeleteMode.APPEND:  # which keeps what the object has no more
                decision = decide_key(facts, source)
                if decision.verdict != "write":
                    return Deed(decision=decision)
        decision = replace(decision, facts=replace(facts, ref=body.ref))
        try:
            carried = carried_with(parts, body)
        except S3SyncError as error:
            return Deed(decision=decision, error=error)
        try:
            document = parts.extractor(
                body.content,
                name=body.name or facts.key,
                content_type=body.content_type,
                config=source.place.extraction(source.extraction),
                pool=parts.pool,
                room=share,
            )
        except NoRoom:
            raise
        except S3SyncError as error:
            return Deed(decision=decision, error=error, looked=carried)
        except Exception as error:  # noqa: BLE001  (as in _read_one, with the version read)
            error = unexpected_error(error, f"{facts.key!r} could not be read")
            return Deed(decision=decision, error=error, looked=carried)
        return Deed(decision=decision, document=document, carried=carried, looked=carried)
    finally:
        if not isinstance(body.content, bytes):
            body.content.unlink(missing_ok=True)


def _with_ref(parts: BatchParts, facts: KeyFacts, ref: ObjectRef) -> KeyFacts:
    """Return the facts with what a HEAD or GET told, stored where it is news."""
    known, source = facts.object, parts.source
    same = known is not None and not known.gone and known.etag == ref.etag
    if known is not None and same and not asks_whether_removed(facts):
        verdict = known.skip_reason
    else:
        skip = decide(source, ref)
        verdict = parts.catalog.work.record_objects(
            source.id, [(ref, skip.reason if skip else None)], known={facts.key: known}
        )[facts.key]
        if any(one.phase is DocumentPhase.REMOVING for one in facts.documents):
            # What was to go with an object that is there again does so no more.
            known_now = parts.catalog.documents.of_key(source.id, facts.key)
            facts = replace(facts, documents=tuple(sorted(known_now, key=lambda one: one.id)))
    return replace(facts, ref=ref, limit_met=verdict == "document_limit")
