"""Every envelope gives the same events; what is none is refused with a reason."""

import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sync_dagster.core.events import (
    MAX_SIZE_BYTES,
    ObjectEvent,
    compare_sequencers,
    parse_message,
)
from s3sync_dagster.model.errors import InvalidEvent
from s3sync_dagster_tests.contracts.object_worlds import AWKWARD_KEYS


def record(key: str = "a.md", name: str = "ObjectCreated:Put", **changes: Any) -> dict[str, Any]:
    """Return a record as AWS sends it; ``key`` is encoded here."""
    described = {
        "key": quote_plus(key),
        "size": 3,
        "eTag": "0123abc",
        "versionId": "v1",
        "sequencer": "0A1B2C3D4E5F678901",
    }
    return {
        "eventVersion": "2.6",
        "eventSource": "aws:s3",
        "awsRegion": "eu-central-1",
        "eventTime": "2026-08-22T10:00:00.000Z",
        "eventName": name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "c",
            "bucket": {"name": "b", "arn": "arn:aws:s3:::b"},
            "object": {**described, **changes},
        },
    }


def classic(*records: dict[str, Any]) -> str:
    return json.dumps({"Records": list(records)})


def sns(body: str) -> str:
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "m",
            "TopicArn": "arn:aws:sns:eu-central-1:1:t",
            "Subject": "Amazon S3 Notification",
            "Message": body,
        }
    )


def eventbridge(key: str = "a.md", name: str = "Object Created") -> str:
    return json.dumps(
        {
            "version": "0",
            "id": "1",
            "detail-type": name,
            "source": "aws.s3",
            "account": "1",
            "time": "2026-08-22T10:00:00Z",
            "region": "eu-central-1",
            "resources": ["arn:aws:s3:::b"],
            "detail": {
                "version": "0",
                "event-version": "1.0",
                "bucket": {"name": "b"},
                "object": {
                    "key": key,
                    "size": 3,
                    "etag": "0123abc",
                    "version-id": "v1",
                    "sequencer": "0A1B2C3D4E5F678901",
                },
                "reason": "PutObject",
            },
        }
    )


def minio(key: str = "a.md", name: str = "s3:ObjectCreated:Put") -> str:
    inner = record(key, name, contentType="text/markdown", userMetadata={"x": "y"})
    inner |= {"eventVersion": "2.0", "eventSource": "minio:s3", "awsRegion": ""}
    return json.dumps({"EventName": name, "Key": f"b/{key}", "Records": [inner]})


ENVELOPES = {
    "classic": lambda key: classic(record(key)),
    "sns": lambda key: sns(classic(record(key))),
    "eventbridge": eventbridge,
    "eventbridge through sns": lambda key: sns(eventbridge(key)),
    "minio": minio,
}


@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize("key", AWKWARD_KEYS, ids=ascii)
def test_every_envelope_gives_the_decoded_key(envelope: str, key: str) -> None:
    (event,) = parse_message(ENVELOPES[envelope](key)).events
    assert (event.bucket, event.key, event.kind) == ("b", key, "created")
    assert (event.etag, event.size, event.version_id) == ("0123abc", 3, "v1")
    assert event.sequencer == "0A1B2C3D4E5F678901"


def test_all_fields_of_an_event() -> None:
    (event,) = parse_message(classic(record("red flower.jpg"))).events
    assert event == ObjectEvent(
        bucket="b",
        key="red flower.jpg",
        kind="created",
        etag="0123abc",
        size=3,
        version_id="v1",
        sequencer="0A1B2C3D4E5F678901",
    )


@pytest.mark.parametrize(
    ("encoded", "key"),
    [("red+flower.jpg", "red flower.jpg"), ("a%2Bb", "a+b"), ("a%2Fb%3Ac", "a/b:c"), ("a/b", "a/b")]
    + [("%25", "%"), ("%C3%A9", "é"), ("e%CC%81", "e\u0301")],
)
def test_keys_are_decoded_as_forms_are(encoded: str, key: str) -> None:
    (event,) = parse_message(classic(_with_key(encoded))).events
    assert event.key == key


