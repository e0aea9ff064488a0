"""What is kept of the requests of one tenant, and what of them waits."""

import sqlalchemy as sa

from s3sync_dagster.catalog.kept_requests import prune_requests, waiting_requests
from s3sync_dagster.catalog.tables import invocations
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.catalog.scenes import source


def ask(catalog, src, number, *, status="pending"):
    ids = catalog.invocations.request(
        src, [f"{status}-{n}" for n in range(number)], trigger=Trigger.API
    )
    if status != "pending":
        for at, one in enumerate(ids):
            ended = invocations.update().where(invocations.c.id == one)
            with catalog.database.write() as tx:
                tx.execute(ended.values(status=status, finished_at=at, created_at=at))
    return ids


def test_what_waits_of_a_tenant_is_counted_without_what_listings_found(catalog):
    ours = catalog.sources.add(source())
    theirs = catalog.sources.add(source("theirs", tenant="other"))
    ask(catalog, ours, 3)
    ask(catalog, ours, 2, status="failed")
    ask(catalog, theirs, 1)
    catalog.invocations.request_automatic(ours.id, ["a", "b"], trigger=Trigger.LISTING)
    assert waiting_requests(catalog.database, ours.tenant, most=10) == 3
    assert waiting_requests(catalog.database, ours.tenant, most=2) == 2
    assert waiting_requests(catalog.database, "other", most=10) == 1


def test_the_newest_requests_that_have_ended_are_kept_of_each_tenant(catalog):
    ours = catalog.sources.add(source())
    theirs = catalog.sources.add(source("theirs", tenant="other"))
    ended = ask(catalog, ours, 5, status="failed")
    waiting = ask(catalog, ours, 2)
    others = ask(catalog, theirs, 2, status="complete")
    catalog.invocations.request_automatic(ours.id, ["a"], trigger=Trigger.LISTING)
    assert prune_requests(catalog.database, most=3) == 2
    with catalog.database.read() as tx:
        asked = sa.select(invocations.c.id).where(invocations.c.trigger == "api")
        left = set(tx.execute(asked).scalars())
    assert left == {*ended[2:], *waiting, *others}
    assert len(catalog.invocations.rows(source_id=ours.id)) == 6
    assert prune_requests(catalog.database, most=3) == 0
