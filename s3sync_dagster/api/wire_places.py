"""The variants of the Sync API's union that are made from a place's settings: all but ``s3``.

Whoever adds a type of place adds nothing here: what its settings are, its variant is. The
contract's own ``s3`` and ``file_upload`` are written by hand in ``wire_source``.
"""

from typing import Any

from pydantic import ConfigDict, Field, create_model

from s3sync_dagster.api.wire import Answer, Name, Payload
from s3sync_dagster.api.wire_settings import GROUP, optional_field, settings_group
from s3sync_dagster.model.place import Place
from s3sync_dagster.model.place_types import place_classes
from s3sync_dagster.model.source import AutoSync, Source
from s3sync_dagster.setting import Door, Setting
from s3sync_dagster.source_settings import settings_of

BY_HAND = frozenset({"s3", "file_upload"})


def wire_types() -> dict[str, type[Place]]:
    """Return the types of which this module makes the variants, by their keys in the union."""
    return {tag: kind for tag, kind in place_classes().items() if tag not in BY_HAND}


def place_payload(tag: str, kind: type[Place]) -> type[Any]:
    """Return the variant of a payload that creates a source."""
    fields: dict[str, Any] = {}
    for setting in _settings(kind):
        needed = setting.required and not (
            setting.path == "collection_name" and kind.names_collection
        )
        given = (Name, Field(description=setting.help)) if needed else optional_field(setting)
        fields[setting.wire_name] = given
    fields[GROUP] = (
        settings_group(GROUP) | None, Field(default=None, description="How text is extracted."),
    )  # fmt: skip
    config = ConfigDict(title=f"{_title(tag)}SourcePayload")
    base = type(f"{_title(tag)}Base", (Payload,), {"model_config": config})
    return create_model(f"{_title(tag)}Fields", __base__=base, **fields)


def place_shown(tag: str, kind: type[Place]) -> type[Any]:
    """Return the variant of a source that is shown: collection, mode and what its place is."""
    fields: dict[str, Any] = {
        "collection_name": (str, ...),
        "auto_sync": (AutoSync, ...),
        "include_globs": (list[str] | None, ...),
    }
    for setting in _own(kind):
        kinds: dict[str, Any] = {"whole": int, "flag": bool, "texts": list[str]}
        shown: Any = kinds.get(setting.kind, str)
        fields[setting.wire_name] = (shown | None if setting.nullable else shown, ...)
    config = ConfigDict(title=f"{_title(tag)}Source")
    base = type(f"{_title(tag)}ShownBase", (Answer,), {"model_config": config})
    return create_model(f"{_title(tag)}Shown", __base__=base, **fields)


def show_variant(source: Source, model: type[Any]) -> Any:
    """Return what is shown of a source's place."""
    values = {one.wire_name: one.read(source) for one in _own(type(source.place))}
    return model(
        collection_name=source.collection_name,
        auto_sync=source.auto_sync,
        include_globs=list(source.include_globs) or None,
        **values,
    )


def place_of(kind: type[Place], given: Any) -> Place:
    """Return the place that a variant names, with what it has to be given alone."""
    required = [one for one in _own(kind) if one.required]
    return kind(**{one.word: getattr(given, one.wire_name) for one in required})


def _settings(kind: type[Place]) -> list[Setting]:
    """Return the settings of a variant: the place's own, and what all sources have besides.

    What stands beside the union in the contract (database, chunking, embedding) stands there.
    """
    return [
        one
        for one in settings_of(kind)
        if one.offered(Door.POST)
        and one.group is None
        and (not one.contract or one.contract.startswith("s3.") or one.path.startswith("place."))
    ]


def _own(kind: type[Place]) -> list[Setting]:
    return [one for one in _settings(kind) if one.path.startswith("place.")]


def _title(tag: str) -> str:
    return "".join(word.title() for word in tag.split("_"))
