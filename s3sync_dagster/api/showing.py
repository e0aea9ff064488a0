"""Sources and invocations as the wire of the Sync API shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from s3sync_dagster.api.models import show_chunking, show_embedding
from s3sync_dagster.api.uploads import BUCKET
from s3sync_dagster.api.wire_invocation import (
    Complete,
    CompleteFields,
    Failed,
    FailedFields,
    Job,
    JobMetadata,
    JobStatus,
    S3JobFields,
)
from s3sync_dagster.api.wire_source import FileUploadShown, S3Shown, SourceShown
from s3sync_dagster.model.source import Source

UNKNOWN_BUCKET = "unknown"
"""Bucket of an invocation whose source is deleted."""


@dataclass(frozen=True, slots=True)
class SourceNames:
    """What invocations say of the sources that they belong to."""

    buckets: Mapping[str, str]
    shown: Mapping[str, str]
    """Upload source -> the one of its database that the wire shows."""

    @classmethod
    def of(cls, rows: Sequence[Any]) -> "SourceNames":
        """Return the names of a tenant's sources, given oldest first."""
        first: dict[str, str] = {}
        shown: dict[str, str] = {}
        for row in rows:
            if row.bucket_name == BUCKET and row.config.get("type") == "file_upload":
                shown[row.id] = first.setdefault(row.database_name, row.id)
        return cls({row.id: row.bucket_name for row in rows}, shown)


def show_source(source: Source, *, created_at: float) -> SourceShown:
    """Return a source as ``GET`` answers it."""
    embedding = show_embedding(source.embedding)
    shown = None
    if source.type == "s3":
        shown = S3Shown(
            bucket_name=source.bucket_name,
            region=source.region or "",
            collection_name=source.collection_name,
            aws_credential_id=source.credentials.credential_id,
            path_prefix=source.path_prefix or None,
            auto_sync=source.auto_sync,
        )
    return SourceShown(
        s3=shown,
        file_upload=FileUploadShown() if source.type == "file_upload" else None,
        id=UUID(source.id),
        database_name=source.database_name,
        embedding_model=embedding.dense,
        chunking=show_chunking(source.chunking, source.embedding),
        embedding=embedding,
        created_at=moment(created_at),
    )


def show_invocation(row: sa.Row[Any], names: SourceNames) -> Job:
    """Return an invocation as ``GET`` answers it."""
    return Job(
        id=UUID(row.id),
        status=show_status(row),
        metadata=JobMetadata(
            s3=S3JobFields(
                bucket_name=names.buckets.get(row.source_id, UNKNOWN_BUCKET),
                object_key=row.object_key,
                custom_id=row.custom_id,
                additional_metadata=row.metadata,
            ),
            database_name=row.database_name,
            collection_name=row.collection_name,
        ),
        created_at=moment(row.created_at),
        source_id=_uuid(names.shown.get(row.source_id, row.source_id)),
    )


def show_status(row: sa.Row[Any]) -> JobStatus:
    """Return the status as a union: a word, or an object with one key."""
    match row.status:
        case "complete":
            began = row.started_at or row.created_at
            lasted = max(0, round((row.finished_at - began) * 1000))
            return Complete(
                complete=CompleteFields(finished_at=moment(row.finished_at), duration_ms=lasted)
            )
        case "failed":
            return Failed(failed=FailedFields(error=row.error or row.reason or "unknown"))
        case "pending" | "processing" | "cancelled":
            return row.status
        case other:
            raise AssertionError(other)


def moment(seconds: float) -> datetime:
    """Return seconds since 1970 as a UTC time."""
    return datetime.fromtimestamp(seconds, UTC)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
