"""The settings of a source as fields of payloads, made from their table."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StrictBool, StringConstraints, create_model

from s3sync_dagster.api.wire import Name, Payload, Text
from s3sync_dagster.core.selection import MAX_GLOBS
from s3sync_dagster.model.source import ChunkingConfig, Source
from s3sync_dagster.setting import Door, Setting
from s3sync_dagster.source_settings import SETTINGS

Word = Annotated[Name, StringConstraints(max_length=2048)]
GROUP = "extraction"
"""Settings in an object of their own; chunking and embedding are objects of the contract."""


def settings_payload(door: Door, table: Iterable[Setting] = SETTINGS) -> type[Any]:
    """Return the base of a payload: the settings of a door that its contract does not have.

    All are optional, and null says nothing, or takes away what may be empty.
    """
    rows = [one for one in table if one.offered(door) and (door is Door.PATCH or not one.contract)]
    fields = {one.wire_name: optional_field(one) for one in rows if one.group is None}
    inner = settings_group(GROUP, table)
    fields[GROUP] = (inner | None, Field(default=None, description="How text is extracted."))
    return create_model(f"{door.name.title()}Settings", __base__=Payload, **fields)


def settings_group(name: str, table: Iterable[Setting] = SETTINGS) -> type[Any]:
    """Return the object with the settings of a group."""
    fields = {
        one.word: optional_field(one)
        for one in table
        if one.group == name and one.offered(Door.POST)
    }
    return create_model(f"{name.title()}Settings", __base__=Payload, **fields)


def with_payload(
    source: Source,
    given: BaseModel,
    door: Door,
    table: Iterable[Setting] = SETTINGS,
    *,
    whole: bool = False,
) -> Source:
    """Return the source with what a payload says.

    Args:
        source: before.
        given: the payload.
        door: by which it came.
        table: of settings.
        whole: the payload has the contract's own settings, too, made from their rows.

    Raises:
        InvalidSetting: a setting that sources of this place do not have.
    """
    for setting in table:
        holder = getattr(given, GROUP, None) if setting.group == GROUP else given
        every = whole or door is Door.PATCH
        own = setting.group in (None, GROUP) and (every or not setting.contract)
        if holder is None or not own or setting.wire_name not in holder.model_fields_set:
            continue
        value = getattr(holder, setting.wire_name, None)
        if value is None and (setting.contract or not setting.nullable):
            continue
        setting.require(source.place, name=setting.wire_name)
        source = setting.put(source, value)
    return source


def with_chunking(source: Source, chunking: BaseModel | None) -> Source:
    """Return the source with the chunking of a payload, which stands for all of it."""
    return source if chunking is None else replace(source, chunking=chunking_of(chunking))


def chunking_of(chunking: BaseModel) -> ChunkingConfig:
    """Return the chunking of a payload; what is left out has its default."""
    said = {name: getattr(chunking, name) for name in type(chunking).model_fields}
    return ChunkingConfig(**{name: value for name, value in said.items() if value is not None})


def optional_field(setting: Setting) -> Any:
    """Return the field of a payload for a setting; null, as generated clients send it, is none."""
    kinds: dict[str, Any] = {
        "text": Text,
        "flag": StrictBool,
        "texts": Annotated[list[Word], Field(max_length=MAX_GLOBS)],
        "mapping": dict[str, Any],
    }
    match setting.kind:
        case "choice":
            kind: Any = Literal[setting.choices]
        case "whole":
            most = setting.tenants_most or setting.most
            kind = Annotated[int, Field(strict=True, ge=setting.least, le=most)]
        case _:
            kind = kinds[setting.kind]
    return (kind | None, Field(default=None, description=setting.help))
