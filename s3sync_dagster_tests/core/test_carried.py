"""What objects carry besides bytes becomes metadata, is followed, and costs no embedding."""

import json

import pytest

from s3sync_dagster.catalog.rights import seen_keys
from s3sync_dagster.core.carried import carried_metadata
from s3sync_dagster.core.intake import plan_intake
from s3sync_dagster.core.rights import Reader, Rights
from s3sync_dagster.core.sidecar import parse_sidecar
from s3sync_dagster.core.source_rules import validate_source
from s3sync_dagster.engine.rebuilding import recover_documents
from s3sync_dagster.model.errors import (
    AccessDenied,
    FixConfiguration,
    InvalidSetting,
    InvalidSidecar,
)
from s3sync_dagster.model.place import Carried
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.test_intake import message, record
from s3sync_dagster_tests.sources import changed, s3_source

SOURCE = s3_source(id="i", name="n", bucket_name="bucket", collection_name="texts")
DAY = 86_400


def asked(world, kind):
    return world.store.requests().get(kind, 0)


def team(world, key="team"):
    return {one["document_key"]: one.get(key) for one in world.metadata().values()}


def tell(world, *records):
    """Let the records of a message arrive as events do."""
    (events,) = plan_intake([message(*records)], [world.source]).by_source.values()
    world.catalog.work.record_events(
        world.source.id, upserts=events.upserts, sync=events.sync, remove=events.remove,
        sequencers=dict(events.sequencers),
    )  # fmt: skip
    return {report.key: report.state for report in world.run_batches()}


def test_user_metadata_come_with_the_get_that_reads_the_object(world):
    world.configure(object_metadata=("Author", "lang=doc_language"))
    world.bucket.put("a.md", "one\n\ntwo", metadata={"author": "Ann", "lang": "en", "other": "x"})
    world.bucket.put("b.md", "three")
    assert world.sync() == {"a.md": "indexed", "b.md": "indexed"}
    found = [one for one in world.metadata().values() if one["document_key"] == "a.md"]
    assert [(one["Author"], one["doc_language"]) for one in found] == [("Ann", "en")] * 2
    assert not [one for one in world.metadata().values() if "other" in one]
    requests = world.store.requests()
    assert (requests["GET"], requests["HEAD"], requests.get("TAGS", 0)) == (2, 0, 0)


def test_tags_cost_one_request_for_each_object_that_is_read(world):
    world.configure(object_tags=("team",))
    world.bucket.put("a.md", "one", tags={"team": "red", "aws:x": "y"})
    world.bucket.put("b.md", "two")
    world.sync()
    assert team(world) == {"a.md": "red", "b.md": None}
    assert asked(world, "TAGS") == 2
    world.sync()
    assert asked(world, "TAGS") == 2  # what a listing finds unchanged is not asked for


@pytest.mark.parametrize("name", ["ObjectTagging:Put", "ObjectCreated:PutTagging"])
def test_an_event_of_tags_updates_metadata_and_embeds_nothing(world, name):
    world.configure(object_tags=("team",))
    world.bucket.put("a.md", "one\n\ntwo", tags={"team": "red"})
    world.sync()
    known = world.embedder.inferred
    world.bucket.tag("a.md", {"team": "blue"})
    assert tell(world, record("a.md", name, bucket="bucket")) == {"a.md": "updated"}
    assert team(world) == {"a.md": "blue"}
    assert tell(world, record("a.md", name, bucket="bucket")) == {"a.md": "unchanged"}
    world.bucket.tag("a.md", {})
    tell(world, record("a.md", "ObjectTagging:Delete", bucket="bucket"))
    assert team(world) == {"a.md": None}
    assert world.embedder.inferred == known


def test_an_event_of_new_user_metadata_under_the_same_bytes_is_followed(world):
    world.configure(object_metadata=("team",))
    ref = world.bucket.put("a.md", "one", metadata={"team": "red"})
    world.sync()
    known = world.embedder.inferred
    world.bucket.put("a.md", "one", metadata={"team": "blue"})
    told = record("a.md", bucket="bucket", etag=ref.etag, size=ref.size)
    assert tell(world, told) == {"a.md": "updated"}
    assert team(world) == {"a.md": "blue"}
    assert world.embedder.inferred == known


def test_events_of_tags_concern_no_source_that_takes_none_and_hide_no_news_of_it():
    both = [SOURCE, changed(SOURCE, id="t", object_tags=("team",))]
    created = record("a.md", bucket="bucket", sequencer="01")
    tagged = record("a.md", "ObjectTagging:Put", bucket="bucket", sequencer="02")
    plan = plan_intake([message(created, tagged)], both)
    ((ref, _),) = plan.by_source["i"].upserts
    assert (ref.etag, ref.size) == ("etag-a.md", 3)
    assert plan.by_source["t"].sync == ("a.md",)


