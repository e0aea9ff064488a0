"""Whether pieces are asked for, by a sample of the records that have the words of a question."""

import pytest

from s3sync_dagster.ports import word_votes
from s3sync_dagster.ports.word_forms import voters
from s3sync_dagster.ports.word_index import FtsWordIndex
from s3sync_dagster_tests.ports.test_word_index import make_collection, names, version, write

ENGLISH = "The server of note {} and what it is for"
GERMAN = "Der Server und die Notiz {} ist nicht da"
ROOM = "Die Serverräume {} und die Klimaanlage sind nicht da"


def filled(tmp_path, *runs):
    """Return an index of so many texts of each kind, one after the other in the file."""
    collection, index = make_collection(), FtsWordIndex(tmp_path / "words.db")
    documents = []
    for place, (text, count) in enumerate(runs):
        document = f"{place:03}"
        write(collection, document, *[text.format(number) for number in range(count)])
        documents.append(version(document, count))
    index.follow(collection, documents)
    return index


def asked(index, question="Server", **options):
    return word_votes.are_asked(index._file.database, voters(question), **options)


@pytest.fixture
def closing(request):
    def keep(index):
        request.addfinalizer(index.close)
        return index

    return keep


def test_the_first_and_the_last_texts_do_not_speak_for_those_between(tmp_path, closing):
    index = closing(filled(tmp_path, (ENGLISH, 60), (GERMAN, 800), (ROOM, 5), (ENGLISH, 60)))
    assert asked(index)
    found = names(index, "Server", limit=10_000)
    assert {f"002-{number}" for number in range(5)} < set(found)


def test_nor_do_texts_between_speak_for_all(tmp_path, closing):
    index = closing(filled(tmp_path, (GERMAN, 60), (ENGLISH, 800), (GERMAN, 60)))
    assert not asked(index)


@pytest.mark.parametrize(("inner", "outer"), [(ENGLISH, GERMAN), (GERMAN, ENGLISH)])
def test_many_that_stand_close_outweigh_few_that_stand_far(tmp_path, closing, inner, outer):
    """Two of three numbers are of texts of which one in five has the word."""
    thin = [(outer, 1), ("Nothing of that is there and then {}", 4)] * 80
    index = closing(filled(tmp_path, *thin, (inner, 400), *thin))
    assert asked(index) == (inner == GERMAN)


def test_records_that_may_not_be_seen_have_no_vote(tmp_path, closing):
    index = closing(filled(tmp_path, (ENGLISH, 300), (GERMAN, 300)))
    first = index._file.database.execute("SELECT min(number) FROM records").fetchone()[0]
    english = bytes(first) + b"\x01" * 300 + bytes(300)
    german = bytes(first) + bytes(300) + b"\x01" * 300
    assert not asked(index, seen=english)
    assert asked(index, seen=german)


def test_no_more_records_are_looked_at_however_many_have_the_word(tmp_path, closing, monkeypatch):
    index = closing(filled(tmp_path, (GERMAN, 1500)))
    met = []
    there = word_votes._with_pieces
    monkeypatch.setattr(
        word_votes, "_with_pieces", lambda d, numbers: met.append(len(numbers)) or there(d, numbers)
    )
    assert asked(index, "Server")
    assert asked(index, "Notiz")
    assert all(
        word_votes.LOOKED_AT - word_votes.STRETCHES <= one <= word_votes.LOOKED_AT for one in met
    )
    assert len(met) == 2
