"""``ChromaResource``: which Chroma, in the names that Dagster's users know, with Cloud added."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
from pydantic import Field

from s3sync_dagster.core.declaration import chroma_address

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import Collections


class LocalConfig(dg.Config):
    """Chroma inside this process, which alone may use the folder."""

    mode: Literal["local"] = "local"
    persistence_path: str = Field(default="./chroma", description="Chroma's folder.")


class HttpConfig(dg.Config):
    """A Chroma server."""

    mode: Literal["http"] = "http"
    host: str = "localhost"
    port: int = 8000
    ssl: bool = False
    headers: dict[str, str] = Field(
        default_factory=dict, description="For a proxy before the server, such as Authorization."
    )

    def url(self) -> str:
        """Return the address of the server."""
        return f"{'https' if self.ssl else 'http'}://{self.host}:{self.port}"


class CloudConfig(dg.Config):
    """Chroma Cloud."""

    mode: Literal["cloud"] = "cloud"
    api_key: str = Field(description='The key: write EnvVar("CHROMA_API_KEY"), never its value.')
    cloud_host: str = "api.trychroma.com"
    cloud_port: int = 443
    ssl: bool = Field(default=True, description="False only for what stands in for Cloud.")

    def url(self) -> str:
        """Return the address of the API."""
        return f"{'https' if self.ssl else 'http'}://{self.cloud_host}:{self.cloud_port}"


class ChromaResource(dg.ConfigurableResource):
    """A Chroma for the sources of ``build_definitions(chroma=...)`` and for assets of your own.

    Sources name tenant and database themselves; those here are for ``get_client``.
    """

    connection_config: LocalConfig | HttpConfig | CloudConfig = Field(discriminator="mode")
    tenant: str = "default_tenant"
    database: str = "default_database"

    def open_collections(self) -> Collections:
        """Return what sources write to; over HTTP nothing is sent yet.

        Raises:
            Conflict: another process uses the folder of a local Chroma (``chroma_in_use``).
        """
        from s3sync_dagster.ports.chroma import open_collections  # noqa: PLC0415 (when it opens)

        named = self.connection_config
        if isinstance(named, LocalConfig):
            return open_collections(path=Path(named.persistence_path))
        if isinstance(named, CloudConfig):
            return open_collections(url=named.url(), cloud_api_key=named.api_key)
        return open_collections(url=named.url(), headers=dict(named.headers))

    def is_embedded(self) -> bool:
        """Return whether it is a folder, which lets one process in."""
        return isinstance(self.connection_config, LocalConfig)

    def address(self) -> str:
        """Return what tells this Chroma from others, without a secret."""
        named = self.connection_config
        if isinstance(named, LocalConfig):
            return f"the folder {Path(named.persistence_path).resolve()}"
        return chroma_address(named.url())

    @contextmanager
    def get_client(self) -> Iterator[Any]:
        """Give a stock Chroma client of this tenant and database, and close it afterwards.

        Raises:
            Conflict: as ``open_collections``.
        """
        import chromadb
        from chromadb.config import Settings

        from s3sync_dagster.ports.chroma_embedded import lock_folder  # noqa: PLC0415

        named = self.connection_config
        place: dict[str, Any] = {"tenant": self.tenant, "database": self.database}
        place["settings"] = Settings(anonymized_telemetry=False)
        lock = None
        if isinstance(named, LocalConfig):
            lock = lock_folder(Path(named.persistence_path))
            client: Any = chromadb.PersistentClient(named.persistence_path, **place)
        else:
            cloud = isinstance(named, CloudConfig)
            client = chromadb.HttpClient(
                named.cloud_host if cloud else named.host,
                named.cloud_port if cloud else named.port,
                ssl=named.ssl,
                headers={"x-chroma-token": named.api_key} if cloud else dict(named.headers),
                **place,
            )
        try:
            yield client
        finally:
            client.close()
            if lock is not None:
                lock.close()
