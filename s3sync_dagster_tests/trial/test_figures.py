"""Which objects stand for a collection, and what their figures say of all of it."""

from types import SimpleNamespace

import numpy as np
import pytest

from s3sync_dagster.catalog.indexed import IndexedObject
from s3sync_dagster.engine.batch.groups import Write
from s3sync_dagster.evaluating import Question
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster.trial.comparing import Outcome, ask, difference, recalled, reciprocal, whole
from s3sync_dagster.trial.cutting import CutSample
from s3sync_dagster.trial.sample import Sample, choose


def indexed(*keys: str, chunks: int = 1, source_id: str = "s") -> list[IndexedObject]:
    return [
        IndexedObject(source_id=source_id, key=key, etag="", metadata={}, chunks=chunks)
        for key in keys
    ]


def outcome(
    counts: dict[str, int], cpu_seconds: float | None = 6.0, kept: tuple[str, ...] = ()
) -> Outcome:
    return Outcome(
        measured=(),
        counts={("s", key): number for key, number in counts.items()},
        failed=(),
        kept=frozenset(("s", key) for key in kept),
        text_bytes=500_000,
        texts=0,
        cpu_seconds=cpu_seconds,
        dimension=10,
    )


def test_the_hash_chooses_the_same_objects_again_and_more_of_them_where_more_are_asked_for():
    objects = indexed(*(f"{number}.md" for number in range(500)))
    few = choose(objects, answers=(), count=20)
    assert (len(few.objects), len(few.drawn), few.population, few.records) == (20, 20, 500, 500)
    assert choose(reversed(objects), answers=(), count=20) == few
    assert few.drawn < choose(objects, answers=(), count=40).drawn
    assert not few.whole
    assert choose(objects, answers=(), count=500).whole
    halves = [sum(int(key[:-3]) < 250 for _, key in few.drawn), 10]
    assert abs(halves[0] - halves[1]) < 8  # no stretch of keys is preferred


def test_what_answers_is_taken_besides_by_its_key_or_the_end_of_it():
    objects = indexed("a/b/guide.md", "a/myguide.md", "c/guide.md", "b/c.md", *"xyz")
    taken = choose(objects, answers={"guide.md", "b/c.md"}, count=1)
    assert {key for _, key in taken.answering} == {"a/b/guide.md", "c/guide.md", "b/c.md"}
    assert {(one.source_id, one.key) for one in taken.objects} == taken.answering | taken.drawn
    both = indexed("guide.md") + indexed("guide.md", source_id="t")
    assert len(choose(both, answers={"guide.md"}, count=1).objects) == 2


def sampled(*, answering: dict[str, int], drawn: dict[str, int], records: int) -> Sample:
    objects = [
        one for key, chunks in (answering | drawn).items() for one in indexed(key, chunks=chunks)
    ]
    return Sample(
        objects=tuple(objects),
        drawn=frozenset(("s", key) for key in drawn),
        answering=frozenset(("s", key) for key in answering),
        population=100,
        records=records,
    )


def test_what_was_read_is_counted_and_the_rest_is_like_what_only_the_hash_chose():
    sample = sampled(answering={"a": 10}, drawn={"a": 10, "b": 2, "c": 2}, records=114)
    now = outcome({"a": 10, "b": 2, "c": 2})
    today = whole(sample, now, now)
    assert today is not None
    assert today.records == 114
    tried = whole(sample, outcome({"a": 50, "b": 4, "c": 2}, cpu_seconds=5.6), now)
    assert tried is not None
    assert tried.records == 56 + 150  # the answer's 5 times as many say nothing of the others
    assert tried.vector_bytes == 206 * 10 * 4
    assert tried.cpu_seconds == pytest.approx(5.6 / 56 * 206)


def test_an_object_that_one_of_the_ways_could_not_read_says_nothing_of_the_others():
    sample = sampled(answering={"a": 10}, drawn={"a": 10, "b": 2, "c": 2}, records=114)
    all_of_it = outcome({"a": 10, "b": 2, "c": 4})
    some = outcome({"a": 10, "b": 3}, cpu_seconds=None)
    read, unread = whole(sample, all_of_it, some), whole(sample, some, all_of_it)
    assert read is not None
    assert read.records == 16 + 100  # by b alone, which is as it was
    assert unread is not None
    assert (unread.records, unread.cpu_seconds) == (13 + 150, None)
    assert whole(sample, outcome({"a": 10}), all_of_it) is None


def test_what_a_mode_keeps_as_it_is_is_counted_as_it_is_and_not_embedded():
    sample = sampled(answering={"a": 10}, drawn={"a": 10, "b": 4, "c": 4}, records=118)
    tried = outcome({"a": 20, "b": 8}, cpu_seconds=2.8, kept=("c",))
    found = whole(sample, tried, outcome({"a": 10, "b": 4}, kept=("c",)))
    assert found is not None
    assert found.records == 32 + 150  # half of what the hash chose has twice as many, half as many
    assert found.written == round(182 * 28 / 32)
    assert found.cpu_seconds == pytest.approx(2.8 / 28 * found.written)
    only = whole(sample, outcome({}, kept=("a", "b", "c")), outcome({}, kept=("a", "b", "c")))
    assert only is not None
    assert (only.records, only.written) == (118, 0)


def test_a_sample_that_is_the_collection_is_counted_alone_and_one_without_records_tells_nothing():
    all_of_it = sampled(answering={"a": 1}, drawn={"a": 1}, records=1)
    seven = outcome({"a": 7})
    found = whole(all_of_it, seven, seven)
    assert found is not None
    assert found.records == 7
    assert whole(sampled(answering={}, drawn={"a": 0}, records=9), seven, seven) is None


def test_differences_are_paired():
    ranks = [1, 2, None, 6], [1, 1, 3, None]
    found = difference(recalled(ranks[0], 5), recalled(ranks[1], 5))
    assert found.mean == pytest.approx(0.25)
    assert found.error == pytest.approx(0.25)  # one of four by 1: stdev 0.5 over 2
    assert difference(reciprocal(ranks[0]), reciprocal(ranks[0])).mean == 0
    assert difference(reciprocal(ranks[0]), reciprocal(ranks[0])).error == 0
    assert difference([0.0], [1.0]).error is None


class Refusing:
    """A model that refuses one text."""

    name, dimension, inferred = "refusing", 2, 0

    def embed_query(self, _text):
        return np.ones(2, dtype=np.float32)

    def embed_documents(self, texts):
        if any("zebra" in text for text in texts):
            raise LimitExceeded("no", reason="text_refused")
        return np.ones((len(texts), 2), dtype=np.float32)

    def configuration(self):
        return {}


def test_a_text_that_the_model_refuses_is_counted_and_ends_nothing(tmp_path):
    def written(name, text):
        metadata = {"document_key": name}
        record = Record(id=f"{name}-0", document=text, embedding_text=text, metadata=metadata)
        return Write(deed=None, target=None, document_id=name, records=(record,))

    writes = tuple(written(name, text) for name, text in (("a", "cats"), ("b", "a zebra")))
    cut = CutSample(
        writes=writes,
        names=(("s", "a"), ("s", "b")),
        failed=("empty_text",),
        kept=frozenset(),
        told={},
        text_bytes=9,
    )
    way = SimpleNamespace(embedder=Refusing(), local=True)
    found = ask(way, cut, [Question(question="cats", key="a")], reranker=None, folder=tmp_path)
    assert found.counts == {("s", "a"): 1}
    assert found.failed == ("empty_text", "text_refused")
