"""Runs in process: every way to ask for keys, and what each key shows afterwards."""

import os

import dagster as dg
import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.core.naming import SOURCE_TAG, TOKEN_TAG
from s3sync_dagster.defs.ops import PARENT_TAG
from s3sync_dagster_tests.defs.defs_fixture import open_world
from s3sync_dagster_tests.engine_fixture import poison_record
from s3sync_dagster_tests.extraction.raw_pdf import pages_pdf, text_content
from s3sync_dagster_tests.sources import changed
from s3sync_dagster_tests.wire_proxy import wire_proxy


@pytest.fixture
def world(defs_world):
    defs_world.aws.put_all(defs_world.bucket, {f"docs/{n}.md": f"# Text {n}" for n in range(6)})
    defs_world.aws.put(defs_world.bucket, "docs/bad.pdf", b"%PDF-1.7 not really")
    return defs_world


GOOD = [f"docs/{n}.md" for n in range(6)]
BAD = "docs/bad.pdf"
MENDED = pages_pdf([text_content("This one can be read.")])


def test_a_dispatched_batch_materialises_the_good_and_fails_the_bad(world):
    (result,) = world.sync()
    assert not result.success
    assert world.states(result) == {key: ["indexed"] for key in GOOD}
    assert world.statuses(*GOOD, BAD) == dict.fromkeys(GOOD, "MATERIALIZED") | {BAD: "FAILED"}
    assert list(world.reasons(result)) == [BAD]
    (failure,) = world.events(result, dg.DagsterEventType.STEP_FAILURE)
    reason = world.reasons(result)[BAD]  # in the step's error, which alerts show
    assert f"1 of 7 keys failed; the others are done.\n'{BAD}': {reason}: " in (
        failure.step_failure_data.error_display_string
    )
    assert reason == world.catalog.work.object(world.source.id, BAD).reason
    assert world.indexed_keys() == set(GOOD)
    run = world.instance.get_run_by_id(result.run_id)
    assert run.tags[SOURCE_TAG] == world.source.name
    assert world.catalog.batches.row(run.tags[TOKEN_TAG]).state == "done"
    assert set(world.instance.get_dynamic_partitions(world.partitions.name)) == {*GOOD, BAD}


def test_a_later_success_clears_failed(world):
    world.sync()
    assert world.statuses(BAD) == {BAD: "FAILED"}
    assert world.catalog.work.object(world.source.id, BAD).reason is not None
    world.aws.put(world.bucket, BAD, MENDED)
    (result,) = world.sync()
    assert result.success
    assert world.states(result) == {BAD: ["indexed"]}
    assert world.statuses(BAD) == {BAD: "MATERIALIZED"}
    known = world.catalog.work.object(world.source.id, BAD)
    assert (known.outcome, known.reason) == ("indexed", None)
    assert BAD in world.indexed_keys()


def test_what_is_known_to_be_bad_does_not_fail_run_after_run(world):
    world.sync()
    world.aws.put(world.bucket, GOOD[0], "# Changed")
    world.catalog.invocations.retry_failed(world.source)
    (result,) = world.sync()
    assert result.success
    assert world.states(result) == {GOOD[0]: ["updated"]}
    assert list(world.reasons(result)) == [BAD]
    assert world.statuses(BAD, GOOD[0]) == {BAD: "FAILED", GOOD[0]: "MATERIALIZED"}
    log = str(world.instance.get_records_for_run(result.run_id, limit=1000).records)
    assert "1 of 2 keys failed, 0 of them for the first time" in log

    world.aws.put(world.bucket, BAD, b"%PDF-1.7 not really, once more")
    (result,) = world.sync()
    assert not result.success, "another version is news"
    assert not world.execute(partition_key=BAD).success, "a person asked for just this one"


@pytest.mark.parametrize(("limit", "succeeds"), [(0, True), (1, False), (2, True)])
def test_how_many_new_failures_fail_a_run_is_a_setting(world, limit, succeeds):
    world.catalog.sources.update(changed(world.source, run_fails_from=limit))
    (result,) = world.sync()
    assert result.success is succeeds
    assert world.indexed_keys() == set(GOOD)
    assert world.catalog.work.object(world.source.id, BAD).outcome == "failed"
    assert list(world.reasons(result)) == [BAD]


def test_a_failure_for_a_file_shows_a_sentence_and_no_traceback(world):
    (result,) = world.sync()
    records = world.instance.get_records_for_run(result.run_id, limit=1000).records
    events = [record.event_log_entry.dagster_event for record in records]
    (failed,) = [one for one in events if one and one.event_type_value == "STEP_FAILURE"]
    error = failed.step_failure_data.error
    assert error.message.startswith("1 of 7 keys failed; the others are done.")
    assert error.stack == []
    assert failed.step_failure_data.user_failure_data.metadata["failures"].value[BAD]
    assert "Traceback" not in str(records)
    assert 'File "' not in str(records)


