"""Hours of a source, as charts show them."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.catalog.hours import HOUR_SECONDS, LOOK_BACK_HOURS
from s3sync_dagster.catalog.views import SourceCounts
from s3sync_dagster.model.invocation import Result
from s3sync_dagster_tests.catalog.scenes import done, index, list_all, ref, source


@pytest.fixture
def docs(catalog):
    catalog.sources.add(docs := source())
    return docs


def work(catalog, docs, keys, *, failing=(), run_id="r"):
    """Index keys in a batch; some of them fail."""
    list_all(catalog, docs, [ref(key, etag=run_id) for key in [*keys, *failing]])
    batch = catalog.batches.reserve(docs.id, take=Take(), owner="me", run_id=run_id)
    commits = [index(catalog, docs, batch.token, key)[1] for key in keys]
    failed = {"result": Result.FAILED, "outcome": "failed", "reason": "damaged", "error": "No PDF."}
    outcomes = [done(key) for key in keys] + [done(key, **failed) for key in failing]
    catalog.documents.commit(batch.token, docs, written=commits, outcomes=outcomes)
    catalog.batches.finish(batch.token)


def hours(catalog, docs):
    return catalog.hours.of_source(docs.id, since=0)


def note(catalog, docs):
    catalog.hours.note(docs.id, catalog.views.counts(docs.id))


def test_an_hour_says_how_the_source_is_and_what_ended_in_it(catalog, clock, docs):
    clock.seconds = 1000 * HOUR_SECONDS + 100
    work(catalog, docs, ["a", "b"], failing=["c"])
    note(catalog, docs)
    note(catalog, docs)  # counted anew: nothing doubles
    [one] = hours(catalog, docs)
    assert one.hour == 1000
    assert one.states == {"indexed": 2, "pending": 0, "processing": 0, "skipped": 0}
    assert (one.failed, one.lag_seconds, one.texts) == ({"damaged": 1}, 0.0, 0)
    assert (one.complete_invocations, one.failed_invocations) == (2, 1)


def test_what_ended_after_the_last_note_of_an_hour_is_that_hours(catalog, clock, docs):
    clock.seconds = 1000 * HOUR_SECONDS + 100
    note(catalog, docs)
    clock.seconds += HOUR_SECONDS - 200
    work(catalog, docs, ["a"], run_id="one")
    clock.seconds += HOUR_SECONDS
    work(catalog, docs, ["a", "b"], run_id="two")
    note(catalog, docs)
    ended = {one.hour: one.complete_invocations for one in hours(catalog, docs)}
    assert ended == {1000: 1, 1001: 2}
    states = {one.hour: one.states and one.states["indexed"] for one in hours(catalog, docs)}
    assert states == {1000: 0, 1001: 2}


def test_the_lag_of_an_hour_is_the_greatest_and_texts_add_up(catalog, clock, docs):
    clock.seconds = 1000 * HOUR_SECONDS
    list_all(catalog, docs, [ref("a")])
    for seconds in (200, 300):
        clock.seconds += seconds
        note(catalog, docs)
    catalog.invocations.cancel(catalog.invocations.latest_by_keys(docs.id, ["a"])["a"].id)
    note(catalog, docs)
    for texts in (5, 0, 7):
        catalog.hours.embedded(docs.id, texts)
    [one] = hours(catalog, docs)
    assert (one.lag_seconds, one.texts) == (500.0, 12)


def test_it_is_looked_back_a_day_at_most_and_old_hours_go(catalog, clock, docs):
    clock.seconds = 1000 * HOUR_SECONDS + 1
    work(catalog, docs, ["a"])
    note(catalog, docs)
    clock.seconds += (LOOK_BACK_HOURS + 2) * HOUR_SECONDS
    note(catalog, docs)
    assert [one.hour for one in hours(catalog, docs)] == [1000, 1000 + LOOK_BACK_HOURS + 2]
    assert catalog.hours.prune(older_than_seconds=24 * HOUR_SECONDS) == 1
    assert [one.hour for one in hours(catalog, docs)] == [1000 + LOOK_BACK_HOURS + 2]


def test_a_source_that_is_gone_leaves_no_hours(catalog, docs):
    note(catalog, docs)
    catalog.sources.mark_deleting(docs.id, keep_records=True)
    catalog.documents.drop_source(docs.id)
    catalog.hours.note(docs.id, SourceCounts(objects=0, indexed=0, pending=0, processing=0))
    catalog.hours.embedded(docs.id, 3)
    assert hours(catalog, docs) == []


def test_what_runs_did_is_found_by_their_runs_however_much_a_source_has_seen(catalog, docs):
    work(catalog, docs, ["a"], failing=["b"])
    engine, asked = catalog.database.engine, []
    if not catalog.database.sqlite:
        return  # Postgres knows its tables by their statistics

    @sa.event.listens_for(engine, "before_cursor_execute")
    def keep(_connection, _cursor, statement, parameters, _context, _many):
        asked.append((statement, parameters))

    note(catalog, docs)
    catalog.history.of_source(docs.id)
    sa.event.remove(engine, "before_cursor_execute", keep)
    mine = [(text, values) for text, values in asked if "invocations.run_id IN" in text]
    assert len(mine) == 3
    with catalog.database.read() as tx:
        for text, values in mine:
            plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all()
            assert any("ix_invocations_run" in row[-1] for row in plan), text
            assert not any("(source_id=?" in row[-1] for row in plan), text
