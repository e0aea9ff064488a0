"""The settings of a source between a form and a payload of the API: both made of their table."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from s3sync_dagster.api.routing import parse_strictly
from s3sync_dagster.api.wire_source import WIRE_TYPES
from s3sync_dagster.model.embedding_kinds import EMBEDDING_KINDS
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place import Place
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source
from s3sync_dagster.setting import GROUPS, Door, Setting
from s3sync_dagster.source_settings import SETTINGS, settings_of

TYPES: Mapping[str, type[Place]] = {"s3": S3Place, **WIRE_TYPES}
"""Places of which a form makes sources."""
FIRST = (
    "bucket_name", "path_prefix", "collection_name", "database_name", "auto_sync",
    "list_interval_seconds", "queue_url", "mode", "region",
)  # fmt: skip
"""Besides what a place has to be given: what stands open, above what is folded."""
_BY_HAND = ("place.credentials.credential_id", "embedding.model", "embedding.task")
"""The credential is chosen among the tenant's; a model is chosen by the kind's row."""
_DEFAULTS = {"auto_sync": "direct", "list_interval_seconds": "300"}
"""What a form proposes where the API proposes nothing, or that nothing happens by itself."""
_NUMBER = re.compile(r"-?[0-9]{1,18}")
"""More digits are beyond every bound, and from 4,301 on Python refuses to read them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A setting as one input of a form."""

    setting: Setting
    name: str
    value: str
    proposed: str
    """What counts where nothing is said."""

    @property
    def choices(self) -> tuple[str, ...]:
        """What it may be; empty: anything."""
        if self.setting.path == "embedding.kind":
            return MODELS
        return ("true", "false") if self.setting.kind == "flag" else self.setting.choices

    @property
    def first(self) -> bool:
        """Whether it stands open."""
        return self.setting.required or self.setting.word in FIRST

    @property
    def label(self) -> str:
        """What people read above it."""
        return self.setting.word.replace("_", " ").capitalize()

    @property
    def place_in_payload(self) -> tuple[str, ...]:
        """The end of its place in a body that the API takes."""
        if self.setting.path == "embedding.kind":
            return ("dense", "model")
        return (*filter(None, (self.setting.group,)), self.setting.wire_name)


MODELS = tuple(kind.model_name for kind in EMBEDDING_KINDS.values() if kind.model_name)


def create_fields(tag: str, given: Mapping[str, str]) -> list[Field]:
    """Return the inputs of a form that makes a source."""
    rows = [one for one in settings_of(TYPES[tag]) if one.offered(Door.POST)]
    return [
        Field(
            setting=one,
            name=one.path,
            value=given.get(one.path, _DEFAULTS.get(one.path, "")),
            # The model is the server's choice: Chroma Cloud's where it has that.
            proposed=_text(None if one.required or one.path == "embedding.kind" else one.default),
        )
        for one in rows
        if one.path not in _BY_HAND
    ]


def edit_fields(source: Source, given: Mapping[str, str] | None = None) -> list[Field]:
    """Return the inputs of a form that changes a source, with what it has now or was written."""
    written = given or {}
    return [
        Field(
            setting=one,
            name=one.path,
            value=written.get(one.path, _text(one.read(source))),
            proposed=_text(None if one.required else one.default),
        )
        for one in SETTINGS
        if one.offered(Door.PATCH) and one.belongs_to(source.place) and one.path not in _BY_HAND
    ]


def create_payload(tag: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the body of ``POST /api/v1/sources`` that a form stands for.

    Raises:
        InvalidSetting: what was written is no value of its setting.
    """
    fields: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {name: {} for name in GROUPS}
    body: dict[str, Any] = {tag: fields, "database_name": "default_database"}
    for field in create_fields(tag, given):
        text = given.get(field.name, "").strip()
        if not text:
            continue
        value = _value(field.setting, text)
        if field.setting.path == "database_name":
            body["database_name"] = value
        elif field.setting.group is None:
            fields[field.setting.wire_name] = value
        else:
            groups[field.setting.group][field.setting.word] = value
    if tag == "s3":
        fields.setdefault("region", "")  # the contract wants it said
    if credential := given.get("credential", ""):
        fields["aws_credential_id"] = _credential(credential)
    if fields.get("auto_sync") == "none":  # the form proposes listings, and these are chosen off
        fields.pop("list_interval_seconds", None)
    if groups["extraction"]:
        fields["extraction"] = groups["extraction"]
    if groups["chunking"]:
        body["chunking"] = {"type": "tree_sitter", **groups["chunking"]}
    embedding = groups["embedding"]
    if kind := embedding.get("kind"):
        body["embedding"] = {"dense": {"model": kind}}
    if sparse := embedding.get("sparse_model"):
        key = {"key": embedding["sparse_key"]} if "sparse_key" in embedding else {}
        body.setdefault("embedding", {})["sparse"] = {"model": sparse, **key}
    return body


def version_of(source: Source) -> str:
    """Return what changes with any setting of a source: a form carries that of what it showed."""
    text = json.dumps(source.to_json(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def edit_payload(source: Source, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the body of ``PATCH /s3sync/v1/sources``: what the form changes, and nothing else.

    Raises:
        InvalidSetting: what was written is no value of its setting.
    """
    body: dict[str, Any] = {}
    for field in edit_fields(source):
        text = given.get(field.name)
        if text is None or _lines(text) == _lines(field.value):
            continue
        value = _value(field.setting, text.strip()) if text.strip() else _emptied(field.setting)
        group = field.setting.group
        if group is None:
            body[field.setting.wire_name] = value
        else:
            body.setdefault(group, {})[field.setting.word] = value
    if "chunking" in body:  # stands for all of it
        kept = {
            field.setting.word: _value(field.setting, given.get(field.name) or field.value)
            for field in edit_fields(source)
            if field.setting.group == "chunking" and (given.get(field.name) or field.value)
        }
        body["chunking"] = {**kept, **body["chunking"]}
    credential = given.get("credential")
    if credential is not None and credential != str(source.place.credential_id or ""):
        body["aws_credential_id"] = _credential(credential)
    return body


def _credential(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidSetting(
            "The credential of a source is exchanged for another stored one, never taken away: "
            "choose one, or create another source."
        )
    return int(text)


def _emptied(setting: Setting) -> Any:
    value = None if setting.nullable else _plain(setting.default)
    # The doors pass over null where the contract has the setting, or where it is needed.
    if value is None and (setting.contract or not setting.nullable) and setting.group is None:
        raise InvalidSetting(f"{setting.label} is changed, never taken away: write a value.")
    return value


def _value(setting: Setting, text: str) -> Any:
    match setting.kind:
        case "whole":
            if not _NUMBER.fullmatch(text):
                raise InvalidSetting(f"{setting.label} has to be {setting.bounds}.")
            return int(text)
        case "flag":
            return text == "true"
        case "texts":
            return list(_lines(text))
        case "mapping":
            try:
                value = parse_strictly(text.encode())
            except ValueError:
                value = None
            if not isinstance(value, dict):
                raise InvalidSetting(f'{setting.label} is no JSON object such as {{"name": "x"}}.')
            return value
        case _:
            return text


def _text(value: Any) -> str:
    plain = _plain(value)
    if plain is None or plain == {}:
        return ""
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, list):
        return "\n".join(plain)
    return json.dumps(plain) if isinstance(plain, dict) else str(plain)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else getattr(value, "value", value)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(_stripped(text))


def _stripped(text: str) -> Iterator[str]:
    return (line.strip() for line in text.splitlines() if line.strip())