def _with_key(encoded: str) -> dict[str, Any]:
    raw = record()
    raw["s3"]["object"]["key"] = encoded
    return raw


def test_eventbridge_keys_are_not_decoded() -> None:
    (event,) = parse_message(eventbridge("a+b%20c")).events
    assert event.key == "a+b%20c"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ObjectCreated:Put", "created"),
        ("ObjectCreated:Post", "created"),
        ("ObjectCreated:Copy", "created"),
        ("ObjectCreated:CompleteMultipartUpload", "created"),
        ("ObjectCreated:SomethingNew", "created"),
        ("s3:ObjectCreated:Put", "created"),
        ("ObjectRemoved:Delete", "removed"),
        ("ObjectRemoved:DeleteMarkerCreated", "removed"),
        ("LifecycleExpiration:Delete", "removed"),
        ("LifecycleExpiration:DeleteMarkerCreated", "removed"),
        ("ObjectRestore:Completed", "restored"),
        ("ObjectRestore:Post", None),
        ("ObjectRestore:Delete", None),
        ("ObjectTagging:Put", "tagged"),
        ("ObjectAcl:Put", None),
        ("LifecycleTransition", None),
        ("IntelligentTiering", None),
        ("Replication:OperationFailedReplication", None),
        ("ReducedRedundancyLostObject", None),
        ("ObjectAnnotation:Put", None),
        ("ObjectRetention:Put", None),
        ("s3:ObjectCreated:PutTagging", "tagged"),
        ("s3:ObjectCreated:DeleteTagging", "tagged"),
        ("s3:ObjectCreated:PutRetention", None),
        ("s3:ObjectCreated:PutLegalHold", None),
        ("s3:ObjectAccessed:Get", None),
    ],
)
def test_kinds(name: str, kind: str | None) -> None:
    parsed = parse_message(classic(record(name=name)))
    assert [event.kind for event in parsed.events] == ([kind] if kind else [])
    assert parsed.kind == ("events" if kind else "ignored")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Object Created", "created"),
        ("Object Deleted", "removed"),
        ("Object Restore Completed", "restored"),
        ("Object Restore Initiated", None),
        ("Object Tags Added", "tagged"),
        ("Object Storage Class Changed", None),
    ],
)
def test_eventbridge_kinds(name: str, kind: str | None) -> None:
    parsed = parse_message(eventbridge(name=name))
    assert [event.kind for event in parsed.events] == ([kind] if kind else [])


def test_delete_events_say_neither_size_nor_etag() -> None:
    raw = record(name="ObjectRemoved:Delete")
    del raw["s3"]["object"]["size"], raw["s3"]["object"]["eTag"], raw["s3"]["object"]["versionId"]
    (event,) = parse_message(classic(raw)).events
    assert (event.size, event.etag, event.version_id) == (-1, "", None)


@pytest.mark.parametrize("size", [None, "3", -5, True, 1.5, []])
def test_a_strange_size_is_unknown(size: object) -> None:
    (event,) = parse_message(classic(record(size=size))).events
    assert event.size == -1


@pytest.mark.parametrize("size", [0, 1, MAX_SIZE_BYTES])
def test_a_size_that_an_object_can_have_is_itself(size: int) -> None:
    (event,) = parse_message(classic(record(size=size))).events
    assert event.size == size


def test_several_records_come_in_order() -> None:
    parsed = parse_message(classic(record("a"), record("b", "ObjectAcl:Put"), record("c")))
    assert [event.key for event in parsed.events] == ["a", "c"]


@pytest.mark.parametrize("wrap", [str, sns], ids=["plain", "sns"])
def test_the_test_event(wrap: Any) -> None:
    body = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"})
    parsed = parse_message(wrap(body))
    assert (parsed.kind, parsed.events) == ("test", ())


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"Type": "SubscriptionConfirmation", "TopicArn": "t", "Message": "m"}),
        json.dumps({"source": "aws.ec2", "detail-type": "x", "detail": {}}),
        classic(),
    ],
    ids=["sns control", "other service", "no records"],
)
def test_well_formed_and_of_no_concern(body: str) -> None:
    assert parse_message(body).kind == "ignored"


