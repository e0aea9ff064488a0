"""The word index follows a collection exactly, and finds by words."""

import re
import sqlite3
import unicodedata
from contextlib import closing

import pytest

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.engine.hybrid import DocumentVersion, versions_by_scan
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports import word_both, word_index, word_postings, word_ranking
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster.ports.word_forms import long_words_of, match_words, searchable
from s3sync_dagster.ports.word_index import FtsWordIndex

EMBEDDER = open_embedder(EmbeddingConfig(kind="hash"))


def make_collection():
    return MemoryCollections().open("docs", tenant="t", database="d", embedder=EMBEDDER)


def write(collection, document_id, *texts):
    records = [
        Record(id=f"{document_id}-{n}", document=t, embedding_text=t, metadata={"n": n})
        for n, t in enumerate(texts)
    ]
    collection.upsert(records, EMBEDDER.embed_documents([r.document for r in records]))


def version(document_id, count, number: int | None = 1):
    return DocumentVersion(
        document_id=document_id, count=count, version=None if number is None else str(number)
    )


def names(index, text, **options):
    return [name for name, _ in index.search(text, **{"limit": 9} | options)]


@pytest.fixture
def collection():
    return make_collection()


@pytest.fixture
def index(tmp_path):
    made = FtsWordIndex(tmp_path / "words" / "docs.db")
    yield made
    made.close()


def test_the_best_words_come_first(collection, index):
    write(collection, "a", "the cat sits on the mat", "dogs bark at cats", "nothing of that kind")
    assert index.follow(collection, [version("a", 3)]) == 1
    assert names(index, "a sitting cat")[0] == "a-0"
    assert set(names(index, "CATS")) == {"a-0", "a-1"}
    assert names(index, "mat", limit=1) == ["a-0"]
    assert names(index, "unheard") == []
    both = names(index, "cat")
    assert names(index, "cat", limit=1) == both[:1]
    scores = [score for _, score in index.search("cat", limit=9)]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0


def test_a_collection_that_was_made_anew_is_indexed_anew(collection, index):
    write(collection, "a", "the cat sits on the mat")
    index.follow(collection, [version("a", 1)])
    other = make_collection()
    assert index.follow(other, [version("a", 1, None)]) == 0  # its document is not written yet
    assert names(index, "cat") == []
    write(other, "a", "dogs bark")
    assert index.follow(other, [version("a", 1)]) == 1  # of the same version as before
    assert names(index, "dogs") == ["a-0"]
    assert index.follow(other, [version("a", 1)]) == 0


def test_a_file_from_before_collections_had_a_mark_is_kept(collection, index, tmp_path):
    write(collection, "a", "the cat sits on the mat")
    index.follow(collection, [version("a", 1)])
    with closing(sqlite3.connect(tmp_path / "words" / "docs.db")) as file:
        file.execute("PRAGMA application_id = 0")
    assert index.follow(collection, [version("a", 1)]) == 0
    assert names(index, "cat") == ["a-0"]


def test_no_record_exceeds_the_ceiling(collection, index):
    write(collection, "a", "cat " * 400, "cat mat " * 200, "dogs", "more dogs", "other words", "x")
    index.follow(collection, [version("a", 6)])
    assert index.ceiling("?!") == 0
    for question in ("cat", "cat mat", "cat mat dogs", "a cat unheard"):
        [(_, best), *_] = index.search(question, limit=9)
        assert 0 < best <= index.ceiling(question)
    assert index.search("cat mat", limit=1)[0][1] > 0.9 * index.ceiling("cat mat")
    assert index.ceiling("cat unheard") > index.ceiling("cat")


def test_only_what_changed_is_read(collection, index):
    write(collection, "a", "red", "green")
    write(collection, "b", "blue")
    index.follow(collection, [version("a", 2), version("b", 1)])
    collection.calls.clear()
    assert index.follow(collection, [version("a", 2), version("b", 1)]) == 0
    assert collection.calls == []
    write(collection, "a", "yellow")
    collection.delete(["a-1"])
    collection.calls.clear()
    assert index.follow(collection, [version("a", 1, 2), version("b", 1)]) == 1
    assert collection.calls == [("get", 1)]
    assert set(names(index, "yellow blue")) == {"a-0", "b-0"}
    assert index.count() == 2
    assert names(index, "red green") == []


