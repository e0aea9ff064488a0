"""The limits that every record keeps, whatever server it goes to.

They are Chroma Cloud's, so that each collection can move there. Two of the rules protect a
local server as well: a number that is not finite inside an array destroys a collection for good,
and an integer beyond 64 bits silently becomes a float.
"""

import json
import math
from collections.abc import Mapping
from typing import cast

from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import RecordRejected

MAX_ID_BYTES = 128
MAX_DOCUMENT_BYTES = 16_384
MAX_KEYS = 32
MAX_KEY_BYTES = 36
MAX_VALUE_BYTES = 8_182
MAX_USER_KEYS = 16
"""What is left of 32 when every name of the contract and of ours stands on a record."""
MAX_PLAIN_BYTES = 1_024
"""A page label, heading path or symbol is cut here: it must not cost the object its record."""
MAX_METADATA_BYTES = 16 * 1024
"""Of what one request or source brings, as JSON: the contract's limit for an upload. It is kept,
and read again with each look at the request or source."""
_INT64 = range(-(2**63), 2**63)

CONTRACT_KEYS = frozenset(
    {
        "document_key",
        "document_key_sha256",
        "version_key",
        "version_key_sha256",
        "chunk_strategy",
        "language",
        "start_line",
        "end_line",
        "start_col",
        "end_col",
        "custom_id",
    }
)
RESERVED_PREFIXES = ("chroma", "s3sync_")


def validate_user_metadata(metadata: Mapping[str, object]) -> None:
    """Check the keys and values that people add to their records.

    Raises:
        RecordRejected: a reserved name, too many keys, or a value Chroma cannot hold.
    """
    for key, value in metadata.items():
        _validate_entry(key, value)
        if key in CONTRACT_KEYS or key.startswith(RESERVED_PREFIXES):
            raise RecordRejected(
                f"metadata key {shown(key)} is reserved: names of the Sync contract and names "
                "that begin with 'chroma' or 's3sync_' are set by the system"
            )
    present = sum(value is not None for value in metadata.values())
    if present > MAX_USER_KEYS:
        raise RecordRejected(
            f"metadata has {present} keys; at most {MAX_USER_KEYS} fit beside those of the system"
        )


def require_short(metadata: Mapping[str, object]) -> None:
    """Refuse metadata that a request or source would bring too much of. Raises ``RecordRejected``.

    They were validated: their keys with no value have neither a number nor a size otherwise.
    """
    size = len(json.dumps(dict(metadata), ensure_ascii=False).encode(errors="replace"))
    if size > MAX_METADATA_BYTES:
        raise RecordRejected(
            f"metadata has {size:,} bytes as JSON; at most {MAX_METADATA_BYTES:,} are kept"
        )


def validate_record(record: Record) -> None:
    """Check one record against every limit of Chroma Cloud.

    Raises:
        RecordRejected: with the rule, and the name of the value that breaks it.
    """
    _validate_text("id", record.id, limit=MAX_ID_BYTES)
    where = f"document of record {record.id!r}"
    _validate_text(where, record.document, limit=MAX_DOCUMENT_BYTES)
    _validate_text(f"embedding text of record {record.id!r}", record.embedding_text, limit=None)
    present = sum(value is not None for value in record.metadata.values())
    if present > MAX_KEYS:
        raise RecordRejected(f"record {record.id!r} has {present} metadata keys of {MAX_KEYS}")
    if present == 0:
        raise RecordRejected(f"record {record.id!r} has no metadata; Chroma refuses an empty one")
    validate_metadata(record.metadata)


def validate_metadata(metadata: Mapping[str, object]) -> None:
    """Check keys and values alone, as an update of metadata needs it.

    Raises:
        RecordRejected: with the rule and the key.
    """
    for key, value in metadata.items():
        _validate_entry(key, value)


def _validate_entry(key: object, value: object) -> None:
    if not isinstance(key, str):
        raise RecordRejected(f"metadata key {shown(key)} is not a string")
    if not (key.isascii() and 0 < len(key) <= MAX_KEY_BYTES):
        _validate_text(f"metadata key {shown(key)}", key, limit=MAX_KEY_BYTES)
    if key.startswith(("#", "$")) or key == "chroma:document":
        raise RecordRejected(f"metadata key {shown(key)} is refused by Chroma")
    if value is None or (type(value) is str and value.isascii() and len(value) <= MAX_VALUE_BYTES):
        return  # most values of most records
    _validate_value(key, cast("list[object]", value) if isinstance(value, list) else [value])


def _validate_value(key: str, values: list[object]) -> None:
    if not values:
        raise RecordRejected(f"metadata key {shown(key)}: an array must not be empty")
    kinds = {type(item) for item in values}
    if not kinds <= {str, int, float, bool}:
        raise RecordRejected(
            f"metadata key {shown(key)}: a value is a string, number or boolean, or an array of "
            f"such, not {', '.join(sorted(kind.__name__ for kind in kinds))}"
        )
    if len(kinds) > 1:
        raise RecordRejected(
            f"metadata key {shown(key)}: all elements of an array have the same type, "
            f"not {', '.join(sorted(kind.__name__ for kind in kinds))}"
        )
    size = sum(_scalar_bytes(key, item) for item in values)
    if size > MAX_VALUE_BYTES:
        raise RecordRejected(f"metadata key {shown(key)}: {size} bytes, limit {MAX_VALUE_BYTES}")


def _scalar_bytes(key: str, value: object) -> int:
    """Return the size of one scalar, after the checks that its type needs."""
    if isinstance(value, str):
        return len(utf8(f"metadata key {shown(key)}", value))
    if isinstance(value, float) and not math.isfinite(value):
        raise RecordRejected(f"metadata key {shown(key)}: a number must be finite")
    if isinstance(value, int) and value not in _INT64:
        raise RecordRejected(f"metadata key {shown(key)}: an integer has at most 64 bits")
    return 8


def _validate_text(name: str, text: str, *, limit: int | None) -> None:
    if not text:
        raise RecordRejected(f"{name} is empty")
    size = len(utf8(name, text))
    if limit is not None and size > limit:
        raise RecordRejected(f"{name} has {size} bytes, limit {limit}")


def utf8(name: str, text: str) -> bytes:
    """Return the text's bytes; ``RecordRejected`` names ``name`` where it has none."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise RecordRejected(
            f"{name} holds half of a surrogate pair, which UTF-8 cannot express"
        ) from None


def shown(value: object) -> str:
    """Return a short form for messages; ``ascii`` keeps broken text printable."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def cut_plain(text: str) -> str:
    """Return the longest prefix of a label, path or symbol that a record keeps.

    That is the text itself, where it is kept whole: very many records have the same.
    """
    if text.isascii() and len(text) <= MAX_PLAIN_BYTES:
        return text
    plain = text.encode(errors="replace")[:MAX_PLAIN_BYTES].decode(errors="ignore")
    return text if plain == text else plain
