"""The file of a word index: damaged, killed, shared, and in line with a state."""

import multiprocessing
import os
import signal
import sqlite3
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from s3sync_dagster.core.rights import Reader, Rights
from s3sync_dagster.model.errors import InvalidSetting, Unavailable
from s3sync_dagster.ports import word_index
from s3sync_dagster.ports.word_file import WordFile
from s3sync_dagster.ports.word_index import FtsWordIndex
from s3sync_dagster_tests.ports.test_word_index import make_collection, names, version, write


@pytest.fixture
def collection():
    return make_collection()


@pytest.fixture
def index(tmp_path):
    made = FtsWordIndex(tmp_path / "words" / "docs.db")
    yield made
    made.close()


def test_a_file_of_the_layout_before_is_filled_again(collection, tmp_path):
    path = tmp_path / "docs.db"
    with sqlite3.connect(path) as database:
        database.executescript(
            """
            CREATE TABLE documents (id TEXT PRIMARY KEY, version TEXT NOT NULL) WITHOUT ROWID;
            CREATE TABLE records (
                number INTEGER PRIMARY KEY, id TEXT NOT NULL, document_id TEXT NOT NULL);
            CREATE INDEX records_of_document ON records (document_id);
            CREATE VIRTUAL TABLE words USING fts5 (text);
            INSERT INTO documents VALUES ('a', '1');
            INSERT INTO records VALUES (1, 'a-0', 'a');
            INSERT INTO words (rowid, text) VALUES (1, 'red');
            PRAGMA user_version = 1;
            """
        )
    database.close()
    write(collection, "a", "red")
    collection.update_metadata(["a-0"], [{"heading_path": "Colours"}])
    index = FtsWordIndex(path)
    assert index.follow(collection, [version("a", 1)]) == 1
    assert names(index, "colours") == ["a-0"]
    index.close()


@pytest.mark.parametrize("below", ["docs.db", "more/docs.db"])
def test_a_file_in_place_of_the_folder_is_named(tmp_path, below):
    folder = tmp_path / "words"
    folder.write_text("not ours")
    with pytest.raises(InvalidSetting, match=r"words.*move it away"):
        FtsWordIndex(folder / below)
    assert folder.read_text() == "not ours"


@pytest.mark.parametrize("below", ["x" * 300 + "/docs.db", "docs.db"])
def test_an_index_that_cannot_be_written_is_not_called_busy(tmp_path, below):
    """As in a home that is not ours; here a name that no folder may have, and a folder."""
    (tmp_path / "docs.db").mkdir()
    with pytest.raises(Unavailable, match=r"cannot be written: let this program write") as caught:
        FtsWordIndex(tmp_path / below)
    assert caught.value.reason == "word_index_busy"
    assert "in use" not in str(caught.value)


@pytest.mark.parametrize("damage", ["garbage", "layout", "torn"])
def test_a_file_that_is_no_index_is_made_again(collection, tmp_path, damage):
    path = tmp_path / "docs.db"
    if damage == "garbage":
        path.write_bytes(b"no database at all " * 500)
    else:
        first = FtsWordIndex(path)
        write(collection, "a", *[f"word{n}" for n in range(500)])
        first.follow(collection, [version("a", 500)])
        first.close()
        if damage == "layout":
            with sqlite3.connect(path) as database:
                database.execute("PRAGMA user_version = 99")
            database.close()
        else:
            content = path.read_bytes()
            path.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    write(collection, "b", "blue")
    index = FtsWordIndex(path)
    reasons = []
    found = None
    while found is None and len(reasons) < 3:  # a damage that shows late costs a call
        try:
            index.follow(collection, [version("b", 1)])
            found = names(index, "blue")
        except Unavailable as error:
            reasons.append(error.reason)
    assert set(reasons) <= {"word_index_damaged"}
    assert found == ["b-0"]
    assert index.count() == 1
    index.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE documents SET readers = '{'",
        "DELETE FROM records",
        "UPDATE documents SET id = CAST(id AS BLOB)",
    ],
)
def test_what_no_writer_leaves_in_a_file_is_damage(collection, index, statement):
    """SQLite notices a page that cannot be, not one that stands in another's place."""
    write(collection, "a", "blue")
    index.follow(collection, [version("a", 1)])
    index._database.execute(statement)
    of_sales = Rights(reader=Reader(frozenset(["sales"])), restricted={"s": ("team",)})
    with pytest.raises(Unavailable, match="was damaged or emptied; it is filled again"):
        _follow_and_ask(index, collection, of_sales)
    assert _follow_and_ask(index, collection, of_sales) == (["a-0"], ["a-0"])


def _follow_and_ask(index, collection, rights):
    index.follow(collection, [version("a", 1)])
    member = names(index.seen_by(rights), "blue")
    found = names(index, "blue")
    index.follow(collection, [])
    index.follow(collection, [version("a", 1)])
    return member, found


