"""What a reader finds by words is what a collection of the reader's records alone would give."""

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from s3sync_dagster.core.rights import Reader, Rights
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.engine.hybrid import DocumentVersion, Searcher
from s3sync_dagster.engine.readable import Readable
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports import word_both, word_memory, word_readers, word_terms
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster.ports.word_index import FtsWordIndex
from s3sync_dagster.ports.word_memory import WordMemory

EMBEDDER = open_embedder(EmbeddingConfig(kind="hash"))
VOCABULARY = [f"w{n}x" for n in range(300)]
WEIGHTS = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(VOCABULARY))))
LENGTH = 12
"""Words of each text: how long texts are on average is counted over all of them."""


def of_groups(*groups):
    return Rights(reader=Reader(frozenset(groups)), restricted={"s": ("team",)})


SALES = of_groups("sales")


def collection_of(texts):
    """Return a collection of documents of one record: id, text and group."""
    made = MemoryCollections().open("docs", tenant="t", database="d", embedder=EMBEDDER)
    add(made, texts)
    return made


def add(collection, texts):
    records = [
        Record(
            id=f"{name}-0",
            document=text,
            embedding_text=text,
            metadata={"s3sync_source": "s", "team": team},
        )
        for name, text, team in texts
    ]
    collection.upsert(records, EMBEDDER.embed_documents(["x y z"] * len(records)))


def versions(texts, version="1"):
    return [DocumentVersion(document_id=one[0], count=1, version=version) for one in texts]


@pytest.fixture
def indexed(tmp_path):
    """Give a function that fills an index with texts; each has a file and a memory of its own."""
    opened: list[FtsWordIndex] = []

    def fill(texts):
        index = FtsWordIndex(tmp_path / f"{len(opened)}.db")
        opened.append(index)
        index.follow(collection_of(texts), versions(texts))
        return index

    yield fill
    for index in opened:
        index.close()


def drawn(seed, count):
    draw = random.Random(seed)
    return [
        (
            f"d{n}",
            " ".join(draw.choices(VOCABULARY, cum_weights=WEIGHTS, k=LENGTH)),
            draw.choices(("sales", "hr", "*", ["hr", "sales"]), weights=(3, 10, 1, 1))[0],
        )
        for n in range(count)
    ]


def test_a_reader_finds_what_a_collection_of_the_own_records_gives(indexed):
    texts = drawn(3, 2500)
    own = [one for one in texts if SALES.allow_record({"s3sync_source": "s", "team": one[2]})]
    everything, alone = indexed(texts), indexed(own)
    words = everything.seen_by(SALES)
    draw = random.Random(4)
    some = [f"{name}-0" for name, _, _ in texts[::7]]
    for _ in range(25):
        asked = draw.choices(VOCABULARY, cum_weights=WEIGHTS, k=draw.randint(1, 5))
        text = " ".join([*asked, *draw.choices(VOCABULARY[50:], k=draw.randint(0, 2))])
        whole = alone.search(text, limit=1000)
        for limit in (1, 50, 1000):
            found = words.search(text, limit=limit)
            assert [name for name, _ in found] == [name for name, _ in whole[:limit]], text
            assert [score for _, score in found] == pytest.approx(
                [score for _, score in whole[:limit]], abs=1e-8
            )
        assert words.ceiling(text) == pytest.approx(alone.ceiling(text))
        assert dict(words.scores(text, some)) == pytest.approx(dict(alone.scores(text, some)))
        expected = [one for one in whole if one[0] in some]
        assert [name for name, _ in words.search(text, limit=1000, among=some)] == [
            name for name, _ in expected
        ]


@pytest.mark.parametrize("common", [word_readers.FEW, 30])
def test_several_common_words_may_be_better_than_a_rare_one(indexed, monkeypatch, common):
    """Of the records without the rare word those with several of the others are looked for."""
    monkeypatch.setattr(word_readers, "FEW", common)
    if common == 30:  # what pays among many records alone
        monkeypatch.setattr(word_readers, "LEADING", 0)
        monkeypatch.setattr(word_terms, "OFTEN", 0)
        monkeypatch.setattr(word_terms, "NEARLY", 0)
    texts = drawn(3, 2500)
    own = [one for one in texts if SALES.allow_record({"s3sync_source": "s", "team": one[2]})]
    everything, alone = indexed(texts), indexed(own)
    said: list[str] = []
    everything._database.set_trace_callback(said.append)
    for first, count, rare in ((7, 1, 105), (7, 4, 105), (6, 10, 47), (11, 6, 191), (3, 9, 95)):
        text = " ".join([*VOCABULARY[first : first + count], VOCABULARY[rare]])
        whole = alone.search(text, limit=20)
        found = everything.seen_by(SALES)
        for limit in (1, 5, 20):
            assert found.search(text, limit=limit) == [
                (name, pytest.approx(score, abs=1e-8)) for name, score in whole[:limit]
            ]
    assert sum(" AND (" in one for one in said) > 5
    assert any(') AND "' in one for one in said), "rare words led to others"
    assert any("ORDER BY rank LIMIT" in one for one in said) == (common == 30)


