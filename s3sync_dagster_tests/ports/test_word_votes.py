"""Whether pieces are asked for, by a sample of the records that have the words of a question."""

import pytest

from s3sync_dagster.core.rights import Reader, Rights
from s3sync_dagster.model.document import Record
from s3sync_dagster.ports import word_votes
from s3sync_dagster.ports.word_forms import voters
from s3sync_dagster.ports.word_index import FtsWordIndex
from s3sync_dagster.ports.word_memory import WordMemory
from s3sync_dagster.ports.word_votes import Voters
from s3sync_dagster_tests.ports.test_word_index import (
    EMBEDDER,
    make_collection,
    names,
    version,
    write,
)

ENGLISH = "The server of note {} and what it is for"
GERMAN = "Der Server und die Notiz {} ist nicht da"
ROOM = "Die Serverräume {} und die Klimaanlage sind nicht da"


def write_for(collection, document_id, team, *texts):
    metadata = {"s3sync_source": "s", "team": team}
    records = [
        Record(id=f"{document_id}-{n}", document=t, embedding_text=t, metadata=metadata)
        for n, t in enumerate(texts)
    ]
    collection.upsert(records, EMBEDDER.embed_documents(["x"] * len(records)))


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


def asked(index, question="Server", memory=None, **options):
    given = {"touched": 0, "records": 1000, **options}
    database = index._file.database
    one = Voters(database=database, memory=memory or WordMemory(), **given)
    return one.are_asked(voters(question))


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


def test_what_was_looked_at_is_remembered_until_much_has_changed(tmp_path, closing):
    german = closing(filled(tmp_path / "de", (GERMAN, 20)))
    english = closing(filled(tmp_path / "en", (ENGLISH, 20)))
    memory = WordMemory()
    assert asked(german, memory=memory, touched=5)
    assert asked(english, memory=memory, touched=15), "of before: the memory takes it for the same"
    assert not asked(english, memory=memory, touched=16)
    assert not asked(english, memory=memory, touched=5, name="another reader")


def test_who_may_see_few_records_with_a_word_has_no_others_gone_through(tmp_path, closing):
    """SQLite goes through all of them for those that may be seen, unless it knows when to stop."""
    index = closing(filled(tmp_path, (GERMAN, 3000)))
    steps = []

    def cost(**options):
        steps.clear()
        index._file.database.set_progress_handler(lambda: steps.append(1) and None, 10)
        try:
            assert asked(index, **options)
        finally:
            index._file.database.set_progress_handler(None, 0)
        return len(steps)

    first = index._file.database.execute("SELECT min(number) FROM records").fetchone()[0]
    few = bytes(first) + b"\x01" * 3 + bytes(3000)
    through_all = cost(seen=few)
    assert cost(seen=few, count=lambda _: 3) * 20 < through_all
    assert cost(seen=bytes(4000), count=lambda _: 0) * 20 < through_all


@pytest.mark.parametrize("team", ["sales", "nobody"])
def test_a_member_asks_of_what_he_may_see_and_once(tmp_path, closing, team, monkeypatch):
    looked = []
    look = word_votes._some
    monkeypatch.setattr(
        word_votes,
        "_some",
        lambda d, word, seen, most: looked.append(most) or look(d, word, seen, most),
    )
    collection, index = make_collection(), closing(FtsWordIndex(tmp_path / "words.db"))
    write_for(collection, "a", "sales", GERMAN.format(1))
    write_for(collection, "b", "hr", *[ENGLISH.format(n) for n in range(200)])
    index.follow(collection, [version("a", 1), version("b", 200)])
    member = index.seen_by(Rights(reader=Reader(frozenset([team])), restricted={"s": ("team",)}))
    for _ in range(2):
        assert [name for name, _ in member.search("Server", limit=9)] == ["a-0"] * (team == "sales")
    assert looked == [1] * (team == "sales")
