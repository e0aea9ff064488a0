"""What has to hold at every step, whatever happens: not only at the world's rest."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.model.source import AutoSync
from s3sync_dagster_tests.catalog.counting import counted, kept
from s3sync_dagster_tests.simulation.ports import REFUSED

PILLARS = {"0 first.txt": "one\n\ntwo\n\nthree", "0 second.md": "alone"}
"""Objects that are indexed at the start and that nobody ever changes: their records stay."""


PREFIX = "p-"
"""Of record ids, where a source was moved to other ones."""


class Safety:
    """Rules that are looked at after each write, each acknowledgement and now and then."""

    recorded: set[tuple[str, str]]
    """Worker and key of events whose commit was acknowledged to nobody yet."""
    pillars: dict[str, Any]
    violations: list[str]
    """What did not hold, whoever has caught the error."""
    excused: set[str]
    """Records of pillars that a neighbour took or spoilt, or that belong to nothing whole, until
    they are as they were."""
    replaced: bool = False
    """The pillars were deleted and put again."""

    @property
    def pillar_texts(self) -> dict[str, str]:
        """The pillars by their keys."""
        return {self.place.key(name): text for name, text in PILLARS.items()}

    def raise_pillars(self) -> None:
        """Index the pillars, and remember their records."""
        self.recorded, self.pillars, self.excused, self.violations = set(), {}, set(), []
        if self.source.auto_sync is AutoSync.METADATA or not self.lists:
            return  # they would need a sidecar, or the queue's word
        for key, content in self.pillar_texts.items():
            self.put(key, content)
        self.queue._kept.clear()
        self.place.told.clear()
        before = set(self.records(self.source.collection_name))
        self.settle(events=False)
        there = self.records(self.source.collection_name)
        self.pillars = {
            name: record
            for name, record in there.items()
            if name not in before and record[1]["document_key"] in self.pillar_texts
        }
        assert len(self.pillars) == sum(len(one.split("\n\n")) for one in PILLARS.values())
        self.weather.on = True

    def check_pillars(self, what: str) -> None:
        """Raise AssertionError where a record has left that nothing asked to go."""
        if not self.pillars or self.away:
            return
        port = self.existing(self.source.collection_name)
        there = {} if port is None else port._records
        for name, (text, _) in self.pillars.items():
            found = [there[one].document for one in (name, PREFIX + name) if one in there]
            if name in self.excused:
                # Of two during a move one was robbed; the other goes with the source before.
                moves = len(found) < 2 and bool(self.catalog.moves.left_by(self.source.id))
                if moves or text not in found:
                    continue
                self.excused.discard(name)
            lied = "upsert" in self.weather.lies  # what follows it was never written, as said
            if not found and (lied or self._begun_only(name)):
                self.excused.add(name)
                continue
            self.hold(bool(found), f"{what}: the record {name} has left without evidence")
            self.hold(text in found, f"{what}: {name} is {found!r}")

    def _begun_only(self, name: str) -> bool:
        """Return whether a record is of an object put anew, whose document never was whole since.

        Of what was only begun nothing stays, and the guard does not weigh it.
        """
        rows = [
            one
            for key in self.pillar_texts
            for one in self.catalog.documents.of_key(self.source.id, key)
            if name.startswith(f"{one.document_id}-")
        ]
        return self.replaced and bool(rows) and all(one.etag is None for one in rows)

    def check_lease(self, what: str) -> None:
        """Raise AssertionError where a batch begins to write on a lease that has ended."""
        lease = self.leases.get(self._name())
        if lease is not None and what != "delete":  # between the look and that one is a stop
            self.hold(lease._until > self.clock.monotonic(), f"{what} on a lease that has ended")

    def check_written(self, changes: Mapping[str, str | None]) -> None:
        """Raise AssertionError where a text of one paragraph counts as written, and is not there.

        For a moment at which nobody but the engine has written since the objects have it.
        """
        etags = {key: self.place.etag_of(text) for key, text in changes.items() if text is not None}
        for one in self.catalog.documents.of_source(self.source.id):
            if one.phase is DocumentPhase.CLEAN and one.etag == etags.get(one.object_key):
                text, _ = self.records(one.collection_name).get(f"{one.document_id}-0", ("", {}))
                there = text == changes[one.object_key] or self.weather.lies
                self.hold(bool(there), f"{one.object_key} counts as written, and has {text!r}")

    def check_blame(self, keys: Collection[str]) -> None:
        """Raise AssertionError where what a service refuses of everybody is held against bytes.

        For a moment at which no other service has answered since the keys were written.
        """
        for row in self.catalog.views.object_rows(self.source.id, state="failed", limit=1000):
            if row.object_key not in keys:
                continue
            refused = any(REFUSED in content for content in self.history.get(row.object_key, ()))
            at_fault = refused and row.reason == "record_rejected"
            blamed = row.reason in ("record_rejected", "text_refused") and not at_fault
            self.hold(not blamed, f"{row.object_key} is blamed for what a service refuses of all")

    def hold(self, truth: bool, what: str) -> None:
        """Raise AssertionError unless something holds.

        The driver raises it again: the engine settles what fails within a batch, whatever it is.
        """
        if not truth:
            self.violations.append(what)
            raise AssertionError(what)

    def raise_violations(self) -> None:
        assert not self.violations, self.violations[0]

    def note_recorded(self, keys: Sequence[str]) -> None:
        self.recorded |= {(self._name(), key) for key in keys}

    def check_acknowledged(self, bodies: Sequence[str], *, bucket_name: str) -> None:
        """Raise AssertionError where a message goes whose event is not committed.

        What is told of a bucket from which the source has moved is nobody's.
        """
        for body in bodies:
            for record in json.loads(body)["Records"]:
                key = record["s3"]["object"]["key"].replace("+", " ")
                if record["s3"]["bucket"]["name"] != bucket_name:
                    continue
                told = (self._name(), key) in self.recorded
                self.hold(told, f"{key} acknowledged, not committed")

    def check_counts(self) -> None:
        """Raise AssertionError where each object is not in one state."""
        counts = self.catalog.views.counts(self.source.id)
        parts = counts.indexed + counts.pending + counts.processing
        parts += sum(counts.skipped.values()) + sum(counts.failed.values())
        assert parts == counts.objects, f"the counts do not add up: {counts}"
        assert kept(self.catalog) == counted(self.catalog), "what is kept is not what is there"
        self.check_rights()
        self.check_trusted()
