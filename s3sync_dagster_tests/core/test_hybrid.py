"""Search: scores fused, filters kept, equal texts folded, never a text that is no longer there."""

import random

import pytest

from s3sync_dagster.core.fusion import DEPTH, WORDS_LEAST, fuse, words_share
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.engine import hybrid
from s3sync_dagster.engine.hybrid import (
    MAX_DEPTH,
    NOT_DEEPER,
    NOT_NEARER,
    NOT_REACHED,
    DocumentVersion,
    Searcher,
    reasons_of,
    versions_by_scan,
)
from s3sync_dagster.engine.neighbours import by_document, document_of, with_neighbours
from s3sync_dagster.model.document import Hit, Record
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster.ports.word_index import FtsWordIndex

EMBEDDER = open_embedder(EmbeddingConfig(kind="hash"))


class Words:
    """A word index that answers with one list, its scores falling by one."""

    def __init__(self, *ids):
        self.ids = list(ids)

    def search(self, text, *, limit):
        return [(name, float(len(self.ids) - n)) for n, name in enumerate(self.ids)][:limit]

    def scores(self, text, ids):
        return [one for one in self.search(text, limit=len(self.ids)) if one[0] in ids]

    def known(self, ids):
        return set(ids)

    def ceiling(self, text):
        return 5.0 * len(self.ids)


def fill(collection, texts, metadatas=None):
    records = [
        Record(
            id=f"r{n}",
            document=text,
            embedding_text=text,
            metadata=metadatas[n] if metadatas else {"n": n, "even": n % 2 == 0},
        )
        for n, text in enumerate(texts)
    ]
    collection.upsert(records, EMBEDDER.embed_documents(texts))


def new_collection():
    return MemoryCollections().open("docs", tenant="t", database="d", embedder=EMBEDDER)


@pytest.fixture
def collection():
    made = new_collection()
    fill(made, ["red green blue", "red green", "red", "other words", "more of other words"])
    return made


def ask(collection, index, text, **options):
    return Searcher(collection, EMBEDDER, index).search(text, **options)


def test_scores_are_spread_and_added():
    nearest = [("a", 0.9), ("b", 0.8), ("c", 0.5)]
    words = [("b", 12.0), ("d", 9.0), ("c", 2.0)]
    fused = fuse(nearest, words, ceiling=40.0)
    share = WORDS_LEAST + 12 / 40
    assert [name for name, _ in fused] == ["b", "d", "a", "c"]
    assert dict(fused) == pytest.approx(
        {"a": 1 - share, "b": (1 - share) * 0.75 + share, "c": 0.0, "d": share * 0.7}
    )
    assert fuse([], [], ceiling=0.0) == []
    assert fuse(nearest, [], ceiling=0.0)[0] == ("a", 1.0)


def test_words_count_the_more_the_more_of_the_question_they_meet():
    assert words_share([("a", 0.0)], 40.0) == WORDS_LEAST
    assert words_share([("a", 10.0)], 40.0) == pytest.approx(WORDS_LEAST + 0.25)
    assert words_share([("a", 39.0)], 40.0) == 1.0
    assert words_share([("a", 1.0)], 0.0) == WORDS_LEAST
    nearest = [("meant", 0.9), ("x", 0.5), ("y", 0.4)]
    words = [("named", 10.0), ("y", 2.0), ("meant", 1.0)]
    assert fuse(nearest, words, ceiling=100.0)[0][0] == "meant"
    assert fuse(nearest, words, ceiling=12.0)[0][0] == "named"


def test_a_clear_winner_by_words_is_not_outvoted_by_ranks():
    nearest = [("x", 0.500), ("y", 0.499), ("z", 0.498), ("wanted", 0.497), ("last", 0.1)]
    words = [("wanted", 20.0), ("x", 4.0), ("y", 3.0), ("z", 2.0)]
    assert fuse(nearest, words, ceiling=60.0)[0][0] == "wanted"


def test_what_stands_between_equal_ones_does_not_turn_them():
    words = [("b", 2.0), ("a", 2.0), ("z", 0.0)]
    for others in ([], [("x", 0.9)]):
        nearest = [*others, ("a", 0.5), ("b", 0.5), ("z", 0.1)]
        fused = [name for name, _ in fuse(nearest, words, ceiling=9.0)]
        assert fused.index("a") < fused.index("b")


def test_how_much_is_asked_for_does_not_change_a_score():
    ranking = [(f"r{n}", 100.0 - n) for n in range(200)]
    assert fuse(ranking[:50], [], ceiling=0)[:50] == fuse(ranking, [], ceiling=0)[:50]


