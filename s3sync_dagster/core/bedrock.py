"""The attributes of Bedrock's ``KEY.metadata.json`` as metadata of records.

Two forms are documented: plain values, and values that tell their type and whether they are
embedded with the text. What is embedded does not depend on metadata here, so that theirs is read
and has no effect.
"""

from collections.abc import Mapping
from typing import Any, cast

from s3sync_dagster.core.record_limits import shown
from s3sync_dagster.model.document import MetadataValue
from s3sync_dagster.model.errors import RecordRejected

_FIELDS: Mapping[str, tuple[str, type | tuple[type, ...]]] = {
    "STRING": ("stringValue", str),
    "NUMBER": ("numberValue", (int, float)),
    "BOOLEAN": ("booleanValue", bool),
    "STRING_LIST": ("stringListValue", list),
}
"""Type -> the field that has its value, and what that is in Python."""


def bedrock_metadata(attributes: Mapping[str, Any]) -> dict[str, MetadataValue]:
    """Return attributes as metadata; limits and names are the caller's to check.

    Raises:
        RecordRejected: a value has another form than those documented.
    """
    return {name: _value(name, value) for name, value in attributes.items()}


def _value(name: str, given: object) -> MetadataValue:
    if isinstance(given, dict):
        attribute = cast("dict[str, Any]", given)
        embedded = attribute.get("includeForEmbedding", False)
        if "value" not in attribute or not isinstance(embedded, bool):
            raise _refused(name)
        value = attribute["value"]
        if not isinstance(value, dict):
            raise _refused(name)
        return _typed(name, cast("dict[str, Any]", value))
    if given is None or (isinstance(given, list) and not _are_texts(cast("list[object]", given))):
        raise _refused(name)
    return cast("MetadataValue", given)


def _typed(name: str, value: Mapping[str, Any]) -> MetadataValue:
    kind = value.get("type")
    word, wanted = _FIELDS.get(kind, ("", ())) if isinstance(kind, str) else ("", ())
    found = value.get(word)
    if not isinstance(found, wanted) or (kind == "NUMBER" and isinstance(found, bool)):
        raise _refused(name)
    if isinstance(found, list) and not _are_texts(cast("list[object]", found)):
        raise _refused(name)
    return cast("MetadataValue", found)


def _are_texts(values: list[object]) -> bool:
    return all(isinstance(one, str) for one in values)


def _refused(name: str) -> RecordRejected:
    return RecordRejected(
        f"metadata key {shown(name)} is neither a string, number, boolean or list of strings, nor "
        '{"value": {"type": "STRING", "stringValue": "..."}} with such a one (NUMBER, BOOLEAN, '
        "STRING_LIST)"
    )
