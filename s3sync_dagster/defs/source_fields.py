"""A source's settings as people write them: in Python, in YAML, shown in the UI."""

import uuid
from collections.abc import Iterable
from typing import Any, Literal

import pydantic
from pydantic import Field

from s3sync_dagster.core.source_rules import validate_source
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place import S3Place
from s3sync_dagster.model.source import Source
from s3sync_dagster.source_settings import GROUPS, SETTINGS, Setting

_NAMESPACE = uuid.UUID("5b9c4a52-6a4e-4a4c-8e0e-3f1f6b2f9f10")


def setting_fields(table: Iterable[Setting] = SETTINGS) -> type[Any]:
    """Return a model with a field for each setting.

    Chunking, embedding and extraction are mappings: what stands in them is checked with the rest,
    so that one wrong value leaves its source out and not the whole code location.
    """
    rows = list(table)
    fields: dict[str, Any] = {
        setting.code_name: (_type(setting), _field(setting))
        for setting in rows
        if setting.group is None
    }
    for group in GROUPS:
        told = "; ".join(f"{one.word}: {one.help[:-1]}" for one in rows if one.group == group)
        fields[group] = (dict[str, Any], Field(default_factory=dict, description=f"{told}."))
    return pydantic.create_model("SettingFields", **fields)


def _type(setting: Setting) -> Any:
    kinds: dict[str, Any] = {
        "text": str,
        "whole": int,
        "flag": bool,
        "texts": list[str],
        "mapping": dict[str, Any],
    }
    kind: Any = Literal[setting.choices] if setting.choices else kinds[setting.kind]
    return kind | None if setting.nullable else kind


def _field(setting: Setting) -> Any:
    if setting.required:
        return Field(description=setting.help)
    if setting.kind in ("texts", "mapping"):
        empty = list if setting.kind == "texts" else dict
        return Field(default_factory=empty, description=setting.help)
    return Field(default=setting.default, description=setting.help)


class SourceFields(setting_fields()):
    """The settings of a source; secrets are given by the names of environment variables."""

    owners: list[str] = Field(
        default_factory=list, description="Of the asset in Dagster: e-mail, or team:name."
    )
    group_name: str | None = Field(
        default=None, description="Of the asset in Dagster; the source's name when not set."
    )

    def to_source(self) -> Source:
        """Return the source as a value; its id is the catalog's once it is registered.

        Raises:
            InvalidSetting: a setting breaks its rule; the message names it.
        """
        source = Source(
            id=str(uuid.uuid5(_NAMESPACE, self.name)),
            name=self.name,
            place=S3Place(bucket_name=self.bucket_name),
            collection_name=self.collection_name,
        )
        for setting in SETTINGS:
            if setting.group is None:
                source = setting.put(source, getattr(self, setting.code_name))
        for group in GROUPS:
            source = _put_group(source, group, getattr(self, group))
        validate_source(source)
        return source


def _put_group(source: Source, group: str, given: dict[str, Any]) -> Source:
    rows = {setting.word: setting for setting in SETTINGS if setting.group == group}
    for name, value in given.items():
        if name not in rows:
            raise InvalidSetting(f"{group} has no setting {name!r}.")
        source = rows[name].put(source, value)
    return source
