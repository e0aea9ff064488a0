"""From a payload to a source, with every rule checked once, at this door."""

import re
from typing import Any
from urllib.parse import urlsplit

from s3sync_dagster.api.access import Caller
from s3sync_dagster.api.models import ModelChoice
from s3sync_dagster.api.options import ApiOptions
from s3sync_dagster.api.wire_places import place_of
from s3sync_dagster.api.wire_settings import with_chunking, with_payload
from s3sync_dagster.api.wire_source import WIRE_TYPES, CreateSource, S3Fields
from s3sync_dagster.core.keys import MAX_SOURCE_NAME_LENGTH
from s3sync_dagster.core.source_rules import validate_bucket_name, validate_source
from s3sync_dagster.model.errors import InvalidSetting, NotPossible
from s3sync_dagster.model.place import Admission, CredentialsConfig, Place
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import AutoSync, Source
from s3sync_dagster.ports.aws_guard import TRUSTED_TENANTS, names_service
from s3sync_dagster.setting import Door
from s3sync_dagster.source_settings import settings_of

_UNSAFE = re.compile(r"[^A-Za-z0-9_]+")


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
    build = _of_bucket if payload.s3 is not None else _of_type
    source = build(payload, source_id=source_id, caller=caller, options=options)
    source = source.with_changes(
        embedding=models.configured(payload.embedding, legacy=payload.embedding_model)
    )
    source = with_chunking(source, payload.chunking)
    validate_source(source)
    return source


def _of_bucket(
    payload: CreateSource, *, source_id: str, caller: Caller, options: ApiOptions
) -> Source:
    fields = payload.s3
    bucket = bucket_name(fields.bucket_name)
    _check_fields(fields, caller=caller, options=options)
    source = Source(
        id=source_id,
        name=source_name(bucket, source_id),
        place=S3Place(
            bucket_name=bucket,
            path_prefix=fields.path_prefix or "",
            region=fields.region or None,
            credentials=CredentialsConfig(credential_id=fields.aws_credential_id),
        ),
        collection_name=fields.collection_name,
        tenant=caller.tenant,
        database_name=payload.database_name,
        auto_sync=_auto_sync(fields.auto_sync or fields.trigger_mode, fields),
        list_interval_seconds=0,
    )
    return with_payload(source, fields, Door.POST)


def _of_type(
    payload: CreateSource, *, source_id: str, caller: Caller, options: ApiOptions
) -> Source:
    """Return a source of a type whose variant is made from its settings."""
    tag = payload.source_type
    if tag not in WIRE_TYPES:
        raise _refused_type(tag)
    fields = getattr(payload, tag)
    place = place_of(WIRE_TYPES[tag], fields)
    place.check()
    source = Source(
        id=source_id,
        name=source_name(place.identity().bucket_name.rpartition("/")[2], source_id),
        place=place,
        collection_name=fields.collection_name or place.collection(),
        tenant=caller.tenant,
        database_name=payload.database_name,
        list_interval_seconds=0,
    )
    table = settings_of(WIRE_TYPES[tag])
    source = with_payload(source, fields, Door.POST, table, whole=True)
    source = source.with_changes(auto_sync=_auto_sync(fields.auto_sync, fields))
    return source.with_changes(place=admitted(source.place, caller=caller, options=options))


def admitted(place: Place, *, caller: Caller, options: ApiOptions) -> Place:
    """Return a place as this caller may have it. Raises ``InvalidSetting``, ``NotPossible``."""
    trusted = options.trusts(caller.tenant)
    return place.admitted(
        Admission(trusted=trusted, tenant=caller.tenant, environment=options.environment)
    )


def _auto_sync(asked: AutoSync | str | None, fields: Any) -> AutoSync:
    """Return what happens by itself: nothing unless it is asked for, and listings list."""
    if asked is None:
        return AutoSync.DIRECT if fields.list_interval_seconds else AutoSync.NONE
    check_listing(AutoSync(asked), fields.list_interval_seconds)
    return AutoSync(asked)


def check_listing(auto_sync: AutoSync, list_interval_seconds: int | None) -> None:
    """Refuse with ``InvalidSetting`` listings of a source that does nothing by itself."""
    if list_interval_seconds and auto_sync is AutoSync.NONE:
        raise InvalidSetting(
            "list_interval_seconds asks for listings, and auto_sync none for none: set auto_sync "
            "to direct or metadata."
        )


def bucket_name(text: str) -> str:
    """Return the bucket of a name, an ``s3://`` address or an ARN; ``InvalidSetting``."""
    name = text.removeprefix("s3://").removeprefix("arn:aws:s3:::").rstrip("/")
    head, slash, prefix = name.partition("/")
    if slash and not head.startswith("arn:"):
        raise InvalidSetting(
            f"bucket_name names a prefix too ({ascii(prefix)[:100]}): give it as path_prefix."
        )
    validate_bucket_name(name)
    return name


def source_name(stem: str, source_id: str) -> str:
    """Return a name for a source that has none in the contract: unique, and fit for Dagster."""
    safe = _UNSAFE.sub("_", stem).strip("_") or "source"
    digits = source_id.replace("-", "")[:8]
    return f"{safe[: MAX_SOURCE_NAME_LENGTH - 9]}_{digits}"


def _refused_type(tag: str) -> Exception:
    if tag == "file_upload":
        return InvalidSetting(
            "A file_upload source is not created here: the first POST /api/v1/add-file for a "
            "database makes it."
        )
    return NotPossible(
        f"This server has no {tag} sources; it has s3, file_upload, {', '.join(WIRE_TYPES)}.",
        reason="source_type_not_available",
    )


def _check_fields(fields: S3Fields, *, caller: Caller, options: ApiOptions) -> None:
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