def test_what_is_gone_leaves_and_what_is_being_written_stays(collection, index):
    write(collection, "a", "red")
    write(collection, "b", "blue")
    index.follow(collection, [version("a", 1), version("b", 1)])
    assert index.follow(collection, [version("a", 1, None)]) == 1
    assert names(index, "red") == ["a-0"]
    assert names(index, "blue") == []
    assert index.follow(collection, []) == 1
    assert index.count() == 0


def test_records_that_the_collection_lacks_are_not_indexed(collection, index):
    write(collection, "a", "red")
    index.follow(collection, [version("a", 5)])
    assert index.count() == 1


def test_a_collection_without_a_catalog_is_followed_by_its_records(collection, index):
    write(collection, "a", "red", "green")
    assert index.follow(collection, versions_by_scan(collection)) == 2
    assert names(index, "green") == ["a-1"]
    write(collection, "a", "red", "blue")
    collection.update_metadata(["a-1"], [{"etag": "2"}])
    assert index.follow(collection, versions_by_scan(collection)) == 1
    assert names(index, "blue") == ["a-1"]


def test_many_documents_are_read_in_groups(collection, index):
    count = word_index.FETCH_RECORDS // 10 * 2 + 5
    for n in range(count):
        write(collection, f"d{n}", *[f"word{n} part{i}" for i in range(10)])
    collection.calls.clear()
    index.follow(collection, [version(f"d{n}", 10) for n in range(count)])
    assert [records for _, records in collection.calls] == [1000, 1000, 50]
    assert index.count() == count * 10
    assert len(index.search("word7", limit=99)) == 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("openCollections HTTPServer snake_case", '"opencollections" OR "httpserver"'),
        ("the of and", '"the" OR "of" OR "and"'),
        ('quote " OR * NEAR( -x', '"quote" OR "near" OR "x"'),
        ("?! …", ""),
    ],
)
def test_a_question_becomes_any_of_its_words(text, expected):
    assert " OR ".join(match_words(text)).startswith(expected)


def test_names_are_found_by_the_words_inside(collection, index):
    assert searchable("def openHTTPServer(): pass").endswith("\nopen HTTP Server")
    write(collection, "a", "def openHTTPServer(): pass", "def close_all(): pass")
    index.follow(collection, [version("a", 2)])
    assert names(index, "server") == ["a-0"]
    assert names(index, "close") == ["a-1"]
    assert names(index, "openHTTPServer") == ["a-0"]


def test_one_character_is_found_wherever_it_stands_among_others(collection, index):
    texts = ("黒い猫が", "白い猫", "猫が好き", "猫", "a 猫 b", "黒い犬が好き")
    write(collection, "a", *texts)
    index.follow(collection, [version("a", len(texts))])
    cats = {f"a-{n}" for n in range(5)}
    assert set(names(index, "猫")) == cats
    assert set(names(index, "猫?")) == cats
    assert set(names(index, "猫 missing")) == cats
    assert set(names(index, "猫 犬")) == {*cats, "a-5"}
    assert dict(index.scores("猫", ["a-0", "a-5"])).keys() == {"a-0"}
    assert names(index, "黒い犬")[0] == "a-5"
    assert match_words("黒い猫") == ['"黒い"', '"い猫"']  # the last one alone would say nothing


