"""What one listing and its work must have brought in line, while others were still at work."""

from s3sync_dagster.catalog.object_rows import known_objects
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.simulation.oracle import expect, records_of, same
from s3sync_dagster_tests.simulation.world import ASKED, World


def check_prompt(world: World) -> None:
    """Raise AssertionError where one listing and its work left something old behind.

    What has failed by the weather may still be as it was; all else has to be as the bucket was
    when the listing began.
    """
    if world.source.mode is not DeleteMode.MIRROR:
        return
    objects = {k: v.decode() for k, v in world.bucket.objects().items()}
    rows = world.catalog.documents.of_source(world.source.id)
    failed = world.catalog.views.object_rows(world.source.id, state="failed", limit=1000)
    left = {row.object_key for row in rows} - objects.keys()
    with world.catalog.database.read() as tx:
        told = known_objects(tx, world.source.id, left)
    left -= {key for key, known in told.items() if known.outcome == "failed"}
    assert not left or world.place.listings_to_know > 1, (
        f"documents of objects that are gone: {left}"
    )
    indexed = {
        row.object_key
        for row in world.catalog.views.object_rows(world.source.id, state="indexed", limit=1000)
    }
    stale = [
        row.object_key
        for row in failed
        if row.reason == "damaged"
        and (row.object_key in objects or world.place.listings_to_know == 1)
        and not objects[row.object_key].startswith("BAD")
    ]
    assert not stale, f"failed by bytes that they had before the listing: {stale}"
    expected = expect(world)
    unsure = {one for ones in expected.rivals.values() for one in ones}
    # Of a sidecar that could not be read nobody knows what it asks for now, and one that is not
    # there asks for it still where two listings have to miss it.
    unread = {row.object_key for row in failed}
    if world.place.listings_to_know > 1:
        met = world.catalog.views.object_rows(world.source.id, limit=1000)
        unread |= {row.object_key for row in met} - objects.keys()
    if not unread.isdisjoint(world.sidecars):
        unsure |= set(expected.documents)
    for one in expected.documents:
        if one.key in indexed and one not in unsure and one.collection != ASKED:
            records = world.records(one.collection)
            wanted = records_of(world, one, objects[one.key])
            actual = {name: record for name, record in records.items() if name in wanted}
            beyond = f"{one.document_id}-{len(wanted)}"
            assert beyond not in records, f"{beyond} is left over"
            same(actual, wanted, f"promptly {one.collection}")
