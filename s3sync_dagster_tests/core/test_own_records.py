"""Records are asked for by what they name, of as many objects at once as are few records."""

import pytest

from s3sync_dagster.engine.own_records import records_naming
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster_tests.core.test_recovery import EMBEDDER, SOURCE, write

KEYS = [f"docs/{name}.md" for name in "abcde"]


@pytest.fixture
def collection():
    made = MemoryCollections().open("c", tenant="t", database="d", embedder=EMBEDDER)
    for number, key in enumerate(KEYS, 1):
        write(made, SOURCE, key, number)
    return made


def named(collection, keys):
    found = records_naming(collection, keys, source_id=SOURCE.id)
    return sorted(one.metadata["document_key"] for some in found for one in some)


@pytest.mark.parametrize("most", [5, 6, 14, 15, 1000])
def test_those_of_many_objects_are_asked_for_in_parts(collection, monkeypatch, most):
    monkeypatch.setattr("s3sync_dagster.engine.own_records.RECORDS_OF_OBJECTS", most)
    assert named(collection, KEYS) == [key for n, key in enumerate(KEYS, 1) for _ in range(n)]
    assert named(collection, KEYS[:2]) == [KEYS[0], KEYS[1], KEYS[1]]


def test_an_object_of_too_many_is_named(collection, monkeypatch):
    monkeypatch.setattr("s3sync_dagster.engine.own_records.RECORDS_OF_OBJECTS", 4)
    with pytest.raises(InvalidSetting, match=r"Over 4 records in 'c' name 'docs/e\.md'"):
        named(collection, KEYS)
