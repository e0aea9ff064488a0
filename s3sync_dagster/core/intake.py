"""From SQS messages to what the catalog is to write: pure, so that every case can be tested.

One event goes to each source whose bucket and prefix it meets. Nothing is decided here that the
bucket would have to be asked for: a removal only becomes the question whether the object is gone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from s3sync_dagster.core.events import Message, ObjectEvent, compare_sequencers, parse_message
from s3sync_dagster.core.news import Told
from s3sync_dagster.core.selection import decide
from s3sync_dagster.model.errors import InvalidEvent
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import AutoSync, Source

# These follow from the bytes: the object may have records of an earlier version, which a run has
# to look at. The other reasons follow from the key, which was never selected then.
_LOOKED_AT = frozenset({"sidecar", "bedrock_sidecar", "empty_object", "too_large"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEvents:
    """What a tick's messages mean for one source; keys in UTF-8 order, each once."""

    upserts: tuple[Told, ...] = ()
    """What events tell of objects, each with selection's reason for skipping it."""
    sync: tuple[str, ...] = ()
    """Keys to bring in line."""
    remove: tuple[str, ...] = ()
    """Keys whose object may be gone: to be asked for."""
    sequencers: Mapping[str, str] = field(default_factory=dict[str, str])
    """The newest one of each key that had any."""

    def parts(self, keys: int) -> Iterator["SourceEvents"]:
        """Yield the same in parts of so many keys, each to be stored by itself."""
        if len(self.upserts) + len(self.remove) <= keys:
            yield self
            return
        sync = frozenset(self.sync)
        for start in range(0, len(self.upserts), keys):
            upserts = self.upserts[start : start + keys]
            own = [ref.key for ref, _ in upserts]
            yield SourceEvents(
                upserts=upserts,
                sync=tuple(key for key in own if key in sync),
                sequencers=self._sequencers(own),
            )
        for start in range(0, len(self.remove), keys):
            remove = self.remove[start : start + keys]
            yield SourceEvents(remove=remove, sequencers=self._sequencers(remove))

    def _sequencers(self, keys: Iterable[str]) -> dict[str, str]:
        return {key: self.sequencers[key] for key in keys if key in self.sequencers}


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeCounts:
    """What the messages were, for the tick's text; they add up over the commits of a tick."""

    messages: int = 0
    events: int = 0
    """Events in them that can concern a collection."""
    tests: int = 0
    """Messages that S3 sends at set-up."""
    ignored: int = 0
    """Well-formed messages without such an event: ACL, replication ..."""
    unmatched: int = 0
    """Events that no source listens to (other bucket or prefix, ``auto_sync`` none, or tags that
    none takes)."""
    skipped: int = 0
    """Events for keys that a source leaves out by their name."""
    invalid: int = 0
    """Messages that are left to the dead-letter queue."""
    no_room: int = 0
    """Messages that come again: the tenant of their source has all the objects it may have."""

    def __add__(self, other: "IntakeCounts") -> "IntakeCounts":
        """Return the sums."""
        return IntakeCounts(
            **{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)}
        )

    def describe(self) -> str:
        """Return a sentence for people; what there was none of is left out."""
        parts = [f"{self.messages} messages", f"{self.events} events"]
        for number, words in (
            (self.tests, "tests of S3's"),
            (self.ignored, "without an event that matters"),
            (self.unmatched, "of no source"),
            (self.skipped, "left out by their names"),
            (self.invalid, "not understood and left to the dead-letter queue"),
            (self.no_room, "of new objects for which there is no room, which come again"),
        ):
            if number:
                parts.append(f"{number} {words}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakePlan:
    """What to commit, then what to delete from the queue."""

    by_source: Mapping[str, SourceEvents]
    """Source id -> its events; sources without any are absent."""
    delete: tuple[Message, ...]
    """To be deleted once everything is committed."""
    tellers: Mapping[tuple[str, str], Sequence[Message]]
    """Source id and key -> the messages that told of it."""
    leave: tuple[Message, ...]
    """Not understood: the queue's redrive policy moves them to its dead-letter queue."""
    log: tuple[str, ...]
    """One sentence for each message that is not understood, at its first delivery only."""
    counts: IntakeCounts


def plan_intake(messages: Sequence[Message], sources: Iterable[Source]) -> IntakePlan:
    """Return what a batch of messages means for the sources of their queue.

    Args:
        messages: in any order, with or without duplicates.
        sources: those whose ``queue_url`` is this queue's. A paused one takes its events too:
            they wait as pending work.
    """
    listening = [source for source in sources if source.auto_sync is not AutoSync.NONE]
    delete: list[Message] = []
    leave: list[Message] = []
    log: list[str] = []
    found: list[tuple[ObjectEvent, Message]] = []
    tellers: dict[tuple[str, str], list[Message]] = {}
    tests = ignored = 0
    for message in messages:
        try:
            parsed = parse_message(message.body)
        except InvalidEvent as error:
            leave.append(message)
            if message.receive_count <= 1:
                log.append(f"message {message.message_id}: {error.message} ({error.reason})")
            continue
        delete.append(message)
        tests += parsed.kind == "test"
        ignored += parsed.kind == "ignored"
        found.extend((event, message) for event in parsed.events)
    unmatched = skipped = 0
    latest: dict[str, dict[str, ObjectEvent]] = {}
    by_id = {source.id: source for source in listening}
    for event, message in found:
        matching = [source for source in listening if _matches(source, event)]
        unmatched += not matching
        for source in matching:
            keys = latest.setdefault(source.id, {})
            keys[event.key] = _later(keys.get(event.key), event)
            tellers.setdefault((source.id, event.key), []).append(message)
    by_source: dict[str, SourceEvents] = {}
    for source_id, keys in latest.items():
        by_source[source_id], left_out = source_events(by_id[source_id], keys)
        skipped += left_out
    return IntakePlan(
        by_source=by_source,
        delete=tuple(delete),
        tellers=tellers,
        leave=tuple(leave),
        log=tuple(log),
        counts=IntakeCounts(
            messages=len(messages),
            events=len(found),
            tests=tests,
            ignored=ignored,
            unmatched=unmatched,
            skipped=skipped,
            invalid=len(leave),
        ),
    )


def _matches(source: Source, event: ObjectEvent) -> bool:
    _, _, bucket, prefix = source.place.identity()
    if event.kind == "tagged" and not source.place.carried.tags:
        return False  # also that it hides no news of the same key
    return bucket == event.bucket and event.key.startswith(prefix)


def _later(known: ObjectEvent | None, event: ObjectEvent) -> ObjectEvent:
    """Return the event that tells more of the key's present state.

    Where order cannot be told, one that says the object is there wins over one that says it is
    gone: reading it finds out, and a listing that is told nothing would not.
    """
    if known is None:
        return event
    order = compare_sequencers(known.sequencer, event.sequencer)
    if order:
        return event if order < 0 else known
    there = known if event.kind == "removed" else event
    if known.kind == event.kind and (known.etag, known.size) == (event.etag, event.size):
        return there
    # What either tells may be the older of two: a document that has just this etag would pass
    # for unchanged.
    return replace(there, etag="", size=-1, version_id=None)


def source_events(source: Source, keys: Mapping[str, ObjectEvent]) -> tuple[SourceEvents, int]:
    """Return what the latest event of each key means, and how many keys are left out."""
    upserts: list[Told] = []
    sync: list[str] = []
    remove: list[str] = []
    left_out = 0
    for key in sorted(keys, key=str.encode):
        event = keys[key]
        if event.kind == "removed":
            remove.append(key)
            continue
        ref = ObjectRef(key=key, etag=event.etag, size=event.size, version_id=event.version_id)
        if event.kind != "created" or not event.etag or event.size < 0:
            ref = ObjectRef(key=key, etag="", size=-1)  # which makes the reader ask the bucket
        skip = decide(source, ref)
        upserts.append((ref, skip.reason if skip else None))
        if skip is None or skip.reason in _LOOKED_AT:
            sync.append(key)
        else:
            left_out += 1
    sequencers = {key: event.sequencer for key, event in keys.items() if event.sequencer}
    return SourceEvents(
        upserts=tuple(upserts), sync=tuple(sync), remove=tuple(remove), sequencers=sequencers
    ), left_out
