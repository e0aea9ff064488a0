"""S3's answers as values of the model."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from s3sync_dagster.core.keys import MAX_OBJECT_KEY_BYTES
from s3sync_dagster.model.errors import NotPossible
from s3sync_dagster.model.object import ObjectRef


def listed_ref(entry: Mapping[str, Any]) -> ObjectRef:
    """Return an object as an entry of ListObjectsV2 describes it.

    Raises:
        NotPossible: ``not_this_service``: no bucket has such a key, and catalogs hold none.
    """
    restore, key = entry.get("RestoreStatus", {}), entry["Key"]
    if 4 * len(key) > MAX_OBJECT_KEY_BYTES and len(key.encode()) > MAX_OBJECT_KEY_BYTES:
        raise NotPossible(
            f"the server lists a key of {len(key.encode())} bytes, and S3 has none of more than "
            f"{MAX_OBJECT_KEY_BYTES}: is it one of S3?",
            reason="not_this_service",
        )
    return ObjectRef(
        key=key,
        etag=entry.get("ETag", "").strip('"'),
        size=entry.get("Size", -1),
        last_modified=_utc(entry.get("LastModified")),
        storage_class=entry.get("StorageClass") or "STANDARD",
        restored="RestoreExpiryDate" in restore and not restore.get("IsRestoreInProgress", False),
    )


def described_ref(key: str, answer: Mapping[str, Any]) -> ObjectRef:
    """Return an object as the headers of its HEAD or GET describe it."""
    version_id = answer.get("VersionId")
    return ObjectRef(
        key=key,
        etag=answer.get("ETag", "").strip('"'),
        size=answer.get("ContentLength", -1),
        last_modified=_utc(answer.get("LastModified")),
        version_id=None if version_id == "null" else version_id,
        storage_class=answer.get("StorageClass") or "STANDARD",
        restored='ongoing-request="false"' in answer.get("Restore", ""),
    )


def user_metadata(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the user metadata of a HEAD or GET.

    S3 gives names in lower case, others as HTTP headers look in their language.
    """
    return {name.lower(): value for name, value in answer.get("Metadata", {}).items()}


def require_order(refs: Sequence[ObjectRef], *, start_after: str | None, bucket: str) -> None:
    """Raise unless keys come after ``start_after`` and in UTF-8 order, each once.

    A cursor over keys in another order would leave objects out without a word.

    Raises:
        NotPossible: ``unordered_listing``.
    """
    before = (start_after or "").encode()
    for ref in refs:
        key = ref.key.encode()
        if key <= before:
            raise NotPossible(
                f"bucket {bucket!r} does not list its keys in UTF-8 order ({ref.key!r} comes too "
                "late), so a listing cannot be trusted to be complete",
                reason="unordered_listing",
            )
        before = key


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