def test_words_lift_what_vectors_pass_over_and_each_hit_says_why(collection):
    hits = ask(collection, Words("r4", "r0", "r3"), "red green blue", limit=3)
    assert [hit.id for hit in hits] == ["r0", "r4", "r1"]
    first, second, third = hits
    assert first.dense == pytest.approx(1.0)
    assert (first.words, second.words, third.words) == (2.0, 3.0, None)
    share = WORDS_LEAST + 3 / 15
    assert first.score == pytest.approx(1 - share + share * 0.5)
    assert second.document == "more of other words"
    assert second.metadata == {"n": 4, "even": True}


@pytest.fixture
def indexed(tmp_path):
    """Give a function that fills a collection and its real index of words."""
    opened = []

    def fill_both(texts):
        collection = new_collection()
        fill(collection, texts)
        opened.append(FtsWordIndex(tmp_path / f"{len(opened)}.db"))
        opened[-1].follow(collection, versions_by_scan(collection))
        return collection, opened[-1]

    yield fill_both
    for index in opened:
        index.close()


class Near:
    """A model to which every question is the same text."""

    def __init__(self, text):
        self.text = text

    def embed_query(self, text):
        return EMBEDDER.embed_documents([self.text])[0]


def test_the_first_of_many_are_the_first_of_few_where_words_tie(indexed):
    """300 texts fit a question's word equally; the one that is meant is the 181st of them."""
    texts = [f"report on weather in place{n}" for n in range(700)]
    texts += [f"refund item{n}" for n in range(300)]
    collection, index = indexed(texts)
    searcher = Searcher(collection, Near("refund item180"), index)
    many = [hit.id for hit in searcher.search("refund", limit=100)]
    assert "r880" in many[:3]  # beside two that the model takes for it
    for limit in (1, 5, 24, 25, 26, 50):
        assert [hit.id for hit in searcher.search("refund", limit=limit)] == many[:limit]


def test_what_fits_worse_than_those_that_tie_is_not_lifted_to_them(indexed):
    texts = [f"refund item{n}" for n in range(60)]
    texts += [f"refund with many words besides, so that it fits less, number{n}" for n in range(30)]
    texts += [f"weather in place{n}" for n in range(200)]
    collection, index = indexed(texts)
    for limit in (5, 25, 26, 40, 100):
        hits = Searcher(collection, Near(texts[70]), index).search("refund", limit=limit)
        named = {hit.id: hit for hit in hits}
        assert hits[0].id != "r70"
        assert "r70" not in named or named["r70"].score < hits[0].score
    scores = dict(fuse([], [(f"a{n}", 2.0) for n in range(50)] + [("worse", 1.0)], ceiling=2.0))
    assert (scores["a49"], scores["worse"]) == (1.0, 0.0)


