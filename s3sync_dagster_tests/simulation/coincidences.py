"""Coincidences: what seldom meets at one moment, brought together on purpose.

Each is the story that a rule of the engine is for; by chance alone a world would wait for it for
thousands of seeds. All of it is work that others may do beside it.
"""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.engine.listing import continue_listing
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.simulation.hosts import WRONG_DATE
from s3sync_dagster_tests.simulation.learning import PAGE_KEYS
from s3sync_dagster_tests.simulation.ports import sim_store
from s3sync_dagster_tests.simulation.worker import Worker

LATE_KEY = "0 late.txt"
"""Of the first page that a listing asks for."""

IN_ANOTHER_COLLECTION = sa.text(
    "SELECT d.object_key FROM documents d JOIN collections c ON c.source_id = d.source_id "
    "AND c.tenant = d.tenant AND c.database_name = d.database_name "
    "AND c.collection_name = d.collection_name WHERE d.phase = 'clean' "
    "AND d.collection_id IS NOT NULL AND d.collection_id <> c.collection_id"
)


class Coincidences:
    """Two or three that meet at a moment at which one of them is about to be wrong."""

    def replace_beneath_writer(self, changes: dict[str, str | None]) -> None:
        """Let a collection be made anew when what went into the one before awaits its commit."""
        with self._fine_weather():
            writer = self._worker_on(changes)
            if writer is None or not self._walk(writer, ("at before_commit",)):
                return
            self.make_collection_anew(self.source.collection_name)
            self._to_its_end(self._start("a look at collections", self._look))
            self._to_its_end(writer)
        self.check_trusted()

    def _look(self) -> None:
        self.look_at_collections(self.sim_collections())

    def check_trusted(self) -> None:
        """Raise AssertionError where what went into another collection counts as written."""
        with self.catalog.database.read() as tx:
            found = tx.execute(IN_ANOTHER_COLLECTION).scalars().all()
        assert not found, f"trusted, and written to a collection that is no more: {found}"

    def grow_into_stray(self, place: int, keys: Collection[str]) -> None:
        """Let a document get a record under the id of a stray that is just being deleted."""
        source = self.source
        clean = [
            one
            for one in self.catalog.documents.of_source(source.id)
            if one.phase is DocumentPhase.CLEAN
            and one.collection_name == source.collection_name
            and one.object_key in keys
        ]
        if not clean or self.existing(source.collection_name) is None:
            return
        document = clean[place % len(clean)]
        stray = f"{document.document_id}-{document.count}"
        if stray in self.records(source.collection_name):
            return
        self.note(f"somebody puts {stray} back, which nothing asks for")
        port = self.open(source.collection_name)
        told = {"s3sync_source": source.id, "document_key": document.object_key}
        record = Record(id=stray, document="stray", embedding_text="stray", metadata=told)
        port.upsert([record], self.embedder.embed_documents(["stray"]))
        with self._fine_weather():
            self.start_verify()
            fixer = self.workers[-1]
            if self._walk(fixer, ("before delete",)):
                parts = [f"part {n} of what grew" for n in range(document.count + 2)]
                self.work_through({document.object_key: "\n\n".join(parts)}, max_keys=500)
                self._to_its_end(fixer)
        there = self.records(source.collection_name)
        grown = any(
            one.phase is DocumentPhase.CLEAN and one.count > document.count
            for one in self.catalog.documents.of_key(source.id, document.object_key)
            if one.document_id == document.document_id and one.collection_name == port.name
        )
        self.hold(stray in there or not grown, f"{stray} went, and its document is trusted")
        if there.get(stray, ("",))[0] == "stray":
            self.open(source.collection_name).delete([stray])

    def hide_from_remover(self, key: str) -> None:
        """Let something before Chroma answer 404 to who has come to take records away."""
        stored = self.catalog.documents.of_source(self.source.id)
        keys = [one.object_key for one in stored if one.object_key not in self.pillar_texts]
        key = key if key in keys else next(iter(keys), key)
        before = [one for one in stored if one.object_key == key]
        with self._fine_weather():
            remover = self._worker_on({key: None}) if before else None
            if remover is None or not self._walk(remover, ("at claimed_removal",)):
                return
        self.weather.front("chroma", "404 of a proxy", calls=1)
        self._to_its_end(remover)
        # Another key's by now, maybe: a sidecar gives it the same id.
        stored = self.catalog.documents.of_source(self.source.id)
        known = {(one.collection_name, one.document_id) for one in stored}
        for one in before:
            left = f"{one.document_id}-0" in self.records(one.collection_name)
            lost = left and (one.collection_name, one.document_id) not in known
            lost = lost and "delete" not in self.weather.lies  # then Chroma said that it was done
            self.hold(not lost, f"records of {key} are forgotten, and there: {one.collection_name}")

    def fail_under_wrong_clock(self, changes: dict[str, str | None]) -> None:
        """Let a bucket not answer and a host die while the clock shows another date.

        Then the clock is put right: nothing waits for that date.
        """
        if self.weather.on:
            self.jump(WRONG_DATE)
            self.start_check()
            self._to_its_end(self.workers[-1])
            if self.start_batch(max_keys=1):
                self._lose_host_of(self.workers[-1])
            self.weather.front("s3", "500", calls=100)
            self.work_through(changes, max_keys=500)
            self.weather.coming.pop("s3")
            self.jump(-WRONG_DATE)

    def write_late(self, key: str) -> None:
        """Let a worker that was thought dead write while the next one awaits its commit."""
        told = f"written at {self.clock.seconds}"
        with self._fine_weather():
            late = self._worker_on({key: f"not yet {told}"})
            if late is None or not self._walk(late, ("before upsert",)):
                return
            self.wait(130)
            self.keep_house()
            following = self._worker_on({key: told})
            if following is not None and self._walk(following, ("at before_commit",)):
                self._to_its_end(late)
                self._to_its_end(following)
        self.check_written({key: told})

    def tell_during_page(self) -> None:
        """Let an object come, be told and indexed while a page is under way that has it not."""
        if not self.pillars or self.away or self.source.document_limit is not None:
            return
        late = self.place.key(LATE_KEY)
        with self._fine_weather():
            lister = self._start("listing in one go", self._list_in_one_go)
            if not self._walk(lister, ("after LIST",)):
                return
            self.work_through({late: "it came late"}, max_keys=500)
            came = self._has(late)
            self._to_its_end(lister)
            for _ in range(3):
                if came and self.start_batch(max_keys=500):
                    self._to_its_end(self.workers[-1])
            still = self._has(late)
        self.hold(still or not came, f"{late} went by the word of an older page")
        self.delete(late)

    def replace_pillars(self, *, told: bool) -> None:
        """Let all that nobody touches be deleted and put again, with its work waiting.

        Only a queue tells of removals that may be older than what is there. Where nobody is told
        that the objects are back, a listing sees it.
        """
        if not self._has_queue():
            return
        self.replaced = True
        with self._fine_weather():
            for change in (self.delete, lambda key: self.put(key, self.pillar_texts[key])):
                for key in self.pillar_texts:
                    change(key)
                if change == self.delete or told:
                    self._to_its_end(self._start("intake", self._intake))
            if not told:
                self.queue._kept.clear()
                self.list_unasked()

    def lose_sidecars_while_kept(self, collection: str) -> None:
        """Let sidecars of what nobody touches go while the source's mode keeps their documents.

        Under the mode of before a listing alone may end these, whatever else asks for them.
        """
        told = self.source.auto_sync is AutoSync.DIRECT and self._has_queue()
        if self.away or not self.pillars or not told:
            return
        self.finish_all()
        if self.catalog.sources.deleting(self.source.id) is not None:
            return
        mode, claims = self.source.mode, dict[str, str | None]()
        for number, key in enumerate(self.pillar_texts):
            said = {"version": "chroma-v1", "id": f"kept {number}", "path": key}
            claims[f"{key}.meta.json"] = json.dumps({**said, "target_collection_name": collection})
        with self._fine_weather():
            self.configure(mode=DeleteMode.KEEP_DELETED)
            self.work_through(claims, max_keys=500)
            self.work_through(dict.fromkeys(claims), max_keys=500)
            kept = self._of_pillars(collection)
            self.configure(mode=mode)
            for key in self.pillar_texts:
                self.look_again(key)
            for _ in range(3):
                if self.start_batch(max_keys=500):
                    self._to_its_end(self.workers[-1])
            lost = kept - self._of_pillars(collection)
        self.hold(not lost, f"kept, and gone by no word of a listing: {sorted(lost)}")

    def return_while_leaving(self, *, approved: bool) -> None:
        """Let all objects be away, and come back before anybody has removed what may go.

        Then a person leaves all of them out by mistake, which no listing lets pass.
        """
        self.finish_all()
        if self.catalog.sources.deleting(self.source.id) is not None:
            return
        with self._fine_weather():
            held = self.place.mount(self.place.new(self.bucket.name))
            self._list_until_known()
            self.note_shown()
            if approved:
                self.approve()
            self.place.mount(held)
            self.list_unasked()
            globs = self.source.exclude_globs
            self.configure(exclude_globs=("*", "**"))
            self.list_unasked()
            for _ in range(3):
                if self.start_batch(max_keys=500, ignore_backoff=True):
                    self._to_its_end(self.workers[-1])
            self.check_pillars("what was left out by mistake")
            self.configure(exclude_globs=globs)
            self.list_unasked()

    def _has_queue(self) -> bool:
        """Return whether a queue tells of each change, which alone tells of what was before."""
        return self.source.place.watched() is None and self.place.news() is None

    def _of_pillars(self, collection: str) -> set[str]:
        """Return the records of sidecars' documents of what nobody touches."""
        told = self.records(collection).items()
        return {
            name
            for name, (_, metadata) in told
            if metadata.get("document_key") in self.pillar_texts and name.startswith("kept ")
        }

    def _lose_host_of(self, worker: Worker) -> None:
        """Let nobody see that a worker dies: its lease ends."""
        self.note(f"{worker.name} dies with its host")
        worker.kill()
        self.workers.remove(worker)
        del self.tokens[worker]

    def _list_in_one_go(self) -> None:
        continue_listing(
            self.source,
            catalog=self.sim_catalog,
            store=sim_store(self.store, self.weather),
            clock=self.clock_of_process(),
            owner=self._name(),
            fresh=True,
            approve_deletes=True,
            page_keys=PAGE_KEYS,
        )

    def _worker_on(self, changes: dict[str, str | None]) -> Worker | None:
        """Let changes be told, and somebody begin to work on them; None: nothing is to do."""
        self._change(changes)
        self._to_its_end(self._start("intake", self._intake))
        return self.workers[-1] if self.start_batch(max_keys=500) else None

    @contextmanager
    def _fine_weather(self) -> Iterator[None]:
        on, self.weather.on = self.weather.on, False
        self.place.calm()
        try:
            yield
        finally:
            self.weather.on = on