@pytest.mark.parametrize("apart", [word_readers.APART, 0])
def test_many_common_words_are_looked_for_together(indexed, monkeypatch, apart):
    """No word is rare: what has most of them is better than what has two."""
    monkeypatch.setattr(word_readers, "FEW", 30)
    monkeypatch.setattr(word_terms, "OFTEN", 1)
    monkeypatch.setattr(word_terms, "NEARLY", 0.2)
    monkeypatch.setattr(word_readers, "APART", apart)
    texts = drawn(8, 2500)
    own = [one for one in texts if SALES.allow_record({"s3sync_source": "s", "team": one[2]})]
    everything, alone = indexed(texts), indexed(own)
    draw = random.Random(2)
    for count in (2, 3, 4, 5, 6, 8):
        for _ in range(4):
            text = " ".join(draw.sample(VOCABULARY[1:25], count))
            whole = alone.search(text, limit=20)
            for limit in (1, 5, 20):
                assert everything.seen_by(SALES).search(text, limit=limit) == [
                    (name, pytest.approx(score, abs=1e-8)) for name, score in whole[:limit]
                ]


def test_of_many_common_words_all_records_are_looked_at_once(indexed, monkeypatch):
    """What has half of them is scored first; to look for each two of the rest is dear."""
    monkeypatch.setattr(word_readers, "FEW", 30)
    texts = [(name, f"{text} {text}", team) for name, text, team in drawn(8, 2500)]
    own = [one for one in texts if SALES.allow_record({"s3sync_source": "s", "team": one[2]})]
    everything, alone = indexed(texts), indexed(own)
    said: list[str] = []
    everything._database.set_trace_callback(said.append)
    for count in (10, 14, 20, 30):
        text = " ".join(VOCABULARY[3 : 3 + count])
        whole = alone.search(text, limit=50)
        for limit in (1, 50):
            said.clear()
            assert everything.seen_by(SALES).search(text, limit=limit) == [
                (name, pytest.approx(score, abs=1e-8)) for name, score in whole[:limit]
            ]
            assert sum("-rank >= " in one for one in said) <= 1


def test_readers_who_ask_at_once_find_what_one_finds(tmp_path):
    texts = drawn(3, 2500)
    memory = WordMemory()
    index = FtsWordIndex(tmp_path / "shared.db", memory)
    index.follow(collection_of(texts), versions(texts))
    asked = " ".join(VOCABULARY[20:23])
    expected = index.seen_by(SALES).search(asked, limit=50)

    def ask(at_once: threading.Barrier) -> object:
        with closing(FtsWordIndex(tmp_path / "shared.db", memory)) as own:
            at_once.wait()
            return own.seen_by(SALES).search(asked, limit=50)

    with ThreadPoolExecutor(4) as threads:
        for _ in range(10):
            memory.forget()
            at_once = threading.Barrier(4)
            asking = [threads.submit(ask, at_once) for _ in range(4)]
            assert [one.result() for one in asking] == [expected] * 4
            assert index.seen_by(SALES).search(asked, limit=50) == expected
    index.close()


def test_no_score_tells_which_words_others_texts_have(indexed):
    """One world where the secret has the word, and one where it has another of the same length."""
    own = [(f"own{n}", f"plan word{n} merger about it", "sales") for n in range(4)]
    own += [(f"more{n}", f"other text{n} here and there", "sales") for n in range(8)]
    told = []
    for word in ("merger", "lunch"):
        secret = [(f"s{n}", f"board of {word} with them", "hr") for n in range(200)]
        words = indexed([*own, *secret]).seen_by(SALES)
        names = [f"{name}-0" for name, _, _ in [*own, *secret]]
        told.append(
            (
                words.search("merger plan", limit=400),
                words.scores("merger plan", names),
                words.ceiling("merger plan board"),
            )
        )
    assert told[0] == told[1]
    assert [name for name, _ in told[0][0]] == ["own0-0", "own1-0", "own2-0", "own3-0"]


@pytest.mark.parametrize("ranking", ["words", "hybrid"])
def test_thousands_that_fit_better_do_not_hide_what_may_be_read(tmp_path, ranking):
    """More than the best that are held against any filter."""
    texts = [(f"hr{n}", "salary salary salary", "hr") for n in range(2500)]
    texts += [("mine", "of the many things it says there is one about a salary", "sales")]
    texts += [(f"s{n}", f"nothing of that number{n}", "sales") for n in range(3)]
    collection = collection_of(texts)
    index = FtsWordIndex(tmp_path / "words.db")
    index.follow(collection, versions(texts))
    guarded = Readable(collection, SALES)
    searcher = Searcher(guarded, EMBEDDER, index.seen_by(SALES), rights=SALES)
    hits = searcher.search("salary", ranking=ranking, limit=1)
    assert [hit.id for hit in hits] == ["mine-0"]
    assert hits[0].words
    index.close()


