"""The best records by words are those that scoring every record gives, at a part of the cost."""

import itertools
import math
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
        with monkeypatch.context() as hardly_rare:
            hardly_rare.setattr(word_ranking, "COMMON", 300)
            assert index.search(text, limit=limit) == found
        # What more than half of the records have counts a millionth in FTS5, and nothing here.
        scores = [score for _, score in expected]
        assert [score for _, score in found] == pytest.approx(scores, abs=1e-5)
        # Where scores are equal, which of them is the last one is nobody's promise.
        last = expected[-1][1] if expected else 0.0
        clear = {name for name, score in expected if score > last + 1e-5}
        assert clear <= {name for name, _ in found}
        looked_again += len(words) > 3
    assert looked_again > 10


@pytest.mark.parametrize("limit", [50, 200, 2000])
@pytest.mark.parametrize("common", [300, word_ranking.COMMON])
def test_of_long_questions_too_the_best_are_those_of_all_records(index, monkeypatch, limit, common):
    """No word of them is rare, so it takes several: of as many as a question has."""
    for number in (*range(10, 20), 32, 48, 64):
        text = " ".join(VOCABULARY[8 : 8 + number])
        with monkeypatch.context() as all_at_once:
            all_at_once.setattr(word_ranking, "FEW", 10**9)
            expected = index.search(text, limit=limit)
        with monkeypatch.context() as rarity:
            rarity.setattr(word_ranking, "COMMON", common)
            found = index.search(text, limit=limit)
        assert len(found) == limit
        assert [score for _, score in found] == pytest.approx([score for _, score in expected])
        last = expected[-1][1]
        assert [name for name, score in found if score > last + 1e-5] == [
            name for name, score in expected if score > last + 1e-5
        ]


def test_a_short_list_is_the_beginning_of_a_long_one(index):
    for words in questions():
        text = " ".join(words)
        whole = index.search(text, limit=2000)
        for limit in (1, 40, 200, 700):
            assert index.search(text, limit=limit) == whole[:limit]


def test_many_records_are_scored_by_as_many_statements_as_one(index):
    text = "w5x w20x w100x"
    names = [name for name, _ in index.search(text, limit=100)]
    assert len(names) > 50
    asked: list[list[str]] = [[], []]
    for said, some in zip(asked, (names[:1], names), strict=True):
        index.scores(text, some)  # counts of words are kept from here on
        index._database.set_trace_callback(said.append)
        index.scores(text, some)
        index._database.set_trace_callback(None)
    one, many = ([text for text in said if "MATCH" in text] for said in asked)
    assert len(one) == len(many) > 0


def test_a_record_scores_alone_what_it_scores_in_the_list(index):
    for text in ("w0x w5x w200x", "w0x", "w30x w31x"):
        listed = index.search(text, limit=300)
        assert dict(index.scores(text, [name for name, _ in listed])) == dict(listed)
    assert index.scores("w5x", ["no-such", "d-99999"]) == []
    assert index.scores("", ["d-1"]) == []


class Asked:
    """As much of a database as the ranking asks; every expression gives the same records."""

    def __init__(self, answer):
        self.expressions, self._answer = [], answer

    def execute(self, query, values):
        self.expressions.append(values[0])
        return self

    def fetchall(self):
        return self._answer


def asked_for(words, records, score):
    database = Asked([(n, score - n / 1000) for n in range(50)])
    word_ranking.best_by_words(database, words, records, bm25="bm25()", limit=50)
    return database.expressions


def test_a_common_word_does_not_have_every_record_scored():
    """A question with a rare word asks for the records that have it, not for all with ``the``."""
    words = [('"the"', 40_000), ('"ferry"', 900), ('"licence"', 300)]
    assert asked_for(words, 100_000, 30.0) == ['"licence"', '("licence") AND ("ferry" OR "the")']


def test_where_rare_words_give_too_little_all_are_looked_at():
    words = [('"the"', 20_000), ('"ferry"', 900), ('"licence"', 300)]
    assert asked_for(words, 100_000, 0.5) == ['"licence"', '"licence" OR "ferry" OR "the"']


def all_common(*names):
    return [(f'"{name}"', 200_000 + 10_000 * n) for n, name in enumerate(names)]


def test_words_that_are_all_common_are_looked_for_together_first():
    words = all_common("sea", "boat", "crew")
    assert asked_for(words[:2], 1_000_000, 4.0) == ['("sea") AND ("boat")']
    assert asked_for(words, 1_000_000, 9.0) == ['("boat") AND ("sea" OR "crew")']
    assert asked_for(words, 1_000_000, 4.0) == [
        '("boat") AND ("sea" OR "crew")',
        '("crew") AND ("sea" OR "boat")',
    ]


