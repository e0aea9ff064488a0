"""Sources and invocations as the wire of the Sync API shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from s3sync_dagster.api.models import show_chunking, show_embedding
from s3sync_dagster.api.wire_invocation import (
    Complete,
    CompleteFields,
    Failed,
    FailedFields,
    GitHubJobFields,
    GitRefShown,
    Job,
    JobMetadata,
    JobStatus,
    S3JobFields,
    WebJobFields,
)
from s3sync_dagster.api.wire_places import show_variant
from s3sync_dagster.api.wire_source import SHOWN, FileUploadShown, S3Shown, SourceShown
from s3sync_dagster.core.state import SourceRow
from s3sync_dagster.model.invocation import Invocation, InvocationStatus
from s3sync_dagster.model.place import UploadPlace
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source

UNKNOWN_BUCKET = "unknown"
"""Bucket of an invocation whose source is deleted."""


@dataclass(frozen=True, slots=True)
class SourceNames:
    """What invocations say of the sources that they belong to."""

    buckets: Mapping[str, str]
    refs: Mapping[str, tuple[str, str]]
    """Source -> ``sha`` or ``branch`` and its name, of those of repositories."""
    sites: frozenset[str]
    """Sources whose objects are pages."""
    shown: Mapping[str, str]
    """Upload source -> the one of its database that the wire shows."""

    @classmethod
    def of(cls, rows: Sequence[SourceRow]) -> "SourceNames":
        """Return the names of a tenant's sources, given oldest first."""
        first: dict[str, str] = {}
        shown: dict[str, str] = {}
        for row in sorted(rows, key=lambda row: row.deleting is not None):  # those that stay first
            source = row.source
            if source.place.owned:
                shown[source.id] = first.setdefault(source.database_name, source.id)
        places = {row.source.id: row.source.place for row in rows}
        return cls(
            {name: place.identity().bucket_name for name, place in places.items()},
            {name: ref for name, place in places.items() if (ref := place.followed()) is not None},
            frozenset(name for name, place in places.items() if place.type == "web_scrape"),
            shown,
        )


def show_source(source: Source, *, created_at: float) -> SourceShown:
    """Return a source as ``GET`` answers it."""
    embedding = show_embedding(source.embedding)
    shown: dict[str, Any] = {
        **_show_place(source),
        "id": UUID(source.id),
        "database_name": source.database_name,
        "embedding_model": embedding.dense,
        "chunking": show_chunking(source.chunking, source.embedding),
        "embedding": embedding,
        "created_at": moment(created_at),
    }
    return SourceShown(**shown)


def _show_place(source: Source) -> dict[str, Any]:
    """Return the union's one variant by its key."""
    place = source.place
    if isinstance(place, UploadPlace):
        return {place.type: FileUploadShown()}
    if not isinstance(place, S3Place):
        return {place.type: show_variant(source, SHOWN[place.type])}
    return {
        place.type: S3Shown(
            bucket_name=place.bucket_name,
            region=place.region or "",
            collection_name=source.collection_name,
            aws_credential_id=place.credential_id,
            path_prefix=place.path_prefix or None,
            auto_sync=source.auto_sync,
        )
    }


def show_invocation(invocation: Invocation, names: SourceNames) -> Job:
    """Return an invocation as ``GET`` answers it."""
    source_id = invocation.source_id
    return Job(
        id=UUID(invocation.id),
        status=show_status(invocation),
        metadata=JobMetadata(
            **_show_kind(invocation, names),
            database_name=invocation.database_name,
            collection_name=invocation.collection_name,
        ),
        created_at=invocation.created_at,
        source_id=_uuid(names.shown.get(source_id, source_id)),
    )


def _show_kind(invocation: Invocation, names: SourceNames) -> dict[str, Any]:
    """Return the union's one kind by its key."""
    ref = names.refs.get(invocation.source_id)
    if ref is not None:
        asked = {ref[0]: ref[1]} if invocation.object_key else dict(invocation.metadata)
        shown = GitRefShown.model_validate(asked)
        fields = GitHubJobFields(git_ref_identifier=shown, object_key=invocation.object_key or None)
        return {"github": fields}
    if invocation.source_id in names.sites:
        return {"web_scrape": WebJobFields(object_key=invocation.object_key or None)}
    return {
        "s3": S3JobFields(
            bucket_name=names.buckets.get(invocation.source_id, UNKNOWN_BUCKET),
            object_key=invocation.object_key or None,
            custom_id=invocation.custom_id,
            additional_metadata=dict(invocation.metadata) or None,
        )
    }


def show_status(invocation: Invocation) -> JobStatus:
    """Return the status as a union: a word, or an object with one key."""
    match invocation.status:
        case InvocationStatus.COMPLETE:
            ended = invocation.finished_at or invocation.created_at
            lasted = ended - (invocation.started_at or invocation.created_at)
            milliseconds = max(0, round(lasted.total_seconds() * 1000))
            return Complete(complete=CompleteFields(finished_at=ended, duration_ms=milliseconds))
        case InvocationStatus.FAILED:
            why = invocation.error or invocation.reason or "unknown"
            return Failed(failed=FailedFields(error=why))
        case InvocationStatus.PENDING:
            return "pending"
        case InvocationStatus.PROCESSING:
            return "processing"
        case InvocationStatus.CANCELLED:
            return "cancelled"


def moment(seconds: float) -> datetime:
    """Return seconds since 1970 as a UTC time."""
    return datetime.fromtimestamp(seconds, UTC)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
