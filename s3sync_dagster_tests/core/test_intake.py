"""Messages become work for each source they meet, once, and nothing understood stays queued."""

import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sync_dagster.core.events import Message
from s3sync_dagster.core.intake import IntakeCounts, plan_intake
from s3sync_dagster.model.source import AutoSync, Source
from s3sync_dagster_tests.sources import s3_source

CREATED, REMOVED = "ObjectCreated:Put", "ObjectRemoved:Delete"


def source(name: str, prefix: str = "", **fields: Any) -> Source:
    values = {"bucket_name": "b", "collection_name": "ccc"} | fields
    return s3_source(id=name, name=name, path_prefix=prefix, **values)


def record(
    key: str,
    name: str = CREATED,
    *,
    bucket: str = "b",
    size: int | None = 3,
    etag: str | None = None,
    sequencer: str | None = None,
) -> dict[str, Any]:
    described: dict[str, Any] = {"key": quote_plus(key)}
    if name.startswith("ObjectCreated"):
        described |= {"size": size, "eTag": f"etag-{key}" if etag is None else etag}
    if sequencer:
        described["sequencer"] = sequencer
    return {
        "eventVersion": "2.6",
        "eventSource": "aws:s3",
        "eventName": name,
        "s3": {"bucket": {"name": bucket}, "object": described},
    }


def message(*records: dict[str, Any], body: str | None = None, count: int = 1) -> Message:
    text = json.dumps({"Records": records}) if body is None else body
    return Message(
        message_id=f"id-{hash(text)}", receipt_handle=text, body=text, receive_count=count
    )


def test_one_event_goes_to_every_source_that_it_meets() -> None:
    sources = [
        source("all"),
        source("docs", "docs/"),
        source("other_prefix", "x/"),
        source("other_bucket", bucket_name="c"),
        source("silent", auto_sync=AutoSync.NONE),
        source("by_sidecar", auto_sync=AutoSync.METADATA),
    ]
    sent = message(record("docs/a b+c.md"))
    plan = plan_intake([sent], sources)
    assert set(plan.by_source) == {"all", "docs", "by_sidecar"}
    assert all(events.sync == ("docs/a b+c.md",) for events in plan.by_source.values())
    assert plan.delete == (sent,)
    assert plan.leave == ()
    assert plan.counts.unmatched == 0


def test_what_nobody_listens_to_is_deleted_and_counted() -> None:
    sent = [
        message(record("a.md", bucket="other")),
        message(record("docs/a.md", "ObjectTagging:Put")),
        message(record("a.md", "ObjectAcl:Put")),
        message(body=json.dumps({"Event": "s3:TestEvent"})),
        message(record("x/a.md"), record("x/b.md")),
    ]
    plan = plan_intake(sent, [source("docs", "docs/")])
    assert plan.by_source == {}
    assert plan.delete == tuple(sent)
    counts = plan.counts
    assert (counts.messages, counts.events, counts.unmatched) == (5, 4, 4)
    assert (counts.tests, counts.ignored, counts.invalid) == (1, 1, 0)


def test_poison_is_left_and_logged_at_its_first_delivery_only() -> None:
    first, again, good = message(body="{"), message(body="[", count=2), message(record("a.md"))
    plan = plan_intake([first, again, good], [source("s")])
    assert plan.leave == (first, again)
    assert plan.delete == (good,)
    assert len(plan.log) == 1
    assert first.message_id in plan.log[0]
    assert plan.counts.invalid == 2


def test_what_events_tell_is_kept() -> None:
    plan = plan_intake([message(record("a.md", size=7, sequencer="0A"))], [source("s")])
    events = plan.by_source["s"]
    ((ref, reason),) = events.upserts
    assert (ref.key, ref.etag, ref.size, reason) == ("a.md", "etag-a.md", 7, None)
    assert dict(events.sequencers) == {"a.md": "0A"}


def test_what_is_left_out_by_its_name_has_a_state_also_without_a_version() -> None:
    plan = plan_intake([message(record("a.zip", size=None, etag=""))], [source("one")])
    ((ref, reason),) = plan.by_source["one"].upserts
    assert (ref.key, ref.etag, ref.size, reason) == ("a.zip", "", -1, "unsupported_type")
    assert plan.by_source["one"].sync == ()


def test_removals_become_questions() -> None:
    plan = plan_intake([message(record("a.md", REMOVED))], [source("s")])
    events = plan.by_source["s"]
    assert (events.sync, events.remove, events.upserts) == ((), ("a.md",), ())


