"""Chunks to records: identity, metadata, digests. The limits stand in ``record_limits``."""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from s3sync_dagster.core.record_limits import (
    MAX_USER_KEYS,
    cut_plain,
    utf8,
    validate_record,
    validate_user_metadata,
)
from s3sync_dagster.model.document import Chunk, Metadata, MetadataValue, Record
from s3sync_dagster.model.source import Source

PLAIN_KEYS = (
    "s3sync_link",
    "page",
    "heading_path",
    "symbol",
    "s3sync_fallback",
    "s3sync_repeated_header",
)
"""Given up first: to a user's key of the same name, then to the limit of keys."""


def build_records(
    source: Source,
    *,
    object_key: str,
    document_id: str,
    etag: str,
    version_key: str,
    custom_id: str | None,
    metadata: Metadata,
    chunks: Sequence[Chunk],
) -> list[Record]:
    """Return one validated record per chunk, with the ids ``{document_id}-{index}``.

    Args:
        source: gives id and place and nothing else; its own ``metadata`` is the caller's to merge.
        object_key: full key from the bucket root.
        document_id: the source's id prefix and the custom id or the SHA-256 of the object key.
        etag: of the object that was read.
        version_key: version id of a versioned bucket, else the etag.
        custom_id: what replaced the key's SHA-256 in ``document_id``, if anything did.
        metadata: the user's keys, source and invocation merged.
        chunks: all of the document, in order of their index.

    Raises:
        RecordRejected: the user's metadata or a record breaks a limit.
    """
    validate_user_metadata(metadata)
    place = source.place
    user = {key: value for key, value in metadata.items() if value is not None}
    shared: dict[str, MetadataValue] = {
        **user,
        "document_key": object_key,
        "document_key_sha256": sha256_hex(object_key),
        "version_key": version_key,
        "version_key_sha256": sha256_hex(version_key),
        "s3sync_source": source.id,
        "s3sync_bucket": source.place.identity().bucket_name,
        "s3sync_etag": etag,
    }
    if custom_id is not None:
        shared["custom_id"] = custom_id
    linked = place.permalink(object_key, version_key, (1, 1)) is not None
    offered = [key for key in PLAIN_KEYS if key not in user and (linked or key != "s3sync_link")]
    plain_keys = offered[: MAX_USER_KEYS - len(user)]
    # One text of what very many records say alike, one after the other; each link is another.
    cut = functools.lru_cache(maxsize=64)(cut_plain)
    records = [
        Record(
            id=f"{document_id}-{chunk.index}",
            document=chunk.text,
            embedding_text=chunk.context + chunk.text,
            metadata=shared
            | _chunk_metadata(
                chunk,
                count=len(chunks),
                plain_keys=plain_keys,
                cut=cut,
                link=place.permalink(object_key, version_key, (chunk.start_line, chunk.end_line)),
            ),
        )
        for chunk in chunks
    ]
    for record in records:
        validate_record(record)
    return records


def _chunk_metadata(
    chunk: Chunk,
    *,
    count: int,
    plain_keys: Sequence[str],
    cut: Callable[[str], str],
    link: str | None,
) -> dict[str, MetadataValue]:
    values: dict[str, MetadataValue] = {
        "chunk_strategy": chunk.strategy,
        "start_line": chunk.start_line,
        "end_line": chunk.end_line,
        "start_col": chunk.start_col,
        "end_col": chunk.end_col,
        "s3sync_chunk": chunk.index,
    }
    if chunk.language is not None:
        values["language"] = chunk.language
    if chunk.index == 0:
        # On one record only: a count that grows must not touch the metadata of all the others.
        values["s3sync_chunk_count"] = count
    plain = {
        "s3sync_link": link,
        "page": chunk.page,
        "heading_path": chunk.heading_path,
        "symbol": chunk.symbol,
        "s3sync_fallback": chunk.fallback,
        "s3sync_repeated_header": chunk.repeated_header,
    }
    for key in plain_keys:
        if value := plain[key]:
            values[key] = cut(value) if isinstance(value, str) else value
    return values


def sha256_hex(text: str) -> str:
    """Return the lower-case hex SHA-256 of the text's UTF-8 form."""
    return hashlib.sha256(utf8("object key or version", text)).hexdigest()


def text_digest(record: Record) -> bytes:
    """Return 8 bytes over what is stored and what the model reads."""
    digest = hashlib.blake2b(digest_size=8)
    stored = record.document.encode()
    digest.update(len(stored).to_bytes(8))
    digest.update(stored)
    digest.update(record.embedding_text.encode())
    return digest.digest()


def metadata_digest(metadata: Mapping[str, Any]) -> bytes:
    """Return 8 bytes over all metadata of a record; None counts as absent."""
    present = {key: value for key, value in metadata.items() if value is not None}
    text = json.dumps(present, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