def test_a_chunk_is_found_by_where_it_stands(collection, index):
    place = {
        "document_key": "handbook/travelCosts.md",
        "heading_path": "Booking > Refunds",
        "symbol": "Shelf.addBook",
        "title": "Rules of the house",
        "page": "12",
    }
    texts = ["It takes four weeks.", "Nothing of that kind."]
    metadatas = [place, {"document_key": "handbook/other.md", "title": 7}]
    records = [
        Record(id=f"a-{n}", document=text, embedding_text=text, metadata=metadata)
        for n, (text, metadata) in enumerate(zip(texts, metadatas, strict=True))
    ]
    collection.upsert(records, EMBEDDER.embed_documents(texts))
    index.follow(collection, [version("a", 2)])
    for words in ("refund", "travel costs", "house rules", "shelf", "book", "travelcosts"):
        assert names(index, words) == ["a-0"], words
    assert set(names(index, "handbook")) == {"a-0", "a-1"}


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Die Krankenversicherung zahlt ab der siebten Woche.", "Wann zahlen Versicherungen?"),
        ("Пароль меняется каждые девяносто дней.", "Смена паролей"),
        ("共同果樹園のりんごは誰でも収穫できます。", "りんごの収穫"),
        ("公共果园的苹果对所有居民开放采摘。", "采摘苹果"),
    ],
)
def test_words_of_other_languages_are_found_in_other_forms(collection, index, text, question):
    write(collection, "a", text, "Nothing of that kind, the words are of another language.")
    index.follow(collection, [version("a", 2)])
    assert names(index, question) == ["a-0"]


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Der Antrag zur Prüfung und die Gebühr.", "Prüfung"),
        ("Der Antrag zur Prüfung und die Gebühr.", "Gebühren"),
        ("A naïve café résumé of the office.", "resume"),
        ("El año pasado en la montaña.", "año"),
    ],
)
def test_an_accent_is_part_of_its_letter_however_it_is_written(collection, index, text, question):
    forms = ("NFC", "NFD")
    write(collection, "a", *(unicodedata.normalize(form, text) for form in forms), "Pru fung a o")
    index.follow(collection, [version("a", 3)])
    first, second = (index.search(unicodedata.normalize(form, question), limit=2) for form in forms)
    assert first == second
    assert {name for name, _ in first} == {"a-0", "a-1"}
    assert first[0][1] == first[1][1]
    index.follow(collection, [])
    assert index.search(question, limit=2) == []


def test_records_that_are_written_again_keep_their_place_among_equals(collection, index):
    for document in ("a", "b", "c"):
        write(collection, document, "red one", "red two")
    index.follow(collection, [version(name, 2) for name in ("a", "b", "c")])
    before = index.search("red", limit=9)
    assert len(before) == 6
    write(collection, "a", "red six", "red one", "red two")
    index.follow(collection, [version("a", 3, 2), version("b", 2), version("c", 2)])
    assert names(index, "red") == [*(name for name, _ in before), "a-2"]


def test_english_has_no_pieces():
    assert long_words_of("The insurance pays from the seventh week on.") == ""
    assert long_words_of("Die Bank und der Bär") == "bank"


def test_who_shares_more_pieces_comes_first(collection, index):
    texts = [
        "Die Kasse ist zu.",
        "Das Kassenbuch und die Versicherungskarte liegen bei der Kasse.",
        "Der Versicherte und die Sicherung.",
    ]
    write(collection, "a", *texts)
    index.follow(collection, [version("a", 3)])
    found = index.search("Karten für Versicherungen", limit=9)
    assert [name for name, _ in found] == ["a-1", "a-2"]
    assert found[0][1] > found[1][1] > 0


def test_pieces_go_with_their_text(collection, index):
    write(collection, "a", "Die Krankenversicherung zahlt für den Kranken.")
    index.follow(collection, [version("a", 1)])
    write(collection, "a", "Der Hund und die Katze.")
    index.follow(collection, [version("a", 1, 2)])
    assert names(index, "Versicherungen") == []
    assert names(index, "Hunde") == ["a-0"]
    index.follow(collection, [])
    assert names(index, "Hunde") == []
    write(collection, "b", "Das Haus.")
    index.follow(collection, [version("b", 1)])
    assert names(index, "Hunde Versicherungen Häuser") == ["b-0"]


