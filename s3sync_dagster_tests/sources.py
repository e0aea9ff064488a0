"""A source of a bucket in a few words."""

from dataclasses import fields
from typing import Any

from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source

_PLACE = frozenset(field.name for field in fields(S3Place))


def s3_source(**values: Any) -> Source:
    """Return a source; fields of its place stand beside the others."""
    place = S3Place(**{name: values.pop(name) for name in _PLACE & set(values)})
    return Source(place=place, **values)


def changed(source: Source, **values: Any) -> Source:
    """Return a copy with other fields; those of its place stand beside the others."""
    moved = {name: values.pop(name) for name in _PLACE & set(values)}
    place = values.pop("place", source.place)
    return source.with_changes(place=place.with_changes(**moved), **values)
