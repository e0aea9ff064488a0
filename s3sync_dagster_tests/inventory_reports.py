"""Inventory reports as AWS lays them out in their bucket, written by hand: moto delivers none."""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote_plus

from s3sync_dagster.model.object import ObjectRef

PREFIX = "inventory/bucket/all/"
SCHEMA = "Bucket, Key, Size, LastModifiedDate, ETag, StorageClass"
VERSIONED = (
    "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"
)


def row_of(ref: ObjectRef, bucket: str = "bucket", **more: str) -> dict[str, str]:
    """Return a row by column; ``more`` stands instead of what the object has."""
    modified = (ref.last_modified or datetime(2026, 1, 1, tzinfo=UTC)).astimezone(UTC)
    return {
        "Bucket": bucket,
        "Key": quote_plus(ref.key, safe="/"),
        "VersionId": "v",
        "IsLatest": "true",
        "IsDeleteMarker": "false",
        "Size": str(ref.size),
        "LastModifiedDate": modified.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "ETag": ref.etag,
        "StorageClass": ref.storage_class,
        **more,
    }


def packed(rows: Iterable[dict[str, str]], schema: str = SCHEMA) -> bytes:
    """Return a file of a report: quoted values without a header, gzip."""
    text = io.StringIO()
    names = schema.split(", ")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(
        [row[name] for name in names] for row in rows
    )
    return gzip.compress(text.getvalue().encode(), compresslevel=1, mtime=0)


def delivered(
    name: str,
    files: Sequence[bytes],
    *,
    created: datetime,
    prefix: str = PREFIX,
    manifest: Mapping[str, object] | None = None,
) -> dict[str, bytes]:
    """Return the objects of a delivery in the order in which they come; the checksum is last."""
    keys = [f"{prefix}data/{name}-{number}.csv.gz" for number in range(len(files))]
    told = {
        "sourceBucket": "bucket",
        "destinationBucket": "arn:aws:s3:::reports",
        "version": "2016-11-30",
        "creationTimestamp": str(int(created.timestamp() * 1000)),
        "fileFormat": "CSV",
        "fileSchema": SCHEMA,
        "files": [
            {"key": key, "size": len(file), "MD5checksum": _md5(file)}
            for key, file in zip(keys, files, strict=True)
        ],
        **(manifest or {}),
    }
    text = json.dumps(told).encode()
    return {
        **dict(zip(keys, files, strict=True)),
        f"{prefix}{name}/manifest.json": text,
        f"{prefix}{name}/manifest.checksum": _md5(text).encode(),
    }


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
