"""How a world comes to its rest: the dispatcher's housekeeping, syncs, and everybody's end."""

from dataclasses import dataclass
from typing import Any

from s3sync_dagster.core.patience import is_due, longest_wait
from s3sync_dagster.core.state import CheckCursor, KnownCollection
from s3sync_dagster.engine.deleting import sweep, take_down
from s3sync_dagster.engine.dispatching import reap
from s3sync_dagster.engine.listing import continue_listing
from s3sync_dagster.engine.listing_turns import list_whole
from s3sync_dagster_tests.simulation.learning import PAGE_KEYS


@dataclass
class Reaped:
    """The catalog as the reaper sees it; the world counts the deaths."""

    world: Any

    @property
    def batches(self) -> "Reaped":
        return self

    def live(self, **options: Any) -> Any:
        return self.world.catalog.batches.live(**options)

    def release(self, token: str, *, died: bool) -> bool:
        assert died
        return self.world.release_dead(token)


class Rest:
    """The ways to a world's rest."""

    def wait(self, seconds: float) -> None:
        self.note(f"wait {seconds}")
        self.clock.seconds += seconds

    def keep_house(self) -> None:
        """Release batches whose lease has ended, ask for what was left not clean."""
        for dead in reap(
            Reaped(self),
            clock=self.clock,
            is_dead=lambda _owner: None,  # as another host sees it, whoever lives
            run_state=lambda *_: "unknown",
        ):
            self.note(f"a batch is released: {dead.why}")
        sweep(catalog=self.catalog, collections=lambda: self.collections)
        if self.catalog.sources.deleting(self.source.id) is not None:
            self._take_down()
            return
        self.end_move(now=False)
        self.catalog.documents.enqueue_unclean(self.source.id)
        self.catalog.work.ask_again_where_answered(self.source.id)

    def _take_down(self) -> None:
        for _ in range(2):  # what a lying Chroma had left goes, and is looked for again
            line = take_down(
                self.source,
                catalog=self.catalog,
                collections=lambda: self.collections,
                clock=self.clock,
                drop_partitions=lambda _until: True,
                log=self.note,
            )
            if not line.endswith("looked for again"):
                break
        if line.endswith("is deleted"):
            self.make_again()

    def sync_once(self) -> None:
        """List once while others are still at work, then let all of it end: what `sync` does."""
        self.note("sync once")
        self.free_disk()
        self.weather.on = False
        self.place.calm()
        self.wait(4000)
        for _ in range(20):  # what is left of it is looked for until nothing is
            if self.catalog.sources.deleting(self.source.id) is None:
                break
            self.finish_all()
            self.keep_house()
        list_whole(
            self.listing_parts(),
            self.source,
            approve_deletes=True,
            reindex=self.edited,
            page_keys=PAGE_KEYS,
        )
        self.finish_all()
        started = self.started
        self._outlive()
        while self.start_batch(max_keys=500, ignore_backoff=True):
            assert self.started < started + 300, "the batches come to no end"
            self.finish_all()
            self._outlive()

    def _outlive(self) -> None:
        """Wait for the leases of workers of another host, whose death nobody here has seen."""
        if self.catalog.batches.live(source_id=self.source.id):
            self.wait(130)
        self.keep_house()

    def finish_all(self) -> None:
        """Let every worker come to its end."""
        while self.workers:
            self._to_its_end(self.workers[0])

    def settle(self, *, events: bool) -> None:
        """Let everybody finish, then list and work until nothing is left to do."""
        self.note("settle")
        self.free_disk()
        self.weather.on = False
        self.place.calm()
        self.catalog.sources.set_paused(self.source.id, paused=False)
        self.finish_all()
        self._come_to_rest(events=events)
        self.wait(130)
        self.keep_house()
        self.check_moved()
        self._finish_moves()
        if self.disturbed or self.weather.lies:
            self._look_at_all()
        # Of what nobody has any more only this can know.
        if "delete" in self.weather.lies or self.unverified:
            self.verify_and_fix()
            self._come_to_rest(events=False)
        self.weather.lies.clear()
        self.away = self.disturbed = self.unverified = False

    def _finish_moves(self) -> None:
        """Let moves end; what is refused for its configuration holds one up until a person acts."""
        for _ in range(20):
            if not (before := self.catalog.moves.left_by(self.source.id)):
                return
            self.wait(130)
            self.end_move(now=True)
            self._come_to_rest(events=False)
        left = [row for one in before for row in self.catalog.documents.of_source(one.id)]
        failed = self.catalog.views.counts(self.source.id).failed
        assert not left, f"a move comes to no end: {left}"
        assert "record_ids_taken" in failed, "a move comes to no end"

    def _look_at_all(self) -> None:
        """Let the check go round until it finds nothing more, with no help of a person.

        Only a round from the beginning tells: one that a look of before had begun has what was
        spoilt since behind it.
        """
        begun, done = self._at_beginning(), set()
        for _ in range(100):
            self.wait(90_000)
            found = self.look_at_records(self.collections)
            self._come_to_rest(events=False)
            here = self._at_beginning()
            done = set() if found else done | (begun & here)
            begun = here if found else begun | here
            if done >= {known for known, _ in self._checked_collections()}:
                return
        raise AssertionError("the check does not come to its end")

    def _at_beginning(self) -> set[KnownCollection]:
        return {known for known, at in self._checked_collections() if at == CheckCursor()}

    def _checked_collections(self) -> list[tuple[KnownCollection, CheckCursor]]:
        return self.catalog.collections.due_for_check(self.source.id, interval_seconds=0)

    def _come_to_rest(self, *, events: bool) -> None:
        if events:
            for _ in range(100):
                self.wait(60)
                if not self.queue.bodies():
                    break
                self._intake()
        before, quiet = self.started, 0
        for _ in range(60):
            self.wait(4000)
            self.keep_house()
            worked = self._quiet_listing()
            # In some worlds nobody is there who hurries what waits for its time.
            while self.start_batch(max_keys=500, ignore_backoff=self.lot % 2 == 0):
                worked = True
                assert self.started < before + 500, "the batches come to no end"
                self.finish_all()
                self.keep_house()
            quiet = 0 if worked or self._waits_for_its_time() else quiet + 1
            if quiet >= self.place.listings_to_know or (worked and self._only_refused()):
                return
        raise AssertionError(f"the world does not come to rest: {self._at_work()}")

    def _quiet_listing(self) -> bool:
        progress = continue_listing(
            self.source,
            catalog=self.catalog,
            store=self.store,
            clock=self.clock,
            owner="quiet",
            fresh=True,
            approve_deletes=True,
            reindex=self.edited,
            page_keys=PAGE_KEYS,
        )
        if progress is None:  # another one lists at this moment, or the source goes
            return self.catalog.sources.deleting(self.source.id) is not None
        assert progress.done
        return self.catalog.invocations.live_count(self.source.id) > 0

    def _waits_for_its_time(self) -> bool:
        """Where a clock was put back what has failed is due later than any of the waits here."""
        now = self.clock.now().timestamp()
        failed = self.catalog.views.object_rows(self.source.id, state="failed")
        return any(
            not is_due(row.next_retry_at, now=now, at_most=longest_wait("failed")) for row in failed
        )

    def _at_work(self) -> str:
        rows = self.catalog.views.object_rows(self.source.id)
        return ", ".join(f"{row.object_key}: {row.state} {row.reason}" for row in rows)

    def _only_refused(self) -> bool:
        """What configuration causes is tried again for ever; all the rest has come to its end."""
        self.rounds = getattr(self, "rounds", 0) + 1
        if self.rounds <= 8:
            return False
        return "record_ids_taken" in self.catalog.views.counts(self.source.id).failed