def test_listings_look_again_only_where_a_source_asks_for_it_and_when_it_is_time(world):
    world.configure(object_tags=("team",), metadata_interval_seconds=DAY)
    world.bucket.put("a.md", "one", tags={"team": "red"})
    world.sync()
    world.bucket.tag("a.md", {"team": "blue"})
    world.clock.seconds += DAY - 60
    assert world.sync() == {}
    world.clock.seconds += 60
    assert world.sync() == {"a.md": "updated"}
    assert team(world) == {"a.md": "blue"}
    known = asked(world, "TAGS")
    world.clock.seconds += DAY
    assert world.sync() == {"a.md": "unchanged"}
    assert asked(world, "TAGS") == known + 1
    assert world.sync() == {}
    world.configure(metadata_interval_seconds=0)
    world.clock.seconds += DAY
    assert world.sync() == {}


def test_tags_that_cannot_be_read_fail_the_key_and_are_never_no_tags(world):
    world.configure(
        object_tags=("team",), reader_keys=("team",), metadata_interval_seconds=DAY,
        metadata={"team": "*"},
    )  # fmt: skip
    world.bucket.put("a.md", "one", tags={"team": "red"})
    world.sync()
    world.bucket.put("new.md", "two", tags={"team": "red"})

    def denied(kind, key):
        if kind == "TAGS":
            raise AccessDenied(f"the tags of object {key!r} may not be read", reason="tags_denied")

    world.fault = denied
    world.clock.seconds += DAY
    assert world.sync() == {"a.md": "failed", "new.md": "failed"}
    assert team(world) == {"a.md": "red"}
    assert {report.reason for report in world.reports} == {"tags_denied"}
    world.fault = None
    world.clock.seconds += 3600
    assert world.sync() == {"a.md": "unchanged", "new.md": "indexed"}


def test_a_tag_that_is_taken_away_takes_the_right_away(world):
    world.configure(object_tags=("team",), reader_keys=("team",), metadata_interval_seconds=DAY)
    world.bucket.put("a.md", "one", tags={"team": "red"})
    world.sync()
    red = Rights(reader=Reader(frozenset({"red"})), restricted={world.source.id: ("team",)})

    def seen():
        return seen_keys(world.catalog, red, world.source, ["a.md"]) == {"a.md"}

    assert seen()
    world.bucket.tag("a.md", {})
    tell(world, record("a.md", "ObjectTagging:Delete", bucket="bucket"))
    assert not seen()
    assert not red.allow_record(next(iter(world.metadata().values())))


def test_text_never_gets_the_rights_of_what_was_put_in_its_place_meanwhile(world):
    world.configure(object_tags=("team",), reader_keys=("team",), metadata_interval_seconds=DAY)
    world.bucket.put("a.md", "secret", tags={"team": "board"})
    overwritten = []

    def overwrite(kind, key):
        if kind == "TAGS" and not overwritten:
            overwritten.append(key)
            world.bucket.put("a.md", "public", tags={"team": "*"})

    world.fault = overwrite
    assert world.sync() == {"a.md": "pending"}
    assert world.texts() == {}
    world.clock.seconds += 60
    world.sync()
    assert (list(world.texts().values()), team(world)) == (["public"], {"a.md": "*"})


def test_the_order_of_origins(world):
    world.configure(
        metadata={"k": "source", "l": "source", "m": "source", "n": "source"},
        path_metadata="^(?P<l>x)", object_metadata=("m",), object_tags=("n",),
    )  # fmt: skip
    carried = {"metadata": {"m": "meta"}, "tags": {"n": "tag"}}
    world.bucket.put("x", "one", **carried)
    world.sync()
    (found,) = world.metadata().values()
    assert [found[key] for key in "klmn"] == ["source", "x", "meta", "tag"]
    world.ask("x", metadata={"n": "asked"})
    world.run_batches()
    (found,) = world.metadata().values()
    assert (found["m"], found["n"]) == ("meta", "asked")


def test_a_lost_catalog_takes_no_tag_for_a_documents_own(world):
    world.configure(object_tags=("team",))
    world.bucket.put("a.md", "one", tags={"team": "red"})
    world.sync()
    collection = world.collections.open(
        "docs", tenant="default_tenant", database="default_database", embedder=None
    )
    recovery = recover_documents(world.source, collection, known_sources={world.source.id})
    assert [dict(one.metadata) for one in recovery.documents] == [{}]