@pytest.mark.parametrize("field", [{"Type": "Notification"}, {"TopicArn": "arn:aws:sns:x"}])
def test_half_an_envelope_of_sns_is_none(field: dict[str, str]) -> None:
    body = json.dumps(json.loads(classic(record())) | field)
    assert parse_message(body).events == parse_message(classic(record())).events


@pytest.mark.parametrize("levels", [1, 2])
def test_topics_that_pass_on_to_topics_are_unwrapped(levels: int) -> None:
    body = classic(record())
    for _ in range(levels):
        body = sns(body)
    assert parse_message(body).events == parse_message(classic(record())).events


REFUSED = [
    ("", "not_json"),
    ("hello", "not_json"),
    ("[" * 100_000, "not_json"),
    ("9" * 10_000, "not_json"),
    ("[]", "unknown_envelope"),
    ('"text"', "unknown_envelope"),
    ("{}", "unknown_envelope"),
    ('{"Records": {}}', "unknown_envelope"),
    (sns(sns(sns(sns(classic(record()))))), "unknown_envelope"),
    (json.dumps({"Type": "Notification", "TopicArn": "t"}), "unknown_envelope"),
    (sns("not json"), "not_json"),
    ('{"Records": [1]}', "bad_record"),
    (classic(record(size=MAX_SIZE_BYTES + 1)), "bad_record"),
    ('{"Records": [{}]}', "bad_record"),
    (json.dumps({"Records": [record()] * 101}), "bad_record"),
    ('{"Records": [{"eventSource": "aws:kinesis", "eventName": "x"}]}', "bad_record"),
    (classic(record() | {"s3": None}), "bad_record"),
    (classic(record() | {"eventVersion": "3.0"}), "unknown_version"),
    (classic(_with_key("%FF")), "bad_record"),
    (classic(record(versionId="a\x00b")), "bad_record"),
    (classic(record(sequencer="\ud800")), "bad_record"),
    (classic(record(eTag="line\nbreak")), "bad_record"),
    (classic(_with_key("")), "bad_record"),
    (classic(_with_key("\ud800")), "bad_record"),
    (classic(_with_key("k" * 1025)), "bad_record"),
    (classic(record("good"), {"bad": 1}), "bad_record"),
    (eventbridge("\udfff"), "bad_record"),
]


@pytest.mark.parametrize(
    ("body", "reason"), REFUSED, ids=[f"{n}-{case[1]}" for n, case in enumerate(REFUSED)]
)
def test_what_is_no_event_is_refused(body: str, reason: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        parse_message(body)
    assert caught.value.reason == reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
hostile = st.fixed_dictionaries(
    {},
    optional={
        "Records": json_values
        | st.lists(
            st.fixed_dictionaries(
                {"eventSource": st.just("aws:s3"), "eventName": st.text(max_size=20)},
                optional={"s3": json_values, "eventVersion": json_values},
            )
        ),
        "Type": json_values,
        "TopicArn": json_values,
        "Message": json_values,
        "detail-type": st.just("Object Created") | json_values,
        "detail": json_values,
        "source": st.just("aws.s3") | json_values,
        "Event": json_values,
    },
)


@given(st.one_of(st.text(), hostile.map(json.dumps), json_values.map(json.dumps)))
def test_hostile_messages_give_events_or_an_error_of_ours(body: str) -> None:
    try:
        parsed = parse_message(body)
    except InvalidEvent:
        return
    assert (parsed.kind == "events") == bool(parsed.events)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("0A", "0B", -1),
        ("0b", "0A", 1),
        ("0a", "0A", 0),
        ("FF", "100", -1),  # of different length: as numbers
        ("0FF", "ff", 0),
        (None, "1", None),
        ("1", None, None),
        ("", "1", None),
        ("xyz", "1", None),
    ],
)
def test_sequencers(first: str | None, second: str | None, expected: int | None) -> None:
    assert compare_sequencers(first, second) == expected


@given(st.integers(0, 2**80), st.integers(0, 2**80))
def test_sequencers_compare_as_numbers(one: int, two: int) -> None:
    assert compare_sequencers(f"{one:X}", f"{two:020x}") == (one > two) - (one < two)