def test_a_write_between_two_looks_at_the_index_loses_no_match(indexed):
    texts = ["refund " + "pad " * (n // 2 + 1) for n in range(300)]
    collection, index = indexed([*texts, *(f"other place{n}" for n in range(400))])

    class Written:
        """Loses 30 documents to a sync between two questions."""

        def search(self, text, *, limit):
            found = index.search(text, limit=limit)
            kept = [f"r{n}" for n in range(30, 700)]
            versions = [DocumentVersion(document_id=name, version="1") for name in kept]
            index.follow(collection, versions)
            return found

    where = {"n": {"$gte": 205}}
    hits = Searcher(collection, EMBEDDER, Written()).search(
        "refund", ranking="words", limit=5, where=where
    )
    assert [hit.id for hit in hits] == ["r205", "r206", "r208", "r210", "r212"]


def test_each_ranking_can_be_had_alone(collection):
    index = Words("r4", "r0", "r3")
    dense = ask(collection, index, "red green blue", ranking="dense", limit=2)
    assert [hit.id for hit in dense] == ["r0", "r1"]
    assert dense[0].score == dense[0].dense == pytest.approx(1.0)
    assert dense[0].words is None
    words = ask(collection, index, "red green blue", ranking="words", limit=2)
    assert [(hit.id, hit.score, hit.words, hit.dense) for hit in words] == [
        ("r4", 3.0, 3.0, None),
        ("r0", 2.0, 2.0, None),
    ]


class Shuffled:
    """A collection whose equal distances come in an order of their own each time, as a graph's."""

    most_nearest = 10_000

    def __init__(self, collection):
        self.collection, self.draw = collection, random.Random(1)

    def query(self, vector, *, limit=10, where=None):
        found = self.collection.query(vector, limit=700, where=where)
        self.draw.shuffle(found)
        return sorted(found, key=lambda hit: -hit.score)[:limit]

    def __getattr__(self, name):
        return getattr(self.collection, name)


@pytest.mark.parametrize("ranking", ["hybrid", "dense", "words"])
def test_equal_ones_stand_in_one_order_with_a_filter_and_without(indexed, ranking):
    """Each group of four is equal to the model and by words, and its texts differ for people."""
    words = [(group, n) for n in range(4) for group in range(12)]
    texts = [f"invoice {'again ' * group}" + "!" * (n + 1) for group, n in words]
    collection, index = indexed(texts)
    collection.upsert(
        [
            Record(id=f"r{n}", document=text, embedding_text="x", metadata={"n": n, "of": n % 12})
            for n, text in enumerate(texts)
        ],
        EMBEDDER.embed_documents([f"invoice {'again ' * group}" for group, _ in words]),
    )
    searcher = Searcher(Shuffled(collection), EMBEDDER, index)
    whole = [hit.id for hit in searcher.search("invoice again", ranking=ranking, limit=48)]
    assert len(whole) == 48
    for where in ({"n": {"$gte": 0}}, {"of": {"$ne": 3}}, {"of": {"$gt": 5}}, {"n": {"$lt": 40}}):
        found = searcher.search("invoice again", ranking=ranking, limit=48, where=where)
        places = {hit.id: whole.index(hit.id) for hit in found}
        for group in range(12):  # scores are spread anew, but equal ones stay in their order
            equal = [place for name, place in places.items() if int(name[1:]) % 12 == group]
            assert equal == sorted(equal)


@pytest.mark.parametrize("ranking", ["Hybrid", "hybird", "", "bm25", None, 3])
def test_a_ranking_that_there_is_not_is_refused_and_not_taken_for_another(collection, ranking):
    with pytest.raises(InvalidSetting, match="is none of 'hybrid', 'dense', 'words'"):
        ask(collection, Words("r3"), "other", ranking=ranking)


def test_words_that_most_records_have_are_told_as_found():
    assert reasons_of(Hit(id="a", document="a", words=1e-6)) == "words <0.1"
    assert reasons_of(Hit(id="a", document="a", words=0.0, dense=0.5)) == "dense 0.500, words 0.0"


def test_words_alone_ask_no_model(collection):
    class NoModel:
        def embed_query(self, text):
            raise AssertionError(text)

    hits = Searcher(collection, NoModel(), Words("r3")).search("other", ranking="words")
    assert [hit.id for hit in hits] == ["r3"]


def test_equal_texts_are_one_hit_that_names_its_places():
    collection = new_collection()
    fill(collection, ["red  green\n", "blue", "red green", "red green", "green"])
    hits = ask(collection, Words("r2", "r1", "r0", "r3"), "red green", limit=2)
    [first, second] = hits
    assert first.id == "r2"
    assert [copy.id for copy in first.copies] == ["r0", "r3"]
    assert first.copies[0].words == 2.0
    assert second.document not in ("red green", "red  green\n")
    assert second.copies == ()


def test_copies_that_fill_all_places_do_not_hide_what_stands_behind_them():
    collection = new_collection()
    fill(collection, ["red green"] * 3 * DEPTH + ["red", "green"])
    hits = ask(collection, None, "red green", ranking="dense", limit=3)
    assert [hit.document for hit in hits] == ["red green", "red", "green"]
    assert len(hits[0].copies) == 3 * DEPTH - 1


def test_copies_behind_which_nobody_looks_are_told():
    collection = new_collection()
    fill(collection, ["red green"] * MAX_DEPTH + ["red", "green"])
    lacks = []
    assert len(ask(collection, None, "red green", ranking="dense", limit=3, lacks=lacks)) == 1
    assert lacks == [NOT_DEEPER]


@pytest.mark.parametrize("ranking", ["hybrid", "dense"])
def test_a_chroma_that_gives_no_more_of_the_nearest_is_told(indexed, ranking):
    """As Cloud by its quota: who asks for more would take what came for all there is."""
    collection, index = indexed([f"item{n}" for n in range(400)])
    collection.most_nearest = 300
    query = collection.query
    collection.query = lambda vector, *, limit=10, where=None: query(
        vector, limit=min(limit, 300), where=where
    )
    for limit, told in ((300, []), (350, [NOT_NEARER.format(300)])):
        lacks = []
        hits = ask(collection, index, "item5", ranking=ranking, limit=limit, lacks=lacks)
        assert (len(hits), lacks) == (300, told)


@pytest.mark.parametrize(
    ("where", "there"), [(None, 40), ({"even": True}, 20), ({"n": {"$lt": 3}}, 3)]
)
def test_records_to_which_no_graph_has_led_are_told(where, there):
    """As Chroma's own does among very many equal vectors: what is there is more than what came."""
    collection = new_collection()
    fill(collection, [f"item{n}" for n in range(40)])
    query = collection.query
    collection.query = lambda vector, *, limit=10, where=None: query(
        vector, limit=min(limit, 10), where=where
    )
    reached = min(there, 10)
    for limit, told in ((50, [NOT_REACHED.format(reached)] if there > reached else []), (3, [])):
        lacks = []
        hits = ask(
            collection, None, "item5", ranking="dense", limit=limit, where=where, lacks=lacks
        )
        assert (len(hits), lacks) == (min(limit, reached), told)


@pytest.mark.parametrize("ranking", ["hybrid", "dense", "words"])
def test_the_first_of_many_are_the_first_of_few_where_texts_are_equal(indexed, ranking):
    """The best by words and the nearest are copies of few texts: who asks for more looks deeper."""
    texts = [f"refund of {name}" for name in ("ale", "bread", "cheese") for _ in range(40)]
    texts += [f"refund in case{n}" for n in range(150)]
    texts += ["money in bread"] * 45 + ["money in"] * 50 + ["money", "bread"]
    collection, index = indexed(texts)
    searcher = Searcher(collection, Near("money in bread"), index)
    for question in ("refund", "refund money"):
        many = [hit.id for hit in searcher.search(question, ranking=ranking, limit=100)]
        assert len(many) > 50
        for limit in (1, 3, 5, 10, 30, 60):
            few = searcher.search(question, ranking=ranking, limit=limit)
            assert [hit.id for hit in few] == many[:limit]
            assert [hit.score for hit in few] == sorted((hit.score for hit in few), reverse=True)


def test_records_without_text_are_not_taken_for_equal():
    collection = new_collection()
    fill(collection, [" ", "\n", "red"])
    assert len(ask(collection, None, "red", ranking="dense")) == 3


def test_the_filter_holds_for_both_rankings(collection):
    index = Words("r3", "r4", "r1", "r2")
    where = {"even": False}
    hits = ask(collection, index, "red green blue", where=where)
    assert {hit.id for hit in hits} == {"r1", "r3"}
    with pytest.raises(InvalidSetting):
        ask(collection, index, "red", where={"a": 1, "b": 2})


def test_a_rare_match_of_a_filter_is_found_deep_in_the_ranking(collection):
    index = Words(*[f"gone{n}" for n in range(700)], "r4")
    hits = ask(collection, index, "nothing", limit=1, where={"n": 4})
    assert [hit.id for hit in hits] == ["r4"]


@pytest.mark.parametrize("most", [hybrid.MOST_MEETING, 3])
def test_what_meets_a_filter_is_found_behind_all_that_fits_better(indexed, monkeypatch, most):
    """Ten of 2,600 records, and hardly of the question; also where they are many to the server."""
    monkeypatch.setattr(hybrid, "MOST_MEETING", most)
    texts = [*["refund of it"] * 2590, *["of many words there is one about a refund"] * 9, "blue"]
    collection, index = indexed(texts)
    where = {"n": {"$gte": 2590}}
    hits = ask(collection, index, "refund", ranking="words", limit=9, where=where)
    assert [hit.id for hit in (*hits, *hits[0].copies)] == [f"r{n}" for n in range(2590, 2599)]
    assert "r2590" in {hit.id for hit in ask(collection, index, "refund", limit=3, where=where)}


def test_a_walk_that_ends_before_the_filter_is_met_says_so(indexed, monkeypatch):
    monkeypatch.setattr(hybrid, "MOST_MEETING", 3)
    monkeypatch.setattr(hybrid, "CANDIDATES", 200)
    texts = [*["refund of it"] * 300, *["of many words there is one about a refund"] * 9]
    collection, index = indexed(texts)
    for farthest, found, said in ((300, 0, [hybrid.NOT_WALKED]), (310, 1, [])):
        monkeypatch.setattr(hybrid, "FARTHEST", farthest)
        lacks = []
        hits = ask(
            collection,
            index,
            "refund",
            ranking="words",
            limit=9,
            where={"n": {"$gte": 300}},
            lacks=lacks,
        )
        assert (len(hits), lacks) == (found, said)


def test_what_has_common_words_alone_meets_a_filter_too(indexed):
    """Behind what has a rare one: the same order as without a filter."""
    texts = [*["refund of it"] * 2100, "refund of it once", "refund and more", "it", "blue"]
    collection, index = indexed(texts)
    assert [name for name, _ in index.search("refund once", limit=3000)][:2] == ["r2100", "r0"]
    where = {"n": {"$gte": 2100}}
    hits = ask(collection, index, "refund once", ranking="words", where=where)
    assert [hit.id for hit in hits] == ["r2100", "r2101"]


def test_what_the_index_has_and_the_collection_lacks_is_passed_over(collection):
    collection.delete(["r4"])
    hits = ask(collection, Words("r4", "r3"), "other", limit=4)
    assert len(hits) == 4
    assert "r4" not in {hit.id for hit in hits}


def test_an_empty_collection_has_no_hits(collection):
    collection.delete([f"r{n}" for n in range(5)])
    assert ask(collection, Words("r1"), "red") == []


def chunk(document, number):
    return Hit(id=f"{document}-{number}", document="x", metadata={"s3sync_chunk": number})


def test_a_hit_comes_with_the_chunks_around_it():
    collection = new_collection()
    texts = [f"part {n}" for n in range(5)]
    records = [
        Record(id=f"d-{n}", document=t, embedding_text=t, metadata={"s3sync_chunk": n})
        for n, t in enumerate(texts)
    ]
    collection.upsert(records, EMBEDDER.embed_documents(texts))
    stranger = Hit(id="own-1", document="x", metadata={})
    collection.calls.clear()
    first, last, alone = with_neighbours(collection, [chunk("d", 1), chunk("d", 4), stranger], 2)
    assert len(collection.calls) == 1
    assert [one.document for one in first.before] == ["part 0"]
    assert [one.document for one in first.after] == ["part 2", "part 3"]
    assert [one.document for one in last.before] == ["part 2", "part 3"]
    assert last.after == alone.before == alone.after == ()


def test_a_record_of_another_document_is_no_neighbour_whatever_its_id():
    collection = new_collection()
    own = {"s3sync_source": "s", "document_key_sha256": "k"}
    metadata = [own, own, own | {"document_key_sha256": "other"}, own | {"s3sync_source": "t"}, {}]
    records = [
        Record(id=f"d-{n}", document="x", embedding_text="x", metadata=told | {"s3sync_chunk": n})
        for n, told in enumerate(metadata)
    ]
    collection.upsert(records, EMBEDDER.embed_documents(["x"] * len(records)))
    hit = Hit(id="d-1", document="x", metadata=own | {"s3sync_chunk": 1})
    (found,) = with_neighbours(collection, [hit], 4)
    assert [one.id for one in found.before] == ["d-0"]
    assert found.after == ()


def test_hits_of_one_document_stand_together():
    stranger = Hit(id="own-1", document="x", metadata={})
    hits = [chunk("a", 4), chunk("b-2", 0), stranger, chunk("a", 1), chunk("b-2", 7)]
    assert [hit.id for hit in by_document(hits)] == ["a-4", "a-1", "b-2-0", "b-2-7", "own-1"]
    assert document_of(hits[1]) == ("b-2", 0)
    assert document_of(stranger) == ("own-1", None)


def test_a_record_of_which_no_words_are_known_is_not_put_behind_all_others(collection):
    """Of a person's own, or of a source that was deleted with its records kept."""
    texts = [f"invoice number{n} of the rules office" for n in range(12)]
    fill(collection, [*texts, "the rules of the house"])
    named = Words(*(f"r{n}" for n in range(12)))
    named.known = lambda ids: set(ids) & set(named.ids)
    hits = Searcher(collection, EMBEDDER, named).search("the rules of the house")
    assert (hits[0].id, hits[0].words) == ("r12", None)


def test_similarity_counts_for_both_rankings_where_no_words_are_known():
    nearest, words = [("stray", 0.9), ("a", 0.5), ("b", 0.4)], [("a", 9.0), ("b", 8.0)]
    assert fuse(nearest, words, ceiling=9.0)[-1][0] != "a"
    assert fuse(nearest, words, ceiling=9.0, alone={"stray"})[0][0] == "stray"
    assert fuse(nearest, words, ceiling=9.0)[0][0] == "a"