def test_words_of_other_languages_are_found_by_pieces_of_what_may_be_read(indexed):
    texts = [
        ("a", "Die Krankenversicherung zahlt ab der siebten Woche.", "sales"),
        ("b", "Der Hund und die Katze.", "sales"),
        ("c", "Die Versicherungen und die Versicherten.", "hr"),
    ]
    words = indexed(texts).seen_by(SALES)
    assert [name for name, _ in words.search("Wann zahlen Versicherungen?", limit=9)] == ["a-0"]
    assert words.search("?!", limit=9) == []
    assert words.search("unheard", limit=9) == []
    assert words.ceiling("?!") == 0


def test_the_best_by_words_and_pieces_are_those_of_a_look_at_all_for_a_reader_too(
    indexed, monkeypatch
):
    texts = [
        (f"d{n}", f"Die Versicherung der Firma und nicht die Seite {n}", "hr" if n % 3 else "sales")
        for n in range(90)
    ]
    texts += [(f"x{n}", f"Das Wetter und der Sommer nicht im Tal {n}", "sales") for n in range(60)]
    texts += [(f"h{n}", f"Der Hafen und die Stadt der Stadt {n}", "sales") for n in range(5)]
    texts += [("far", "Der Hafen und die Reiseversicherung der Stadt", "sales")]
    texts += [(f"r{n}", f"Der Sommer, das Meer und die Reise {n}", "sales") for n in range(20)]
    texts += [("kept", "Die Reise und die Reisen der Versicherer im Hafen", "hr")]
    index = indexed(texts)
    words = index.seen_by(SALES)
    question = "Hafen Reiseversicherungen"
    whole = words.search(question, limit=99)
    assert whole[0][0] == "far-0"
    assert len(whole) == 56
    for depth in (1, 5, word_both.DEEPEST):
        monkeypatch.setattr(word_both, "DEEPEST", depth)
        for limit in (1, 6, 20, 99):
            assert words.search(question, limit=limit) == whole[:limit]
    scored = words.scores(question, [name for name, _ in whole])
    assert sorted(scored) == sorted(whole)
    assert words.search(question, limit=99, among=[name for name, _ in whole]) == whole


def test_what_pieces_count_does_not_tell_of_texts_that_may_not_be_seen(indexed):
    seen = [(f"d{n}", f"Die Hafenordnungen und der Kai {n}", "sales") for n in range(3)]
    seen += [(f"g{n}", f"Das Gebirge und der Wald {n}", "sales") for n in range(6)]
    kept = [(f"h{n}", f"Die Hafenstadt nicht und die Zahl {n} " * 9, "hr") for n in range(40)]
    question = "Seehafen"
    alone = indexed(seen).seen_by(SALES).search(question, limit=9)
    assert {name for name, _ in alone} == {"d0-0", "d1-0", "d2-0"}
    assert indexed([*seen, *kept]).seen_by(SALES).search(question, limit=9) == alone


def test_who_may_read_follows_the_collection(tmp_path):
    texts = [("a", "red one", "hr"), ("b", "red two", "sales"), ("c", "blue", "sales")]
    collection = collection_of(texts)
    index = FtsWordIndex(tmp_path / "words.db")
    index.follow(collection, versions(texts))

    def found(rights=SALES):
        return [name for name, _ in index.seen_by(rights).search("red", limit=9)]

    assert found() == ["b-0"]
    assert found(of_groups("hr")) == ["a-0"]
    assert found(of_groups()) == []
    texts = [("a", "red one", ["ops", "sales"]), ("b", "red two", "hr"), ("d", "red", "*")]
    add(collection, texts)
    index.follow(collection, versions(texts, "2"))
    assert found() == ["d-0", "a-0"]
    assert found(of_groups("hr")) == ["d-0", "b-0"]
    assert found(of_groups()) == ["d-0"]
    index.close()


def test_a_number_that_somebody_could_see_is_given_to_nobody_else(tmp_path):
    texts = [("a", "blue", "hr"), ("b", "red", "sales")]
    collection = collection_of(texts)
    index = FtsWordIndex(tmp_path / "words.db")
    index.follow(collection, versions(texts))

    def found():
        return {name for name, _ in index.seen_by(SALES).search("red", limit=9)}

    assert found() == {"b-0"}
    index.follow(collection, versions(texts[:1]))
    add(collection, [("c", "red", "hr"), ("d", "red", "sales")])
    index.follow(collection, versions([*texts[:1], ("c",), ("d",)]))
    assert found() == {"d-0"}
    index.close()


