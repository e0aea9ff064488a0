"""Spells: what lasts for some steps and then passes, while all else goes on."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from s3sync_dagster.core.state import ListingState
from s3sync_dagster.engine.listing import continue_listing
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.simulation.learning import PAGE_KEYS

LATE = "late.txt"
Act = Callable[[Any, random.Random], None]
MOST_PAGES = 2**30
"""SQLite's own limit."""


class Spells:
    """A full disk, and a bucket in whose place another one is mounted."""

    spell: str | None = None
    """What lasts now."""

    def have_full_disk(self, chance: random.Random, act: Act, *, steps: int) -> None:
        """Let the catalog's file grow no further: SQLite itself says what that means."""
        if self.spell is not None:
            return
        self.note("the disk is full")
        self.spell = "full disk"
        self._pragma("max_page_count = 1")  # it takes this for no more than there are
        for _ in range(steps):
            try:
                act(self, chance)
            except Unavailable as error:  # of who is no worker, as a person would see it
                self.note(f"driver stops: {error.reason}")
        self.free_disk()

    def free_disk(self) -> None:
        if self.spell == "full disk":
            self.note("the disk has room again")
            self.spell = None
            self._pragma(f"max_page_count = {MOST_PAGES}")

    def _pragma(self, words: str) -> None:
        with self.catalog.database.engine.connect() as connection:
            connection.connection.dbapi_connection.execute(f"PRAGMA {words}").fetchall()

    def have_another_bucket(self, chance: random.Random, act: Act, *, steps: int) -> None:
        """Put an empty bucket in the place of this one, without a word.

        A listing is blocked, and nobody approves it: whatever people ask for, no record goes.
        """
        if self.spell is not None or self.away or not self.pillars or not self.lists:
            return
        if self.source.mode is not DeleteMode.MIRROR:
            return
        self.finish_all()  # nobody works on the word of a person who approved before
        if self.catalog.sources.deleting(self.source.id) is not None:
            return
        if chance.random() < 0.3:
            self.return_while_leaving(approved=chance.random() < 0.7)
        if chance.random() < 0.4:
            self.replace_pillars(told=chance.random() < 0.5)
        self.note("another bucket is in its place, which is empty")
        self.spell = "another bucket"
        held = self.place.mount(self.place.new(self.bucket.name))
        if self._list_until_known() is ListingState.BLOCKED:
            for _ in range(steps):
                act(self, chance)
            if chance.random() < 0.3:
                self._approve_late()
        self.finish_all()
        self.note("the bucket is back")
        self.place.mount(held)
        self.spell = None
        if self.list_unasked() is not None:
            rows = self.catalog.views.object_rows(self.source.id, state="skipped", limit=1000)
            kept = {row.object_key for row in rows if row.reason == "removal_blocked"}
            kept &= held.objects().keys()
            assert not kept, f"nobody asks for what could not be read while it was away: {kept}"

    def move_elsewhere(
        self, chance: random.Random, act: Act, *, keys: Sequence[str], steps: int
    ) -> None:
        """Move the source to a bucket that has nothing of what is indexed, and back.

        It has keys that the source before knew and could not index. Nobody lets the records go.
        """
        if self.spell is not None or self.away or not self.pillars or not self.lists:
            return
        if self.source.mode is not DeleteMode.MIRROR:
            return
        self.finish_all()
        if self.catalog.sources.deleting(self.source.id) is not None:
            return
        indexed = {
            row.object_key
            for one in (self.source, *self.catalog.moves.left_by(self.source.id))
            for row in self.catalog.documents.of_source(one.id)
        }
        self.spell, other = "another bucket", self.place.new("elsewhere")
        for key in keys:
            if key not in indexed:
                other.put(key, f"{key} is there")
        held = self.place.mount(other)
        self._declare(place=self.place.declared(self.source.place, other.name))
        for _ in range(steps):
            act(self, chance)
        self.finish_all()
        self.place.mount(held)
        self.spell = None
        self._declare(place=self.place.declared(self.source.place, held.name))

    def _approve_late(self) -> None:
        """Approve what was shown, after a listing that failed has missed one thing more."""
        self.finish_all()
        on, self.weather.on = self.weather.on, False
        self.place.calm()
        self.catalog.sources.set_paused(self.source.id, paused=False)
        empty, late = self.place.new(self.bucket.name), self.place.key(LATE)
        other = self.place.mount(empty)
        other.put(late, "it came late")
        self.place.mount(other)
        self.look_again(late)
        self._work_off()
        if self._has(late):
            self.place.mount(empty)
            self.start_listing(fresh=True, approve=False, pages=9)
            lister = self.workers[-1]
            unfinished = self._walk(lister, ("after listings.commit_page",))
            self.place.mount(other)
            if unfinished:  # it has seen one wrong page, and is no evidence
                self._end(lister)
                self.catalog.listings.end_dead(self.source.id, owner=lister.name)
                self.pillars = {}  # a person lets them go
                self.approve()
                self._work_off()
                assert self._has(late), "an approval ended what it had not shown"
        self.weather.on = on

    def _work_off(self) -> None:
        while self.start_batch(max_keys=500, ignore_backoff=True):
            self.finish_all()

    def _has(self, key: str) -> bool:
        return any(
            metadata.get("document_key") == key
            for _, metadata in self.records(self.source.collection_name).values()
        )

    def _list_until_known(self) -> ListingState | None:
        """List as often as it takes here to know that what a listing lacks is gone."""
        state = self.list_unasked()
        for _ in range(1, self.place.listings_to_know):
            self.wait(4000)
            state = self.list_unasked()
        return state

    def list_unasked(self) -> ListingState | None:
        """List to the end, with removals that nobody has approved; None where another one lists."""
        self.wait(130)
        self.place.calm()
        progress = continue_listing(
            self.source,
            catalog=self.catalog,
            store=self.store,
            clock=self.clock,
            owner="quiet",
            fresh=True,
            page_keys=PAGE_KEYS,
        )
        if progress is None:
            return None
        self.note(f"a listing ends {progress.listing.state}")
        indexed = {row.object_key for row in self.catalog.documents.of_source(self.source.id)}
        unsure = self.place.listings_to_know > 1
        if self.spell == "another bucket" and indexed & self.pillar_texts.keys() and not unsure:
            assert progress.listing.state is ListingState.BLOCKED, "all may go unasked"
        return progress.listing.state
