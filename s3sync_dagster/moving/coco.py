"""A datasource of Coco, as its API shows it or is sent it."""

import re
from typing import Any

from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.moving.wanted import (
    Reader,
    Wanted,
    collection_called,
    ids_of,
    key_pair,
    refuse_secrets_in,
)
from s3sync_dagster.source_settings import MAX_LIST_SECONDS

CONNECTOR = "s3"
NAME = "datasource"
"""Metadata key of each record: what the datasource is called there."""
LIST_SECONDS = 300
"""Where a datasource names no interval; theirs is 30."""
_AWS = re.compile(
    r"(?:https?://)?s3(?:-accelerate(?:\.dualstack)?|-external-1"
    r"|[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-\d))?\.amazonaws\.com(?:\.cn)?(?::443)?/?",
    re.IGNORECASE,
)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_NO_PIPELINES = "there are no pipelines here: documents are enriched by a function in Python"


def datasource_of(given: object) -> Wanted:
    """Return a datasource. Raises ``InvalidSetting``."""
    entry = Reader(given, at="")
    connector = Reader(entry.take("connector", dict), at="connector.")
    kind = connector.text("id")
    if kind != CONNECTOR:
        raise InvalidSetting(f"The connector {ascii(kind)[:80]} has no counterpart here.")
    name = entry.text("name")
    if name is None:
        raise InvalidSetting("name is missing.")
    config = Reader(connector.take("config", dict), at="connector.config.")
    sync = Reader(entry.take("sync", dict) or {}, at="sync.")
    fields = {**_bucket(config), **_timing(sync)}
    fields["collection_name"] = collection_called("coco", name)
    metadata = {
        NAME: name,
        "category": entry.text("category"),
        "tags": entry.texts("tags"),
    }
    fields["metadata"] = {key: value for key, value in metadata.items() if value}
    keys = key_pair(config, "access_key_id", "secret_access_key")
    enabled = entry.take("enabled", bool)
    webhook = entry.take("webhook", dict) or {}
    processing = entry.take("document_processing_config", dict) or {}
    sync.ignore("strategy", "page_size")  # of no meaning for buckets there, too
    entry.ignore("id", "created", "updated", "type", "_system", "icon", "description")
    left = [
        *entry.left({"enrichment_pipeline": _NO_PIPELINES}),
        *(["webhook: buckets tell of changes by a queue here"] if webhook.get("enabled") else []),
        *([f"document_processing_config: {_NO_PIPELINES}"] if processing.get("enabled") else []),
        *connector.left({}),
        *config.left({}),
        *sync.left({}),
    ]
    return Wanted(
        label=f"Coco datasource {name!r}",
        type=CONNECTOR,
        fields=fields,
        name=name,
        keys=keys,
        paused=enabled is False,
        left_out=left,
    )


def _bucket(config: Reader) -> dict[str, Any]:
    bucket = config.text("bucket")
    if bucket is None:
        raise InvalidSetting("connector.config.bucket is missing.")
    refuse_secrets_in(bucket)
    endpoint = config.text("endpoint")
    secure = config.take("use_ssl", bool)
    refuse_secrets_in(f"//{endpoint}" if endpoint and "://" not in endpoint else endpoint)
    aws = _AWS.fullmatch(endpoint or "s3.amazonaws.com")
    if aws is None and "://" not in str(endpoint):
        # As their page says: encrypted where nothing is said.
        endpoint = f"{'http' if secure is False else 'https'}://{endpoint}"
    endings = [one.strip().lower() for one in config.texts("extensions")]
    return {
        "bucket_name": bucket,
        "id_prefix": ids_of(bucket, None if aws else endpoint),
        "region": ((aws[1] if aws else None) or "us-east-1").lower(),
        "endpoint_url": None if aws else endpoint,
        "addressing_style": None if aws else "path",
        "path_prefix": config.text("prefix"),
        "extensions": [f".{one.removeprefix('.')}" for one in endings if one] or None,
    }


def _timing(sync: Reader) -> dict[str, Any]:
    enabled, interval = sync.take("enabled", bool), sync.text("interval")
    if enabled is False:
        return {"auto_sync": "none", "list_interval_seconds": None}
    seconds = LIST_SECONDS if interval is None else seconds_of(interval)
    return {"auto_sync": "direct", "list_interval_seconds": seconds}


def seconds_of(interval: str) -> int:
    """Return the seconds of a span as Go writes it, such as ``1h30m``.

    Raises:
        InvalidSetting: it is none, or no interval that a source may have.
    """
    parts = _SPAN.findall(interval)
    if not parts or "".join(number + unit for number, unit in parts) != interval:
        raise InvalidSetting("sync.interval is no span of time such as 5m, 1h or 30s.")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not 1 <= seconds <= MAX_LIST_SECONDS:  # of more than 308 digits it is infinite
        raise InvalidSetting(
            f"sync.interval is {interval[:20]!r}; it has to be from 1s to "
            f"{MAX_LIST_SECONDS // 3600}h. Where nothing is to be listed, sync.enabled is false."
        )
    return round(seconds)
