"""Verification: what is missing, changed or left over; nobody else's records are touched."""

import shutil
import uuid
from dataclasses import replace

import pytest

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.core.plan import plan_writes
from s3sync_dagster.core.records import build_records
from s3sync_dagster.core.state import DocumentPhase, DocumentState
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.engine.verifying import places_of, verify_collection
from s3sync_dagster.model.document import Chunk, Record
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports.chroma import open_collections
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import s3_source

EMBEDDER = open_embedder(EmbeddingConfig(kind="hash"))
SOURCE = s3_source(id="s1", name="docs", bucket_name="b", collection_name="c")


class Documents:
    """The catalog's documents, as far as verification asks."""

    def __init__(self):
        self.rows: list[DocumentState] = []
        self.distrusted: list[str] = []
        self.keys_of_distrusted: dict[str, tuple[str, ...]] = {}

    def removal_blocked(self, source_id):
        return False

    def listing_asked(self, source_id):
        return False

    def objects_there(self, source_id, keys):
        return {}

    def of_source(self, source_id, *, after_id=0, limit=1000):
        rows = [r for r in self.rows if r.source_id == source_id and r.id > after_id]
        return rows[:limit]

    def of_key(self, source_id, object_key):
        return [r for r in self.rows if (r.source_id, r.object_key) == (source_id, object_key)]

    def written_by(self, source, collection_name, document_ids, *, collection_id):
        return {}

    def ended(self):
        return {}

    def holders(self, place, document_ids):
        return [r for r in self.rows if r.document_id in document_ids]

    def begin_deletion(self, place):
        return None

    def end_deletion(self, place, since):
        assert since is None

    def read_back(self, source, found, *, collection_name, collection_id):
        assert not found  # of a source whose mode keeps nothing that is gone
        return 0

    def distrust(self, states, *, spoilt=False):
        self.distrusted += [state.object_key for state in states]
        self.keys_of_distrusted |= {state.object_key: state.metadata_keys for state in states}


@pytest.fixture(params=["memory", "server"])
def collection(request):
    if request.param == "memory":
        collections = MemoryCollections()
    else:
        collections = open_collections(url=request.getfixturevalue("chroma_server"))
    place = {"tenant": "default_tenant", "database": "default_database"}
    yield collections.open(f"c-{uuid.uuid4().hex}", **place, embedder=EMBEDDER)
    collections.close()


@pytest.fixture
def documents():
    return Documents()


def write(collection, documents, key, count, source=SOURCE, phase=DocumentPhase.CLEAN):
    chunks = [
        Chunk(
            index=n, text=f"{key} {n}", start_line=1, end_line=1, start_col=1, end_col=9,
            start_byte=0, end_byte=9, strategy="lines", page="1" if n else None,
        )
        for n in range(count)
    ]  # fmt: skip
    user = {"team": "x", "weight": 1.0, "big": 2**62, "tags": ["a", "b"], "on": True}
    records = build_records(
        source, object_key=key, document_id=key, etag="e", version_key="e", custom_id=None,
        metadata=user, chunks=chunks,
    )  # fmt: skip
    blank = DocumentState(
        id=len(documents.rows) + 1, source_id=source.id, object_key=key, tenant="t",
        database_name="d", collection_name=collection.name, document_id=key, custom_id=None,
        metadata={}, owner="source", phase=phase, etag="e", fingerprint="f",
    )  # fmt: skip
    digests = plan_writes(blank, records).digests
    documents.rows.append(replace(blank, count=count, high_water=count, digests=digests))
    collection.upsert(records, EMBEDDER.embed_documents([r.document for r in records]))


def verify(collection, documents, **options):
    return verify_collection(SOURCE, collection=collection, documents=documents, **options)


def test_a_sound_collection_is_sound(collection, documents):
    write(collection, documents, "a", 3)
    write(collection, documents, "b", 1)
    found = verify(collection, documents, fix=True)
    assert found.sound
    assert not found.fixed
    assert (found.documents, found.records, found.in_work) == (2, 4, 0)
    assert documents.distrusted == []


def test_lost_and_changed_records_are_written_again_and_strays_deleted(collection, documents):
    for key in ("whole", "lost", "altered", "both"):
        write(collection, documents, key, 3)
    write(collection, documents, "forgotten", 2)
    documents.rows.pop()
    collection.delete(["lost-1", "both-2"])
    collection.update_metadata(["altered-0", "both-0"], [{"team": "y"}, {"page": None, "n": 1}])
    found = verify(collection, documents)
    assert sorted(found.missing) == ["both", "lost"]
    assert found.changed == ["altered"]
    assert sorted(found.stray) == ["forgotten-0", "forgotten-1"]
    assert not found.fixed
    assert collection.count() == 12

    found = verify(collection, documents, fix=True)
    assert found.fixed
    assert sorted(documents.distrusted) == ["altered", "both", "lost"]
    assert "n" in documents.keys_of_distrusted["both"]  # so that the next write clears it
    assert "n" not in documents.keys_of_distrusted["lost"]
    assert collection.count() == 10
    assert collection.get(["forgotten-0"]) == {}


