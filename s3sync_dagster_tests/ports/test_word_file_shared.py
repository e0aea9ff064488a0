"""The file of a word index that several processes use, is damaged, or has given many numbers."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.ports import word_file, word_index
from s3sync_dagster.ports.word_index import FtsWordIndex
from s3sync_dagster_tests.ports.test_word_index import make_collection, version, write
from s3sync_dagster_tests.ports.test_word_readers import SALES


def test_a_damaged_number_of_a_segment_is_told_as_damage_and_takes_no_memory(tmp_path, monkeypatch):
    path = tmp_path / "docs.db"
    collection = make_collection()
    write(collection, "a", "die Krankenversicherung ist für alle da")
    with closing(FtsWordIndex(path)) as index:
        index.follow(collection, [version("a", 1)])
        assert index.search("Versicherung", limit=1)
    with closing(sqlite3.connect(path)) as file, file:
        [(numbers,)] = file.execute("SELECT numbers FROM piece_segments").fetchall()
        damaged = numbers[:3] + bytes([numbers[3] ^ 0x80])  # one bit of one number
        file.execute("UPDATE piece_segments SET numbers = ?", (damaged,))
    plain = np.zeros

    def zeros(shape, *more, **others):
        assert np.prod(shape) < 10**6, f"{np.prod(shape):,} elements are asked for"
        return plain(shape, *more, **others)

    monkeypatch.setattr(np, "zeros", zeros)
    with closing(FtsWordIndex(path)) as index:
        with pytest.raises(Unavailable):
            index.search("Versicherung", limit=1)
        index.follow(collection, [version("a", 1)])
        assert index.search("Versicherung", limit=1)


def test_an_index_that_another_process_just_made_anew_is_not_taken_away(tmp_path, monkeypatch):
    """Two processes find a file of an older layout; one is faster, and fills the new one."""
    path = tmp_path / "docs.db"
    collection = make_collection()
    write(collection, "a", "the cat sits on the mat")
    FtsWordIndex(path).close()
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 8")
    layout_of = word_file._layout
    others = []

    def slow(database):
        monkeypatch.setattr(word_file, "_layout", layout_of)
        found = layout_of(database)
        others.append(FtsWordIndex(path))
        others[0].follow(collection, [version("a", 1)])
        return found

    monkeypatch.setattr(word_file, "_layout", slow)
    with closing(FtsWordIndex(path)) as index:
        assert others[0].count() == 1
        assert index.count() == 1, "what the other process filled was unlinked while it was open"
    others[0].close()


def test_a_program_of_before_that_runs_on_writes_into_no_file_of_this_one(tmp_path, monkeypatch):
    """It has its own open, as while the package is upgraded, and says that its own is whole."""
    collection = make_collection()
    write(collection, "a", "the cat sits on the mat")
    write(collection, "b", "dogs bark at cats")
    both = [version("a", 1), version("b", 1)]
    with monkeypatch.context() as before:
        before.setattr(word_file, "LAYOUT", word_file.LAYOUT - 1)
        old = FtsWordIndex(word_file.file_of(tmp_path, "docs"))
        old.follow(collection, both[:1])
    path = word_file.file_of(tmp_path, "docs")
    with closing(old), closing(FtsWordIndex(path)) as new:
        old.follow(collection, both[:1], state="whole")
        assert new.state() is None
        new.follow(collection, both, state="whole")
        assert (old.count(), new.count()) == (1, 2)
        old.follow(collection, [], state="whole")
        assert (new.state(), new.count()) == ("whole", 2)
    assert [one.name for one in tmp_path.iterdir()] == [path.name], "what older ones left is gone"
    with monkeypatch.context() as before:
        before.setattr(word_file, "LAYOUT", word_file.LAYOUT - 1)
        FtsWordIndex(word_file.file_of(tmp_path, "docs")).close()
    assert path.exists(), "one of before takes nothing away"


def test_scores_of_records_are_those_of_a_search(tmp_path):
    """Most have the word whole; one that is not English has it as pieces, too."""
    collection = make_collection()
    write(collection, "a", "die Versicherung ist nicht für alle")
    write(collection, "b", "a policy named Versicherung", "the Versicherung")
    with closing(FtsWordIndex(tmp_path / "docs.db")) as index:
        index.follow(collection, [version("a", 1), version("b", 2)])
        found = dict(index.search("Versicherung", limit=9))
        assert set(found) == {"a-0", "b-0", "b-1"}
        assert dict(index.scores("Versicherung", ["b-0", "b-1"])).keys() == {"b-0", "b-1"}


def test_of_two_that_meet_a_damaged_file_the_second_keeps_what_the_first_has_made(tmp_path):
    path = tmp_path / "docs.db"
    collection = make_collection()
    write(collection, "a", "the cat sits on the mat")
    with closing(FtsWordIndex(path)) as first, closing(FtsWordIndex(path)) as second:
        first.follow(collection, [version("a", 1)])
        second.follow(collection, [version("a", 1)])
        with closing(sqlite3.connect(path)) as file, file:
            file.execute("UPDATE documents SET readers = '{'")
        for one in (first, second):
            with pytest.raises(Unavailable, match="damaged"):
                one.seen_by(SALES).search("cat", limit=1)
            one.follow(collection, [version("a", 1)])
        assert (first.count(), second.count()) == (1, 1)
        assert first.search("cat", limit=1) == second.search("cat", limit=1) != []


def test_a_file_most_of_whose_numbers_stand_for_nothing_is_numbered_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(word_index, "MOST_NUMBERS", 20)
    collection = make_collection()
    write(collection, "a", "die Krankenversicherung ist für alle da")
    with closing(FtsWordIndex(tmp_path / "docs.db")) as index:
        for number in range(30):
            write(collection, f"b{number}", "eine Versicherung")
            index.follow(collection, [version("a", 1), version(f"b{number}", 1)])
            assert len(index.search("Versicherung", limit=9)) == 2
            given = index._file.state("given")
            assert given <= 21, given


def test_a_damaged_last_number_is_told_as_damage(tmp_path):
    collection = make_collection()
    write(collection, "a", "die Krankenversicherung ist für alle da")
    with closing(FtsWordIndex(tmp_path / "docs.db")) as index:
        index.follow(collection, [version("a", 1)])
        with closing(sqlite3.connect(tmp_path / "docs.db")) as file, file:
            file.execute("UPDATE state SET value = 'x' WHERE name = 'given'")
        with pytest.raises(Unavailable, match="damaged"):
            index.search("Versicherung", limit=1)
        index.follow(collection, [version("a", 1)])
        assert index.search("Versicherung", limit=1)


def test_an_index_that_is_emptied_while_a_part_is_read_is_not_taken_for_whole(
    tmp_path, monkeypatch
):
    """What another process emptied lacks the other parts too, and nothing would look for them."""
    path = tmp_path / "docs.db"
    collection = make_collection()
    for name in ("a", "b"):
        write(collection, name, f"the cat {name}")

    def documents(number: int):
        return [replace(version(n, 1, number), part=place) for place, n in enumerate("ab")]

    with closing(FtsWordIndex(path)) as index:
        index.follow(collection, documents(1), state="one")
        assert index.state() == "one"
        plain = index._begin_anew_for

        def emptied(of):
            with closing(FtsWordIndex(path)) as other:
                other._file.begin_anew()
            plain(of)

        with monkeypatch.context() as patch:
            patch.setattr(index, "_begin_anew_for", emptied)
            with pytest.raises(Unavailable) as caught:
                index.follow(collection, documents(2)[:1], parts=[0], state="two")
        assert caught.value.reason == word_file.DAMAGED
        assert index.state() is None
        index.follow(collection, documents(2), state="two")
        assert {name for name, _ in index.search("cat", limit=9)} == {"a-0", "b-0"}
