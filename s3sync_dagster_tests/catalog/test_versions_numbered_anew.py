"""A word index that is numbered anew while only some parts of its collection changed."""

from contextlib import closing

from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.catalog.versions import DOCUMENTS_OF_PART
from s3sync_dagster.ports import word_index
from s3sync_dagster.ports.word_index import FtsWordIndex
from s3sync_dagster.word_following import follow_catalog
from s3sync_dagster_tests.catalog.test_versions import PLACE, put, row
from s3sync_dagster_tests.ports.test_word_index import make_collection, write


def found(index, word):
    return {name for name, _ in index.search(word, limit=9)}


def test_what_did_not_change_is_still_found_once_all_is_numbered_anew(
    catalog, tmp_path, monkeypatch
):
    monkeypatch.setattr(word_index, "MOST_NUMBERS", 20)
    collection = make_collection()
    collection.name = PLACE["collection_name"]
    place = {"tenant": "t", "database": "d"}
    write(collection, "a", "red a", "more")
    write(collection, "b", "red b", "more")
    far = {"id": 5 * DOCUMENTS_OF_PART}
    put(catalog, row("a", "clean", id=1), row("b", "clean", **far))
    with closing(FtsWordIndex(tmp_path / "words.db")) as index:
        follow_catalog(index, collection, catalog.database, **place)
        assert found(index, "red") == {"a-0", "b-0"}
        for turn in range(60):  # one document is replaced again and again, under another name
            name = f"c{turn}"
            write(collection, name, "blue", "more")
            put(catalog, row(name, "clean", id=2, indexed_at=100.0 + turn))
            follow_catalog(index, collection, catalog.database, **place)
            assert found(index, "red") == {"a-0", "b-0"}, turn
            with catalog.database.write() as connection:
                connection.execute(documents.delete().where(documents.c.document_id == name))


def test_another_that_empties_the_file_between_two_steps_leaves_no_half_index(
    catalog, tmp_path, monkeypatch
):
    """It emptied it after this one had read the state, and before it wrote its part."""
    collection = make_collection()
    collection.name = PLACE["collection_name"]
    place = {"tenant": "t", "database": "d"}
    write(collection, "a", "red a", "more")
    write(collection, "b", "red b", "more")
    far = {"id": 5 * DOCUMENTS_OF_PART}
    put(catalog, row("a", "clean", id=1), row("b", "clean", **far))
    path = tmp_path / "words.db"
    with closing(FtsWordIndex(path)) as index, closing(FtsWordIndex(path)) as another:
        follow_catalog(index, collection, catalog.database, **place)
        put(catalog, row("a", "clean", id=1, indexed_at=99.0))
        state = index.state

        def state_and_then():
            known = state()
            another._file.begin_anew()
            return known

        monkeypatch.setattr(index, "state", state_and_then)
        follow_catalog(index, collection, catalog.database, **place)
        monkeypatch.setattr(index, "state", state)
        follow_catalog(index, collection, catalog.database, **place)
        assert found(index, "red") == {"a-0", "b-0"}
