"""Settings to working parts: the one place that knows which adapter fills which interface.

What opens a part is imported when the part is opened: a command that reads the catalog pays for
no S3 client, no parser and no model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3sync_dagster.catalog import Catalog, open_catalog
from s3sync_dagster.catalog.quotas import ObjectQuota
from s3sync_dagster.core.declaration import CLOUD, chroma_address
from s3sync_dagster.engine.batch.enrich import load_function
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.batch.room import BatchRoom, Room
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.hybrid import Reranker
from s3sync_dagster.engine.listing_turns import ListingParts
from s3sync_dagster.engine.ports import Collections, Embedder, Queue, WorkerPool
from s3sync_dagster.engine.store_ports import ObjectStore
from s3sync_dagster.model.errors import Conflict, InvalidSetting, NotFound
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import EmbeddingConfig, Source
from s3sync_dagster.open_models import OpenModels
from s3sync_dagster.ports.open_stores import OpenStores
from s3sync_dagster.ports.source_server import server_of
from s3sync_dagster.ports.word_memory import WordMemory
from s3sync_dagster.settings import Settings

if TYPE_CHECKING:
    from s3sync_dagster.catalog.presence import Presence
    from s3sync_dagster.embedding.cache import VectorCache
    from s3sync_dagster.ports.aws_guard import AddressGuard
    from s3sync_dagster.ports.owners import Owners
    from s3sync_dagster.ports.places import Surroundings

SNAPSHOTS = "listings"
"""Folder of the home in which listings without order are sorted."""


@dataclass(slots=True)
class Parts:
    """What a process works with. Everything opens at first use and lives until ``close``."""

    settings: Settings
    clock: Clock = field(default_factory=Clock)
    connect: Callable[[], Collections] | None = field(default=None, repr=False)
    """Opens the Chroma that code names; None: the environment names it."""
    connects_to: str | None = None
    """``chroma_address`` of the one that ``connect`` opens."""
    _lock: Any = field(default_factory=threading.RLock, repr=False)
    _catalog: Catalog | None = field(default=None, repr=False)
    _collections: Collections | None = field(default=None, repr=False)
    _pool: WorkerPool | None = field(default=None, repr=False)
    _room: Room | None = field(default=None, repr=False)
    _owners: Owners | None = field(default=None, repr=False)
    _presence: Presence | None = field(default=None, repr=False)
    _words: dict[Path, WordMemory] = field(default_factory=dict[Path, WordMemory], repr=False)
    _stores: OpenStores = field(default_factory=OpenStores, repr=False)
    _queues: list[Queue] = field(default_factory=list[Queue], repr=False)
    _models: OpenModels = field(init=False, repr=False)
    _users: int = field(default=0, repr=False)
    """Who goes on beside whoever closes, see ``in_use``."""
    _to_be_closed: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        self._models = OpenModels(
            self.settings,
            database=lambda: self.catalog.database,
            api_key=self.resolve_env,
            lock=self._lock,
        )

    @property
    def catalog(self) -> Catalog:
        """The catalog, created or upgraded at the first open."""
        with self._lock:
            if self._catalog is None:
                self._catalog = open_catalog(
                    self.settings.database_url,
                    clock=self.clock,
                    quota=self._object_quota(),
                    partitions_per_asset=self.settings.partitions_per_asset,
                )
                self._catalog.sources.server_of = server_of
            return self._catalog

    def _object_quota(self) -> ObjectQuota | None:
        most = self.settings.objects_per_tenant
        if most is None:
            return None
        return ObjectQuota(most=most, exempt=self._trusted_tenants())

    def runs_of(self, tenant: str) -> int | None:
        """Return how many live batches a tenant may have; None: any number."""
        return None if self._trusts(tenant) else self.settings.runs_per_tenant

    def _trusts(self, tenant: str) -> bool:
        return not self._trusted_tenants().isdisjoint(("*", tenant))

    def _trusted_tenants(self) -> frozenset[str]:
        from s3sync_dagster.ports.aws_guard import trusted_tenants  # noqa: PLC0415  (rarely)

        return trusted_tenants(self.settings.environment)

    @property
    def owners(self) -> Owners:
        """Who is alive in this data folder."""
        from s3sync_dagster.ports.owners import Owners  # noqa: PLC0415  (see the module's first words)

        with self._lock:
            if self._owners is None:
                self._owners = Owners(self.settings.home)
            return self._owners

    def at_work(self) -> str:
        """Return this process's owner name; from now on other hosts see its end, on Postgres."""
        owner = self.owners.me()
        database = self.catalog.database
        if not database.sqlite:
            from s3sync_dagster.catalog.presence import Presence  # noqa: PLC0415  (only who works)

            with self._lock:
                if self._presence is None:
                    self._presence = Presence(database.url)
                self._presence.hold(owner)
        return owner

    def has_left(self, owner: str | None) -> bool:
        """Return whether an owner's process, on whatever host, was seen at work and is no more."""
        database = self.catalog.database
        if owner is None or database.sqlite:
            return False
        from s3sync_dagster.catalog.presence import has_left  # noqa: PLC0415  (only who reaps)

        return has_left(database.url, owner)

    @property
    def collections(self) -> Collections:
        """Chroma: the one that code names, Cloud with an API key, the server of ``chroma_url``."""
        with self._lock:
            if self._collections is None and self.connect is not None:
                self._collections = self.connect()
            if self._collections is None:
                settings = self.settings
                if settings.chroma_url is None and settings.chroma_api_key is None:
                    raise InvalidSetting(
                        "No Chroma is named: set S3SYNC_CHROMA_URL, or start `s3sync up`."
                    )
                from s3sync_dagster.ports.chroma import open_collections  # noqa: PLC0415

                self._collections = open_collections(
                    url=settings.chroma_url,
                    cloud_api_key=settings.chroma_api_key,
                    headers=settings.chroma_headers,
                )
            return self._collections

    @property
    def chroma_address(self) -> str | None:
        """Which Chroma ``collections`` opens; None where none is named."""
        settings = self.settings
        if self.connect is not None:
            return self.connects_to
        if settings.chroma_url is None and settings.chroma_api_key is None:
            return None
        return chroma_address(settings.chroma_url or CLOUD)

    def require_chroma_of(self, source: Source) -> None:
        """Refuse to work on a source's records in another Chroma than its declaration names.

        Raises:
            Conflict: this process opens another one (``other_chroma``).
        """
        declared = self.catalog.sources.declaration(source.id)
        named = declared and declared.chroma
        if named in (None, self.chroma_address) or self._has_a_collection_of(source):
            return
        way = "work on it in its code location, in Dagster's UI"
        if named.startswith("http"):
            way = f"name that one, --chroma-url {named}"
        raise Conflict(
            f"The source {source.name!r} is declared with the Chroma {named}, and this would open "
            f"{self.chroma_address}: {way}.",
            reason="other_chroma",
        )

    def _has_a_collection_of(self, source: Source) -> bool:
        """Return whether this Chroma is that of the source under another address."""
        for known in self.catalog.collections.of_source(source.id):
            try:
                port = self.collections.open(
                    known.collection_name,
                    tenant=known.tenant,
                    database=known.database_name,
                    embedder=None,
                    reads=True,
                )
            except NotFound:
                continue
            if port.id == known.collection_id:
                return True
        return False

    def word_memory(self, path: Path) -> WordMemory:
        """Return what this process remembers of the word index in a file."""
        with self._lock:
            return self._words.setdefault(path, WordMemory())

    @property
    def pool(self) -> WorkerPool:
        """Worker processes for parsing what cannot be trusted."""
        with self._lock:
            if self._pool is None:
                from s3sync_dagster.workers import open_pool  # noqa: PLC0415

                socket = self.settings.home / "workers.sock"
                self._pool = open_pool(socket_path=socket if socket.exists() else None)
            return self._pool

    def store_for(self, source: Source) -> ObjectStore:
        """Return the store of the source's objects."""

        def opened() -> ObjectStore:
            from s3sync_dagster.ports.places import open_store  # noqa: PLC0415

            return open_store(source, replace(self.surroundings, admits=self._require_same_server))

        return self._stores.store_for(source, opened)

    def any_store_for(self, source: Source) -> ObjectStore:
        """Return a store of its own at the server that is named here, be it the source's or not."""
        from s3sync_dagster.ports.places import open_store  # noqa: PLC0415

        return open_store(source, self.surroundings)

    def _require_same_server(self, source: Source, server: str) -> None:
        from s3sync_dagster.engine.same_server import require_same_server  # noqa: PLC0415

        row = self.catalog.sources.row(source.id)
        with ExitStack() as opened:

            @cache  # 20 CPU-ms that only a new name of a server costs
            def store() -> ObjectStore:
                return opened.enter_context(closing(self.any_store_for(source)))

            require_same_server(
                source,
                server,
                declared=row is not None and row.origin != "catalog",
                servers=self.catalog.servers,
                head=lambda key: store().head(key),
            )

    @property
    def surroundings(self) -> Surroundings:
        """What places need of this process to be opened."""
        from s3sync_dagster.ports.places import Surroundings  # noqa: PLC0415

        return Surroundings(
            home=self.settings.home,
            resolve_env=self.resolve_env,
            resolve_credential=self.resolve_credential,
            uploads=lambda: self.catalog.uploads,
            guard_for=self.guard_for,
        )

    def guard_for(self, source: Source, url: str | None) -> AddressGuard | None:
        """Return what keeps a source's connections to ``url`` away from private addresses."""
        from s3sync_dagster.ports.aws_guard import AddressGuard, guard_for  # noqa: PLC0415

        environment = self.settings.environment
        guard = guard_for(tenant=source.tenant, url=url, environment=environment)
        if guard is not None and not isinstance(source.place, S3Place):
            return AddressGuard()  # private networks are named for AWS's own endpoints there
        return guard

    def queue_for(self, source: Source) -> Queue:
        """Return the source's queue."""
        place = source.place
        if not isinstance(place, S3Place) or place.queue_url is None:
            raise InvalidSetting(f"The source {source.name!r} has no queue_url.")
        from s3sync_dagster.ports.sqs import open_queue  # noqa: PLC0415

        queue = open_queue(
            place.queue_url,
            place=place,
            resolve_env=self.resolve_env,
            resolve_credential=self.resolve_credential,
            guard=self.guard_for(source, place.queue_url),
        )
        with self._lock:
            self._queues.append(queue)
        return queue

    def embedder_for(self, config: EmbeddingConfig, *, tenant: str | None = None) -> Embedder:
        """Return the model, loaded once a process.

        Args:
            config: of a source.
            tenant: whose texts are embedded: one that is not trusted finds no vector of others,
                and is not told by the time it takes that they have a text. None: no texts.
        """
        apart = None if tenant is None or self._trusts(tenant) else tenant
        return self._models.embedder_for(config, apart=apart)

    def new_embedder(self, config: EmbeddingConfig, *, cache: VectorCache | None) -> Embedder:
        """Return the model, opened anew; without a cache each of its texts is inferred."""
        return self._models.new_embedder(config, cache=cache)

    @property
    def reranker(self) -> Reranker | None:
        """What orders hybrid hits anew, loaded once a process; None where none is named."""
        return self._models.reranker

    @property
    def vector_cache(self) -> VectorCache:
        """Vectors of earlier runs."""
        return self._models.vector_cache

    @property
    def listing(self) -> ListingParts:
        """What listings work with."""
        return ListingParts(
            catalog=self.catalog,
            clock=self.clock,
            owners=self.owners,
            store_for=self.store_for,
            collections=lambda: self.collections,
            snapshots=self.settings.home / SNAPSHOTS,
        )

    def batch_parts(self, source: Source, **hooks: Any) -> BatchParts:
        """Return what a batch of a source works with; ``hooks`` are further fields of it."""
        from s3sync_dagster.chunking import chunk_document  # noqa: PLC0415
        from s3sync_dagster.extraction import extract_document  # noqa: PLC0415

        return BatchParts(
            source=source,
            catalog=self.catalog,
            store=self.store_for(source),
            collections=self.collections,
            embedder=self.embedder_for(source.embedding, tenant=source.tenant),
            extractor=partial(extract_document, resolve_env=self.resolve_env),
            pool=self.pool,
            room=BatchRoom(self._room_of_batches()),
            clock=self.clock,
            enrich=None if source.enrich is None else load_function(source.enrich),
            **{"chunker": chunk_document, **hooks},
        )

    def _room_of_batches(self) -> Room:
        from s3sync_dagster.workers.capacity import default_workers  # noqa: PLC0415

        with self._lock:
            if self._room is None:
                # Of those that are read at once each may be let go of, and is read again then.
                self._room = Room(unknown_at_once=default_workers())
            return self._room

    def resolve_env(self, name: str) -> str | None:
        """Return a variable that a source's configuration names."""
        return self.settings.environment.get(name) or None

    def resolve_credential(self, credential_id: int) -> tuple[str, str, str | None]:
        """Return a stored credential: key id, secret, session token."""
        from s3sync_dagster.catalog.cipher import open_cipher  # noqa: PLC0415

        cipher = open_cipher(self.settings)
        keys = self.catalog.credentials.keys(credential_id, cipher=cipher)
        return keys.access_key_id, keys.secret_access_key, keys.session_token

    def requests(self) -> Mapping[str, int]:
        """Return S3 requests of this process by kind."""
        return self._stores.requests()

    @contextmanager
    def in_use(self) -> Generator[None]:
        """Keep open what is open until the block ends; who was to close it has it closed then."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                closes = self._to_be_closed and not self._users
            if closes:
                self.close()

    def close(self) -> None:
        """Close what was opened; where somebody has it ``in_use``, stores that nobody reads now."""
        with self._lock:
            used = self._to_be_closed = self._users > 0
        if used:
            self._stores.let_go()
            return
        with self._lock:
            words = list(self._words.values())
        for memory in words:
            memory.finish()
        with self._lock:
            # Last of all who is alive: what it holds was given back by then.
            parts = (self._pool, self._collections, self._models, self._catalog)
            parts += (self._owners, self._presence)
            for part in parts:
                if part is not None:
                    part.close()  # type: ignore[attr-defined]
            self._pool = self._collections = self._catalog = self._owners = None
            self._presence = None
            self._stores.close()
            for queue in self._queues:
                queue.close()
            self._queues.clear()


def open_parts(settings: Settings) -> Parts:
    """Return the parts of a process; nothing is opened yet."""
    return Parts(settings)
