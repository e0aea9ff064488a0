"""What a word index learns of documents from the catalog."""

import json

from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.catalog.versions import DOCUMENTS_OF_PART, collection_state, document_versions
from s3sync_dagster.ports.word_index import FtsWordIndex
from s3sync_dagster.word_following import follow_catalog
from s3sync_dagster_tests.ports.test_word_index import make_collection, write

PLACE = {"tenant": "t", "database_name": "d", "collection_name": "c"}


def row(document_id, phase, **changes):
    clean = {"etag": "e1", "fingerprint": "f", "indexed_at": 12.5, "batch_token": None}
    busy = {"etag": None, "fingerprint": None, "indexed_at": None, "batch_token": "b"}
    return {
        "source_id": "s",
        "object_key": document_id,
        **PLACE,
        "document_id": document_id,
        "metadata": {},
        "owner": "source",
        "phase": phase,
        "chunks": 2,
        "high_water": 3,
        "digests": b"",
        "metadata_keys": [],
        **(clean if phase == "clean" else busy),
        **changes,
    }


def test_clean_documents_have_a_version_that_changes_with_each_commit(catalog):
    with catalog.database.write() as connection:
        connection.execute(
            documents.insert(),
            [
                row("a", "clean"),
                row("b", "writing"),
                row("c", "removing"),
                row("elsewhere", "clean", collection_name="other"),
            ],
        )
    found = {v.document_id: v for v in document_versions(catalog.database, **PLACE)}
    assert set(found) == {"a", "b"}
    assert found["b"].version is None
    assert found["a"].record_ids() == ["a-0", "a-1"]
    versions = {found["a"].version}
    for changes in ({"indexed_at": 13.0}, {"etag": "e2"}, {"chunks": 3}):
        with catalog.database.write() as connection:
            connection.execute(
                documents.update().where(documents.c.document_id == "a").values(**changes)
            )
        versions |= {
            v.version for v in document_versions(catalog.database, **PLACE) if v.document_id == "a"
        }
    assert len(versions) == 4


def state(catalog):
    return json.dumps(collection_state(catalog.database, **PLACE), sort_keys=True)


def test_whatever_changes_a_version_changes_the_state(catalog):
    """Or an index would stay as it is, and be wrong: also where a clock goes back."""

    def change(document_id, **values):
        with catalog.database.write() as connection:
            connection.execute(
                documents.update().where(documents.c.document_id == document_id).values(**values)
            )
        return state(catalog)

    seen = [state(catalog)]
    assert seen[0] == "{}"
    for number, name in enumerate("abc"):
        with catalog.database.write() as connection:
            times = {"indexed_at": 1.9e9 + number, "chunks": number + 1}
            connection.execute(documents.insert(), [row(name, "clean", **times)])
        seen.append(state(catalog))
    elsewhere = row("elsewhere", "clean", collection_name="other")
    with catalog.database.write() as connection:
        connection.execute(documents.insert(), [elsewhere, row("gone", "removing")])
    assert state(catalog) == seen[-1], "of this collection, and what is being removed is not in it"
    assert change("elsewhere", chunks=3) == seen[-1]

    seen.append(change("b", phase="writing", batch_token="x"))
    seen.append(change("b", phase="clean", batch_token=None, indexed_at=1.9e9 + 1.01))
    seen.append(change("b", indexed_at=1.8e9))
    seen.append(change("b", indexed_at=None))
    # Two that change by as much, one up and one down.
    change("a", indexed_at=1.9e9 + 5)
    seen.append(change("b", indexed_at=1.9e9 - 5))
    change("a", indexed_at=1.9e9 - 5)
    seen.append(change("b", indexed_at=1.9e9 + 5))
    change("a", phase="writing", batch_token="x")
    seen.append(change("a", phase="clean", batch_token=None, indexed_at=1.9e9 + 7))
    seen.append(change("a", phase="removing"))
    with catalog.database.write() as connection:
        connection.execute(documents.delete().where(documents.c.document_id == "a"))
        connection.execute(documents.insert(), [row("a", "clean", indexed_at=1.9e9 + 7, chunks=1)])
    seen.append(state(catalog))
    assert len(seen) == len(set(seen)), seen
    assert state(catalog) == seen[-1]


