"""The schema. Times are seconds since 1970 (UTC) as floats; migrations/ builds it step by step."""

from s3sync_dagster.catalog.tables.access import audit, credentials, tokens
from s3sync_dagster.catalog.tables.documents import collections, documents, has_records, is_kept
from s3sync_dagster.catalog.tables.objects import (
    has_place,
    is_gone,
    is_missed,
    is_not_indexed,
    objects,
    shards,
    sidecars,
)
from s3sync_dagster.catalog.tables.schema import Key, Time, metadata
from s3sync_dagster.catalog.tables.sources import (
    deleted_sources,
    hours,
    lives,
    sources,
)
from s3sync_dagster.catalog.tables.uploads import upload_bytes, upload_files, uploads_elsewhere
from s3sync_dagster.catalog.tables.work import (
    batches,
    coalescing,
    invocations,
    is_live,
    listings,
    wholes,
)

__all__ = [
    "Key",
    "Time",
    "audit",
    "batches",
    "coalescing",
    "collections",
    "credentials",
    "deleted_sources",
    "documents",
    "has_place",
    "has_records",
    "hours",
    "invocations",
    "is_gone",
    "is_kept",
    "is_live",
    "is_missed",
    "is_not_indexed",
    "listings",
    "lives",
    "metadata",
    "objects",
    "shards",
    "sidecars",
    "sources",
    "tokens",
    "upload_bytes",
    "upload_files",
    "uploads_elsewhere",
    "wholes",
]
