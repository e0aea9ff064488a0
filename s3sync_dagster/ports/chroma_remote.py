"""A Chroma that is reached over HTTP: single node, distributed, Cloud."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.ports.chroma_answers import (
    collection_of,
    collections_of,
    named_of,
    number_of,
    reader_of,
    text_of,
    written,
)

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import Vectors
    from s3sync_dagster.ports.chroma_collection import Send
    from s3sync_dagster.ports.chroma_http import ChromaHttp

DEFAULT_TENANT = "default_tenant"
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""In no name that Chroma has; it would write them into its log as they are, as lines of its own."""


class RemoteChroma:
    """The operations of ``chroma.Directory`` as requests."""

    def __init__(self, http: ChromaHttp, *, cloud: bool) -> None:
        self.http = http
        self.cloud = cloud
        self._tenant: str | None = None

    def find(self, name: str, tenant: str, database: str) -> dict[str, Any] | None:
        """Return the collection as the API shows it."""
        if _UNSEEN.search(name + database):
            return None
        path = f"{self._collections(tenant, database)}/{quote(name, safe='')}"
        try:
            return self.http.call(
                "find", "GET", path, subject=f"collection {name!r}", read=collection_of
            )
        except NotFound:
            return None

    def has_database(self, tenant: str, database: str) -> bool:
        """Return whether the database exists."""
        if _UNSEEN.search(database):
            return False
        try:
            path = self._collections(tenant, database).removesuffix("/collections")
            self.http.call("find", "GET", path, subject=f"database {database!r}", read=named_of)
        except NotFound:
            return False
        return True

    def create(self, body: Mapping[str, Any], tenant: str, database: str) -> dict[str, Any]:
        """Return the new collection; ``Conflict`` when it exists."""
        path = self._collections(tenant, database)
        subject = f"collection {body['name']!r}"
        return self.http.call("create", "POST", path, body, subject=subject, read=collection_of)

    def list_page(
        self, tenant: str, database: str, *, limit: int, offset: int
    ) -> Sequence[Mapping[str, Any]]:
        """Return a page of collections in their order of creation."""
        return self.http.call(
            "list",
            "GET",
            self._collections(tenant, database),
            subject=f"database {database!r}",
            params={"limit": limit, "offset": offset},
            read=collections_of,
        )

    def delete(self, name: str, tenant: str, database: str) -> None:
        """Delete a collection; ``NotFound`` when it does not exist."""
        path = f"{self._collections(tenant, database)}/{quote(name, safe='')}"
        subject = f"collection {name!r}"
        self.http.call("delete_collection", "DELETE", path, subject=subject, read=written)

    def max_batch_size(self) -> int:
        """Return how many records the server takes at once."""
        return self.http.call(
            "limits",
            "GET",
            "pre-flight-checks",
            subject="pre-flight checks",
            read=lambda answer: number_of(answer, "max_batch_size"),
        )

    def heartbeat(self, *, within: float | None = None) -> None:
        """Return when the server answers, and it is Chroma."""
        self.http.call(
            "heartbeat",
            "GET",
            "heartbeat",
            subject="heartbeat",
            within=within,
            read=lambda answer: number_of(answer, "nanosecond heartbeat"),
        )

    def sender(self, found: Mapping[str, Any], tenant: str, database: str) -> Send:
        """Return the function that sends an operation to one collection."""
        path = f"{self._collections(tenant, database)}/{found['id']}"
        subject = f"collection {found['name']!r}"

        def send(operation: str, body: Mapping[str, Any] | None) -> Any:
            if body is not None and "embeddings" in body:
                body = {**body, "embeddings": _encoded(body["embeddings"])}
            method = "GET" if body is None else "POST"
            return self.http.call(
                operation,
                method,
                f"{path}/{operation}",
                body,
                subject=subject,
                read=reader_of(operation, body),
            )

        return send

    def close(self) -> None:
        """Close idle connections."""
        self.http.close()

    def _collections(self, tenant: str, database: str) -> str:
        for name in (tenant, database):
            if name in (".", ".."):  # a path would mean another one
                raise NotFound(f"Chroma has no tenant or database {name!r}")
        if self.cloud and tenant == DEFAULT_TENANT:
            tenant = self._own_tenant()
        return f"tenants/{quote(tenant, safe='')}/databases/{quote(database, safe='')}/collections"

    def _own_tenant(self) -> str:
        """Return the tenant of the API key: on Cloud nobody is ``default_tenant``."""
        if self._tenant is None:
            tenant: str = self.http.call(
                "identity",
                "GET",
                "auth/identity",
                subject="the API key",
                read=lambda answer: text_of(answer, "tenant"),
            )
            self._tenant = tenant
        return self._tenant


def _encoded(vectors: Vectors) -> list[str]:
    """Return each vector as base64 of little-endian float32: a third of its JSON form."""
    rows = vectors.astype("<f4", copy=False)
    return [base64.b64encode(row.tobytes()).decode() for row in rows]
