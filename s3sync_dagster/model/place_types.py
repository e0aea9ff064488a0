"""The types of places: for each its value and what opens its store, by name.

A new type is a module with the two and a row here; one of another package calls
``add_place_type`` before its sources are read. Names are loaded when they are first asked for, so
that this room needs no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from s3sync_dagster.model.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from s3sync_dagster.model.place import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceType:
    """One type; each name is ``module:attribute``."""

    place: str
    """Class of the value, see ``model.place.Place``."""
    opener: str
    """Function that takes a source and its surroundings and returns the store."""


_TYPES: dict[str, PlaceType] = {
    "s3": PlaceType(
        place="s3sync_dagster.model.s3_place:S3Place", opener="s3sync_dagster.ports.places:open_s3"
    ),
    "file_upload": PlaceType(
        place="s3sync_dagster.model.place:UploadPlace",
        opener="s3sync_dagster.ports.places:open_upload_place",
    ),
    "folder": PlaceType(
        place="s3sync_dagster.places.folder:FolderPlace",
        opener="s3sync_dagster.places.folder:open_folder",
    ),
    "github": PlaceType(
        place="s3sync_dagster.places.git:GitPlace", opener="s3sync_dagster.places.git:open_git"
    ),
    "web_scrape": PlaceType(
        place="s3sync_dagster.places.web:WebPlace", opener="s3sync_dagster.places.web:open_web"
    ),
    "files": PlaceType(
        place="s3sync_dagster.places.files:FilesPlace",
        opener="s3sync_dagster.places.files:open_files",
    ),
}
_OURS = frozenset(_TYPES)
_classes: dict[str, type[Place]] = {}


def place_classes() -> Mapping[str, type[Place]]:
    """Return the class of each type, by its tag."""
    for tag, kind in _TYPES.items():
        if tag not in _classes:
            _classes[tag] = _load(kind.place)
    return _classes


def opener_of(tag: str) -> Callable[..., Any]:
    """Return what opens the store of a type."""
    return _load(_TYPES[tag].opener)


def is_ours(tag: str) -> bool:
    """Return whether this package brings a type, and its stores raise errors of ours alone."""
    return tag in _OURS


def add_place_type(tag: str, kind: PlaceType) -> None:
    """Add a type of another package.

    Raises:
        InvalidSetting: the tag is taken by another type.
    """
    if _TYPES.setdefault(tag, kind) != kind:
        raise InvalidSetting(f"The type of place {tag!r} is taken.")


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
