"""Statements that are built once, with places for their values."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.tables import objects


@built_once
def _keys(source_id, keys, *, gone):
    here = (objects.c.source_id == source_id, objects.c.object_key.in_(keys))
    return sa.select(objects.c.object_key).where(*here, objects.c.gone.is_(gone))


@built_once
def _tell(source_id, gone):
    return objects.update().where(objects.c.source_id == source_id).values(gone=gone)


def test_each_shape_is_built_once_whatever_its_values():
    first, told = _keys("one", ["a"], gone=False)
    again, told_again = _keys("two", ["b", "c"], gone=False)
    other, _ = _keys("one", ["a"], gone=True)
    assert first is again
    assert other is not first
    assert list(told) == list(told_again)


def test_a_statement_takes_its_own_values(catalog):
    row = {"etag": "", "size": 1, "seen_at": 0.0, "gone": False}
    with catalog.database.write() as tx:
        for source_id, key, name in (("one", "a\0b", "b"), ("one", "c", "c"), ("two", "c", "c")):
            tx.execute(
                objects.insert(),
                {"source_id": source_id, "object_key": key, "partition_key": name, **row},
            )
        tx.execute(*_tell("two", True))  # a place of a column's name sets nothing by itself
        found = tx.execute(*_keys("one", ["a\0b", "c"], gone=False)).scalars().all()
        assert sorted(found) == ["a\0b", "c"]
        assert tx.execute(*_keys("one", [], gone=False)).first() is None
        assert tx.execute(*_keys("two", ["c"], gone=True)).scalar_one() == "c"


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        _keys("one", gone=False)