@pytest.mark.parametrize(
    ("sent", "text"),
    [("plain", "plain"), ("=?UTF-8?B?w6TDtg==?=", "äö"), ("=?UTF-8?Q?=C3=A4?= x", "ä x"),
     ("\u00c3\u00a4", "ä"), ("a=?b", "a=?b"), ("", "")],
)  # fmt: skip
def test_values_of_headers_are_what_people_wrote(sent, text):
    wanted = Carried(metadata={"a": "A"})
    assert carried_metadata("k", wanted, metadata={"a": sent}, unread=0, tags={}) == {"A": text}


@pytest.mark.parametrize("sent", ["=?nope?Q?=C3?=", "=?UTF-8?Q?=C3?=", "\u00e4", "\u4e2d"])
def test_a_value_that_nobody_can_read_names_object_and_header(sent):
    wanted = Carried(metadata={"a": "a"})
    with pytest.raises(FixConfiguration, match="x-amz-meta-a of object 'k'") as caught:
        carried_metadata("k", wanted, metadata={"a": sent}, unread=0, tags={})
    assert caught.value.reason == "invalid_object_metadata"


def test_metadata_that_the_server_only_counts_are_not_taken_for_none():
    with pytest.raises(FixConfiguration, match="object 'k' has 2 user metadata"):
        carried_metadata("k", Carried(metadata={"a": "a"}), metadata={}, unread=2, tags={})
    assert carried_metadata("k", Carried(tags={"t": "t"}), metadata={}, unread=2, tags={}) == {}


@pytest.mark.parametrize(
    "settings",
    [{"object_tags": ("s3sync_x",)}, {"object_tags": ("language",)},
     {"object_metadata": ("x" * 37,)}, {"object_metadata": ("a",), "object_tags": ("a",)},
     {"object_metadata": ("A", "a")}, {"object_metadata": ("A=x", "a=y")},
     {"object_tags": ("",)}, {"object_tags": ("a=",)}, {"object_tags": ("=a",)},
     {"object_tags": tuple(map(str, range(17)))},
     {"object_tags": ("team",), "reader_keys": ("team",)},
     {"bucket_name": "b--use1-az4--x-s3", "object_tags": ("team",)}],
)  # fmt: skip
def test_names_that_cannot_be_are_refused_where_they_are_declared(settings):
    with pytest.raises(InvalidSetting):
        validate_source(changed(SOURCE, **settings))


def test_names_that_can_be_are_taken():
    validate_source(
        changed(
            SOURCE, object_metadata=("language=doc_language",),
            object_tags=("cost center", "a=b=c"), reader_keys=("c",), queue_url="https://sqs.eu-central-1.amazonaws.com/1/q",
        )
    )  # fmt: skip
    assert changed(SOURCE, object_tags=("a=b=c",)).place.carried.tags == {"a=b": "c"}
    assert SOURCE.fingerprint() == changed(SOURCE, object_tags=()).fingerprint()
    assert SOURCE.fingerprint() != changed(SOURCE, object_tags=("a",)).fingerprint()


# --- Bedrock ------------------------------------------------------------------------------------


def bedrock(**attributes):
    return json.dumps({"metadataAttributes": attributes})


BEDROCK = changed(SOURCE, bedrock_sidecars=True)
TYPED = {"value": {"type": "STRING", "stringValue": "blue"}, "includeForEmbedding": True}


def test_what_bedrock_knows_of_an_object_is_its_metadata_and_costs_no_embedding(world):
    world.configure(bedrock_sidecars=True)
    world.bucket.put("a.md", "one\n\ntwo")
    world.sync()
    known = world.embedder.inferred
    world.bucket.put("a.md.metadata.json", bedrock(team="red", year=2026, tags=["x", "y"], ok=True))
    states = world.sync()
    assert states == {"a.md": "updated", "a.md.metadata.json": "skipped"}
    assert {one["team"] for one in world.metadata().values()} == {"red"}
    world.bucket.put("a.md.metadata.json", bedrock(team=TYPED))
    world.sync()
    assert team(world) == {"a.md": "blue"}
    assert team(world, "year") == {"a.md": None}
    world.bucket.delete("a.md.metadata.json")
    world.sync()
    assert team(world) == {"a.md": None}
    assert world.embedder.inferred == known
    assert world.keys_indexed() == {"a.md"}


def test_bedrocks_sidecars_select_in_metadata_mode_and_their_end_takes_the_document_back(world):
    world.configure(bedrock_sidecars=True, auto_sync=AutoSync.METADATA)
    world.bucket.put("a.md", "one")
    world.bucket.put("b.md", "two")
    world.bucket.put("a.md.metadata.json", bedrock(team="red"))
    world.sync()
    assert world.keys_indexed() == {"a.md"}
    world.bucket.delete("a.md.metadata.json")
    world.sync(approve_deletes=True)
    assert world.texts() == {}