def test_where_it_takes_three_of_the_words_no_two_of_them_are_asked_for():
    assert asked_for(all_common("sea", "boat", "crew", "net"), 1_000_000, 7.0) == [
        '("sea" OR "net") AND ("boat") AND ("crew")',
        '("sea") AND ("boat" OR "crew") AND ("net")',
    ]


def test_of_many_common_words_no_record_has_to_have_all():
    """Then each record with any of them would be scored: few have all of eight."""
    words = all_common("sea", "boat", "crew", "net", "rope", "sail", "mast", "keel")

    class Sea(Asked):
        def execute(self, query, values):
            nothing = values[0].count(" AND ") == len(words) - 1
            self._answer = [] if nothing else [(n, 11.0 - n / 1000) for n in range(50)]
            return super().execute(query, values)

    database = Sea([])
    word_ranking.best_by_words(database, words, 1_000_000, bm25="bm25()", limit=50)
    assert database.expressions
    assert all(" AND " in one for one in database.expressions)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.9])
def test_of_however_many_words_few_sets_are_parted(monkeypatch, share):
    """All halves of sixteen words are 12,870, and of 64 nobody lives to see them."""
    part = word_ranking.groupings

    def counted(words, together):
        assert together <= 2 or math.comb(words, together) <= word_ranking.MOST_TOGETHER
        return part(words, together)

    monkeypatch.setattr(word_ranking, "groupings", counted)
    for number in range(2, 65):
        words = all_common(*(f"w{n}" for n in range(number)))
        ceiling = sum(2.2 * word_ranking.idf(10_000_000, count) for _, count in words)
        expressions = asked_for(words, 10_000_000, share * ceiling)
        assert 0 < len(expressions) <= 2 * word_ranking.MOST_TOGETHER
        assert all(word in expressions[0] for word, _ in words)


@pytest.mark.parametrize("share", [0.2, 0.3, 0.5])
@pytest.mark.parametrize("number", [10, 12, 16, 20])
def test_of_many_words_that_many_records_have_all_records_are_looked_at_once(number, share):
    """To look for each two of them asked for all of it by four ways or five, again and again."""
    words = [(f'"w{n}"', 400_000 + 1000 * n) for n in range(number)]
    ceiling = sum(2.2 * word_ranking.idf(1_000_000, count) for _, count in words)
    half, *rest = asked_for(words, 1_000_000, share * ceiling)
    assert " AND " in half
    assert rest == [word_ranking.any_of(words)]


@pytest.mark.parametrize(("words", "together"), [(2, 2), (5, 1), (7, 2), (4, 3), (7, 3), (8, 4)])
def test_any_words_are_apart_in_one_of_the_groupings(words, together):
    ways = word_ranking.groupings(words, together)
    assert all(sorted(itertools.chain(*way)) == list(range(words)) for way in ways)
    for some in itertools.combinations(range(words), together):
        assert any(all(len(set(some) & set(group)) == 1 for group in way) for way in ways)


def test_what_most_records_have_is_not_asked_for():
    words = [('"printer"', 600_000), ('"licence"', 300)]
    assert asked_for(words, 1_000_000, 30.0) == ['"licence"']


def test_two_common_words_may_be_better_than_a_rare_one():
    words = [('"sea"', 50_000), ('"boat"', 40_000), ('"ferry"', 30_000), ('"licence"', 300)]
    assert asked_for(words, 1_000_000, 9.0) == [
        '"licence"',
        '("licence") AND ("ferry" OR "boat" OR "sea")',
        '("boat") AND ("ferry" OR "sea")',
        '("sea") AND ("ferry" OR "boat")',
    ]


def test_records_about_the_question_are_found_beside_those_with_a_rare_word_of_it(tmp_path):
    """Half the records that have all three topic words, and 300 the asker's own rare one."""
    draw = random.Random(1)
    made = FtsWordIndex(tmp_path / "words.db")
    rows = []
    for n in range(12_000):
        words = [f"f{draw.randrange(900)}z" for _ in range(6)]
        words += [name for name in ("pump", "water", "pressure") if draw.random() < 0.05]
        if n % 200 == 0:
            words += ["pump", "water", "pressure"] * 2
        elif n % 40 == 1:
            words.append("elaborate")
        rows.append((n + 1, f"r-{n}", " ".join(words)))
    database = made._database
    database.execute("BEGIN")
    database.executemany("INSERT INTO records VALUES (?, ?, 'd')", [row[:2] for row in rows])
    texts = [(number, text) for number, _, text in rows]
    database.executemany("INSERT INTO words (rowid, text, place) VALUES (?, ?, '')", texts)
    database.execute("COMMIT")
    found = [name for name, _ in made.search("elaborate pump water pressure", limit=50)]
    assert sum(int(name[2:]) % 200 == 0 for name in found) >= 45
    made.close()