def test_records_beyond_the_count_are_strays(collection, documents):
    write(collection, documents, "a", 3)
    documents.rows[0] = replace(documents.rows[0], count=2, high_water=2)
    assert verify(collection, documents).stray == ["a-2"]


def test_what_others_wrote_is_not_looked_at(collection, documents):
    write(collection, documents, "mine", 1)
    other = SOURCE.with_changes(id="s2", name="other")
    write(collection, documents, "theirs", 2, source=other)
    documents.rows.pop()
    nobody = Record(id="x", document="x", embedding_text="x", metadata={"n": 1})
    collection.upsert([nobody], EMBEDDER.embed_documents(["x"]))
    found = verify(collection, documents, fix=True)
    assert found.sound
    assert found.records == 1
    assert collection.count() == 4


def test_records_of_sources_that_the_catalog_does_not_know_are_counted(collection, documents):
    write(collection, documents, "mine", 1)
    for name, count in (("known", 2), ("unknown", 3)):
        write(collection, documents, name, count, source=SOURCE.with_changes(id=name, name=name))
    nobody = Record(id="x", document="x", embedding_text="x", metadata={"n": 1})
    collection.upsert([nobody], EMBEDDER.embed_documents(["x"]))
    found = verify(collection, documents, fix=True, known_sources={SOURCE.id, "known"})
    assert found.unknown_sources == {"unknown": 3}
    assert found.sound
    assert (found.records, found.expected, found.met) == (1, 1, 1)
    assert collection.count() == 7
    assert verify(collection, documents).unknown_sources == {}


def test_a_catalog_that_was_restored_from_before_the_first_document_finds_all_of_it(tmp_path):
    world = make_world(url=f"sqlite:///{tmp_path}/catalog.db")
    world.catalog.close()
    shutil.copy(tmp_path / "catalog.db", tmp_path / "older.db")
    world.catalog = open_catalog(f"sqlite:///{tmp_path}/catalog.db", clock=world.clock)
    world.bucket.put("a.txt", "text")
    world.sync()
    world.bucket.delete("a.txt")
    world.catalog.close()
    for name in ("catalog.db-wal", "catalog.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "older.db", tmp_path / "catalog.db")
    world.catalog = open_catalog(f"sqlite:///{tmp_path}/catalog.db", clock=world.clock)
    world.sync()
    (place,) = places_of(world.source, documents=world.catalog.documents, known=())
    tenant, database, name = place
    port = world.collections.open(
        name, tenant=tenant, database=database, embedder=EMBEDDER, create=False
    )
    found = verify_collection(
        world.source, collection=port, documents=world.catalog.documents, fix=True
    )
    assert len(found.stray) == 1
    assert world.texts() == {}
    world.catalog.close()


@pytest.mark.parametrize("phase", [DocumentPhase.WRITING, DocumentPhase.REMOVING])
def test_documents_in_work_are_not_judged(collection, documents, phase):
    write(collection, documents, "a", 3, phase=phase)
    collection.delete(["a-1"])
    found = verify(collection, documents, fix=True)
    assert found.sound
    assert (found.documents, found.in_work) == (0, 1)


class Meanwhile(Documents):
    """A catalog in which work goes on between the scan and the second look."""

    def __init__(self):
        super().__init__()
        self.then = None

    def of_key(self, source_id, object_key):
        if self.then:
            self.then()
        return super().of_key(source_id, object_key)


def test_work_that_went_on_meanwhile_explains_what_it_touched(collection):
    documents = Meanwhile()
    write(collection, documents, "a", 2)
    collection.delete(["a-1"])
    documents.then = lambda: documents.rows.__setitem__(0, replace(documents.rows[0], etag="e2"))
    found = verify(collection, documents, fix=True)
    assert found.sound
    assert documents.distrusted == []


def test_records_that_came_back_meanwhile_are_not_missing(collection):
    documents = Meanwhile()
    write(collection, documents, "a", 2)
    kept = collection.get(["a-1"], documents=True)["a-1"]
    record = Record(id="a-1", document=kept.document, embedding_text="x", metadata=kept.metadata)
    collection.delete(["a-1"])
    documents.then = lambda: collection.upsert([record], EMBEDDER.embed_documents(["x"]))
    assert verify(collection, documents, fix=True).sound


@pytest.mark.parametrize("index", ["00", "-0", "+0", "²", "٠", "1e0", "9" * 30])
def test_a_record_whose_id_only_looks_like_another_s_is_a_stray(index):
    world = make_world()
    world.bucket.put("a.txt", "text")
    world.sync()
    (record_id,) = world.texts()
    place = {"tenant": world.source.tenant, "database": world.source.database_name}
    port = world.collections.open("docs", **place, embedder=world.embedder)
    forged = Record(
        id=f"{record_id.rpartition('-')[0]}-{index}",
        document="x",
        embedding_text="x",
        metadata=world.metadata()[record_id],
    )
    port.upsert([forged], world.embedder.embed_documents(["x"]))
    port.delete([record_id])
    found = verify_collection(world.source, collection=port, documents=world.catalog.documents)
    assert not found.sound
    # "-0" is that of another document, whose text stays until this one is whole
    left = found.held_back if index == "-0" else found.stray
    assert (len(found.missing), len(left)) == (1, 1)
    world.catalog.close()
