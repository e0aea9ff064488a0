"""What a test opens here is closed after it: a connection that is left open is a warning."""

from typing import Any, TypeVar

import s3sync_dagster.ports.chroma
import s3sync_dagster.ports.s3
import s3sync_dagster.ports.sqs

T = TypeVar("T")
_open: list[Any] = []


def closed_after(part: T) -> T:
    """Return the part, whose ``close`` is called after the test."""
    _open.append(part)
    return part


def close_all() -> None:
    """Close what the test that has just ended opened, the newest first."""
    while _open:
        _open.pop().close()


def open_object_store(*arguments: Any, **options: Any) -> s3sync_dagster.ports.s3.S3ObjectStore:
    return closed_after(s3sync_dagster.ports.s3.open_object_store(*arguments, **options))


def open_queue(*arguments: Any, **options: Any) -> Any:
    return closed_after(s3sync_dagster.ports.sqs.open_queue(*arguments, **options))


def open_collections(**options: Any) -> s3sync_dagster.ports.chroma.ChromaCollections:
    return closed_after(s3sync_dagster.ports.chroma.open_collections(**options))


def stock_client(**options: Any) -> Any:
    """Return Chroma's own client, as people use it."""
    import chromadb

    return closed_after(chromadb.HttpClient(**options))