def test_every_question_is_answered_without_an_error(collection, index):
    write(collection, "a", "x")
    index.follow(collection, [version("a", 1)])
    for text in ('"', "AND OR NOT", "a:b", "x" * 10_000, " ".join(map(str, range(500))), "\x00 x"):
        index.search(text, limit=5)


def test_one_text_of_another_language_does_not_have_all_records_scored(
    collection, index, monkeypatch
):
    """Its pieces are in many English words too, and each question with one is asked by pieces."""
    texts = [f"{'server ' * (n % 2)}{'setting ' * (n % 3 == 0)}page{n}" for n in range(300)]
    texts += ["licence server setting"] * 19
    write(collection, "a", *texts)
    write(collection, "b", "Die Einstellung und der Webserver sind nicht im Settingfenster.")
    index.follow(collection, [version("a", len(texts)), version("b", 1)])
    monkeypatch.setattr(word_both, "DEEPEST", 5)
    monkeypatch.setattr(word_ranking, "ROOM", 1)
    monkeypatch.setattr(word_ranking, "FEW", 0)
    said: list[str] = []
    index._database.set_trace_callback(said.append)
    found = index.search("licence for the server setting", limit=5)
    index._database.set_trace_callback(None)
    assert {name.partition("-")[0] for name, _ in found} == {"a"}
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    ranked = [one for one in said if "ORDER BY rank" in one]
    asked = [one for said in ranked for one in re.findall(r"words MATCH '([^']*)'", said)]
    assert '"licence"' in asked
    assert not [one for one in asked if '"server"' in one and " AND " not in one]
    assert names(index, "webserver einstellungen", limit=1) == ["b-0"]


@pytest.mark.parametrize("depth", [1, 3, word_both.DEEPEST])
def test_the_best_by_words_and_pieces_are_those_of_a_look_at_all(
    collection, index, monkeypatch, depth
):
    """Also what is among the best by neither."""
    texts = [f"Der Webserver und die Seite {n}" for n in range(50)]
    texts += [f"Der Hafen und das Tor {n}" for n in range(9)]
    texts += [
        "Der Hafen und die Lagerhausordnungen der Stadt mit dem Fluss",
        "Die Lagerhausordnungen",
        "Die Lagerhalle und der Hafenmeister",
    ]
    write(collection, "a", *texts, *["Der Hafen, der Hafen"] * 5)
    index.follow(collection, [version("a", len(texts) + 5)])
    question = "Hafen Lagerhausordnung"
    whole = index.search(question, limit=99)
    assert len(whole) > 15
    assert sorted(index.scores(question, [name for name, _ in whole])) == sorted(whole)
    monkeypatch.setattr(word_both, "DEEPEST", depth)
    for limit in (1, 2, 3, 9, 15, 99):
        assert index.search(question, limit=limit) == whole[:limit]


def test_pieces_are_no_dearer_to_sqlite_the_more_records_have_them(collection, index):
    """FTS5 looked at each record with each of dozens of pieces: a second of a million records."""

    def steps(documents: int) -> int:
        write(collection, "a", *["Die Versicherung der Firma und nicht die Seite"] * documents)
        index.follow(collection, [version("a", documents, documents)])
        index.search("Sicherungen Fahrversicherer", limit=5)
        counted: list[int] = []
        index._database.set_progress_handler(lambda: counted.append(1) and None, 1)
        assert len(index.search("Sicherungen Fahrversicherer", limit=5)) == 5
        index._database.set_progress_handler(None, 1)
        return len(counted)

    assert steps(4000) < 1.5 * steps(400)


