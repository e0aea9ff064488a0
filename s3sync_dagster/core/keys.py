"""Names that derive from one another: object key, partition key, document id, source name.

Object keys are any UTF-8 up to 1,024 bytes. Partition keys are what Dagster's UI, command line
and both storages can carry: nearly the object key itself, with the few troublesome characters
percent-escaped and very long ones capped with a hash.
"""

import hashlib
import re

from s3sync_dagster.model.errors import InvalidSetting

MAX_OBJECT_KEY_BYTES = 1024
MAX_PARTITION_KEY_BYTES = 1500
MAX_DOCUMENT_ID_BYTES = 120
"""Chroma Cloud allows 128 bytes an id: what remains is for ``-{chunk_index}``."""
MAX_ID_PREFIX_BYTES = 56
MAX_SOURCE_NAME_LENGTH = 100
MAX_COLLECTION_NAME_LENGTH = 128
"""Chroma Cloud's limit; a server of one's own allows 512."""
RESERVED_SOURCE_NAMES = frozenset({"catalog"})
"""``catalog_auto_sync`` is the listing sensor of all catalog sources."""

# The UI's parser refuses control characters, commas, brackets and runs of dots; quotes and
# backslashes break its quoting; Postgres refuses NUL; the edges lose their spaces.
_TROUBLESOME = re.compile(r"[\x00-\x1f\x7f-\x9f%|,\[\]\"\\\u2028\u2029\ufeff]|\.\.\.+|^ | \Z")
_ESCAPES = re.compile(r"(?:%[0-9A-F]{2})+")
_CAPPED_STEM_BYTES = 1200
_HASH_DIGITS = 32
_CAPPED = re.compile(r"~[0-9a-f]{32}\Z")
_SOURCE_NAME = re.compile(r"[A-Za-z0-9_]+")
_COLLECTION_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,126}[a-zA-Z0-9]")
_IPV4 = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def partition_key(object_key: str) -> str:
    """Return the Dagster partition key of an object key: unique, at most 1,500 bytes.

    Args:
        object_key: full key from the bucket root; see ``validate_object_key``.
    """
    escaped = _TROUBLESOME.sub(lambda match: _percent(match.group(0)), object_key) or "%"
    if len(escaped.encode()) > MAX_PARTITION_KEY_BYTES or _looks_capped(escaped):
        digest = hashlib.sha256(object_key.encode()).hexdigest()[:_HASH_DIGITS]
        return f"{_cut(escaped, _CAPPED_STEM_BYTES)}~{digest}"
    return escaped


def object_key_of(partition_key: str) -> str | None:
    """Return the object key behind a partition key, None when only a hash of it is there.

    A key that a person typed without escaping is taken as it stands where that is possible.
    """
    if partition_key == "%":
        return ""
    if _looks_capped(partition_key):
        return None
    return _ESCAPES.sub(_unescape, partition_key)


def object_key_sha256(object_key: str) -> str:
    """Return the hex digest that stands for the key in record ids (contract)."""
    return hashlib.sha256(object_key.encode()).hexdigest()


def document_id(object_key: str, *, custom_id: str | None, id_prefix: str) -> str:
    """Return what a document's record ids begin with; ``-{chunk_index}`` follows."""
    return id_prefix + (custom_id or object_key_sha256(object_key))


def validate_object_key(key: str, *, field: str = "object_key") -> None:
    """Refuse with ``InvalidSetting`` what S3 cannot have as a key."""
    if not key:
        raise InvalidSetting(f"{field} is empty; give the full key from the bucket root")
    size = utf8_size(key, field=field)
    if size > MAX_OBJECT_KEY_BYTES:
        raise InvalidSetting(f"{field} has {size} bytes of UTF-8; S3 allows {MAX_OBJECT_KEY_BYTES}")


