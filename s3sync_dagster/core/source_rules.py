"""What no source may be: refused at its declaration, by whatever door it comes."""

import json
import re
from collections.abc import Mapping
from typing import Any

from s3sync_dagster.core.carried import names_readers
from s3sync_dagster.core.keys import (
    MAX_OBJECT_KEY_BYTES,
    utf8_size,
    validate_collection_name,
    validate_id_prefix,
    validate_source_name,
)
from s3sync_dagster.core.path_metadata import group_names
from s3sync_dagster.core.record_limits import require_short, validate_user_metadata
from s3sync_dagster.core.rights import MAX_KEYS
from s3sync_dagster.core.selection import validate_selection
from s3sync_dagster.core.state import SourceRow
from s3sync_dagster.model.embedding_kinds import EMBEDDING_KINDS
from s3sync_dagster.model.errors import InvalidSetting, RecordRejected
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import AutoSync, EmbeddingConfig, Source
from s3sync_dagster.source_settings import settings_of

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_ACCESS_POINT = re.compile(
    r"arn:aws[a-z-]*:s3[a-z-]*:[a-z0-9-]*:\d*:accesspoint[:/][A-Za-z0-9._:/-]+"
)
_FUNCTION = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_LANGUAGES = re.compile(r"(?:(?:script/)?[A-Za-z]\w{0,40}(?:\+(?!\Z)|\Z)){1,30}", re.ASCII)
"""A part of a path to Tesseract, and of a command line."""
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")
_URL = re.compile(r"https?://[^\s/]+(?:/\S*)?")
ENGINES = frozenset(
    (
        *("calamine", "docling", "docling-models", "email", "fast", "libreoffice", "liteparse"),
        *("main", "notebook", "ole", "oxmsg", "pandas", "pypdfium2", "striprtf", "tesseract"),
        "text",
    )
)
"""Names that ``extraction.engines`` may give; ``text``: what needs none, as it is."""
MAX_SETTINGS_BYTES = 32 * 1024
"""Of all settings of a source as JSON: they are read with each look at a tenant's sources."""
_HOST_ALONE = re.compile(r"[A-Za-z0-9.-]{1,253}:[0-9]{1,5}")


def require_own(row: SourceRow) -> Source:
    """Return the source of a row that the catalog owns, for who changes or deletes it.

    Raises:
        InvalidSetting: code declares it (``source_is_declared``): it would be as before, or there
            anew, as soon as that code is read again.
    """
    if row.origin != "catalog":
        raise InvalidSetting(
            f"The source {row.source.name!r} is declared in {row.origin}: change it there. What "
            "no code declares any more goes with "
            f"`s3sync source delete {row.source.name} --undeclared`.",
            reason="source_is_declared",
        )
    return row.source


def validate_source(source: Source) -> None:
    """Refuse what cannot work, with one sentence that names the setting and the way out.

    Raises:
        InvalidSetting: a setting breaks its rule.
    """
    for setting in settings_of(type(source.place)):
        setting.check(setting.read(source))
    validate_source_name(source.name)
    validate_collection_name(source.collection_name)
    validate_id_prefix(source.id_prefix)
    validate_selection(source)
    try:
        names = group_names(source.path_metadata) if source.path_metadata is not None else []
        names += source.place.carried.keys()
        validate_user_metadata({**source.metadata, **dict.fromkeys(names, "")})
        require_short(source.metadata)
        validate_user_metadata(dict.fromkeys(source.reader_keys, ""))
    except RecordRejected as error:
        raise InvalidSetting(f"metadata: {error.message}") from None
    if source.enrich is not None and not _FUNCTION.fullmatch(source.enrich):
        raise InvalidSetting("enrich is not the name of a function, such as package.module:name.")
    if len(source.reader_keys) > MAX_KEYS:
        raise InvalidSetting(f"reader_keys has more than {MAX_KEYS} keys.")
    _check_size(source)
    _check_told(source)
    _check_inventory(source)
    _check_embedding(source.embedding)
    _check_texts("embedding.task", source.embedding.task or {})
    _check_texts("extraction.engines", source.extraction.engines)
    for suffix in source.extraction.engines:
        if not suffix.startswith(".") or suffix != suffix.lower():
            raise InvalidSetting(
                f"extraction.engines holds {ascii(suffix)[:80]}; write the suffix in lower case "
                "with its dot, like '.pdf'."
            )
        engine = source.extraction.engines[suffix]
        if engine not in ENGINES:
            raise InvalidSetting(
                f"extraction.engines: {ascii(engine)[:80]} is no engine; there are "
                f"{', '.join(sorted(ENGINES))}."
            )
    if not _LANGUAGES.fullmatch(source.extraction.ocr_languages):
        raise InvalidSetting(
            "extraction.ocr_languages has another form than Tesseract's: write 'eng+deu'."
        )
    _check_url("extraction.vision_url", source.extraction.vision_url)
    source.place.check()
    if isinstance(source.place, S3Place):
        _check_bucket(source.place)