def test_an_etag_is_the_data_version_and_what_was_not_made_is_observed(world):
    (first,) = world.sync()
    versions = {
        event.partition: event.materialization.tags["dagster/data_version"]
        for event in world.events(first, dg.DagsterEventType.ASSET_MATERIALIZATION)
    }
    assert versions == {key: world.catalog.work.object(world.source.id, key).etag for key in GOOD}
    world.catalog.invocations.request_automatic(world.source.id, GOOD[:1], trigger=_listing())
    (again,) = world.dispatch()
    assert again.success
    assert world.states(again) == {}
    assert world.observed(again) == {GOOD[0]: "unchanged"}
    assert world.statuses(GOOD[0]) == {GOOD[0]: "MATERIALIZED"}


def test_one_partition_and_explicit_keys(world):
    world.sync()
    result = world.execute(partition_key=GOOD[0])
    assert result.success
    assert world.states(result) == {GOOD[0]: ["unchanged"]}
    world.aws.put(world.bucket, GOOD[1], "# Changed")
    world.aws.put(world.bucket, "docs/new.md", "# New")
    result = world.execute([GOOD[0], GOOD[1], "docs/new.md"])
    assert world.states(result) == {
        GOOD[0]: ["unchanged"],
        GOOD[1]: ["updated"],
        "docs/new.md": ["indexed"],
    }
    assert world.statuses("docs/new.md") == {"docs/new.md": "MATERIALIZED"}


def test_a_key_that_is_forced_is_read_and_written_again(
    tmp_path, aws_endpoint, chroma_server, defs_environment, monkeypatch
):
    monkeypatch.setenv("S3SYNC_CHROMA_URL", chroma_server)
    home, environ = tmp_path / "home", dict(os.environ)
    with (
        wire_proxy(aws_endpoint.url) as s3,
        open_world(aws_endpoint, home, environ, endpoint_url=s3.url) as world,
    ):
        world.aws.put(world.bucket, GOOD[0], "# Text 0")
        world.sync()
        collection = world.collection()
        (record,) = (record.id for page in collection.scan() for record in page)
        poison_record(collection, world.parts.embedder_for(world.source.embedding), record)

        before = s3.counts()["GET"]
        assert world.states(world.execute([GOOD[0]])) == {GOOD[0]: ["unchanged"]}
        assert s3.counts()["GET"] == before
        assert collection.get([record], documents=True)[record].document == "poisoned"

        forced = world.execute([GOOD[0]], force=True)
        assert world.states(forced) == {GOOD[0]: ["updated"]}
        assert s3.counts()["GET"] == before + 1
        assert collection.get([record], documents=True)[record].document == "# Text 0"


def test_a_range_gives_each_key_one_materialisation(world):
    world.sync()
    world.aws.delete(world.bucket, GOOD[2])
    world.aws.put(world.bucket, GOOD[3], "# Changed")
    keys = sorted(world.instance.get_dynamic_partitions(world.partitions.name))
    first, last = world.instance.get_dynamic_partitions(world.partitions.name)[::6]
    result = world.execute_range(first, last)
    assert not result.success
    states = world.states(result)
    assert set(states) == set(keys) - {BAD}
    assert all(len(each) == 1 for each in states.values())
    assert states[GOOD[2]] == ["removed"]
    assert states[GOOD[3]] == ["updated"]
    assert states[GOOD[0]] == ["unchanged"]
    assert world.statuses(BAD) == {BAD: "FAILED"}


def test_a_range_over_busy_keys_says_which_run_has_them(world):
    world.sync()
    world.catalog.invocations.request_automatic(world.source.id, GOOD[:2], trigger=_listing())
    held = world.catalog.batches.reserve(
        world.source.id, take=Take(), owner=world.parts.owners.me(), run_id="run-of-another"
    )
    partitions = world.instance.get_dynamic_partitions(world.partitions.name)
    result = world.execute_range(partitions[0], partitions[-1])
    states = world.states(result)
    assert {key for key, each in states.items() if each == ["left_to_run"]} == set(held.keys)
    (event,) = [
        event
        for event in world.events(result, dg.DagsterEventType.ASSET_MATERIALIZATION)
        if event.partition == GOOD[0]
    ]
    assert "run-of-another" in event.materialization.description
    # What a person asked for is not lost: it waits until the other run has ended.
    world.catalog.batches.release(held.token, died=False)
    assert world.catalog.invocations.live_count(world.source.id) >= 2
    (later,) = world.dispatch()
    assert set(world.observed(later)) == set(held.keys)  # nothing was made: it had been indexed


def test_a_finished_token_again_asks_for_its_keys_anew(world):
    (first,) = world.sync()
    token = world.instance.get_run_by_id(first.run_id).tags[TOKEN_TAG]
    tags = {PARENT_TAG: first.run_id, "dagster/root_run_id": first.run_id}  # as the UI has it
    again = world.execute([*GOOD, BAD], token=token, tags=tags)
    assert world.states(again) == {key: ["unchanged"] for key in GOOD}
    assert world.reasons(again) == world.reasons(first)


