"""What an SQS message says of objects: all the envelopes in which S3 events travel.

An event is a hint that something happened to a key. It is never evidence: events come late,
twice, out of order or not at all, so whoever acts on one asks the bucket first.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import unquote_plus

from s3sync_dagster.core.keys import MAX_OBJECT_KEY_BYTES
from s3sync_dagster.model.errors import InvalidEvent

EventKind = Literal["created", "removed", "restored", "tagged"]

MAX_RECORDS = 100
"""Events of a message, of which S3 writes one: whoever may send to the queue writes any number."""
MAX_ENVELOPES = 3
"""EventBridge through SNS is two; more is not how anything is built."""

MAX_SIZE_BYTES = 2**63 - 1
"""What a database keeps in an integer; S3's largest objects are far below."""

_HEX = re.compile(r"[0-9A-Fa-f]+")
_SUPPORTED_MAJOR_VERSION = "2"

_EVENTBRIDGE_KINDS: Mapping[str, EventKind] = {
    "Object Created": "created",
    "Object Deleted": "removed",
    "Object Restore Completed": "restored",
    "Object Tags Added": "tagged",
    "Object Tags Deleted": "tagged",
}
# MinIO files these under ObjectCreated although no byte of the object changed.
_NO_NEW_BYTES = ("Retention", "LegalHold", "Acl", "Annotation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An SQS envelope."""

    message_id: str
    receipt_handle: str
    body: str
    receive_count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEvent:
    """One S3 notification record."""

    bucket: str
    key: str
    """Decoded."""
    kind: EventKind
    """``removed`` means "ask with HEAD": an old version's end does not end the object. ``tagged``
    concerns sources alone that take tags."""
    etag: str = ""
    size: int = -1
    """Bytes, -1 when the event does not say."""
    version_id: str | None = None
    sequencer: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """What one SQS message holds."""

    events: tuple[ObjectEvent, ...]
    """Those that can concern a collection; ACL, replication and their like are left out."""
    kind: Literal["events", "test", "ignored"]
    """``test`` is what S3 sends at set-up; ``ignored`` is well-formed and of no concern."""


def parse_message(body: str) -> ParsedMessage:
    """Return the events of a message in any envelope.

    Raises:
        InvalidEvent: ``not_json``, ``unknown_envelope``, ``unknown_version`` or ``bad_record``.
            One bad record makes the whole message invalid.
    """
    envelope = _json_object(body)
    for _ in range(MAX_ENVELOPES):
        if "Type" in envelope and "TopicArn" in envelope:
            if envelope["Type"] != "Notification":
                return ParsedMessage((), "ignored")
            envelope = _json_object(envelope.get("Message"))
            continue
        if envelope.get("Event") == "s3:TestEvent":
            return ParsedMessage((), "test")
        if isinstance(envelope.get("Records"), list):
            return _parse_records(cast("list[Any]", envelope["Records"]))
        if "detail-type" in envelope and "detail" in envelope:
            return _parse_eventbridge(envelope)
        break
    raise InvalidEvent(
        "the message is in none of the known forms of an S3 event "
        "(S3, S3 through SNS, EventBridge, MinIO)",
        reason="unknown_envelope",
    )


def compare_sequencers(first: str | None, second: str | None) -> int | None:
    """Return -1, 0 or 1 as the first is older, equal or newer; None when nothing can be said.

    Only for events of one key, and only advice: AWS has changed its own text on how sequencers
    of different length compare (here: as hexadecimal numbers).
    """
    if not first or not second or not _HEX.fullmatch(first) or not _HEX.fullmatch(second):
        return None
    width = max(len(first), len(second))
    left, right = first.lower().rjust(width, "0"), second.lower().rjust(width, "0")
    return (left > right) - (left < right)


def _parse_records(records: list[Any]) -> ParsedMessage:
    if len(records) > MAX_RECORDS:
        raise _bad(f"it holds {len(records):,} events, and at most {MAX_RECORDS:,} are taken")
    events = [event for record in records if (event := _parse_record(record)) is not None]
    return ParsedMessage(tuple(events), "events" if events else "ignored")


def _parse_record(record: object) -> ObjectEvent | None:
    fields = _mapping(record)
    source, name = fields.get("eventSource"), fields.get("eventName")
    if not isinstance(source, str) or not source.endswith(":s3") or not isinstance(name, str):
        raise _bad("its eventSource or eventName is not S3's")
    version = fields.get("eventVersion", _SUPPORTED_MAJOR_VERSION)
    if str(version).partition(".")[0] != _SUPPORTED_MAJOR_VERSION:
        raise InvalidEvent(
            "the event has a major version that is not known; update this program",
            reason="unknown_version",
        )
    name = name.removeprefix("s3:")
    kind = _kind(name)
    if kind is None:
        return None
    s3 = _mapping(fields.get("s3"))
    described = _mapping(s3.get("object"))
    return ObjectEvent(
        bucket=_text(_mapping(s3.get("bucket")).get("name"), name="bucket name"),
        key=_checked_key(_decode(_text(described.get("key"), name="key"))),
        kind=kind,
        etag=_etag(described.get("eTag")),
        size=_size(described.get("size")),
        version_id=_version(described.get("versionId")),
        sequencer=_optional_text(described.get("sequencer")),
    )


def _parse_eventbridge(envelope: Mapping[str, Any]) -> ParsedMessage:
    name = envelope["detail-type"]
    if envelope.get("source") != "aws.s3" or not isinstance(name, str):
        return ParsedMessage((), "ignored")
    kind = _EVENTBRIDGE_KINDS.get(name)
    if kind is None:
        return ParsedMessage((), "ignored")
    detail = _mapping(envelope["detail"])
    described = _mapping(detail.get("object"))
    event = ObjectEvent(
        bucket=_text(_mapping(detail.get("bucket")).get("name"), name="bucket name"),
        # Unlike in S3's own events the key stands here as it is: decoding would break % and +.
        key=_checked_key(_text(described.get("key"), name="key")),
        kind=kind,
        etag=_etag(described.get("etag")),
        size=_size(described.get("size")),
        version_id=_version(described.get("version-id")),
        sequencer=_optional_text(described.get("sequencer")),
    )
    return ParsedMessage((event,), "events")


def _kind(name: str) -> EventKind | None:
    family, _, action = name.partition(":")
    if family == "ObjectTagging" or (family == "ObjectCreated" and "Tagging" in action):
        return "tagged"
    if family == "ObjectCreated":
        return None if any(word in action for word in _NO_NEW_BYTES) else "created"
    if family in ("ObjectRemoved", "LifecycleExpiration", "LifecycleDelMarkerExpiration"):
        return "removed"
    return "restored" if name == "ObjectRestore:Completed" else None


def _decode(key: str) -> str:
    try:
        return unquote_plus(key, errors="strict")
    except UnicodeDecodeError:
        raise _bad("its key is not UTF-8 after decoding") from None


def _checked_key(key: str) -> str:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise _bad("its key is not UTF-8") from None
    if size > MAX_OBJECT_KEY_BYTES:
        raise _bad(f"its key has {size} bytes; S3 allows {MAX_OBJECT_KEY_BYTES}")
    return key


def _json_object(text: object) -> Mapping[str, Any]:
    if not isinstance(text, str):
        raise InvalidEvent("the envelope holds no text", reason="unknown_envelope")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidEvent("the message is not JSON", reason="not_json") from None
    if not isinstance(value, dict):
        raise InvalidEvent("the message is not a JSON object", reason="unknown_envelope")
    return cast("dict[str, Any]", value)


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _bad("a part of it is missing")
    return cast("dict[str, Any]", value)


def _text(value: object, *, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise _bad(f"it has no {name}")
    return value


def _optional_text(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    if not (value.isascii() and value.isprintable()):
        raise _bad("an etag, version, sequencer or region holds what S3 never puts there")
    return value


def _etag(value: object) -> str:
    return (_optional_text(value) or "").strip('"')


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return -1
    if value > MAX_SIZE_BYTES:
        raise _bad("its size is larger than any object is")
    return value


def _version(value: object) -> str | None:
    text = _optional_text(value)
    return None if text == "null" else text


def _bad(why: str) -> InvalidEvent:
    return InvalidEvent(f"the event record cannot be followed: {why}", reason="bad_record")