def test_segments_are_merged_and_what_is_gone_is_forgotten(collection, index):
    """Written one by one, as a sync does: a question does not ask hundreds of segments."""
    documents = [version(f"d{n}", 1) for n in range(100)]
    for n, document in enumerate(documents):
        write(collection, document.document_id, f"Die Hafenordnung und der Kai {n}")
        index.follow(collection, documents[: n + 1])
    query = "SELECT count(*), sum(records), sum(places) FROM piece_segments"
    segments, records, _ = index._database.execute(query).fetchone()
    assert segments < 3 * word_postings.MERGED
    assert records == 100
    assert len(names(index, "Hafenordnungen", limit=200)) == 100
    index.follow(collection, documents[:10])
    segments, records, places = index._database.execute(query).fetchone()
    assert records == 10
    assert places < 30
    assert names(index, "Hafenordnungen", limit=200) == [f"d{n}-0" for n in range(10)]
    index.follow(collection, [])
    for table in ("piece_segments", "piece_lists"):
        assert index._database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_a_damaged_list_of_pieces_has_the_file_made_anew(collection, index):
    write(collection, "a", "Die Hafenordnung und der Kai")
    index.follow(collection, [version("a", 1)])
    index._database.execute("UPDATE piece_lists SET once = x'ffff'")
    with pytest.raises(Unavailable, match="damaged"):
        index.search("Hafenordnungen", limit=5)
    index.follow(collection, [version("a", 1)])
    assert names(index, "Hafenordnungen") == ["a-0"]


def test_of_another_language_too_a_record_scores_alone_what_it_scores_in_the_list(
    collection, index
):
    """What most records have counts nothing beside other words, and stands behind them alone."""
    write(collection, "a", "der Webserver", "der Server und die Seite", "der Hafen", "der Himmel")
    index.follow(collection, [version("a", 4)])
    for text in ("der Server", "der Hafen Himmel"):
        listed = index.search(text, limit=9)
        assert {name for name, _ in listed} <= {f"a-{n}" for n in range(4)}
        scored = dict(index.scores(text, [name for name, _ in listed]))
        assert scored == {name: score for name, score in listed if name in scored}
        assert listed[0][0] in scored
        ranked = index.search(text, limit=9, among=[name for name, _ in listed])
        assert ranked == listed


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("οδός Αθηνάς", "ΟΔΟΣ"), ("ΟΔΟΣ ΑΘΗΝΑΣ", "οδός"), ("λόγος", "ΛΟΓΟΣ"),
        ("the ﬁnal oﬃce", "final office"), ("the final office", "ﬁnal"),
        ("ＡＢＣ１２３ server", "abc123"), ("abc123", "ＡＢＣ１２３"), ("ｶﾞｲﾄﾞ", "ガイド"),
        ("Straße", "STRASSE"), ("STRASSE", "straße"), ("die STRAẞE", "Straße"),
        ("Kranken\u00adversicherung", "Krankenversicherung"), ("foo\u200bbar", "foobar"),
        ("السَّلَامُ عَلَيْكُمْ", "السلام"), ("السلام عليكم", "السَّلَامُ"), ("שָׁלוֹם עולם", "שלום"),
        ("ёлка", "елка"), ("Łódź", "lodz"), ("⼈口", "人口"), ("ㄅㄆㄇ", "ㄅㄆ"), ("ꆈꌠꉙ", "ꌠ"),
        ("𝐇𝐞𝐥𝐥𝐨", "hello"), ("Berlin¹", "berlin¹"),
        ("le cœur", "coeur"), ("LE COEUR", "cœur"), ("Đà", "da"), ("Iğdır", "IĞDIR"),
        ("KIRMIZI", "kırmızı"),
        ("е\u0308лка", "елка"), ("λο\u0301γος", "ΛΟΓΟΣ"),
    ],
)  # fmt: skip
def test_letters_that_differ_in_their_writing_alone_are_one(collection, index, text, question):
    write(collection, "a", text, "a page of other words", "another page")
    index.follow(collection, [version("a", 3)])
    assert names(index, question) == ["a-0"]
    assert long_words_of(searchable(text)) == long_words_of(searchable(searchable(text)))


def test_a_word_of_an_indian_script_is_its_letters_in_a_row(collection, index):
    write(collection, "a", "यह हिन्दी भाषा में लिखा है", "हम नमक दल")
    index.follow(collection, [version("a", 2)])
    assert names(index, "हिन्दी") == ["a-0"]
    assert match_words("हिन्दी भाषा") == ['"हिन्दी"', '"भाषा"']
