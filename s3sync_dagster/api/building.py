"""From a payload to a source, with every rule checked once, at this door."""

import re
from urllib.parse import urlsplit

from s3sync_dagster.api.access import Caller
from s3sync_dagster.api.models import ModelChoice, configured_chunking
from s3sync_dagster.api.options import MAX_FILE_BYTES, ApiOptions
from s3sync_dagster.api.wire_source import CreateSource, S3Fields
from s3sync_dagster.core.keys import (
    MAX_SOURCE_NAME_LENGTH,
    validate_collection_name,
    validate_id_prefix,
)
from s3sync_dagster.core.record_limits import validate_user_metadata
from s3sync_dagster.core.selection import validate_selection
from s3sync_dagster.model.errors import InvalidSetting, NotPossible
from s3sync_dagster.model.source import AutoSync, CredentialsConfig, Source
from s3sync_dagster.ports.aws_guard import TRUSTED_TENANTS, names_service

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_ACCESS_POINT = re.compile(
    r"arn:aws[a-z-]*:s3[a-z-]*:[a-z0-9-]*:\d*:accesspoint[:/][A-Za-z0-9._:/-]+"
)
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")
_UNSAFE = re.compile(r"[^A-Za-z0-9_]+")
MAX_PREFIX_BYTES = 1024


def build_source(
    payload: CreateSource,
    *,
    source_id: str,
    caller: Caller,
    options: ApiOptions,
    models: ModelChoice,
) -> Source:
    """Return the source that a payload asks for; credentials are still the ids of the payload.

    Raises:
        InvalidSetting: a value breaks a rule; the message names field and rule.
        NotPossible: a source type that this server does not have.
    """
    fields = payload.s3
    if fields is None:
        raise _refused_type(payload)
    bucket = bucket_name(fields.bucket_name)
    _check_fields(fields, caller=caller, options=options)
    source = Source(
        id=source_id,
        name=source_name(bucket, source_id),
        bucket_name=bucket,
        collection_name=fields.collection_name,
        path_prefix=fields.path_prefix or "",
        region=fields.region,
        endpoint_url=fields.endpoint_url,
        addressing_style=fields.addressing_style,
        tenant=caller.tenant,
        database_name=payload.database_name,
        id_prefix=fields.id_prefix,
        metadata=fields.metadata,
        include_globs=tuple(fields.include_globs),
        exclude_globs=tuple(fields.exclude_globs),
        extensions=tuple(fields.extensions),
        max_size_bytes=fields.max_size_bytes or MAX_FILE_BYTES,
        document_limit=fields.document_limit,
        chunking=configured_chunking(payload.chunking),
        embedding=models.configured(payload.embedding, legacy=payload.embedding_model),
        auto_sync=_auto_sync(fields),
        queue_url=fields.queue_url,
        list_interval_seconds=fields.list_interval_seconds,
        mode=fields.mode,
        on_config_change=fields.on_config_change,
        credentials=CredentialsConfig(
            credential_id=fields.aws_credential_id,
            role_arn=fields.role_arn,
            external_id=fields.external_id,
        ),
        requester_pays=fields.requester_pays,
        expected_bucket_owner=fields.expected_bucket_owner,
    )
    check_source(source)
    return source


def _auto_sync(fields: S3Fields) -> AutoSync:
    """Return what happens by itself: nothing unless it is asked for, and listings list."""
    asked = fields.auto_sync or fields.trigger_mode
    if asked is None:
        return AutoSync.DIRECT if fields.list_interval_seconds else AutoSync.NONE
    check_listing(asked, fields.list_interval_seconds)
    return asked


def check_listing(auto_sync: AutoSync, list_interval_seconds: int | None) -> None:
    """Refuse with ``InvalidSetting`` listings of a source that does nothing by itself."""
    if list_interval_seconds and auto_sync is AutoSync.NONE:
        raise InvalidSetting(
            "list_interval_seconds asks for listings, and auto_sync none for none: set auto_sync "
            "to direct or metadata."
        )


def check_source(source: Source) -> None:
    """Refuse with ``InvalidSetting`` or ``RecordRejected`` what no source may be."""
    validate_collection_name(source.collection_name)
    validate_id_prefix(source.id_prefix)
    validate_selection(source)
    validate_user_metadata(source.metadata)
    if len(source.path_prefix.encode()) > MAX_PREFIX_BYTES:
        raise InvalidSetting(f"path_prefix has more than {MAX_PREFIX_BYTES} bytes of UTF-8.")


def bucket_name(text: str) -> str:
    """Return the bucket of a name, an ``s3://`` address or an ARN; ``InvalidSetting``."""
    name = text.removeprefix("s3://").removeprefix("arn:aws:s3:::").rstrip("/")
    if name.startswith("arn:"):
        if _ACCESS_POINT.fullmatch(name):
            return name
        raise InvalidSetting("bucket_name is no ARN of a bucket or access point.")
    name, slash, prefix = name.partition("/")
    if slash:
        raise InvalidSetting(
            f"bucket_name names a prefix too ({ascii(prefix)[:100]}): give it as path_prefix."
        )
    if not _BUCKET.fullmatch(name):
        raise InvalidSetting(
            "bucket_name is not 3 to 255 letters, digits, dots, hyphens and underscores "
            "that begin and end with a letter or digit."
        )
    return name


def source_name(stem: str, source_id: str) -> str:
    """Return a name for a source that has none in the contract: unique, and fit for Dagster."""
    safe = _UNSAFE.sub("_", stem).strip("_") or "source"
    digits = source_id.replace("-", "")[:8]
    return f"{safe[: MAX_SOURCE_NAME_LENGTH - 9]}_{digits}"


def _refused_type(payload: CreateSource) -> Exception:
    if payload.file_upload is not None:
        return InvalidSetting(
            "A file_upload source is not created here: the first POST /api/v1/add-file for a "
            "database makes it."
        )
    kind = "github" if payload.github is not None else "web_scrape"
    return NotPossible(
        f"This server has no {kind} sources; it has s3 and file_upload.",
        reason="source_type_not_available",
    )


def _check_fields(fields: S3Fields, *, caller: Caller, options: ApiOptions) -> None:
    if not _REGION.fullmatch(fields.region):
        raise InvalidSetting("region is not the name of a region, such as us-east-1.")
    trusted = options.trusts(caller.tenant)
    own = fields.aws_credential_id is None and fields.aws_access_key_id is None
    if own and not trusted:
        raise InvalidSetting(
            "Give aws_credential_id, or aws_access_key_id and aws_secret_access_key: only tenants "
            "in S3SYNC_API_TRUSTED_TENANTS may use the server's own AWS credentials.",
            reason="no_credentials",
        )
    for name, url in (("endpoint_url", fields.endpoint_url), ("queue_url", fields.queue_url)):
        if url is not None:
            check_url(name, url, trusted=trusted)


def check_url(name: str, url: str, *, trusted: bool) -> None:
    """Refuse with ``InvalidSetting`` what is no URL, or none that this tenant may name."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no number
        host = "" if parts.username else parts.hostname or ""
        usable = parts.scheme in ("http", "https")
    except ValueError:
        host, usable = "", False
    if not host or not usable:
        raise InvalidSetting(f"{name} is not a URL such as https://s3.example.org.")
    # A tenant that may name any address could read what only the server's network reaches.
    service = "sqs" if name == "queue_url" else "s3"
    if not trusted and not names_service(service, url):
        raise InvalidSetting(
            f"{name} is not a https address of {service.upper()} itself at AWS: only tenants in "
            f"{TRUSTED_TENANTS} may name another one."
        )