def validate_source_name(name: str) -> None:
    """Refuse with ``InvalidSetting`` a name that Dagster or another sensor cannot bear."""
    if not _SOURCE_NAME.fullmatch(name):
        raise InvalidSetting(
            f"name {name!r} is not made of letters A-Z, a-z, digits and underscores alone"
        )
    if len(name) > MAX_SOURCE_NAME_LENGTH:
        raise InvalidSetting(
            f"name has {len(name)} characters; at most {MAX_SOURCE_NAME_LENGTH} are allowed"
        )
    if name in RESERVED_SOURCE_NAMES:
        raise InvalidSetting(f"name {name!r} is taken by the project itself; choose another")


def validate_custom_id(custom_id: str, *, id_prefix: str = "", field: str = "custom_id") -> None:
    """Refuse with ``InvalidSetting`` an id whose record ids would break Chroma's limit.

    Args:
        custom_id: the caller's or the sidecar's id.
        id_prefix: the source's prefix, which counts too.
        field: name of the value in messages.
    """
    if not custom_id:
        raise InvalidSetting(f"{field} is empty; leave it out to use the hash of the object key")
    size = utf8_size(custom_id, field=field) + len(id_prefix.encode())
    if size > MAX_DOCUMENT_ID_BYTES:
        raise InvalidSetting(
            f"{field} with the source's id_prefix has {size} bytes of UTF-8; "
            f"at most {MAX_DOCUMENT_ID_BYTES} are allowed"
        )
    if _CONTROL.search(custom_id):
        raise InvalidSetting(f"{field} holds a control character; use printable ones")


def validate_id_prefix(id_prefix: str) -> None:
    """Refuse with ``InvalidSetting`` a prefix that leaves no room for the hash of a key."""
    size = utf8_size(id_prefix, field="id_prefix")
    if size > MAX_ID_PREFIX_BYTES:
        raise InvalidSetting(
            f"id_prefix has {size} bytes of UTF-8; at most {MAX_ID_PREFIX_BYTES} are allowed"
        )
    if _CONTROL.search(id_prefix):
        raise InvalidSetting("id_prefix holds a control character; use printable ones")


def validate_collection_name(name: str, *, field: str = "collection_name") -> None:
    """Refuse with ``InvalidSetting`` a name that Chroma or Chroma Cloud would refuse."""
    if not _COLLECTION_NAME.fullmatch(name) or ".." in name or _IPV4.fullmatch(name):
        raise InvalidSetting(
            f"{field} {name[:150]!r} is not 3 to {MAX_COLLECTION_NAME_LENGTH} letters, "
            "digits, dots, hyphens and underscores that begins and ends with a letter or digit "
            "(no two dots in a row, no IP address)"
        )


def utf8_size(text: str, *, field: str) -> int:
    """Return the bytes of a text in UTF-8; ``InvalidSetting`` where it has none."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidSetting(
            f"{field} holds half of a surrogate pair, which UTF-8 cannot express"
        ) from None


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _unescape(match: re.Match[str]) -> str:
    escapes = match.group(0)
    try:
        return bytes.fromhex(escapes.replace("%", "")).decode()
    except UnicodeDecodeError:
        return escapes


def _looks_capped(escaped: str) -> bool:
    # Longer than a capped stem can be after its cut; a true key of that shape is hashed as well,
    # so that the two forms never meet.
    shortest = _CAPPED_STEM_BYTES - len("%F0%9F%93%84") + 1 + _HASH_DIGITS
    return _CAPPED.search(escaped) is not None and len(escaped.encode()) >= shortest


def _cut(escaped: str, size_bytes: int) -> str:
    """Return at most so many bytes, cut neither inside a character nor inside its escapes."""
    stem = escaped.encode()[:size_bytes].decode(errors="ignore")
    stem = re.sub(r"%[0-9A-F]?\Z", "", stem)
    last = re.search(r"(?:%[0-9A-F]{2})+\Z", stem)
    if last is None:
        return stem
    raw = bytes.fromhex(last.group(0).replace("%", ""))
    return stem[: last.start()] + _percent(raw.decode(errors="ignore"))
