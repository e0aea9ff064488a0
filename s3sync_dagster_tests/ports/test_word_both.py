"""The best by words and pieces together: those of scoring everything, whatever is not looked at."""

import itertools
import random
import re

import numpy as np
import pytest

from s3sync_dagster.ports import word_both, word_pieces, word_ranking
from s3sync_dagster.ports.word_forms import asked_by_pieces
from s3sync_dagster.ports.word_index import FtsWordIndex
from s3sync_dagster_tests.ports.test_word_index import make_collection, version, write

RECORDS = 600
TELLS = "nicht und der die mit"
"""What tells that a text is not English: its words are looked up by their pieces too."""


def made_words(draw: random.Random) -> list[str]:
    """Words of two to four syllables, of which many share pieces."""
    syllables = ["".join(pair) for pair in itertools.product("bdgklmnrst", "aeiou")]
    return ["".join(draw.choices(syllables, k=draw.randint(2, 4))) for _ in range(300)]


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """An index of texts by Zipf's law, and questions: common words, rare ones and compounds."""
    draw = random.Random(3)
    words = made_words(draw)
    falling = [*itertools.accumulate(1 / (rank + 25) for rank in range(len(words)))]
    texts = [
        f"{TELLS if n % 2 else ''} {' '.join(draw.choices(words, cum_weights=falling, k=40))}"
        for n in range(RECORDS)
    ]
    index = FtsWordIndex(tmp_path_factory.mktemp("words") / "docs.db")
    collection = make_collection()
    write(collection, "a", *texts)
    index.follow(collection, [version("a", RECORDS)])
    questions = []
    for n in range(60):
        common = draw.sample(words[:12], k=1 + n % 4)
        rare = draw.choices(words[30:], k=n % 5)
        joined = ["".join(draw.choices(words[20:], k=2)) for _ in range(1 + n % 2)]
        questions.append(" ".join([*common, *rare, *joined]))
    yield index, questions
    index.close()


def scored_all(index: FtsWordIndex, question: str) -> list[tuple[str, float]]:
    """Return all records that have words of a question, in the order of their scores."""
    scores = dict(index.scores(question, [f"a-{n}" for n in range(RECORDS)]))
    return sorted(scores.items(), key=lambda one: (-one[1], int(one[0][2:])))


@pytest.mark.parametrize("scored", [0, 1, word_both.SCORED])
@pytest.mark.parametrize("depth", [4, 40])
def test_the_best_are_those_of_scoring_everything(searched, monkeypatch, scored, depth):
    index, questions = searched
    monkeypatch.setattr(word_both, "SCORED", scored)
    monkeypatch.setattr(word_both, "DEEPEST", depth)
    monkeypatch.setattr(word_ranking, "FEW", 20)
    monkeypatch.setattr(word_ranking, "ROOM", 1)
    monkeypatch.setattr(word_ranking, "COMMON", 100)
    told: list[int] = []
    plain = word_both.words_that_lift

    def counted(*given, **named):
        found = plain(*given, **named)
        told.append(len(found))
        return found

    monkeypatch.setattr("s3sync_dagster.ports.word_index.words_that_lift", counted)
    for question in questions:
        whole = scored_all(index, question)
        for limit in (1, 2, 5, 17):
            found = index.search(question, limit=limit)
            assert found[: len(whole)] == whole[:limit], question
    assert len(told) > 50, "pieces lift some records beside the best by words"
    assert len(set(told)) > 5


def test_common_words_that_lift_nothing_are_not_gone_through(searched, monkeypatch):
    """FTS5 goes through every record with a word that it is asked for beside others."""
    index, _ = searched
    (common, often), *_ = [
        (word, number)
        for word, number in index._counted(" ".join(made_words(random.Random(3))[:12]))[0]
        if 60 < number < 250
    ]
    monkeypatch.setattr(word_both, "SCORED", 0)
    monkeypatch.setattr(word_both, "DEEPEST", 4)
    rare = [('"zzzz"', 0), ('"yyyy"', 0)]
    pieces = word_pieces.PieceScores(np.full(RECORDS + 1, 1.0))
    said: list[str] = []
    index._database.set_trace_callback(said.append)
    most = (word_ranking.K1 + 1) * word_ranking.idf(RECORDS, often)
    for reached, looked_for in ((1.05 + most, False), (0.99 + most, True)):
        said.clear()
        word_both.words_that_lift(
            index._database, [*rare, (common, often)], RECORDS, pieces, [1, 2, 3], reached,
            bm25="bm25(1.0, 1.0)",
        )  # fmt: skip
        assert said
        asked = [one for text in said for one in re.findall(r"words MATCH '([^']*)'", text)]
        assert any(common in one for one in asked) is looked_for


def test_pieces_of_short_lists_count_what_those_of_long_ones_do(searched, monkeypatch):
    index, questions = searched
    some: list[bool] = []
    for question in questions:
        counted = []
        for short in (0, 10**9):
            monkeypatch.setattr(word_pieces, "SHORT", short)
            counted.append(word_pieces.piece_scores(index._database, *asked_by_pieces(question)))
        first, second = ([] if one is None else one._scores.tolist() for one in counted)
        assert first == second
        some.append(bool(first))
    assert sum(some) > 50
