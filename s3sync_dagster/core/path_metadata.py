"""Named groups of a pattern on an object's path become metadata of its records.

Patterns come from tenants: RE2 matches each in time linear in the path, whatever it says, and
within a bound of memory.
"""

# google-re2 has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from functools import lru_cache
from typing import Any

from s3sync_dagster.core.selection import relative_path
from s3sync_dagster.model.document import MetadataValue
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import Source

MAX_PATTERN_CHARACTERS = 1024
MAX_GROUPS = 16
MAX_MEMORY_BYTES = 1 << 20
"""Of one compiled pattern and what matching it remembers."""


def path_metadata(source: Source, object_key: str) -> dict[str, MetadataValue]:
    """Return what a source's pattern finds in a key: group name -> text.

    The pattern is searched for in what globs see, the key after the source's prefix, or in the
    whole key where the source says so. A group that takes no part, or is empty, gives nothing;
    nor does a path that the pattern does not meet.
    """
    if source.path_metadata is None:
        return {}
    whole = source.path_metadata_whole_key
    path = object_key if whole else relative_path(source, object_key)
    found = _compiled(source.path_metadata).search(path)
    if found is None:
        return {}
    return {name: value for name, value in found.groupdict().items() if value}


def with_path_metadata(source: Source, object_key: str) -> dict[str, MetadataValue]:
    """Return the metadata that a source gives an object: its own, and over it the path's."""
    return {**source.metadata, **path_metadata(source, object_key)}


def group_names(pattern: str) -> list[str]:
    """Return the names of a pattern's groups. Raises ``InvalidSetting`` for none that can be."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise InvalidSetting(
            f"path_metadata has {len(pattern)} characters; at most {MAX_PATTERN_CHARACTERS} are "
            "allowed."
        )
    compiled = _compiled(pattern)
    names = list(compiled.groupindex)
    if not names or compiled.groups > MAX_GROUPS:
        raise InvalidSetting(
            f"path_metadata needs 1 to {MAX_GROUPS} groups with names, such as (?P<team>[^/]+)."
        )
    return names


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> Any:
    import re2  # noqa: PLC0415  (15 ms that only sources with a pattern pay)

    options: Any = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY_BYTES
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError):
        raise InvalidSetting(
            "path_metadata is no pattern of RE2: look-around and back-references are not known "
            "there, and no repetition above 1,000. See docs/selection.md."
        ) from None
