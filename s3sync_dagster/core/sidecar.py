"""Small objects that say how another one is to be indexed.

``*.meta.json`` (``chroma-v1``) names its object; ``KEY.metadata.json`` is Bedrock's beside ``KEY``,
for sources that ask for those.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from s3sync_dagster.core.bedrock import bedrock_metadata
from s3sync_dagster.core.keys import (
    validate_collection_name,
    validate_custom_id,
    validate_object_key,
)
from s3sync_dagster.core.record_limits import validate_user_metadata
from s3sync_dagster.model.document import Metadata
from s3sync_dagster.model.errors import InvalidSetting, InvalidSidecar, RecordRejected, S3SyncError
from s3sync_dagster.model.source import Source

SIDECAR_SUFFIX = ".meta.json"
BEDROCK_SUFFIX = ".metadata.json"
SIDECAR_VERSION = "chroma-v1"
MAX_SIDECAR_BYTES = 256 * 1024

_REQUIRED = ("version", "id", "path")
_FIELDS = frozenset({*_REQUIRED, "target_collection_name", "metadata"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """What a sidecar asks for."""

    path: str
    """Full key of the object it describes."""
    custom_id: str | None
    """None with Bedrock, which has no ids."""
    target_collection_name: str | None = None
    """None: the source's own collection."""
    metadata: Metadata = field(default_factory=dict[str, Any])


def is_sidecar(key: str, *, bedrock: bool = False) -> bool:
    """Tell whether a key is a sidecar's, by its name alone (case counts).

    Args:
        key: of the object.
        bedrock: whether the source takes Bedrock's too.
    """
    return key.endswith(SIDECAR_SUFFIX) or (bedrock and key.endswith(BEDROCK_SUFFIX))


def parse_sidecar(body: bytes, *, source: Source, key: str) -> Sidecar:
    """Return what a sidecar says, in the form that its name tells.

    Args:
        body: the sidecar's bytes.
        source: whose prefix the path has to lie in.
        key: the sidecar's own key, for messages.

    Raises:
        InvalidSidecar: with a reason of docs/sidecars.md; nothing of it is followed then.
    """
    fields = _fields(body, key=key)
    if key.endswith(BEDROCK_SUFFIX):
        return _bedrock(fields, source=source, key=key)
    version = fields.get("version")
    if version != SIDECAR_VERSION:
        raise _invalid(key, "wrong_version", f"its version is not {SIDECAR_VERSION!r}")
    missing = [name for name in _REQUIRED if name not in fields]
    if missing:
        raise _invalid(key, "missing_field", f"it has no {' and no '.join(missing)}")
    unknown = sorted(set(fields) - _FIELDS)
    if unknown:
        raise _invalid(
            key, "unknown_field", f"it has the unknown field {unknown[0][:60]!r}; remove it"
        )
    custom_id, path = fields["id"], fields["path"]
    target, metadata = fields.get("target_collection_name"), fields.get("metadata")
    if not isinstance(custom_id, str) or not isinstance(path, str):
        raise _invalid(key, "wrong_type", "its id and path have to be strings")
    if target is not None and not isinstance(target, str):
        raise _invalid(key, "wrong_type", "its target_collection_name has to be a string")
    if metadata is not None and not isinstance(metadata, dict):
        raise _invalid(key, "wrong_type", "its metadata has to be an object")
    _check_path(path, source=source, key=key)
    values = cast("Metadata", metadata or {})
    checks: tuple[tuple[str, Callable[[], None]], ...] = (
        (
            "invalid_id",
            lambda: validate_custom_id(custom_id, id_prefix=source.id_prefix, field="id"),
        ),
        ("invalid_collection_name", lambda: _check_target(target)),
        ("invalid_metadata", lambda: validate_user_metadata(values)),
    )
    for reason, check in checks:
        try:
            check()
        except S3SyncError as error:
            raise _invalid(key, reason, error.message) from None
    return Sidecar(path=path, custom_id=custom_id, target_collection_name=target, metadata=values)


def _bedrock(fields: dict[str, Any], *, source: Source, key: str) -> Sidecar:
    path, attributes = key.removesuffix(BEDROCK_SUFFIX), fields.get("metadataAttributes")
    _check_path(path, source=source, key=key)
    if attributes is None:
        raise _invalid(key, "missing_field", "it has no metadataAttributes")
    if not isinstance(attributes, dict):
        raise _invalid(key, "wrong_type", "its metadataAttributes have to be an object")
    try:
        values = bedrock_metadata(cast("dict[str, Any]", attributes))
        validate_user_metadata(values)
    except RecordRejected as error:
        raise _invalid(key, "invalid_metadata", error.message) from None
    return Sidecar(path=path, custom_id=None, metadata=values)


def _check_target(target: str | None) -> None:
    if target is not None:
        validate_collection_name(target, field="target_collection_name")


def _check_path(path: str, *, source: Source, key: str) -> None:
    try:
        validate_object_key(path, field="path")
    except InvalidSetting as error:
        raise _invalid(key, "invalid_path", error.message) from None
    if not path.startswith(source.place.path_prefix):
        raise _invalid(
            key,
            "outside_prefix",
            f"its path {path!r} does not begin with the source's prefix "
            f"{source.place.path_prefix!r}",
        )
    if is_sidecar(path, bedrock=source.bedrock_sidecars):
        raise _invalid(key, "path_is_sidecar", f"its path {path!r} is a sidecar, not a document")


def _fields(body: bytes, *, key: str) -> dict[str, Any]:
    if len(body) > MAX_SIDECAR_BYTES:
        raise _invalid(
            key, "too_large", f"it has {len(body)} bytes; at most {MAX_SIDECAR_BYTES} are read"
        )
    try:
        value = json.loads(
            body.decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_refuse
        )
    except (ValueError, RecursionError):
        raise _invalid(
            key, "invalid_json", "it is not JSON in UTF-8 with each name once and no NaN"
        ) from None
    if not isinstance(value, dict):
        raise _invalid(key, "wrong_type", "it is not a JSON object")
    return cast("dict[str, Any]", value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError  # a name twice: readers would disagree on which value counts
    return fields


def _refuse(_constant: str) -> float:
    raise ValueError  # NaN and Infinity are no JSON


def _invalid(key: str, reason: str, why: str) -> InvalidSidecar:
    return InvalidSidecar(f"sidecar {key!r} cannot be followed: {why}", reason=reason)
