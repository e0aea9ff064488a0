"""Keys that databases cannot hold as they are: none is lost, none stops a listing."""

from itertools import product

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from s3sync_dagster.catalog.key_text import KeyText
from s3sync_dagster_tests.engine_fixture import make_world

KEYS = ["".join(letters) for n in range(1, 5) for letters in product("\x00\x01\x02a", repeat=n)]


def test_every_key_comes_back_and_the_order_is_kept():
    column = KeyText()
    stored = {key: column.process_bind_param(key, None) for key in KEYS}
    assert not any("\x00" in text for text in stored.values())
    assert {key: column.process_result_value(text, None) for key, text in stored.items()} == {
        key: key for key in KEYS
    }
    assert sorted(KEYS, key=str.encode) == sorted(KEYS, key=lambda key: stored[key].encode())


@pytest.mark.parametrize(
    ("kind", "collation"), [(postgresql, "C"), (sqlite, None)], ids=["postgresql", "sqlite"]
)
def test_a_column_compares_bytes_on_every_database(kind, collation):
    assert KeyText().dialect_impl(kind.dialect()).impl_instance.collation == collation


@pytest.fixture
def world(catalog_url):
    made = make_world(url=catalog_url)
    yield made
    made.catalog.close()


def test_keys_with_nul_are_indexed_and_removed_on_every_database(world):
    keys = ["a\x00b.txt", "a\x00.txt", "a\x01\x01b.txt", "a\x01.txt", "a.txt", "\x00"]
    for key in keys:
        world.bucket.put(key, f"text of {key!r}")
    assert world.sync(page_keys=2) == dict.fromkeys(keys, "indexed")
    assert world.sync(page_keys=2) == {}
    assert world.keys_indexed() == set(keys)
    rows = world.catalog.views.object_rows(world.source.id)
    assert [row.object_key for row in rows] == sorted(keys, key=str.encode)
    world.bucket.delete("a\x00b.txt")
    assert world.sync() == {"a\x00b.txt": "removed"}
    world.catalog.work.record_events(
        world.source.id, upserts=[], sync=[], remove=["\x00"], sequencers={"\x00": "0A"}
    )
    world.bucket.delete("\x00")
    assert {r.key: r.state for r in world.run_batches()} == {"\x00": "removed"}
