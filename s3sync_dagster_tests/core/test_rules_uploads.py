"""Uploads lie in the catalog: every worker sees them, and none takes what it lacks for gone."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.tables import upload_bytes, uploads_elsewhere
from s3sync_dagster.catalog.uploads import ROW_BYTES, ROWS_AT_ONCE
from s3sync_dagster.engine.deleting import take_down
from s3sync_dagster.model.errors import FixConfiguration, ObjectChanged
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.ports.files import EarlierUploads, IncomingFile
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore
from s3sync_dagster.ports.uploads import UploadStore, bring_uploads
from s3sync_dagster_tests.core.rules import event, states
from s3sync_dagster_tests.earlier_uploads import upload_as_before
from s3sync_dagster_tests.engine_fixture import make_world


@pytest.fixture
def world(catalog_url):
    made = make_world(url=catalog_url)
    yield made
    made.catalog.close()


def worker(world, home):
    """Return the store as a worker with that data folder has it."""
    return UploadStore(
        world.source.id, rows=lambda: world.catalog.uploads, before=home / world.source.id
    )


def upload(store, folder, key, data):
    with IncomingFile(folder) as incoming:
        incoming.write(data.encode() if isinstance(data, str) else data)
        return store.commit(incoming, key)


def stored(world):
    """Return the number of rows of bytes."""
    with world.catalog.database.read() as tx:
        return tx.execute(sa.select(sa.func.count()).select_from(upload_bytes)).scalar_one()


def from_before(world, home, names):
    """Let a host have uploads in its data folder, as the version before kept them."""
    for name in names:
        upload_as_before(home / world.source.id, name, f"text of {name}")
    with world.catalog.database.write() as tx:  # the migration notes the sources that it meets
        tx.execute(uploads_elsewhere.insert().values(source_id=world.source.id))


def test_a_worker_with_another_home_indexes_what_was_uploaded_elsewhere(world, tmp_path):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for name in ("a.md", "b.md"):
        upload(worker(world, here), here, name, f"text of {name}")
        world.ask(name)
    world.run_batches(store=worker(world, elsewhere))
    assert sorted(world.texts().values()) == ["text of a.md", "text of b.md"]
    worker(world, elsewhere).delete("a.md")
    world.ask("a.md")
    world.run_batches(store=worker(world, here))
    assert list(world.texts().values()) == ["text of b.md"]
    assert not elsewhere.exists()


def test_what_another_host_has_not_brought_yet_is_not_gone(world, tmp_path):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    indexed_at(world, here, ["a.md", "b.md"])
    assert len(world.texts()) == 2
    world.ask("a.md")
    event(world, "b.md", remove=True)
    world.run_batches(store=worker(world, elsewhere))
    assert states(world)["a.md"] == ("failed", "uploads_elsewhere")
    assert len(world.texts()) == 2
    upload(worker(world, elsewhere), elsewhere, "a.md", "a newer text of a.md")
    assert bring_uploads(here, lambda: world.catalog.uploads) == 1
    world.clock.seconds += 4000
    world.ask("a.md", "b.md", trigger=Trigger.CLI)
    world.run_batches(store=worker(world, elsewhere))
    assert sorted(world.texts().values()) == ["a newer text of a.md", "text of b.md"]
    assert not (here / world.source.id).exists()
    assert bring_uploads(here, lambda: world.catalog.uploads) == 0
    assert not world.catalog.uploads.elsewhere(world.source.id)


def indexed_at(world, home, names):
    """Let a host of the version before have uploads, and index them there."""
    from_before(world, home, names)
    indexed_before(world, names)


def indexed_before(world, names):
    """Let the version before have indexed what it read from its folder."""
    bucket = MemoryBucket()
    for name in names:
        bucket.put(name, f"text of {name}")
    world.ask(*names)
    world.run_batches(store=MemoryObjectStore(bucket))


def listed(world, home):
    """List as a worker with that data folder does; returns the refusal, None if it was whole."""
    world.store = worker(world, home)
    try:
        world.listing()
    except FixConfiguration as error:
        return error.reason
    world.run_batches(store=worker(world, home))
    return None


def test_a_host_that_brings_its_files_does_not_speak_for_another(world, tmp_path):
    one, two, three = tmp_path / "one", tmp_path / "two", tmp_path / "three"
    indexed_at(world, one, ["a.md", "b.md"])
    upload_as_before(two / world.source.id, "c.md", "text of c.md")
    indexed_before(world, ["c.md"])
    upload_as_before(three / world.source.id, "d.md", "text")
    EarlierUploads(three / world.source.id).delete("d.md")
    for home in (three, one):
        assert bring_uploads(home, lambda: world.catalog.uploads) == 1
        assert world.catalog.uploads.elsewhere(world.source.id)
        assert listed(world, home) == "uploads_elsewhere"
        assert len(world.texts()) == 3
    assert bring_uploads(two, lambda: world.catalog.uploads) == 1
    assert not world.catalog.uploads.elsewhere(world.source.id)
    assert listed(world, one) is None
    assert len(world.texts()) == 3


def test_uploads_of_a_lost_host_are_uploaded_again(world, tmp_path):
    lost, here = tmp_path / "lost", tmp_path / "here"
    indexed_at(world, lost, ["a.md", "b.md"])
    upload(worker(world, here), here, "a.md", "text of a.md")
    assert listed(world, here) == "uploads_elsewhere"
    upload(worker(world, here), here, "b.md", "text of b.md")
    assert listed(world, here) is None
    assert len(world.texts()) == 2


def test_what_another_host_would_bring_back_is_not_deleted(world, tmp_path):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    indexed_at(world, here, ["a.md"])
    with pytest.raises(FixConfiguration, match="still lie in the data folder") as caught:
        worker(world, elsewhere).delete("a.md")
    assert caught.value.reason == "uploads_elsewhere"
    worker(world, here).delete("a.md")
    assert world.catalog.uploads.page(world.source.id, limit=9) == []


@pytest.mark.parametrize("how", ["gone", "short"])
def test_a_damaged_upload_stays_and_the_others_come(world, tmp_path, caplog, how):
    indexed_at(world, tmp_path, ["a.md", "b.md"])
    folder = tmp_path / world.source.id
    [path] = [one for one in (folder / "objects").iterdir() if one.read_bytes()[-4:] == b"a.md"]
    path.unlink() if how == "gone" else path.write_bytes(b"text")
    store = worker(world, tmp_path)
    assert store.read("b.md", max_size_bytes=99).content == b"text of b.md"
    for _ in range(2):
        with pytest.raises(FixConfiguration) as caught:
            store.read("a.md", max_size_bytes=99)
        assert caught.value.reason == "uploads_elsewhere"
    [told] = caplog.messages  # once, not with each read
    assert "'a.md'" in told
    assert "upload it again" in told
    upload(store, tmp_path, "new.md", "text of new.md")
    assert store.read("new.md", max_size_bytes=99).content == b"text of new.md"
    assert world.catalog.uploads.elsewhere(world.source.id)
    upload(store, tmp_path, "a.md", "text of a.md")
    assert not world.catalog.uploads.elsewhere(world.source.id)
    assert bring_uploads(tmp_path, lambda: world.catalog.uploads) == 1
    assert not folder.exists()
    assert store.read("a.md", max_size_bytes=99).content == b"text of a.md"


def test_a_damaged_upload_that_nobody_knows_keeps_the_flag(world, tmp_path):
    from_before(world, tmp_path, ["a.md"])
    [path] = (tmp_path / world.source.id / "objects").iterdir()
    path.unlink()
    assert bring_uploads(tmp_path, lambda: world.catalog.uploads) == 0
    assert world.catalog.uploads.elsewhere(world.source.id)


def test_each_source_s_uploads_are_brought_whatever_ails_the_others(world, tmp_path, caplog):
    for name in ("0-without-source", "9-without-source"):
        upload_as_before(tmp_path / name, "x.md", "x")
    other = world.source.with_changes(id="1-unreadable", name="other", collection_name="others")
    world.catalog.sources.add(other)
    upload_as_before(tmp_path / other.id, "x.md", "x")
    (tmp_path / other.id / "index.db").write_bytes(b"no list" * 100)
    from_before(world, tmp_path, ["a.md"])
    assert bring_uploads(tmp_path, lambda: world.catalog.uploads) == 1
    assert world.catalog.uploads.find(world.source.id, "a.md") is not None
    assert len(caplog.messages) == 3
    for name in ("0-without-source", other.id, "9-without-source"):
        assert (tmp_path / name).exists()
    upload(UploadStore(other.id, rows=lambda: world.catalog.uploads, before=tmp_path / other.id),
           tmp_path, "new.md", "text")  # fmt: skip
    assert world.catalog.uploads.find(other.id, "new.md") is not None
    assert stored(world) == 2


def test_the_host_that_took_them_needs_no_order_to_bring_them(world, tmp_path):
    from_before(world, tmp_path, ["a.md"])
    world.ask("a.md")
    world.run_batches(store=worker(world, tmp_path))
    assert list(world.texts().values()) == ["text of a.md"]
    assert [one.key for one in world.catalog.uploads.page(world.source.id, limit=9)] == ["a.md"]


def test_who_dies_while_uploads_are_brought_begins_again(world, tmp_path):
    from_before(world, tmp_path, ["a.md", "b.md"])
    catalog = world.catalog.uploads

    class Dies(type(catalog)):
        def put(self, source_id, file, *, replace=True):
            if file.key == "b.md":
                raise KeyboardInterrupt
            return super().put(source_id, file, replace=replace)

    with pytest.raises(KeyboardInterrupt):
        bring_uploads(tmp_path, lambda: Dies(world.catalog.database))
    assert catalog.elsewhere(world.source.id)
    store = worker(world, tmp_path)
    assert [one.key for one in store.list_page("", start_after=None).objects] == ["a.md", "b.md"]
    assert store.read("b.md", max_size_bytes=99).content == b"text of b.md"
    assert stored(world) == 3
    world.clock.seconds += 90_000
    assert catalog.prune(older_than_seconds=86_400) == 1  # of the one that died
    assert stored(world) == 2


def test_a_file_of_many_rows_is_read_as_it_was_written(world, tmp_path):
    data = bytes(range(256)) * (ROW_BYTES * (2 * ROWS_AT_ONCE + 1) // 256) + b"end"
    store = worker(world, tmp_path)
    upload(store, tmp_path, "big.bin", data)
    body = store.read("big.bin", max_size_bytes=len(data))
    assert body.content.read_bytes() == data
    store.close()
    upload(store, tmp_path, "big.bin", "small now")
    assert stored(world) == 1
    assert store.read("big.bin", max_size_bytes=99).content == b"small now"


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(world, tmp_path):
    store = worker(world, tmp_path)
    upload(store, tmp_path, "a.bin", b"x" * (ROW_BYTES + 1))
    _, _, pieces = store.open("a.bin")
    assert len(next(pieces)) == ROW_BYTES
    upload(store, tmp_path, "a.bin", "other bytes")
    with pytest.raises(ObjectChanged):
        list(pieces)


def test_uploads_end_with_their_source(world, tmp_path):
    other = world.source.with_changes(id="other", name="other", collection_name="others")
    world.catalog.sources.add(other)
    store = worker(world, tmp_path)
    upload(store, tmp_path, "a.md", "text")
    upload(UploadStore("other", rows=lambda: world.catalog.uploads, before=tmp_path), tmp_path,
           "b.md", "text")  # fmt: skip
    world.catalog.sources.mark_deleting(world.source.id, keep_records=False)
    take_down(
        world.source, catalog=world.catalog, collections=lambda: world.collections,
        clock=world.clock, drop_partitions=lambda _until: True, log=print,
    )  # fmt: skip
    assert stored(world) == 1
    assert world.catalog.uploads.find("other", "b.md") is not None
