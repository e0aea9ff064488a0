"""Who learns of changes: the queue's reader, listings, people who ask for keys."""

from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.tables import invocations, is_live
from s3sync_dagster.core.events import ObjectEvent
from s3sync_dagster.core.intake import source_events
from s3sync_dagster.engine.intake import take_messages
from s3sync_dagster.engine.listing import continue_listing
from s3sync_dagster.engine.listing_turns import ListingParts
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.simulation.hosts import Owners
from s3sync_dagster_tests.simulation.ports import SimQueue, sim_store
from s3sync_dagster_tests.simulation.worker import pause

ASKED = "asked"
"""A collection that only explicit requests name."""
PAGE_KEYS = 3


class Learning:
    """What asks for work in a world."""

    def start_intake(self) -> None:
        self._start("intake", self._intake)

    def _intake(self) -> None:
        if self.source.place.watched() is not None:
            self._watch()
            return
        if (news := self.place.news()) is not None:
            if news:
                self._list_unapproved()
            return
        take_messages(
            SimQueue(self.queue, self, bucket_name=self.source.place.bucket_name),
            [self.source],
            work=self.sim_catalog.work,
            clock=self.clock_of_process(),
            log=self.note,
            budget_seconds=20,
            work_seconds=0,  # the queue's own time will do: messages come again while others work
            at=lambda step: pause(f"at {step}"),
        )

    def _watch(self) -> None:
        """Tell what the file system has told, as ``sync --watch`` does; who dies forgets it."""
        keys = set(self.place.told)
        self.place.told.clear()
        there = self.bucket.objects()
        events = {
            key: ObjectEvent(bucket="", key=key, kind="created" if key in there else "removed")
            for key in keys
        }
        found, _ = source_events(self.source, events)
        self.sim_catalog.work.record_events(
            self.source.id,
            upserts=found.upserts,
            sync=found.sync,
            remove=found.remove,
            sequencers={},
        )

    def _list_unapproved(self) -> None:
        """List from the first page to the last, as a push or the schedule has it done."""
        clock = self.clock_of_process()
        self.look_at_collections(self.sim_collections())
        continue_listing(
            self.source,
            catalog=self.sim_catalog,
            store=sim_store(self.store, self.weather),
            clock=clock,
            owner=self._name(),
            fresh=True,
            page_keys=PAGE_KEYS,
        )

    def start_listing(
        self, *, fresh: bool, approve: bool, pages: int, reindex: bool = False
    ) -> None:
        clock = self.clock_of_process()

        def list_some() -> None:
            owner = self._name()
            self.look_at_collections(self.sim_collections())
            for _ in range(pages):
                progress = continue_listing(
                    self.source,
                    catalog=self.sim_catalog,
                    store=sim_store(self.store, self.weather),
                    clock=clock,
                    owner=owner,
                    budget_seconds=0,
                    fresh=fresh,
                    approve_deletes=approve,
                    reindex=reindex,
                    page_keys=PAGE_KEYS,
                    snapshots=self.place.snapshots(self.snapshots, far=self.is_away()),
                )
                if progress is None or progress.done or fresh:
                    return

        self._start(f"listing(fresh={fresh}, approve={approve})", list_some)

    def listing_parts(self) -> ListingParts:
        return ListingParts(
            catalog=self.catalog,
            clock=self.clock,
            owners=Owners(self),
            store_for=lambda _: self.store,
            collections=lambda: self.collections,
        )

    def note_shown(self) -> None:
        """Remember what a listing shows as soon as it is blocked."""
        if self.statements == self.looked:
            return  # nobody has asked the catalog for anything since
        listing = self.catalog.listings.blocked(self.source.id)
        if listing is not None and listing.id not in self.shown:
            keys, _ = self.catalog.listings.departing_keys(listing, limit=10_000)
            self.shown[listing.id] = frozenset(keys)
        self.looked = self.statements

    def approve(self) -> None:
        """Say yes to what is shown; AssertionError where anything else is to go with it."""
        self.note("approve deletes")
        before = self._removals_of_listings()
        blocked = self.catalog.listings.blocked(self.source.id)
        if blocked is None:
            return
        listing = self.catalog.listings.approve(self.source.id, blocked.id)
        if listing is not None and listing.id in self.shown:
            more = self._removals_of_listings() - before - self.shown[listing.id]
            assert not more, f"an approval removes what nobody was shown: {sorted(more)}"

    def _removals_of_listings(self) -> set[str]:
        query = sa.select(invocations.c.object_key).where(
            is_live, invocations.c.kind == "remove", invocations.c.trigger == "listing"
        )
        with self.catalog.database.read() as tx:
            return set(tx.execute(query).scalars())

    def ask(self, key: str, *, custom_id: str | None, words: dict[str, Any], force: bool) -> None:
        self.note(f"ask {key} custom_id={custom_id} {words} force={force}")
        self.catalog.invocations.request(
            self.source,
            [key],
            trigger=Trigger.API,
            target_collection_name=ASKED,
            custom_id=custom_id,
            metadata=words,
            force=force,
        )

    def look_again(self, key: str) -> None:
        self.note(f"look again at {key}")
        self.catalog.invocations.request(self.source, [key], trigger=Trigger.CLI)

    def configure(self, **changes: Any) -> None:
        self.note(f"configure {changes}")
        self.source = self.source.with_changes(**changes)
        self.catalog.sources.update(self.source)
