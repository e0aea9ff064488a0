"""The collections of one Chroma: a server, Chroma Cloud, or a folder in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from s3sync_dagster.core.patience import WRITE_SECONDS
from s3sync_dagster.engine.ports import WriteLimits
from s3sync_dagster.model.errors import Conflict, InvalidSetting, NotFound
from s3sync_dagster.ports.chroma_collection import CLOUD_RECORDS, READ_RECORDS, ChromaCollection
from s3sync_dagster.ports.chroma_configuration import (
    check_collection,
    check_dimension,
    new_collection,
)
from s3sync_dagster.ports.chroma_embedded import EmbeddedChroma
from s3sync_dagster.ports.chroma_http import ChromaHttp
from s3sync_dagster.ports.chroma_remote import RemoteChroma

if TYPE_CHECKING:
    from ssl import SSLContext

    from s3sync_dagster.engine.clock import Clock
    from s3sync_dagster.engine.ports import Embedder
    from s3sync_dagster.ports.chroma_collection import Send

CLOUD_URL = "https://api.trychroma.com"
LIST_COLLECTIONS = 300
NODE_RECORDS = 2000
"""Of one write to a single node: each write beyond 1,000 records makes it persist once, and its
files can only be torn while it does."""


def open_collections(
    *,
    url: str | None = None,
    headers: Mapping[str, str] | None = None,
    cloud_api_key: str | None = None,
    path: Path | None = None,
    timeout_seconds: float = WRITE_SECONDS,
    tries: int = 8,
    verify: SSLContext | str | bool = True,
    clock: Clock | None = None,
) -> ChromaCollections:
    """Return the collections of the Chroma that is named. Over HTTP nothing is sent yet.

    Args:
        url: of a server, or of what speaks Cloud's wire when a key is given too.
        headers: for a proxy in front of a server: Chroma itself has no authentication.
        cloud_api_key: makes this Chroma Cloud, by default at ``CLOUD_URL``.
        path: folder of a Chroma inside this process, which alone may use it.
        timeout_seconds: a call ends within it, retries included.
        tries: requests that one call sends at most.
        verify: False, a CA file or a context.
        clock: time and chance.

    Raises:
        InvalidSetting: no place or several are named.
        Conflict: another process uses the folder (``chroma_in_use``).
    """
    if path is not None:
        if url is not None or cloud_api_key is not None:
            raise InvalidSetting("name one Chroma: a URL, an API key of Cloud, or a folder")
        return ChromaCollections(EmbeddedChroma(path))
    if url is None and cloud_api_key is None:
        raise InvalidSetting("name a Chroma: a URL, an API key of Chroma Cloud, or a folder")
    key = {} if cloud_api_key is None else {"x-chroma-token": cloud_api_key}
    http = ChromaHttp(
        url or CLOUD_URL,
        headers={**(headers or {}), **key},
        timeout_seconds=timeout_seconds,
        tries=tries,
        verify=verify,
        clock=clock,
    )
    return ChromaCollections(RemoteChroma(http, cloud=cloud_api_key is not None))


class Directory(Protocol):
    """Where collections are found and made: over HTTP or in this process."""

    cloud: bool

    def find(self, name: str, tenant: str, database: str) -> dict[str, Any] | None:
        """Return the collection as the API shows it, None when it does not exist."""
        ...

    def has_database(self, tenant: str, database: str) -> bool:
        """Return whether the database exists."""
        ...

    def create(self, body: Mapping[str, Any], tenant: str, database: str) -> dict[str, Any]:
        """Return the new collection; ``Conflict`` when it exists."""
        ...

    def list_page(
        self, tenant: str, database: str, *, limit: int, offset: int
    ) -> Sequence[Mapping[str, Any]]:
        """Return a page of collections in their order of creation."""
        ...

    def delete(self, name: str, tenant: str, database: str) -> None:
        """Delete a collection; ``NotFound`` when it does not exist."""
        ...

    def max_batch_size(self) -> int:
        """Return how many records one write takes."""
        ...

    def heartbeat(self, *, within: float | None = None) -> None:
        """Return when Chroma answers."""
        ...

    def sender(self, found: Mapping[str, Any], tenant: str, database: str) -> Send:
        """Return the function that carries operations to one collection."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class ChromaCollections:
    """A ``Collections`` over any ``Directory``."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self._limits: WriteLimits | None = None

    def open(
        self,
        name: str,
        *,
        tenant: str,
        database: str,
        embedder: Embedder | None,
        create: bool = True,
        reads: bool = False,
    ) -> ChromaCollection:
        """Return the collection, created with cosine space and the embedder's configuration.

        Without an embedder it is neither created nor compared: for who deletes by id.

        Raises:
            EmbeddingMismatch: it exists with another function, space or dimension.
            NotFound: it does not exist and may not be created, or the database does not exist.
            Conflict: it is marked ``finished_ingest``, unless who opens it only reads.
            NotPossible: the embedder has sparse vectors and this server cannot index them.
        """
        found = self.directory.find(name, tenant, database)
        if found is None:
            if not self.directory.has_database(tenant, database):
                raise NotFound(f"there is no database {database!r} of tenant {tenant!r}")
            if embedder is None or reads or not create:
                raise NotFound(f"there is no collection {name!r} in database {database!r}")
            found = self._create(name, tenant, database, embedder)
        check_collection(found, embedder, reads=reads)
        if (
            embedder is not None and create and not reads
        ):  # what only reads or deletes does without the endpoint of a remote model
            check_dimension(found, embedder)
        return ChromaCollection(
            self.directory.sender(found, tenant, database),
            collection_id=str(found["id"]),
            name=name,
            write_limits=self._write_limits,
            read_records=CLOUD_RECORDS if self.directory.cloud else READ_RECORDS,
            sparse=getattr(embedder, "sparse", None),
        )

    def list_collections(self, *, tenant: str, database: str) -> list[str]:
        """Return the names of all collections of a database, in their order of creation."""
        names: list[str] = []
        while True:
            page = self.directory.list_page(
                tenant, database, limit=LIST_COLLECTIONS, offset=len(names)
            )
            names += [found["name"] for found in page]
            if len(page) < LIST_COLLECTIONS:
                return names

    def delete_collection(self, name: str, *, tenant: str, database: str) -> None:
        """Delete a collection; one that does not exist is not an error."""
        try:
            self.directory.delete(name, tenant, database)
        except NotFound:
            return

    def heartbeat(self, *, within: float | None = None) -> None:
        """Return when Chroma answers; ``Unavailable`` otherwise.

        Args:
            within: it is asked once, and answers in so many seconds; None: it is waited for.
        """
        self.directory.heartbeat(within=within)

    def close(self) -> None:
        """Close connections; an embedded Chroma unlocks its folder."""
        self.directory.close()

    def _create(self, name: str, tenant: str, database: str, embedder: Embedder) -> dict[str, Any]:
        body = new_collection(name, embedder, schema=self.directory.cloud)
        try:
            return self.directory.create(body, tenant, database)
        except Conflict:
            # Another process was faster, or an earlier try of ours was lost on its way back.
            found = self.directory.find(name, tenant, database)
            if found is None:
                raise
            return found

    def _write_limits(self) -> WriteLimits:
        if self._limits is None:
            wanted = CLOUD_RECORDS if self.directory.cloud else NODE_RECORDS
            self._limits = WriteLimits(max_records=min(wanted, self.directory.max_batch_size()))
        return self._limits