def test_a_damage_that_sqlite_tells_in_no_text_is_damage(tmp_path):
    path = tmp_path / "docs.db"
    FtsWordIndex(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute(
            "UPDATE sqlite_master SET sql = CAST(x'4352ff' AS TEXT) WHERE name = 'state'"
        )
    database.close()
    index = FtsWordIndex(path)
    assert index.count() == 0
    index.close()


def test_a_fault_of_the_program_is_no_damage(collection, index, tmp_path):
    write(collection, "a", "blue")
    index.follow(collection, [version("a", 1)])
    file = WordFile(tmp_path / "words" / "docs.db", made_anew=lambda: None)
    with pytest.raises(TypeError), file.guarded():
        raise TypeError
    file.close()
    assert names(index, "blue") == ["a-0"]


def test_a_log_that_many_open_at_once_is_no_damage(collection, index, tmp_path):
    write(collection, "a", "blue")
    index.follow(collection, [version("a", 1)])
    file = WordFile(tmp_path / "words" / "docs.db", made_anew=lambda: None)
    others_first = sqlite3.OperationalError("locking protocol")
    others_first.sqlite_errorcode = sqlite3.SQLITE_PROTOCOL
    with pytest.raises(Unavailable, match="try again"), file.guarded():
        raise others_first
    file.close()
    assert names(index, "blue") == ["a-0"]
    again = FtsWordIndex(tmp_path / "words" / "docs.db")
    assert names(again, "blue") == ["a-0"]
    again.close()


def test_a_damaged_file_that_cannot_be_taken_away_is_told(tmp_path):
    """As in a folder of another user; here a folder stands where SQLite keeps what it writes."""
    path = tmp_path / "docs.db"
    path.write_bytes(b"no database at all " * 500)
    (tmp_path / "docs.db-shm").mkdir()
    with pytest.raises(Unavailable, match=r"cannot be written: let this program write") as caught:
        FtsWordIndex(path)
    assert caught.value.reason == "word_index_busy"


def _follow_slowly(path: Path, started) -> None:
    collection = make_collection()
    documents = []
    for n in range(300):
        write(collection, f"d{n}", *[f"word{n} text{i}" for i in range(5)])
        documents.append(version(f"d{n}", 5))
    word_index.FETCH_RECORDS = 25
    index = FtsWordIndex(path)
    started.set()
    index.follow(collection, documents)
    time.sleep(60)


@pytest.mark.parametrize("after_seconds", [0.0, 0.02, 0.05])
def test_a_crash_costs_nothing(tmp_path, after_seconds):
    path = tmp_path / "docs.db"
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=_follow_slowly, args=(path, started))
    process.start()
    assert started.wait(60)
    time.sleep(after_seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.join()

    collection = make_collection()
    for n in range(300):
        write(collection, f"d{n}", *[f"word{n} text{i}" for i in range(5)])
    index = FtsWordIndex(path)
    index.follow(collection, [version(f"d{n}", 5) for n in range(300)])
    assert index.count() == 1500
    assert all(len(names(index, f"word{n}")) == 5 for n in range(300))
    index.close()


def _follow(arguments) -> int:
    path, rounds = arguments
    collection = make_collection()
    index = FtsWordIndex(path)
    for number in range(rounds):
        for n in range(20):
            write(collection, f"d{n}", f"round{number} word{n}", "second")
        index.follow(collection, [version(f"d{n}", 2, number) for n in range(20)])
    count = index.count()
    index.close()
    return count


def test_processes_may_follow_at_once(tmp_path):
    path = tmp_path / "docs.db"
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(_follow, [(path, 10), (path, 10)])) == [40, 40]
    index = FtsWordIndex(path)
    assert len(names(index, "word7")) == 1
    index.close()


# --- in line with a state -------------------------------------------------------------------------


def test_a_state_holds_until_the_file_is_changed(collection, index):
    write(collection, "a", "red")
    assert index.state() != "first"
    index.follow(collection, [version("a", 1)], state="first")
    assert index.state() == "first"
    assert index.state() != "second"
    index.follow(collection, [version("a", 1)], state="second")
    assert index.state() == "second"
    assert index.state() != "first"
    index.follow(collection, [])
    assert index.state() is None, "it changed, and nobody said to what"


def test_a_state_is_not_kept_where_another_process_changed_the_file(collection, tmp_path):
    """It read the catalog before: what it took away the other one believes to be there."""
    write(collection, "a", "red")
    write(collection, "b", "blue")
    both = [version("a", 1), version("b", 1)]
    ours, theirs = (FtsWordIndex(tmp_path / "words.db") for _ in range(2))
    ours.follow(collection, both)

    class Slow:
        """A collection whose records are read while the other process works."""

        id = collection.id

        def get(self, ids, **options):
            theirs.follow(collection, [version("a", 1, 2)])
            return collection.get(ids, **options)

    ours.follow(Slow(), [version("a", 1, 3), version("b", 1)], state="both")
    assert ours.state() != "both"
    assert names(ours, "blue") == []
    ours.follow(collection, both, state="both")
    assert ours.state() == "both"
    assert names(ours, "blue") == ["b-0"]
    ours.close()
    theirs.close()


def test_a_full_disk_costs_what_was_to_be_written_and_nothing_else(collection, index):
    write(collection, "a", "apple pie")
    index.follow(collection, [version("a", 1)])
    pages = index._database.execute("PRAGMA page_count").fetchone()[0]
    index._database.execute(f"PRAGMA max_page_count = {pages + 20}")
    index._database.execute("PRAGMA cache_size = 10")  # what is written goes to the disk at once
    write(collection, "b", *(f"{n} " + "pear tree " * 400 for n in range(100)))
    with pytest.raises(Unavailable) as caught:
        index.follow(collection, [version("a", 1), version("b", 100)])
    assert caught.value.reason == "word_index_busy"
    assert names(index, "apple") == ["a-0"]