def test_a_token_that_another_run_holds_is_left_to_it(world):
    world.listing()
    (request,) = world.dispatcher().requests()
    token = request.tags[TOKEN_TAG]
    assert world.catalog.batches.start(token, owner="elsewhere:1-x", run_id="first")
    result = world.execute([*GOOD, BAD], token=token)
    assert result.success
    assert world.states(result) == {}
    assert world.catalog.invocations.live_count(world.source.id) == len(GOOD) + 1


def test_a_run_whose_reservation_was_given_back_ends_well(world):
    world.listing()
    (request,) = world.dispatcher().requests()
    token = request.tags[TOKEN_TAG]
    world.catalog.batches.release(token, died=False)
    result = world.execute([*GOOD, BAD], token=token)
    assert result.success
    assert world.states(result) == {}
    (done,) = world.dispatch()
    assert set(world.states(done)) == set(GOOD)


def test_a_partition_that_nobody_knows_fails_alone(world):
    world.sync()
    shortened = "long-" + "x" * 1195 + "~" + "0" * 32
    world.instance.add_dynamic_partitions(world.partitions.name, ["docs/never.md", shortened])
    result = world.execute_range("docs/never.md", shortened)
    assert world.states(result) == {"docs/never.md": ["removed"]}
    assert world.reasons(result) == {shortened: "partition_unknown"}
    assert world.statuses(shortened) == {shortened: "FAILED"}


def test_keys_outside_the_prefix_are_not_touched(world):
    source = changed(world.source, path_prefix="docs/")
    world.catalog.sources.update(source)
    world.aws.put(world.bucket, "secret/plan.md", "# Not yours")
    result = world.execute(["secret/plan.md", GOOD[0]])
    assert world.indexed_keys() == {GOOD[0]}
    assert GOOD[0] in world.states(result)


def test_each_key_shows_its_link_and_what_each_step_took(world):
    (result,) = world.sync()
    shown = {
        event.partition: event.materialization.metadata
        for event in world.events(result, dg.DagsterEventType.ASSET_MATERIALIZATION)
    }
    for key in GOOD:
        metadata = {name: value.value for name, value in shown[key].items()}
        assert metadata["object"] == f"s3://{world.bucket}/{key}"
        assert metadata["link"] == f"{world.aws.url}/{world.bucket}/{key}"
        assert metadata["etag"]
        assert metadata["bytes"] == len(f"# Text {key[5]}")
        assert metadata["chunks"] == 1
        steps = {name for name in metadata if name.startswith("ms_")}
        assert steps == {"ms_extract", "ms_chunk", "ms_embed", "ms_upsert"}


def test_the_source_is_plotted_once_a_run(world):
    (result,) = world.sync()
    (whole,) = [
        event.asset_observation_data.asset_observation
        for event in world.events(result, dg.DagsterEventType.ASSET_OBSERVATION)
        if event.partition is None
    ]
    numbers = {name: value.value for name, value in whole.metadata.items()}
    assert numbers["source_objects"] == len(GOOD) + 1
    assert numbers["source_indexed"] == len(GOOD)
    assert numbers["source_failed"] == 1
    assert numbers["lag_seconds"] >= 0


@pytest.mark.long
def test_an_outage_of_chroma_is_tried_again_later_and_not_at_once(world, monkeypatch):
    monkeypatch.setenv("S3SYNC_CHROMA_URL", "http://127.0.0.1:9")
    world.listing()
    (result,) = world.dispatch()
    assert not result.success
    assert world.dispatcher().requests() == []
    assert world.catalog.invocations.live_count(world.source.id) >= len(GOOD)
    assert set(world.statuses(*GOOD).values()) == {"FAILED"}


def test_a_missing_setting_fails_every_key_with_its_reason(world, monkeypatch):
    monkeypatch.delenv("S3SYNC_CHROMA_URL")
    world.listing()
    (result,) = world.dispatch()
    assert not result.success
    assert world.catalog.invocations.live_count(world.source.id) == 0
    assert set(world.reasons(result)) == {*GOOD, BAD}
    assert world.dispatcher().requests() == []


def test_a_bug_of_ours_is_not_tried_again_at_once_and_tells_no_secret(world, monkeypatch):
    from s3sync_dagster.engine.batch import read

    def broken(*_, **__):
        raise ZeroDivisionError("password=hunter2")

    monkeypatch.setattr(read, "_read_one", broken)
    world.listing()
    (result,) = world.dispatch()
    assert not result.success
    assert world.dispatcher().requests() == []
    logs = str(world.instance.get_records_for_run(result.run_id, limit=1000).records)
    assert "ZeroDivisionError" in logs
    assert "hunter2" not in logs


def _listing():
    from s3sync_dagster.model.invocation import Trigger

    return Trigger.LISTING
