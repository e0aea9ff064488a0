"""A source of Chroma's Sync API, as its list shows it or is sent it."""

from typing import Any

from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place_types import place_classes
from s3sync_dagster.moving.wanted import (
    Reader,
    Wanted,
    key_pair,
    refuse_secrets_in,
    shown_address,
)
from s3sync_dagster.setting import Door
from s3sync_dagster.source_settings import settings_of

TYPES = ("s3", "github", "web_scrape", "file_upload")
_NAMED_BY = {"s3": "bucket_name", "github": "repository", "web_scrape": "starting_url"}
_LISTED = 300
_THEIR_KEYS = "aws_credential_id"
_REASONS = {
    _THEIR_KEYS: "a number of their saved keys, which they do not give away: "
    "--credential names one of yours",
    "app_id": "a private repository needs a token of yours, see docs/places.md",
}


def is_source(given: dict[str, Any]) -> bool:
    """Return whether an entry is one of theirs."""
    return "source_type" in given or any(tag in given for tag in TYPES)


def source_of(given: object) -> Wanted:
    """Return a source. Raises ``InvalidSetting``."""
    entry = Reader(given, at="")
    nested = entry.take("source_type", dict)  # as an older version of their API had it
    holder = Reader(nested, at="source_type.") if nested is not None else entry
    found = {tag: value for tag in TYPES if (value := holder.take(tag, dict)) is not None}
    if len(found) != 1:
        raise InvalidSetting(f"It has to be of one of the types {', '.join(TYPES)}.")
    [(tag, config)] = found.items()
    if tag == "file_upload":
        raise InvalidSetting("file_upload: the first upload makes it; upload the files again.")
    own = Reader(config, at=f"{tag}.")
    keys = None
    if tag == "s3":
        keys = key_pair(own, "aws_access_key_id", "aws_secret_access_key")
        older = own.text("trigger_mode")
    else:
        older = None
    table = settings_of(place_classes()[tag])
    known = {one.wire_name for one in table if one.group is None and one.offered(Door.POST)}
    fields = {name: own.take(name, object) for name in sorted(known - {_THEIR_KEYS})}
    for url in ("endpoint_url", "queue_url"):
        refuse_secrets_in(fields.get(url))
    refuse_secrets_in(fields.get(_NAMED_BY[tag]), query=True)
    fields["auto_sync"] = fields.get("auto_sync") or older or "none"
    if fields["auto_sync"] != "none" and not fields.get("list_interval_seconds"):
        fields["list_interval_seconds"] = _LISTED  # their queue is not ours
    name = fields.get(_NAMED_BY[tag])
    if not isinstance(name, str) or not name:
        raise InvalidSetting(f"{tag}.{_NAMED_BY[tag]} is missing, or no text.")
    if tag == "s3":
        name, prefix = _bucket_and_prefix(name)
        fields["bucket_name"] = name
        if prefix and (fields.get("path_prefix") or prefix) != prefix:
            raise InvalidSetting(
                "s3.bucket_name names a prefix, and s3.path_prefix another one: leave one of them."
            )
        fields["path_prefix"] = fields.get("path_prefix") or prefix
    else:
        name = shown_address(name)  # a query may be a key
    embedding = entry.take("embedding", dict) or _older(entry.take("embedding_model", (str, dict)))
    chunking = entry.take("chunking", dict)
    database = entry.text("database_name")
    entry.ignore("id", "created_at", "embedding_model")
    return Wanted(
        label=f"Chroma Sync {tag} source of {name!r}",
        type=tag,
        fields={key: value for key, value in fields.items() if value is not None},
        name=name,
        database=database,
        embedding=embedding,
        chunking=chunking,
        keys=keys,
        left_out=[*entry.left({}), *own.left(_REASONS)],
    )


def _older(model: str | dict[str, Any] | None) -> dict[str, Any] | None:
    if model is None:
        return None
    return {"dense": {"model": model} if isinstance(model, str) else model}


def _bucket_and_prefix(text: str) -> tuple[str, str]:
    """Return what a name, an address or an ARN names: their clients take each of them."""
    plain = text.removeprefix("s3://").removeprefix("arn:aws:s3:::")
    if plain.startswith("arn:"):  # of an access point, which has a slash of its own
        return plain, ""
    bucket, _, prefix = plain.partition("/")
    return bucket, prefix
