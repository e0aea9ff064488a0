"""A source's settings as people write them: in Python, in YAML, shown in the UI."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import MISSING
from dataclasses import fields as value_fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pydantic
from pydantic import Field

from s3sync_dagster.core.source_rules import validate_source
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place import Place
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source
from s3sync_dagster.places.files import FilesPlace
from s3sync_dagster.places.folder import FolderPlace
from s3sync_dagster.places.git import GitPlace
from s3sync_dagster.places.web import WebPlace
from s3sync_dagster.setting import GROUPS, Setting
from s3sync_dagster.source_settings import SETTINGS, settings_of

_NAMESPACE = uuid.UUID("5b9c4a52-6a4e-4a4c-8e0e-3f1f6b2f9f10")

PLACEHOLDER = "CHANGE-ME"
"""What ``dg scaffold`` leaves where only its reader knows what belongs there."""


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
        kind: Any = list if setting.kind == "texts" else dict
        default = setting.default or ()
        return Field(default_factory=lambda: kind(default), description=setting.help)
    return Field(default=setting.default, description=setting.help)


class Declared(pydantic.BaseModel):
    """What every source that code declares has besides its settings."""

    place_class: ClassVar[type[Place]]
    """Of the place that its settings describe."""

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
        given: Any = self
        for name in ("name", "group_name"):
            if _is_variable(getattr(self, name)):
                raise InvalidSetting(
                    f"{name} is an EnvVar: the asset has it before anything is resolved; read the "
                    "variable where the source is declared."
                )
        kind = self.place_class
        for name in _required(kind):
            written = getattr(self, name)
            if not _is_variable(written) and PLACEHOLDER in str(written):
                raise InvalidSetting(
                    f"{name} is still {written!r}, the placeholder: write your own there."
                )
        source = Source(
            id=str(uuid.uuid5(_NAMESPACE, given.name)),
            name=given.name,
            place=kind(**{name: "" for name in _required(kind)}),
            collection_name="",
        )
        for setting in settings_of(kind):
            if setting.group is None:
                source = setting.put(source, _resolved(getattr(self, setting.code_name)))
        for group in GROUPS:
            source = _put_group(source, group, _resolved(getattr(self, group)))
        validate_source(source)
        return source


def require_settings(kind: type[Declared], given: Mapping[str, Any]) -> None:
    """Refuse in a sentence what a class of sources has no setting for, and what it lacks.

    Raises:
        InvalidSetting: a name is none of a setting, or a required setting is not given.
    """
    known, label = kind.model_fields, f"{kind.__name__} {given.get('name', '')!r}"
    for name in given:
        if name not in known:
            elsewhere = {one.parameter: one.code_name for one in settings_of(kind.place_class)}
            near = [elsewhere.get(name), *get_close_matches(name, known, n=1)]
            meant = next((one for one in near if one in known), None)
            hint = f"; did you mean {meant!r}?" if meant else ": docs/settings.md has them all."
            raise InvalidSetting(f"{label} has no setting {name!r}{hint}")
    lacking = [name for name, one in known.items() if one.is_required() and name not in given]
    if lacking:
        raise InvalidSetting(f"{label} lacks {', '.join(lacking)}.")


def require_types(kind: type[Declared], given: Mapping[str, Any]) -> None:
    """Raise ``InvalidSetting`` for the first given value that is none for its setting."""
    for setting in settings_of(kind.place_class):
        if setting.group is None and setting.code_name in given:
            try:
                setting.strong(_resolved(given[setting.code_name]))
            except InvalidSetting as error:  # by the name that this door has for it
                told = error.message.replace(setting.label, setting.code_name, 1)
                label = f"{kind.__name__} {given.get('name', '')!r}"
                raise InvalidSetting(f"{label}: {told}", reason=error.reason) from None


def _is_variable(value: Any) -> bool:
    return hasattr(value, "env_var_name")  # dg.EnvVar, and that of whole numbers


def _resolved(value: Any) -> Any:
    """Return the value with what its variables hold. Raises ``InvalidSetting`` for one not set."""
    if _is_variable(value):
        found = value.get_value()
        if found is None:
            raise InvalidSetting(f"the variable {value.env_var_name} is not set.")
        return found
    if isinstance(value, dict):
        return {name: _resolved(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_resolved(one) for one in value]
    return value


if TYPE_CHECKING:
    from s3sync_dagster.defs.typed_settings import (
        FilesSettings,
        FolderSettings,
        GitSettings,
        S3Settings,
        WebSettings,
    )
else:
    S3Settings = setting_fields(settings_of(S3Place))
    FolderSettings = setting_fields(settings_of(FolderPlace))
    GitSettings = setting_fields(settings_of(GitPlace))
    WebSettings = setting_fields(settings_of(WebPlace))
    FilesSettings = setting_fields(settings_of(FilesPlace))


class SourceFields(S3Settings, Declared):
    """The settings of a source; secrets are given by the names of environment variables."""

    place_class: ClassVar[type[Place]] = S3Place


class FolderFields(FolderSettings, Declared):
    """The settings of a source whose objects are files of a folder."""

    place_class: ClassVar[type[Place]] = FolderPlace


class GitFields(GitSettings, Declared):
    """The settings of a source whose objects are files of a repository."""

    place_class: ClassVar[type[Place]] = GitPlace


class WebFields(WebSettings, Declared):
    """The settings of a source whose objects are pages of a site."""

    list_interval: int = Field(
        default=WebPlace.listed_every, description="Between crawls; 0: never crawled."
    )
    place_class: ClassVar[type[Place]] = WebPlace


class FilesFields(FilesSettings, Declared):
    """The settings of a source whose objects are files of a store that fsspec reaches."""

    place_class: ClassVar[type[Place]] = FilesPlace


def _required(kind: type[Place]) -> list[str]:
    """Return the fields that a place has to be given; the settings fill them in."""
    return [
        one.name
        for one in value_fields(kind)  # type: ignore[arg-type]
        if one.default is MISSING and one.default_factory is MISSING
    ]


def _put_group(source: Source, group: str, given: dict[str, Any]) -> Source:
    rows = {setting.word: setting for setting in SETTINGS if setting.group == group}
    for name, value in given.items():
        if name not in rows:
            raise InvalidSetting(f"{group} has no setting {name!r}.")
        source = rows[name].put(source, value)
    return source