def test_a_phase_that_moves_to_another_document_is_seen(catalog):
    with catalog.database.write() as connection:
        rows = [row("a", "writing", indexed_at=1.9e9), row("b", "clean", indexed_at=1.9e9)]
        for one in rows:
            connection.execute(documents.insert(), [one])
    before = state(catalog)
    etag = {"etag": "e", "fingerprint": "f"}
    moves = {"a": {"phase": "clean", "batch_token": None, **etag}, "b": {"phase": "writing"}}
    with catalog.database.write() as connection:
        for name, values in moves.items():
            one = documents.c.document_id == name
            connection.execute(documents.update().where(one).values(**values))
    assert state(catalog) != before


def test_a_change_is_told_to_one_part_and_read_from_it_alone(catalog):
    """Rows are parted by their ids, of which the third stands in the next part."""
    with catalog.database.write() as connection:
        rows = [row(name, "clean", id=number) for number, name in enumerate("ab", 1)]
        connection.execute(documents.insert(), [*rows, row("c", "clean", id=DOCUMENTS_OF_PART)])
    before = collection_state(catalog.database, **PLACE)
    assert set(before) == {"0", "1"}
    with catalog.database.write() as connection:
        one = documents.c.document_id == "b"
        connection.execute(documents.update().where(one).values(indexed_at=99.0))
    after = collection_state(catalog.database, **PLACE)
    assert [part for part in after if after[part] != before[part]] == ["0"]

    def read(*parts):
        found = document_versions(catalog.database, **PLACE, parts=parts)
        return {version.document_id: version.part for version in found}

    assert read(0) == {"a": 0, "b": 0}
    assert read(1) == {"c": 1}
    assert read(0, 1) == {"a": 0, "b": 0, "c": 1}
    assert read() == read(7) == {}


def put(catalog, *rows):
    names = [one["document_id"] for one in rows]
    with catalog.database.write() as connection:
        connection.execute(documents.delete().where(documents.c.document_id.in_(names)))
        connection.execute(documents.insert(), list(rows))


def test_an_index_follows_the_parts_that_changed(catalog, tmp_path):
    """What is in the others is not read, and stays; what moves from part to part is not lost."""
    collection = make_collection()
    index = FtsWordIndex(tmp_path / "words.db")

    def follow():
        collection.calls.clear()
        index_place = {"tenant": "t", "database": "d"}
        collection.name = PLACE["collection_name"]
        follow_catalog(index, collection, catalog.database, **index_place)
        return collection.calls

    def found(word):
        return {name for name, _ in index.search(word, limit=9)}

    for name in "abc":
        write(collection, name, f"red {name}", "more")
    first, second = ({"id": number} for number in (1, 2))
    other = {"id": 5 * DOCUMENTS_OF_PART}
    put(
        catalog, row("a", "clean", **first), row("b", "clean", **second), row("c", "clean", **other)
    )
    assert follow() == [("get", 6)]
    assert follow() == []
    write(collection, "b", "blue b", "more")
    put(catalog, row("b", "clean", indexed_at=13.0, **second))
    assert follow() == [("get", 2)]
    assert (found("red"), found("blue")) == ({"a-0", "c-0"}, {"b-0"})
    # The same document as another row, and then a change where it was.
    put(catalog, row("a", "clean", id=other["id"] + 1))
    follow()
    put(catalog, row("b", "clean", indexed_at=14.0, **second))
    assert follow() == [("get", 2)]
    assert (found("red"), found("blue")) == ({"a-0", "c-0"}, {"b-0"})
    put(catalog, row("c", "removing", **other))
    assert follow() == []
    assert (found("red"), found("blue")) == ({"a-0"}, {"b-0"})
    index.close()


def test_a_million_documents_are_no_sum_too_large(catalog):
    """SQLite refuses sums beyond 64 bits: their largest addends are far from that."""
    late = 4.1e9  # the year 2099
    with catalog.database.write() as connection:
        connection.execute(documents.insert(), [row("a", "clean", indexed_at=late)])
    [sums] = collection_state(catalog.database, **PLACE).values()
    largest = max(map(int, sums.split(",")))
    assert largest * 1_000_000 < 2**63
