"""What a bucket has."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRef:
    """One S3 object as a listing, a HEAD or an event describes it."""

    key: str
    """Full key from the bucket root, decoded, at most 1,024 bytes of UTF-8."""
    etag: str
    """Entity tag without its quotes. Empty when the teller did not know it."""
    size: int
    """Bytes; -1 when the teller did not know it."""
    last_modified: datetime | None = None
    """Aware UTC time."""
    version_id: str | None = None
    """Version of a versioned bucket; None elsewhere (S3's word ``null`` too)."""
    storage_class: str = "STANDARD"
    restored: bool = False
    """True for an archived object whose restored copy can be read now."""