def validate_bucket_name(name: str) -> None:
    """Refuse with ``InvalidSetting`` what is no name of a bucket and no ARN of an access point."""
    if name.startswith("arn:") and not _ACCESS_POINT.fullmatch(name):
        raise InvalidSetting("bucket_name is no ARN of a bucket or access point.")
    if not name.startswith("arn:") and not _BUCKET.fullmatch(name):
        raise InvalidSetting(
            f"bucket_name {ascii(name)[:100]} is not 3 to 255 letters, digits, dots, hyphens and "
            "underscores that begin and end with a letter or digit; a prefix is path_prefix."
        )


def _check_bucket(place: S3Place) -> None:
    validate_bucket_name(place.bucket_name)
    if utf8_size(place.path_prefix, field="path_prefix") > MAX_OBJECT_KEY_BYTES:
        raise InvalidSetting(f"path_prefix has more than {MAX_OBJECT_KEY_BYTES} bytes of UTF-8.")
    if place.region is not None and not _REGION.fullmatch(place.region):
        raise InvalidSetting("region is not the name of a region, such as us-east-1.")
    _check_url("endpoint_url", place.endpoint_url)
    _check_url("queue_url", place.queue_url)
    if place.reports is not None:
        validate_bucket_name(place.reports.bucket_name)
    keys = place.credentials
    if (keys.access_key_id_env is None) != (keys.secret_access_key_env is None):
        raise InvalidSetting("access_key_id_env and secret_access_key_env have to come together.")
    if keys.session_token_env is not None and keys.access_key_id_env is None:
        raise InvalidSetting("session_token_env needs access_key_id_env and its secret.")
    if keys.external_id is not None and keys.role_arn is None:
        raise InvalidSetting("external_id needs role_arn, the role that asks for it.")


def _check_size(source: Source) -> None:
    text = json.dumps(source.to_json(), ensure_ascii=False)
    size = len(text.encode(errors="replace"))
    if size > MAX_SETTINGS_BYTES:
        raise InvalidSetting(
            f"The source has {size:,} bytes of settings as JSON; at most {MAX_SETTINGS_BYTES:,} "
            "are kept: shorten its metadata, globs, extensions or extraction.engines."
        )


def _check_told(source: Source) -> None:
    """Refuse rights of tags whose end nothing would tell: a group would keep what it lost."""
    place = source.place
    # What looks are listings, so no look is made more often than those.
    looked = 0 < source.list_interval_seconds <= place.metadata_interval_seconds
    tells = source.auto_sync is not AutoSync.NONE and (place.queue_url or looked)
    if names_readers(source) and not tells:
        raise InvalidSetting(
            "reader_keys names what object_tags or object_metadata give, and nothing would tell of "
            "their change: set queue_url, to which the bucket sends s3:ObjectTagging:* too, or "
            "metadata_interval_seconds and a list_interval_seconds that is not longer; auto_sync "
            "must not be none."
        )


def _check_inventory(source: Source) -> None:
    """Refuse what only answers of the bucket itself can keep, beside reports that are hours old."""
    place = source.place
    if not isinstance(place, S3Place) or place.inventory is None:
        return
    if source.document_limit is not None:
        raise InvalidSetting(
            "inventory and document_limit exclude each other: keys of a report that are gone would "
            "count, and others be left out for them."
        )
    if place.metadata_interval_seconds:
        raise InvalidSetting(
            "inventory and metadata_interval_seconds exclude each other: listings are what looks, "
            "and reports come once a day or a week."
        )
    if names_readers(source):
        raise InvalidSetting(
            "inventory goes with no reader_keys that object_tags or object_metadata give: a report "
            "tells nothing of them, so a group would keep what it lost by an event that is lost."
        )


def _check_embedding(embedding: EmbeddingConfig) -> None:
    needs = EMBEDDING_KINDS[embedding.kind].needs
    if not all(getattr(embedding, name) for name in needs):
        names = " and ".join(f"embedding.{name}" for name in needs)
        raise InvalidSetting(f"embedding.kind {embedding.kind!r} needs {names}.")
    _check_url("embedding.endpoint_url", embedding.endpoint_url)


def _check_texts(label: str, values: Mapping[Any, Any]) -> None:
    for name, value in values.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise InvalidSetting(f"{label}: {ascii(name)[:80]} and its value have to be texts.")


def _check_url(label: str, url: str | None) -> None:
    if url is None:
        return
    if _URL.fullmatch(url):
        if "@" in url.split("/")[2]:
            raise InvalidSetting(
                f"{label} has a user or a password in it, which would stand in the catalog as it "
                "is: write the address alone."
            )
        return
    if _HOST_ALONE.fullmatch(url):  # nothing else of a wrong one is told: it may hold a secret
        raise InvalidSetting(f"{label} has no scheme: write http://{url} or https://{url}.")
    raise InvalidSetting(f"{label} is not a URL such as https://s3.example.org.")
