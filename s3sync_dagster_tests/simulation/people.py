"""What people do: retry, rebuild, reindex, verify, edit, pause, delete, restore a backup."""

from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.copying import begin_anew
from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.engine.moving import finish_move
from s3sync_dagster.engine.rebuilding import recover_catalog
from s3sync_dagster.engine.verifying import verify_collection
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster_tests.simulation.safety import PREFIX
from s3sync_dagster_tests.sources import changed

OTHER_BUCKET = "bucket-eu"
NOBODYS = "readers"
"""A metadata key that no record has: where it says who may read, nobody but owners do."""


class People:
    """Commands of the command line and the console, by their use cases."""

    backup: Any = None
    """A copy of the catalog as it was."""
    unverified = False
    """True from a restore until what came and went since the backup is looked for."""
    held_back = False
    """True where that left what may be of objects that are there."""
    edited = False
    """True once the source was edited in what stands on each record."""
    deleted: int = 0
    """How often the source was deleted and made again."""
    away = False
    """True from a person's deletion of the source until it is made again and settled."""

    def retry(self) -> None:
        self.note("retry")
        self.catalog.invocations.retry_failed(self.source)

    def rebuild(self) -> None:
        self.note("rebuild")
        self.catalog.documents.distrust_all(self.source.id)
        self.catalog.invocations.retry_failed(self.source)
        self.catalog.documents.enqueue_unclean(self.source.id)

    def rebuild_catalog(self) -> None:
        """Read the documents back from the records, as after a lost catalog.

        Not before what came and went since a backup is gone: it would come back as documents with
        what the source said of their metadata then.
        """
        self.note("rebuild --catalog")
        if self.unverified:
            if self.catalog.documents.listing_asked(self.source.id):
                return
            self.verify_and_fix()
            if self.held_back:
                return
            self.unverified = False
        if self.existing(self.source.collection_name) is None:
            return
        try:
            recover_catalog(
                self.source, catalog=self.catalog, collections=self.collections, embedder=None
            )
        except NotFound as error:
            if error.reason != "source_not_found":
                raise
            self.note("refused: the source is being deleted")
            return
        self.catalog.invocations.retry_failed(self.source)

    def reindex(self, deadly: str | None = None) -> None:
        """Edit what stands on all records, and order them to be written again.

        The order travels with the work: a listing that is cut off is ordered again at the end.

        Args:
            deadly: a key whose object kills its workers from then on.
        """
        self.note("reindex")
        team = "blue" if self.source.metadata["team"] == "red" else "red"
        self.configure(metadata={"team": team})
        if deadly is not None:
            self.put(deadly, f"KILL READER since {self.clock.seconds}")
        self.edited = True
        if self.spell != "another bucket":
            self.start_listing(fresh=True, approve=False, pages=9, reindex=True)

    def pause_source(self, *, paused: bool) -> None:
        self.note(f"paused={paused}")
        self.catalog.sources.set_paused(self.source.id, paused=paused)

    @property
    def of_ended(self) -> dict[str, Any]:
        """What a person says of records of sources that are no more: nothing."""
        return {}

    def verify_and_fix(self) -> set[str]:
        """Let ``verify --fix`` look at each collection; returns the strays that it deleted."""
        self.note("verify --fix")
        found = [
            verify_collection(
                self.source,
                collection=self.open(name),
                documents=self.catalog.documents,
                fix=True,
                vectors=False,
                **self.of_ended,
            )
            for _, _, name in sorted(self.collections._collections)
        ]
        self.held_back = any(one.held_back for one in found)
        return {stray for one in found for stray in one.stray}

    def start_verify(self) -> None:
        """Let ``verify --fix`` look at the source's collection while others work."""
        source, name = self.source, self.source.collection_name

        def look() -> None:
            verify_collection(
                source,
                collection=self.sim_collections().open(
                    name,
                    tenant=source.tenant,
                    database=source.database_name,
                    embedder=None,
                    create=False,
                ),
                documents=self.sim_catalog.documents,
                fix=True,
                vectors=False,
            )

        self._start("verify --fix", look)

    def delete_source(self) -> None:
        """Have the source deleted with its records; housekeeping makes it again when it is gone."""
        if self.catalog.sources.deleting(self.source.id) is None:
            self.note("delete the source")
            self.catalog.sources.mark_deleting(self.source.id, keep_records=False)
            self.away = True

    def move_source(self, *, bucket: bool, restricted: bool) -> None:
        """Let code declare a bucket with the same objects, or other ids, and a person move it.

        Before a move is at its end, too, and back.
        """
        if self.away or self.spell is not None:
            return
        if bucket:
            name = OTHER_BUCKET if self.bucket.name != OTHER_BUCKET else "bucket"
            self.place.rename(name)
            changes: dict[str, Any] = {"place": self.place.declared(self.source.place, name)}
        else:
            changes = {"id_prefix": "" if self.source.id_prefix else PREFIX}
        self._declare(**changes, reader_keys=(NOBODYS,) if restricted else ())

    def _declare(self, **changes: Any) -> None:
        told = changes
        if "place" in changes:  # whose folder has another path in each run
            told = {**changes, "place": changes["place"].identity().bucket_name.split("/")[-1]}
        self.note(f"move the source: {told}")
        with self.catalog.database.write() as tx:
            tx.execute(sa.text("UPDATE sources SET origin = 'python' WHERE moved_to IS NULL"))
        self.catalog.sources.register(changed(self.source, **changes))
        if self.catalog.sources.refused(self.source.id) is not None:
            self.catalog.moves.begin(self.source.name)
        self.source = self.catalog.sources.find(self.source.name)

    def check_moved(self) -> None:
        """Raise AssertionError where a document of before a move stands beside its successor."""
        own = self.source.collection_name
        whole = {
            row.object_key
            for row in self.catalog.documents.of_source(self.source.id)
            if row.phase is DocumentPhase.CLEAN and row.collection_name == own
        }
        for before in self.catalog.moves.left_by(self.source.id):
            for row in self.catalog.documents.of_source(before.id):
                twice = row.collection_name == own and row.object_key in whole
                assert not twice, f"{row.object_key} is there twice"

    def check_rights(self) -> None:
        """Raise AssertionError where a record of ours is open that says to nobody that it is."""
        if not self.source.reader_keys:
            return
        rights = rights_of(self.catalog, Reader(frozenset({"somebody"})), tenant=self.source.tenant)
        ours = self.catalog.sources.ids()
        for name, (_, metadata) in self.records(self.source.collection_name).items():
            if metadata.get("s3sync_source") in ours:
                assert not rights.allow_record(metadata), f"{name} is open to everybody"

    def start_end_of_move(self) -> None:
        """Let a process see to what is left of a move, as the dispatcher does at each tick."""
        source, clock = self.source, self.clock_of_process()
        if not self.catalog.moves.left_by(source.id):
            return

        def end() -> None:
            finish_move(
                source,
                catalog=self.sim_catalog,
                collections=self.sim_collections,
                clock=clock,
                log=self.note,
            )

        self._start("the end of a move", end)

    def note_claimed_by_move(self) -> None:
        """Remember when the running process got the right to delete what is left of a move."""
        self.ending_moves[self._name()] = self.clock.now().timestamp()

    def end_move(self, *, now: bool) -> None:
        """Let what is left of a move go: unasked where all is whole, else by a person's word."""
        finish_move(
            self.source,
            catalog=self.catalog,
            collections=lambda: self.collections,
            clock=self.clock,
            log=self.note,
            now=now,
        )
        self.check_pillars("a move")

    def make_again(self) -> None:
        """Create the deleted source again, as another one."""
        self.deleted += 1
        self.source = self.source.with_changes(id=f"00000000-0000-4000-8000-1{self.deleted:011}")
        self.note(f"make the source again: {self.source.id}")
        self.catalog.sources.add(self.source)

    def back_up(self) -> None:
        """Copy the catalog."""
        self.note("back up the catalog")
        self.backup = self.source, dump_catalog(self.catalog)

    def restore(self, *, verify: bool) -> None:
        """Put an older copy in place while nobody works, and verify at once or when all is done."""
        if self.backup is None or self.backup[0].id != self.source.id or self.away:
            return
        self.free_disk()
        self.finish_all()
        if self.catalog.sources.deleting(self.source.id) is not None:
            return
        self.note("restore the catalog")
        self.source, dump = self.backup
        load_catalog(self.catalog, dump)
        self.shown.clear()  # numbers of listings come again
        begin_anew(self.catalog.database)
        for row in self.catalog.batches.live():
            self.release_dead(row.token)
        self.unverified = True  # before a listing verify leaves what only records know
        if verify:
            # What was indexed since the copy is a stray to it, until its key is worked on again.
            strays = {one.removeprefix(PREFIX) for one in self.verify_and_fix()}
            self.excused |= strays & self.pillars.keys()
        self.catalog.sources.update(self.source)


def dump_catalog(catalog: Any) -> bytes:
    """Return a copy of a catalog in memory."""
    with catalog.database.engine.connect() as connection:
        return connection.connection.dbapi_connection.serialize()


def load_catalog(catalog: Any, dump: bytes) -> None:
    """Put a copy in the place of what a catalog in memory has."""
    with catalog.database.engine.connect() as connection:
        connection.connection.dbapi_connection.deserialize(dump)
