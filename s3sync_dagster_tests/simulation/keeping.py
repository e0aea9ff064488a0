"""A world whose mode keeps texts: people restore, move and verify, and no kept text is ever lost.

What is kept has no other copy: its object has other bytes by now, or is gone. So here nobody asks
whether the collection is what the bucket wants, but whether each text that was once committed
whole is still somewhere whole.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import sqlalchemy as sa

from s3sync_dagster.catalog.tables import invocations, is_live
from s3sync_dagster.core.plan import split_record_id
from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.simulation.driver import SOURCE, act, replayable
from s3sync_dagster_tests.simulation.ports import REFUSED
from s3sync_dagster_tests.simulation.sites import Sites
from s3sync_dagster_tests.simulation.world import World

KINDS = {
    "put": 12, "delete": 10, "sidecar": 3, "lose": 1, "repeat": 2, "intake": 5, "list": 8,
    "approve": 2, "batch": 14, "step": 40, "ambush": 8, "kill": 3, "wait": 5, "house": 6,
    "check": 3, "weather": 4, "front": 9, "verify": 3, "rebuild": 1, "move": 2,
    "end of a move": 3, "back up": 5, "restore": 8, "ask": 2, "look": 1, "retry": 1,
    "rebuild --catalog": 1,
}  # fmt: skip
"""What can happen, and how often. Nobody spoils records or edits the source."""


@dataclass(frozen=True)
class Text:
    """A text that a document had whole."""

    key: str
    etag: str
    parts: tuple[str, ...]


@dataclass
class KeepingWorld(World):
    """Where each text that was committed is looked for after each step."""

    texts: set[Text] = field(default_factory=set[Text])
    """That have to be there."""
    asked: set[str] = field(default_factory=set[str])
    """Keys that a person or a request asks for, which writes over what they had."""

    kinds: ClassVar[Sequence[str]] = tuple(KINDS)

    def check_moved(self) -> None:
        """Let what is kept of before a move stand beside its successor."""

    def _finish_moves(self) -> None:
        """Let what is left of a move go by itself: by a person's word kept texts go, too."""
        self.wait(130)
        self.end_move(now=False)

    def there(self) -> dict[str, set[Text]]:
        """Return the whole texts of all collections by ``collection document-id``."""
        found: dict[str, set[Text]] = {}
        for _, _, name in sorted(self.collections._collections):
            documents: dict[str, dict[int, Any]] = defaultdict(dict)
            for record_id, (text, told) in self.records(name).items():
                document_id, place = split_record_id(record_id)
                if place is not None and "s3sync_etag" in told:
                    documents[document_id][place] = (text, told)
            for document_id, records in documents.items():
                count = records.get(0, ("", {}))[1].get("s3sync_chunk_count")
                etags = {told["s3sync_etag"] for _, told in records.values()}
                if len(records) == count == max(records) + 1 and len(etags) == 1:
                    parts = tuple(records[place][0] for place in range(count))
                    key = str(records[0][1]["document_key"])
                    found[f"{name} {document_id}"] = {Text(key, etags.pop(), parts)}
        return found

    def check_texts(self) -> None:
        """Raise AssertionError where a text is lost; take note of those that are committed now."""
        there = self.there()
        whole = set[Text]().union(*there.values())
        asked = self._asked()
        lost = {one for one in self.texts - whole if one.key not in self.asked | asked}
        self.asked = asked
        if self.source.mode is not DeleteMode.APPEND:
            # What an object has is written over what it had; only one that is gone has a last word.
            objects = self.bucket.objects()
            keys = {one.key for one in whole}
            lost = {one for one in lost if one.key not in keys and one.key not in objects}
            lost = {one for one in lost if not self._crawled_before_it_went(one.key)}
        self.hold(not lost, f"texts are lost: {sorted(map(str, lost))}")
        self.texts &= whole
        for one in self.catalog.documents.of_source(self.source.id):
            if one.phase is DocumentPhase.CLEAN:
                place = f"{one.collection_name} {one.document_id}"
                self.texts |= {text for text in there.get(place, set()) if text.etag == one.etag}

    def _crawled_before_it_went(self, key: str) -> bool:
        """Return whether a crawl may still have a last version, of which Chroma refuses a record.

        It is written although its page is gone since: a site's pages are read before a batch is.
        """
        versions = self.history.get(key, [])
        return isinstance(self.place, Sites) and bool(versions) and REFUSED in versions[-1]

    def _asked(self) -> set[str]:
        query = sa.select(invocations.c.object_key).where(
            invocations.c.automatic.is_(False), is_live
        )
        with self.catalog.database.read() as tx:
            return set(tx.execute(query).scalars())


def run_keeping(seed: int, steps: int) -> KeepingWorld:
    """Run a world of a mode that keeps texts, and look after each step that none is lost."""
    chance = random.Random(seed)
    mode = chance.choice([DeleteMode.APPEND, DeleteMode.KEEP_DELETED])
    auto_sync = chance.choices([AutoSync.DIRECT, AutoSync.METADATA], (4, 1))[0]
    source = SOURCE.with_changes(mode=mode, auto_sync=auto_sync)
    world = KeepingWorld(source, seed)
    world.keys = world.keys[:3]  # the more often one is met
    with replayable(world, f"run_keeping({seed}, {steps}), mode {mode}, auto_sync {auto_sync}"):
        for _ in range(steps):
            act(world, chance, weights=KINDS)
            world.check_texts()
        for _ in range(3):
            world.settle(events=False)
            world.check_texts()
    return world
