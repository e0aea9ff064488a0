"""A ring of objects that exchange their ids is found however long it is, in few statements."""

import time

import sqlalchemy as sa

from s3sync_dagster.catalog.exchanged_ids import Rings
from s3sync_dagster.catalog.tables import documents, objects, sidecars
from s3sync_dagster.model.source import AutoSync
from s3sync_dagster_tests.core.rules import sidecar
from s3sync_dagster_tests.engine_fixture import make_world

NUMBER = 3000


def key(n):
    return f"{n:04}.md"


def world_with_a_ring(number, *, closed=True):
    """Return a world whose objects were each refused the id of the next, the last that of 0."""
    world = make_world(auto_sync=AutoSync.METADATA)
    world.bucket.put(key(0), "text")
    world.bucket.put(f"{key(0)}.meta.json", sidecar(key(0), "id-0"))
    world.sync()
    with world.catalog.database.write() as tx:
        first = {
            table: dict(tx.execute(sa.select(table).where(at == key(0))).one()._mapping)
            for table, at in (
                (documents, documents.c.object_key),
                (objects, objects.c.object_key),
                (sidecars, sidecars.c.path),
            )
        }
        for table in first:
            tx.execute(table.delete())
        failed = {"outcome": "failed", "reason": "record_ids_taken"}
        ring = number if closed else number + 1
        for n in range(number):
            wanted = (n + 1) % ring
            name, told = key(n), f"{key(n)}.meta.json"
            own = {"object_key": name, "document_id": f"id-{n}", "custom_id": f"id-{n}"}
            row = {**first[documents], **own, "id": n + 1, "owner": f"sidecar:{told}"}
            tx.execute(documents.insert(), [row])
            row = {**first[objects], **failed, "object_key": name, "partition_key": name}
            tx.execute(objects.insert(), [row])
            asks = {"sidecar_key": told, "path": name, "custom_id": f"id-{wanted}"}
            tx.execute(sidecars.insert(), [{**first[sidecars], **asks}])
    return world


def closing(world, number, *, closed=True):
    """Return which of the last 500 keys close a ring, in how many statements and seconds."""
    statements = []
    engine = world.catalog.database.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    keys = range(number - 500, number)
    ring = number if closed else number + 1
    asked = {key(n): {("docs", f"id-{(n + 1) % ring}")} for n in keys}
    began = time.process_time()
    found = world.catalog.documents.rings_closed(world.source, asked)
    return found, asked, len(statements), time.process_time() - began


def test_each_key_of_a_long_ring_closes_it():
    world = world_with_a_ring(NUMBER)
    found, asked, statements, seconds = closing(world, NUMBER)
    assert found == asked
    assert statements < 200
    assert seconds < 5


def test_no_key_of_a_long_way_that_ends_closes_a_ring():
    world = world_with_a_ring(NUMBER, closed=False)
    found, _, statements, seconds = closing(world, NUMBER, closed=False)
    assert found == {}
    assert statements < 200
    assert seconds < 5


def test_a_ring_closes_by_who_lacks_no_id_yet_and_by_nobody_else():
    world = world_with_a_ring(60)
    with world.catalog.database.write() as tx:
        tx.execute(objects.update().where(objects.c.object_key == key(7)).values(reason="denied"))
    with world.catalog.database.read() as tx:
        rings = Rings(tx, world.source)
        found = [n for n in range(60) if rings.closes(key(n), ("docs", f"id-{(n + 1) % 60}"))]
    assert found == [7]
