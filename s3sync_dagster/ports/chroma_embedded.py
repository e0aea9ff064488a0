"""Chroma inside this process, on a folder that no other process may use meanwhile.

Two processes on one folder lose vectors without an error, so the folder is locked: the same lock
that a ``chroma run`` started by this project holds.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from s3sync_dagster.core.record_limits import validate_metadata
from s3sync_dagster.model.errors import (
    Conflict,
    InvalidSetting,
    LimitExceeded,
    NotFound,
    S3SyncError,
    Unavailable,
)
from s3sync_dagster.ports.chroma_errors import told_apart

if TYPE_CHECKING:
    from s3sync_dagster.ports.chroma_collection import Send

LOCK_FILE = ".lock"
T = TypeVar("T")


class EmbeddedChroma:
    """The operations of ``chroma.Directory`` as calls of Chroma's library."""

    cloud = False

    def __init__(self, path: Path, *, lock: IO[str] | None = None) -> None:
        """Lock the folder and open it.

        Args:
            path: Chroma's folder.
            lock: what ``lock_folder`` returned; it is released with ``close``.

        Raises:
            Conflict: another process or another connection has it (``chroma_in_use``).
        """
        import chromadb
        from chromadb.config import Settings

        self._path = path
        self._lock = lock or lock_folder(path)
        settings = Settings(anonymized_telemetry=False)
        self._client: Any = chromadb.PersistentClient(path=str(path), settings=settings)
        # The public methods of the client cannot name a tenant or persist the configuration of a
        # function that is not installed; those below are what it calls itself.
        self._api: Any = self._client._server

    def find(self, name: str, tenant: str, database: str) -> dict[str, Any] | None:
        """Return the collection as the HTTP API would show it."""
        try:
            found = self._guarded(
                f"collection {name!r}", lambda: self._api.get_collection(name, tenant, database)
            )
        except NotFound:
            return None
        return _description(found)

    def has_database(self, tenant: str, database: str) -> bool:
        """Return whether the database exists."""
        try:
            self._guarded("database", lambda: self._api.get_database(database, tenant))
        except NotFound:
            return False
        return True

    def create(self, body: Mapping[str, Any], tenant: str, database: str) -> dict[str, Any]:
        """Return the new collection; ``Conflict`` when it exists."""
        name = body["name"]
        configuration = json.dumps(body["configuration"]) if "configuration" in body else None
        schema = json.dumps(body["schema"]) if "schema" in body else None
        self._guarded(
            f"collection {name!r}",
            lambda: self._api.bindings.create_collection(
                name, configuration, schema, None, False, tenant, database
            ),
        )
        return self.find(name, tenant, database) or {}

    def list_page(
        self, tenant: str, database: str, *, limit: int, offset: int
    ) -> Sequence[Mapping[str, Any]]:
        """Return a page of collections in their order of creation."""
        page = self._guarded(
            f"database {database!r}",
            lambda: self._api.list_collections(limit, offset, tenant, database),
        )
        return [_description(found) for found in page]

    def delete(self, name: str, tenant: str, database: str) -> None:
        """Delete a collection; ``NotFound`` when it does not exist."""
        self._guarded(
            f"collection {name!r}", lambda: self._api.delete_collection(name, tenant, database)
        )

    def max_batch_size(self) -> int:
        """Return how many records the library takes at once."""
        return int(self._api.get_max_batch_size())

    def heartbeat(self, *, within: float | None = None) -> None:
        """Return when the library answers."""
        self._guarded("heartbeat", self._api.heartbeat)

    def sender(self, found: Mapping[str, Any], tenant: str, database: str) -> Send:
        """Return the function that calls an operation on one collection."""
        place = {"tenant": tenant, "database": database}
        collection_id = found["id"]

        def send(operation: str, body: Mapping[str, Any] | None) -> Any:
            if operation in ("upsert", "update") and body is not None:
                # One number that is not finite, inside an array, ruins the collection for good.
                for metadata in body.get("metadatas") or ():
                    validate_metadata(metadata)
            call = _OPERATIONS[operation]
            return self._guarded(
                f"collection {found['name']!r}",
                lambda: call(self._api, collection_id, body or {}, place),
            )

        return send

    def close(self) -> None:
        """Close the library and unlock the folder."""
        self._client.close()
        self._lock.close()

    def _guarded(self, subject: str, work: Callable[[], T]) -> T:
        """Return what ``work`` returns; turn errors of Chroma's library into ours."""
        from chromadb.errors import ChromaError, NotFoundError

        where = f"{subject} in {str(self._path)!r}"
        try:
            return work()
        except NotFoundError:
            raise NotFound(f"Chroma does not have {where}") from None
        except (ChromaError, ValueError, TypeError) as error:
            raise _failure(str(error), error, where) from None


def lock_folder(path: Path) -> IO[str]:
    """Return the open lock file of a Chroma folder; closing it unlocks.

    Raises:
        Conflict: another process or another connection has it (``chroma_in_use``).
    """
    path.mkdir(parents=True, exist_ok=True)
    lock = (path / LOCK_FILE).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise Conflict(
            f"the Chroma folder {str(path)!r} is in use: close what uses it, or connect to its "
            "server with a URL",
            reason="chroma_in_use",
        ) from None
    return lock


def _failure(said: str, error: Exception, where: str) -> S3SyncError:
    from chromadb.errors import InternalError

    if "already exists" in said:
        return Conflict(f"Chroma already has {where}", reason="already_exists")
    if "max batch size" in said:
        return LimitExceeded(f"Chroma refused a request as too large: {where}", reason="too_large")
    known = told_apart(said, where)
    if known is not None:
        return known
    if isinstance(error, InternalError):
        return Unavailable(f"Chroma failed: {where}", reason="chroma_error")
    return InvalidSetting(f"Chroma refused a request as invalid: {where}", reason="chroma_refused")


def _description(found: Any) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "metadata": found.metadata,
        "configuration_json": found.configuration_json,
        "dimension": found.dimension,
    }


_Place = Mapping[str, str]


def _upsert(api: Any, collection_id: Any, body: Mapping[str, Any], place: _Place) -> None:
    api._upsert(
        collection_id,
        body["ids"],
        list(body["embeddings"]),
        list(body["metadatas"]) if "metadatas" in body else None,
        body.get("documents"),
        **place,
    )


def _update(api: Any, collection_id: Any, body: Mapping[str, Any], place: _Place) -> None:
    api._update(collection_id, body["ids"], metadatas=list(body["metadatas"]), **place)


def _delete(api: Any, collection_id: Any, body: Mapping[str, Any], place: _Place) -> None:
    api._delete(collection_id, ids=body["ids"], **place)


def _get(api: Any, collection_id: Any, body: Mapping[str, Any], place: _Place) -> Any:
    return api._get(collection_id, **body, **place)


def _query(api: Any, collection_id: Any, body: Mapping[str, Any], place: _Place) -> Any:
    return api._query(collection_id, **body, **place)


def _count(api: Any, collection_id: Any, _body: Mapping[str, Any], place: _Place) -> int:
    return api._count(collection_id, **place)


_OPERATIONS: dict[str, Callable[[Any, Any, Mapping[str, Any], _Place], Any]] = {
    "upsert": _upsert,
    "update": _update,
    "delete": _delete,
    "get": _get,
    "query": _query,
    "count": _count,
}
