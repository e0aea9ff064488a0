"""The best records by words are those that scoring every record gives, at a part of the cost."""

import itertools
import random

import pytest

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports import word_ranking
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster.ports.word_index import FtsWordIndex
from s3sync_dagster_tests.ports.test_word_index import version

EMBEDDER = open_embedder(EmbeddingConfig(kind="hash"))
RECORDS = 4000
VOCABULARY = [f"w{n}x" for n in range(400)]
WEIGHTS = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(VOCABULARY))))


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Words fall off as those of language do: the first is in nearly every record."""
    draw = random.Random(5)
    collection = MemoryCollections().open("docs", tenant="t", database="d", embedder=EMBEDDER)
    records = []
    for n in range(RECORDS):
        text = " ".join(draw.choices(VOCABULARY, cum_weights=WEIGHTS, k=draw.randint(5, 40)))
        records.append(Record(id=f"d-{n}", document=text, embedding_text=text, metadata={"n": n}))
    collection.upsert(records, EMBEDDER.embed_documents(["x y z"] * RECORDS))
    made = FtsWordIndex(tmp_path_factory.mktemp("words") / "words.db")
    made.follow(collection, [version("d", RECORDS)])
    yield made
    made.close()


def questions():
    draw = random.Random(9)
    yield from (["w0x"], ["w399x"], ["w0x", "w1x"], ["w0x", "w399x"], ["unheard"], [])
    for _ in range(25):
        common = draw.choices(VOCABULARY, cum_weights=WEIGHTS, k=draw.randint(0, 6))
        yield common + draw.choices(VOCABULARY[100:], k=draw.randint(0, 3))


@pytest.mark.parametrize("limit", [1, 50, 400])
def test_the_best_are_those_of_all_records(index, monkeypatch, limit):
    looked_again = 0
    for words in questions():
        text = " ".join(words)
        with monkeypatch.context() as all_at_once:
            all_at_once.setattr(word_ranking, "FEW", 10**9)
            expected = index.search(text, limit=limit)
        found = index.search(text, limit=limit)
        # What more than half of the records have counts a millionth in FTS5, and nothing here.
        scores = [score for _, score in expected]
        assert [score for _, score in found] == pytest.approx(scores, abs=1e-5)
        # Where scores are equal, which of them is the last one is nobody's promise.
        last = expected[-1][1] if expected else 0.0
        clear = {name for name, score in expected if score > last + 1e-5}
        assert clear <= {name for name, _ in found}
        looked_again += len(words) > 3
    assert looked_again > 10


def test_pages_are_parts_of_one_ranking(index):
    whole = index.search("w0x w5x w200x", limit=120)
    parts = [
        one for n in range(0, 120, 40) for one in index.search("w0x w5x w200x", limit=40, offset=n)
    ]
    assert [score for _, score in parts] == pytest.approx([score for _, score in whole])
    assert len({name for name, _ in parts}) == 120


def test_a_common_word_does_not_have_every_record_scored():
    """A question with a rare word asks for the records that have it, not for all with ``the``."""
    asked = []

    class Database:
        def execute(self, query, values):
            asked.append(values[0])
            return self

        def fetchall(self):
            return [(n, 30.0 - n / 100) for n in range(50)]

    words = [('"the"', 40_000), ('"ferry"', 900), ('"licence"', 300)]
    word_ranking.best_by_words(Database(), words, 100_000, bm25="bm25()", limit=50)
    assert asked == ['"licence"', '("licence") AND ("ferry" OR "the")']


def test_where_rare_words_give_too_little_all_are_looked_at():
    asked = []

    class Database:
        def execute(self, query, values):
            asked.append(values[0])
            return self

        def fetchall(self):
            return [(n, 0.5) for n in range(50)]

    words = [('"the"', 20_000), ('"ferry"', 900), ('"licence"', 300)]
    word_ranking.best_by_words(Database(), words, 100_000, bm25="bm25()", limit=50)
    assert asked == ['"licence"', '"licence" OR "ferry" OR "the"']


def test_a_proof_that_costs_too_much_is_not_sought():
    """Where rare words fill the hits, words of hundreds of thousands of records do not choose."""
    asked = []

    class Database:
        def execute(self, query, values):
            asked.append(values[0])
            return self

        def fetchall(self):
            return [(n, 0.5) for n in range(50)]

    words = [('"the"', 400_000), ('"boat"', 40_000), ('"ferry"', 900), ('"licence"', 300)]
    word_ranking.best_by_words(Database(), words, 1_000_000, bm25="bm25()", limit=50)
    rare = '"licence" OR "ferry"'
    assert asked == ['"licence"', rare, f'({rare}) AND ("boat" OR "the")']


def test_what_most_records_have_is_not_asked_for():
    asked = []

    class Database:
        def execute(self, query, values):
            asked.append(values[0])
            return self

        def fetchall(self):
            return [(n, 30.0) for n in range(50)]

    words = [('"printer"', 600_000), ('"licence"', 300)]
    word_ranking.best_by_words(Database(), words, 1_000_000, bm25="bm25()", limit=50)
    assert asked == ['"licence"']
