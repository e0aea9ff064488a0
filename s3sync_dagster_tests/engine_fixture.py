"""A world of fast fakes around the real engine: bucket, catalog, collection, hand-moved clock."""

from dataclasses import dataclass, field

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.core.patience import Patience
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.batch.run import sync_batch
from s3sync_dagster.engine.identity import check_collections
from s3sync_dagster.engine.listing import continue_listing
from s3sync_dagster.model.document import Chunk, Document, Record
from s3sync_dagster.model.errors import UnreadableFile
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import EmbeddingConfig, Source
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore
from s3sync_dagster_tests.conftest_catalog import HandClock
from s3sync_dagster_tests.fresh_catalogs import fresh_catalog
from s3sync_dagster_tests.sources import changed, s3_source


def poison_record(collection, embedder, record_id):
    """Put another text under a record's id in a collection."""
    (there,) = collection.get([record_id], documents=False).values()
    record = Record(
        id=record_id, document="poisoned", embedding_text="poisoned", metadata=there.metadata
    )
    collection.upsert([record], embedder.embed_documents(["poisoned"]))


def text_extractor(content, *, name, content_type=None, config, pool, room=None):
    """Decode UTF-8; what begins with BAD cannot be read."""
    data = content if isinstance(content, bytes) else content.read_bytes()
    if data.startswith(b"BAD"):
        raise UnreadableFile(f"{name!r} is damaged", reason="damaged")
    if room is not None:
        room.wait(5 * len(data))
    return Document(text=data.decode(), format="text")


def paragraph_chunker(document, *, object_key, config, limits, pool=None):
    """Make a chunk of each paragraph: tests know how many there are."""
    return [
        Chunk(
            index=index,
            text=text,
            start_line=index + 1,
            end_line=index + 1,
            start_col=1,
            end_col=1,
            start_byte=0,
            end_byte=0,
            strategy="lines",
        )
        for index, text in enumerate(one for one in document.text.split("\n\n") if one.strip())
    ]


@dataclass
class World:
    """One source, one bucket, one collection."""

    source: Source
    bucket: MemoryBucket
    catalog: Catalog
    collections: MemoryCollections
    clock: HandClock
    reports: list[KeyOutcome] = field(default_factory=list)
    at: object = None
    fault: object = None
    """Called with kind and key before each S3 request; may raise."""

    def __post_init__(self):
        self.store = MemoryObjectStore(self.bucket, fault=self._fault)
        self.embedder = open_embedder(EmbeddingConfig(kind="hash"), model_dir=None)

    def _fault(self, kind, key):
        if self.fault is not None:
            self.fault(kind, key)

    def engine(self, **changes) -> BatchParts:
        values = {
            "source": self.source,
            "catalog": self.catalog,
            "store": self.store,
            "collections": self.collections,
            "embedder": self.embedder,
            "extractor": text_extractor,
            "chunker": paragraph_chunker,
            "pool": None,
            "clock": self.clock,
            "threads": 1,
            "report": self.reports.extend,
            "patience": Patience(tries=1),
        }
        if self.at is not None:
            values["at"] = self.at
        return BatchParts(**{**values, **changes})

    def listing(self, **options):
        self.clock.seconds += 1
        self.check_collections()
        return continue_listing(
            self.source,
            catalog=self.catalog,
            store=self.store,
            clock=self.clock,
            owner="test",
            **options,
        )

    def check_collections(self, log=lambda _: None):
        """Look whether the collections are those that were written to, as each listing does."""
        return check_collections(
            self.source, catalog=self.catalog, collections=lambda: self.collections, log=log
        )

    def run_batches(self, **changes) -> list[KeyOutcome]:
        """Run everything that is due; returns what was reported."""
        self.reports.clear()
        while True:
            batch = self.catalog.batches.reserve(
                self.source.id, take=Take(), owner="test", run_id="run"
            )
            if batch is None:
                return list(self.reports)
            lease = Lease(batch.token, catalog=self.catalog, clock=self.clock)
            sync_batch(self.engine(**changes), lease)

    def sync(self, **options) -> dict[str, str]:
        """List and run; returns key -> state."""
        self.listing(**options)
        return {report.key: report.state for report in self.run_batches()}

    def approve(self):
        """Approve the listing that is shown as blocked; returns it, None where none is."""
        shown = self.catalog.listings.blocked(self.source.id)
        return shown and self.catalog.listings.approve(self.source.id, shown.id)

    def ask(self, *keys, **wish):
        return self.catalog.invocations.request(
            self.source, keys, trigger=wish.pop("trigger", Trigger.API), **wish
        )

    def texts(self, collection=None) -> dict[str, str]:
        """Return id -> document of all records."""
        port = self.collections.open(
            collection or self.source.collection_name,
            tenant=self.source.tenant,
            database=self.source.database_name,
            embedder=self.embedder,
        )
        ids = [record.id for page in port.scan() for record in page]
        return {name: record.document for name, record in port.get(ids, documents=True).items()}

    def poison(self, record_id):
        """Put another text under a record's id, behind the catalog's back."""
        port = self.collections.open(
            self.source.collection_name,
            tenant=self.source.tenant,
            database=self.source.database_name,
            embedder=self.embedder,
        )
        poison_record(port, self.embedder, record_id)

    def metadata(self, collection=None) -> dict[str, dict]:
        port = self.collections.open(
            collection or self.source.collection_name,
            tenant=self.source.tenant,
            database=self.source.database_name,
            embedder=self.embedder,
        )
        return {record.id: dict(record.metadata) for page in port.scan() for record in page}

    def keys_indexed(self, collection=None) -> set[str]:
        return {m["document_key"] for m in self.metadata(collection).values()}

    def configure(self, **changes):
        self.source = changed(self.source, **changes)
        self.catalog.sources.update(self.source)


def make_world(clock=None, url="sqlite://", **source_fields) -> World:
    clock = clock or HandClock()
    catalog = fresh_catalog(url, clock=clock)
    fields = {
        "id": "00000000-0000-4000-8000-000000000001",
        "name": "docs",
        "bucket_name": "bucket",
        "collection_name": "docs",
        **source_fields,
    }
    source = s3_source(**fields)
    catalog.sources.add(source)
    return World(
        source=source,
        bucket=MemoryBucket(),
        catalog=catalog,
        collections=MemoryCollections(),
        clock=clock,
    )
