"""What was asked for over HTTP becomes a run of a real Dagster."""

from contextlib import closing

import pytest

from s3sync_dagster.api.launching import Launcher
from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.core.naming import (
    KEYS_TAG,
    SOURCE_TAG,
    TOKEN_TAG,
    job_name,
    partitions_name,
    run_config,
)
from s3sync_dagster.model.errors import FixConfiguration, InvalidSetting, NotFound, Unavailable
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.ports.dagster_runs import DagsterRuns
from s3sync_dagster_tests.catalog.scenes import ref
from s3sync_dagster_tests.dagster_partitions import partition_counts
from s3sync_dagster_tests.sources import s3_source

SOURCE = s3_source(id="s-1", name="one", bucket_name="bucket", collection_name="ccc")


def any_number(_tenant):
    return None


@pytest.fixture
def catalog(tmp_path):
    opened = open_catalog(f"sqlite:///{tmp_path}/catalog.db")
    opened.sources.add(SOURCE)
    yield opened
    opened.close()


def statuses(catalog):
    return [row.status for row in catalog.invocations.rows()]


class Asked:
    """A Dagster that takes everything and keeps what it was asked for."""

    def __init__(self):
        self.partitions, self.launches = [], []

    def add_partitions(self, definition, keys):
        self.partitions.append((definition, list(keys)))

    def launch(self, job, *, run_config, tags):
        self.launches.append((job, run_config, tags))


def test_it_says_what_the_definitions_say(catalog):
    catalog.work.record_objects("s-1", [(ref("a"), None), (ref("b"), None)])
    catalog.invocations.request(SOURCE, ["a", "b"], trigger=Trigger.API)
    asked = Asked()
    Launcher(catalog, asked, share=any_number)(["s-1"])
    (batch,) = catalog.batches.live()
    assert asked.partitions == [(partitions_name(SOURCE), ["a", "b"])]
    (launch,) = asked.launches
    assert launch == (
        job_name("one"),
        run_config(SOURCE, keys=["a", "b"], token=batch.token),
        {TOKEN_TAG: batch.token, SOURCE_TAG: "one", KEYS_TAG: "2"},
    )


def test_nobody_answers_and_the_work_stays_pending(catalog):
    catalog.invocations.request(SOURCE, ["a"], trigger=Trigger.API)
    dagster = DagsterRuns("http://127.0.0.1:9", timeout_seconds=2)
    with dagster, pytest.raises(Unavailable):
        Launcher(catalog, dagster, share=any_number)(["s-1"])
    assert statuses(catalog) == ["pending"]
    assert catalog.batches.live() == []


def test_a_source_that_dagster_refuses_is_named_and_the_others_are_launched(catalog):
    for name in ("a", "z"):
        other = SOURCE.with_changes(id=name, name=name, collection_name=f"texts-{name}")
        catalog.sources.add(other)
        catalog.invocations.request(other, ["a"], trigger=Trigger.API)
    catalog.invocations.request(SOURCE, ["a"], trigger=Trigger.API)

    class Choosy(Asked):
        def launch(self, job, *, run_config, tags):
            if job == job_name("one"):
                raise InvalidSetting("It does not accept this.", reason="run_config")
            super().launch(job, run_config=run_config, tags=tags)

    asked = Choosy()
    with pytest.raises(FixConfiguration, match="one: It does not accept") as caught:
        Launcher(catalog, asked, share=any_number)(["a", "s-1", "z"])
    assert caught.value.reason == "run_config"
    assert [job for job, *_ in asked.launches] == [job_name("a"), job_name("z")]
    assert {row.source_id for row in catalog.batches.live()} == {"a", "z"}
    [waiting] = catalog.invocations.rows(source_id="s-1")
    assert (waiting.status, waiting.reason) == ("pending", "run_config")


class TestWithDagster:
    def test_a_source_that_is_not_loaded_waits_for_the_sensor(self, catalog, tiny_stack):
        other = SOURCE.with_changes(id="s-2", name="not_loaded", collection_name="other")
        catalog.sources.add(other)
        catalog.invocations.request(other, ["a"], trigger=Trigger.API)
        Launcher(catalog, tiny_stack.dagster, share=any_number)(["s-2", "gone"])
        assert statuses(catalog) == ["pending"]
        assert catalog.batches.live() == []

    def test_keys_of_an_asset_that_is_not_loaded_are_launched_and_told_by_their_run(
        self, tmp_path, tiny_stack
    ):
        url = f"sqlite:///{tmp_path}/few.db"
        with closing(open_catalog(url, partitions_per_asset=2)) as catalog:
            catalog.sources.add(SOURCE)
            keys = [f"few/{number}" for number in range(3)]
            catalog.work.record_objects("s-1", [(ref(key), None) for key in keys])
            catalog.invocations.request(SOURCE, keys, trigger=Trigger.API)
            asked = Asked()
            asked.add_partitions = tiny_stack.dagster.add_partitions
            Launcher(catalog, asked, share=any_number)(["s-1"])
            assert [len(config["ops"]) for _, config, _ in asked.launches] == [1]
            assert len(catalog.batches.live()) == 1
            assert catalog.partitions.place("s-1", keys).untold == {2: ["few/2"]}

    def test_partitions_are_added_many_at_a_time_and_those_there_stay(self, tiny_stack):
        dagster = tiny_stack.dagster
        before = partition_counts(dagster, ["s3", "two"]).total
        keys = [f"added/{number:03} ü,'$.md" for number in range(120)]
        dagster.add_partitions("s3_two", keys[:50])
        dagster.add_partitions("s3_two", keys)
        dagster.add_partitions("s3_two", [])
        assert partition_counts(dagster, ["s3", "two"]).total == before + 120

    def test_partitions_of_a_source_that_is_not_loaded(self, tiny_stack):
        with pytest.raises(NotFound, match="s3_nobody"):
            tiny_stack.dagster.add_partitions("s3_nobody", ["a"])


def test_the_code_location_may_have_another_name(tmp_path):
    from s3sync_dagster.api.options import read_options
    from s3sync_dagster.settings import load_settings

    def location(**variables):
        settings = load_settings({"S3SYNC_HOME": str(tmp_path), **variables})
        return read_options(settings, loopback=True).dagster_location

    assert location() == "s3sync"
    assert location(S3SYNC_DAGSTER_LOCATION="company") == "company"
