"""A connection of Supermemory: of its list, of its newer connectors, or as one is created."""

from collections.abc import Sequence
from typing import Any

from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.moving.wanted import (
    KeyPair,
    Reader,
    Wanted,
    collection_called,
    ids_of,
    key_pair,
    refuse_secrets_in,
)

PROVIDER = "s3"
TAGS = "containerTags"
"""Metadata key of each record."""
SYNC_SECONDS = 14_400
"""Every four hours, as theirs."""
DOCUMENT_LIMIT = 10_000
"""Theirs, where nothing is said; more may be named."""
MAX_PATTERN_CHARACTERS = 199
_USER_GROUP, _OURS = "(?<userId>", "(?P<userId>"
"""As theirs is written, and as RE2 of before 2023 and Python have it: both are read."""


def connection_of(given: object) -> Wanted:
    """Return a connection. Raises ``InvalidSetting``."""
    entry = Reader(given, at="")
    provider = entry.text("provider") or PROVIDER
    if provider != PROVIDER:
        raise InvalidSetting(f"The provider {ascii(provider)[:80]} has no counterpart here.")
    first = entry.text("containerTag")
    tags: list[str] = list(dict.fromkeys([*([first] if first else []), *entry.texts(TAGS)]))
    limit = entry.whole("documentLimit")
    config = entry.take("config", dict)
    metadata = Reader(config or entry.take("metadata", dict), at="metadata.")
    fields, keys = bucket_fields(metadata, tags=tags, document_limit=limit)
    entry.ignore(
        *(
            "id",
            "createdAt",
            "expiresAt",
            "lastSyncRun",
            "latestRun",
            "syncs",
            "system",
            "metadata",
        ),
        *("documentCount", "capabilities", "picker"),
    )
    left = [
        *entry.left(
            {
                "email": "there are no accounts of other people here",
                "account": "there are no accounts of other people here",
                "redirectUrl": "keys need no page to sign in on",
                "namespace": "container tags and collections tell sources apart",
                "selection": "prefix and globs select",
            }
        ),
        *metadata.left({}),
    ]
    return Wanted(
        label=f"Supermemory connection of bucket {fields['bucket_name']!r}",
        type=PROVIDER,
        fields=fields,
        name=fields["bucket_name"],
        keys=keys,
        left_out=left,
    )


def bucket_fields(
    metadata: Reader, *, tags: Sequence[str], document_limit: int | None
) -> tuple[dict[str, Any], KeyPair | None]:
    """Return the settings of a source and its keys from what stands in ``metadata``.

    Raises:
        InvalidSetting: something is missing, or no value.
    """
    if document_limit is not None and document_limit < 1:
        raise InvalidSetting("documentLimit has to be 1 or more; leave it out for 10,000.")
    named: dict[str, str] = {}
    for name in ("bucket", "region"):
        value = metadata.text(name)
        if value is None:
            raise InvalidSetting(f"metadata.{name} is missing, or no text.")
        named[name] = value
    endpoint = metadata.text("endpoint")
    refuse_secrets_in(endpoint)
    refuse_secrets_in(named["bucket"])
    pattern = _pattern(metadata.take("containerTagRegex"))
    fields = {
        "bucket_name": named["bucket"],
        "region": named["region"],
        "collection_name": collection_called("supermemory", tags[0] if tags else None),
        "id_prefix": ids_of(named["bucket"], endpoint),
        "endpoint_url": endpoint,
        "addressing_style": "path" if endpoint else None,
        "path_prefix": metadata.text("prefix"),
        "auto_sync": "direct",
        "list_interval_seconds": SYNC_SECONDS,
        "document_limit": DOCUMENT_LIMIT if document_limit is None else document_limit,
        "path_metadata": pattern,
        "path_metadata_whole_key": None if pattern is None else True,
        "metadata": {TAGS: list(tags)} if tags else None,
    }
    return fields, key_pair(metadata, "accessKeyId", "secretAccessKey")


def _pattern(given: str | None) -> str | None:
    if given is None:
        return None
    if len(given) > MAX_PATTERN_CHARACTERS:
        raise InvalidSetting("containerTagRegex is a text of less than 200 characters.")
    if _USER_GROUP not in given and _OURS not in given:
        raise InvalidSetting("containerTagRegex needs the named group (?<userId>...).")
    return given.replace(_USER_GROUP, _OURS)


def shown_pattern(pattern: str | None) -> str | None:
    """Return a pattern as their clients write it."""
    return None if pattern is None else pattern.replace(_OURS, _USER_GROUP)