def test_a_document_that_grows_is_seen_as_a_whole(tmp_path):
    texts = [("a", "red", "sales"), ("b", "red", "sales"), ("c", "red", "hr")]
    collection = collection_of(texts)
    index = FtsWordIndex(tmp_path / "words.db")
    index.follow(collection, versions(texts))
    assert len(index.seen_by(SALES).search("red", limit=9)) == 2
    record = collection.get(["a-0"], documents=True)["a-0"]
    more = Record(id="a-1", document="red", embedding_text="red", metadata=record.metadata)
    collection.upsert([more], EMBEDDER.embed_documents(["red"]))
    grown = DocumentVersion(document_id="a", count=2, version="2")
    index.follow(collection, [grown, *versions(texts[1:])])
    found = [name for name, _ in index.seen_by(SALES).search("red", limit=9)]
    assert found == ["a-0", "b-0", "a-1"]
    index.close()


def test_what_was_known_of_a_file_is_not_held_of_the_next_one(tmp_path):
    """Another process makes the file anew: the same numbers are of other documents there."""
    memory = WordMemory()
    path = tmp_path / "words.db"
    for teams in (("sales", "hr"), ("hr", "sales")):
        texts = [(name, f"red {name}", team) for name, team in zip("ab", teams, strict=True)]
        index = FtsWordIndex(path)
        index.follow(collection_of(texts), versions(texts))
        index.close()
        index = FtsWordIndex(path, memory)
        found = index.seen_by(SALES).search("red", limit=9)
        assert [name for name, _ in found] == [f"{'ab'[teams.index('sales')]}-0"]
        index.close()
        for one in tmp_path.iterdir():
            one.unlink()


def test_counts_are_remembered_and_made_again_when_the_index_changes(tmp_path):
    texts = [(f"d{n}", f"red number{n}", "sales" if n % 2 else "hr") for n in range(2400)]
    collection = collection_of(texts)
    memory = WordMemory()
    index = FtsWordIndex(tmp_path / "words.db", memory)
    index.follow(collection, versions(texts))
    said: list[str] = []

    def ceiling():
        """Ask as a question of its own does; return the number of counts it took."""
        opened = FtsWordIndex(tmp_path / "words.db", memory)
        opened._database.set_trace_callback(said.append)
        said.clear()
        opened.seen_by(SALES).ceiling("red number5")
        opened.close()
        return sum("substr" in one for one in said)

    assert ceiling() == 3
    assert ceiling() == 1, "what few records have is counted in no time"
    add(collection, [(f"d{n}", "blue", "sales") for n in range(1, 200, 2)])
    changed = versions(texts[1:200:2], "2")
    index.follow(collection, [*changed, *versions(texts[:1]), *versions(texts[2::2])])
    assert ceiling() == 3
    index.close()


def test_nothing_of_a_question_is_looked_at_twice(indexed, monkeypatch):
    """What is remembered of a word is counted once, for who asks and for all."""
    monkeypatch.setattr(word_memory, "LEAST_KEPT", 0)
    monkeypatch.setattr(word_terms, "OFTEN", 1)
    monkeypatch.setattr(word_terms, "NEARLY", 0.2)
    index = indexed(drawn(3, 2500))
    for first, count, rare in ((7, 1, 105), (7, 4, 105), (6, 10, 47), (11, 6, 191), (3, 9, 95)):
        asked = [*VOCABULARY[first : first + count], VOCABULARY[rare]]
        said: list[str] = []
        index._memory.forget()
        index._database.set_trace_callback(said.append)
        assert index.seen_by(SALES).search(" ".join(asked), limit=5)
        index._database.set_trace_callback(None)
        counted = [one for one in said if "count(*)" in one and "MATCH" in one]
        assert len(counted) == len(asked)
        ranked = [one for one in said if "rank MATCH" in one]
        assert len(ranked) == len(set(ranked)) > 1


def test_as_many_records_are_counted_as_may_be_seen(tmp_path):
    """Also of documents whose records have no numbers in a row, and where some are gone."""
    texts = [(f"d{n}", f"sea number{n}", "sales" if n % 3 else "hr") for n in range(30)]
    collection = collection_of(texts)
    with closing(FtsWordIndex(tmp_path / "words.db")) as index:
        index.follow(collection, versions(texts))
        more = [DocumentVersion(document_id="d4", count=1, version="2"), *versions(texts)[6:]]
        index.follow(collection, more)
        index._database.execute("UPDATE documents SET first = NULL, last = NULL WHERE id = 'd7'")
        words = index.seen_by(SALES)
        rows = [f"d{n}-0" for n in (4, *range(6, 30)) if n % 3]
        assert words.known([f"{name}-0" for name, _, _ in texts]) == set(rows)
        assert words._count_seen(None) == len(rows)
