"""The collections of one Chroma: a server, Chroma Cloud, or a folder in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from s3sync_dagster.core.interfaces import CollectionPort, WriteLimits
from s3sync_dagster.model.errors import Conflict, InvalidSetting, NotFound
from s3sync_dagster.ports.chroma_collection import CLOUD_RECORDS, READ_RECORDS, HttpCollection
from s3sync_dagster.ports.chroma_configuration import check_collection, collection_configuration
from s3sync_dagster.ports.chroma_http import ChromaHttp

if TYPE_CHECKING:
    from ssl import SSLContext

    from s3sync_dagster.core.clock import Clock
    from s3sync_dagster.core.interfaces import Embedder

CLOUD_URL = "https://api.trychroma.com"


def open_collections(
    *,
    url: str | None = None,
    headers: Mapping[str, str] | None = None,
    cloud_api_key: str | None = None,
    path: Path | None = None,
    timeout_seconds: float = 60.0,
    tries: int = 8,
    verify: SSLContext | str | bool = True,
    clock: Clock | None = None,
) -> HttpCollections:
    """Return the collections of the Chroma that is named; nothing is sent yet.

    Args:
        url: of a server, or of an endpoint that speaks Cloud's wire when a key is given too.
        headers: for a proxy in front of a server: Chroma itself has no authentication.
        cloud_api_key: makes this Chroma Cloud, by default at ``CLOUD_URL``.
        path: folder of an embedded Chroma, for one process alone.
        timeout_seconds: a call ends within it, retries included.
        tries: requests that one call sends at most.
        verify: False, a CA file or a context.
        clock: time and chance.

    Raises:
        InvalidSetting: none or several places are named.
    """
    if path is not None or (url is None and cloud_api_key is None):
        raise InvalidSetting("name a Chroma: a URL or an API key of Chroma Cloud")
    key = {} if cloud_api_key is None else {"x-chroma-token": cloud_api_key}
    http = ChromaHttp(
        url or CLOUD_URL,
        headers={**(headers or {}), **key},
        timeout_seconds=timeout_seconds,
        tries=tries,
        verify=verify,
        clock=clock,
    )
    return HttpCollections(http, cloud=cloud_api_key is not None)


class HttpCollections:
    """The collections behind one URL."""

    def __init__(self, http: ChromaHttp, *, cloud: bool) -> None:
        self.http = http
        self.cloud = cloud
        self._limits: WriteLimits | None = None

    def open(
        self, name: str, *, tenant: str, database: str, embedder: Embedder, create: bool = True
    ) -> CollectionPort:
        """Return the collection, created with cosine space and the embedder's configuration.

        Raises:
            EmbeddingMismatch: it exists with another function, space or dimension.
            NotFound: it does not exist and may not be created, or the database does not exist.
            Conflict: it is marked ``finished_ingest``.
        """
        found = self._find(name, tenant, database)
        if found is None:
            self._require_database(tenant, database)
            if not create:
                raise NotFound(f"there is no collection {name!r} in database {database!r}")
            found = self._create(name, tenant, database, embedder)
        check_collection(found, embedder)
        return HttpCollection(
            self.http,
            name=name,
            path=f"{_collections_path(tenant, database)}/{found['id']}",
            write_limits=self._write_limits(),
            read_records=CLOUD_RECORDS if self.cloud else READ_RECORDS,
        )

    def list_collections(self, *, tenant: str, database: str) -> list[str]:
        """Return the names of all collections of a database, in their order of creation."""
        names: list[str] = []
        while True:
            page = self.http.call(
                "list",
                "GET",
                _collections_path(tenant, database),
                subject=f"database {database!r}",
                params={"limit": 300, "offset": len(names)},
            )
            names += [found["name"] for found in page]
            if len(page) < 300:
                return names

    def delete_collection(self, name: str, *, tenant: str, database: str) -> None:
        """Delete a collection; one that does not exist is not an error."""
        try:
            self.http.call(
                "delete_collection",
                "DELETE",
                f"{_collections_path(tenant, database)}/{quote(name, safe='')}",
                subject=f"collection {name!r}",
            )
        except NotFound:
            return

    def heartbeat(self) -> None:
        """Return when the server answers; ``Unavailable`` otherwise."""
        self.http.call("heartbeat", "GET", "heartbeat", subject="heartbeat")

    def close(self) -> None:
        """Close idle connections."""
        self.http.close()

    def _find(self, name: str, tenant: str, database: str) -> dict[str, Any] | None:
        try:
            return self.http.call(
                "find",
                "GET",
                f"{_collections_path(tenant, database)}/{quote(name, safe='')}",
                subject=f"collection {name!r}",
            )
        except NotFound:
            return None

    def _require_database(self, tenant: str, database: str) -> None:
        path = _collections_path(tenant, database).removesuffix("/collections")
        try:
            self.http.call("find", "GET", path, subject=f"database {database!r}")
        except NotFound:
            raise NotFound(f"there is no database {database!r} of tenant {tenant!r}") from None

    def _create(self, name: str, tenant: str, database: str, embedder: Embedder) -> dict[str, Any]:
        body = {"name": name, "configuration": collection_configuration(embedder)}
        try:
            return self.http.call(
                "create",
                "POST",
                _collections_path(tenant, database),
                body,
                subject=f"collection {name!r}",
            )
        except Conflict:
            # Another process was faster, or an earlier try of ours was lost on its way back.
            found = self._find(name, tenant, database)
            if found is None:
                raise
            return found

    def _write_limits(self) -> WriteLimits:
        if self._limits is None:
            allowed = self.http.call(
                "limits", "GET", "pre-flight-checks", subject="pre-flight checks"
            )["max_batch_size"]
            wanted = CLOUD_RECORDS if self.cloud else WriteLimits().max_records
            self._limits = WriteLimits(max_records=min(wanted, allowed))
        return self._limits


def _collections_path(tenant: str, database: str) -> str:
    return f"tenants/{quote(tenant, safe='')}/databases/{quote(database, safe='')}/collections"