def test_what_was_a_document_leaves_by_a_listing_when_it_becomes_a_sidecar_and_comes_back(world):
    for name in "abcd":
        world.bucket.put(f"{name}.md", name)
    world.bucket.put("a.md.metadata.json", bedrock(team="red"))
    world.sync()
    assert "a.md.metadata.json" in world.keys_indexed()
    world.configure(bedrock_sidecars=True)
    world.sync()
    world.sync(approve_deletes=True)
    assert world.keys_indexed() == {"a.md", "b.md", "c.md", "d.md"}
    assert team(world)["a.md"] == "red"
    world.configure(bedrock_sidecars=False)
    world.sync()
    world.sync()
    assert world.keys_indexed() == {"a.md", "b.md", "c.md", "d.md", "a.md.metadata.json"}
    assert team(world)["a.md"] is None


def test_what_is_no_sidecar_any_more_asks_for_nothing_though_nobody_reads_it(world):
    world.configure(bedrock_sidecars=True, on_config_change="reindex")
    world.bucket.put("a.md", "one")
    world.bucket.put("a.md.metadata.json", bedrock(team="red"))
    world.sync()
    world.configure(bedrock_sidecars=False, extensions=(".md",))
    world.sync()
    assert team(world) == {"a.md": None}


def test_what_was_a_document_is_followed_as_a_sidecar_also_where_nothing_is_removed(world):
    world.configure(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("a.md", "one")
    world.bucket.put("a.md.metadata.json", bedrock(team="red"))
    world.sync()
    world.configure(bedrock_sidecars=True)
    assert world.sync()["a.md.metadata.json"] == "skipped"
    assert team(world)["a.md"] == "red"
    assert world.sync() == {}


@pytest.mark.parametrize(
    ("body", "reason"),
    [("{", "invalid_json"), ("[]", "wrong_type"), ("{}", "missing_field"),
     ('{"metadataAttributes": []}', "wrong_type"),
     (bedrock(language="x"), "invalid_metadata"), (bedrock(x=None), "invalid_metadata"),
     (bedrock(x=[1]), "invalid_metadata"), (bedrock(x=[]), "invalid_metadata"),
     (bedrock(x={"value": "v"}), "invalid_metadata"),
     (bedrock(x={"value": {"type": "STRING", "numberValue": 1}}), "invalid_metadata"),
     (bedrock(x={"value": {"type": "NUMBER", "numberValue": True}}), "invalid_metadata"),
     (bedrock(x={"value": {"type": ["STRING"]}}), "invalid_metadata"),
     (bedrock(x={**TYPED, "includeForEmbedding": "yes"}), "invalid_metadata"),
     (bedrock(**{f"k{n}": n for n in range(17)}), "invalid_metadata")],
)  # fmt: skip
def test_what_bedrock_would_not_take_is_refused_with_a_reason(body, reason):
    with pytest.raises(InvalidSidecar, match="a.md.metadata.json") as caught:
        parse_sidecar(body.encode(), source=BEDROCK, key="a.md.metadata.json")
    assert caught.value.reason == reason


@pytest.mark.parametrize("key", ["other/a.md.metadata.json", "docs/a.meta.json.metadata.json"])
def test_a_name_that_describes_no_document_of_the_source_is_refused(key):
    source = changed(BEDROCK, path_prefix="docs/")
    with pytest.raises(InvalidSidecar):
        parse_sidecar(bedrock(a=1).encode(), source=source, key=key)


def test_a_sidecar_of_bedrocks_that_cannot_be_followed_changes_nothing(world):
    world.configure(bedrock_sidecars=True)
    world.bucket.put("a.md", "one")
    world.bucket.put("a.md.metadata.json", bedrock(team="red"))
    world.sync()
    world.bucket.put("a.md.metadata.json", bedrock(team=None))
    assert world.sync() == {"a.md.metadata.json": "failed"}
    assert team(world) == {"a.md": "red"}


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [("STRING", "stringValue", "x"), ("NUMBER", "numberValue", 1.5),
     ("BOOLEAN", "booleanValue", False), ("STRING_LIST", "stringListValue", ["x", "y"])],
)  # fmt: skip
def test_each_type_of_bedrocks_has_its_value(kind, field, value):
    body = bedrock(k={"value": {"type": kind, field: value}})
    found = parse_sidecar(body.encode(), source=BEDROCK, key="a.md.metadata.json")
    assert (found.path, found.custom_id, found.metadata) == ("a.md", None, {"k": value})