@pytest.mark.parametrize(
    "sent",
    [record("a.md", "ObjectRestore:Completed"), record("a.md", size=None), record("a.md", etag="")],
)
def test_what_an_event_does_not_tell_makes_the_reader_ask(sent: dict[str, Any]) -> None:
    plan = plan_intake([message(sent)], [source("s")])
    assert plan.by_source["s"].sync == ("a.md",)
    ((ref, reason),) = plan.by_source["s"].upserts
    assert (ref.etag, ref.size, reason) == ("", -1, None)


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_versions_without_an_order_neither_is_believed(turned: bool) -> None:
    sent = [message(record("a.md", etag=etag, sequencer=None)) for etag in ("one", "two")]
    plan = plan_intake(sent[::-1] if turned else sent, [source("s")])
    ((ref, _),) = plan.by_source["s"].upserts
    assert (ref.etag, ref.size) == ("", -1)


@pytest.mark.parametrize(
    ("key", "size", "synced", "reason"),
    [
        ("a.md", 3, True, None),
        ("a.meta.json", 3, True, "sidecar"),
        ("a.md", 0, True, "empty_object"),  # may have records of a version that had text
        ("a.md", 10**10, True, "too_large"),
        ("folder/", 0, False, "folder_marker"),
        ("a.zip", 3, False, "unsupported_type"),
        ("draft.md", 3, False, "excluded"),
    ],
)
def test_keys_that_are_left_out_make_no_work(
    key: str, size: int, synced: bool, reason: str | None
) -> None:
    plan = plan_intake([message(record(key, size=size))], [source("s", exclude_globs=("draft*",))])
    events = plan.by_source["s"]
    assert [why for _, why in events.upserts] == [reason]
    assert events.sync == ((key,) if synced else ())
    assert plan.counts.skipped == (0 if synced else 1)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("created", "removed", "kind"),
    [
        ("0A", "0B", "remove"),
        ("0B", "0A", "sync"),
        ("FF", "100", "remove"),
        ("100", "FF", "sync"),
        (None, "0B", "sync"),  # nothing can be said: reading it finds out
        ("0A", "0A", "sync"),
    ],
)
def test_the_later_event_of_a_key_counts(
    created: str | None, removed: str | None, kind: str, turned: bool
) -> None:
    sent = [
        message(record("a.md", sequencer=created)),
        message(record("a.md", REMOVED, sequencer=removed)),
    ]
    plan = plan_intake(sent[::-1] if turned else sent, [source("s")])
    events = plan.by_source["s"]
    assert (events.sync, events.remove) == ((("a.md",), ()) if kind == "sync" else ((), ("a.md",)))
    assert len(plan.delete) == 2


event_lists = st.lists(
    st.tuples(
        st.sampled_from(["docs/a", "docs/b", "x/a", "docs/c.meta.json"]),
        st.sampled_from([CREATED, REMOVED]),
        st.integers(0, 2**70).map(lambda number: f"{number:X}"),
    ),
    max_size=12,
)


@given(event_lists, st.randoms(use_true_random=False))
def test_order_and_duplicates_change_nothing(events: list[Any], chance: Any) -> None:
    events = list({sequencer: event for *event, sequencer in events}.items())
    sent = [message(record(*event, sequencer=sequencer)) for sequencer, event in events]
    shuffled = sent + sent[: len(sent) // 2]
    chance.shuffle(shuffled)
    sources = [source("all"), source("docs", "docs/")]
    one, other = plan_intake(sent, sources), plan_intake(shuffled, sources)
    assert one.by_source == other.by_source
    for name, found in one.by_source.items():
        assert not set(found.sync) & set(found.remove)
        latest = {}
        for sequencer, (key, kind) in events:
            if name == "docs" and not key.startswith("docs/"):
                continue
            if key not in latest or int(sequencer, 16) > int(latest[key][0], 16):
                latest[key] = (sequencer, kind)
        assert set(found.remove) == {k for k, (_, kind) in latest.items() if kind == REMOVED}
        assert dict(found.sequencers) == {k: sequencer for k, (sequencer, _) in latest.items()}


@given(st.lists(st.one_of(st.text(max_size=30), st.just('{"Records": []}')), max_size=10))
def test_every_message_is_either_deleted_or_left(bodies: list[str]) -> None:
    sent = [message(body=body) for body in bodies]
    plan = plan_intake(sent, [source("s")])
    assert sorted(m.body for m in (*plan.delete, *plan.leave)) == sorted(bodies)
    assert plan.counts.messages == len(bodies)


def test_counts_of_several_commits_add_up_and_are_told_where_there_was_any():
    one = IntakeCounts(messages=3, events=2, tests=1, unmatched=1)
    other = IntakeCounts(messages=4, events=1, ignored=2, skipped=5, invalid=6, unmatched=7)
    assert IntakeCounts().describe() == "0 messages, 0 events"
    assert one.describe() == "3 messages, 2 events, 1 tests of S3's, 1 of no source"
    assert (one + other).describe() == (
        "7 messages, 3 events, 1 tests of S3's, 2 without an event that matters, 8 of no source, "
        "5 left out by their names, 6 not understood and left to the dead-letter queue"
    )
