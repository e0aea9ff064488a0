"""What is as large as something else and says nothing of it."""

import json
from typing import Any

import pytest

from s3sync_dagster.core.neutral import (
    largest_records,
    largest_texts,
    neutral_record,
    neutral_text,
    neutral_value,
)
from s3sync_dagster.core.record_limits import validate_record
from s3sync_dagster.model.document import Record

TEXTS = {
    "prose": "The quick brown fox jumps over the lazy dog, and nothing else happens. " * 4,
    "numbers": "12.5,3.75,1881,-4\n" * 9,
    "code": "def f(x):\n\treturn x[0] + {'a': \"b\\n\"}.get(1)\r\n" * 5,
    "Chinese": "中文文本测试，没有别的。" * 9,
    "Russian": "Привет, это русский текст. " * 9,
    "emoji": "😀🎉 ok " * 9,
    "control characters": "a\x00b\x01" * 9,
    "short": "new",
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_neutral_text_has_the_size_and_none_of_the_words(kind):
    text = TEXTS[kind]
    made = neutral_text(text)
    assert (len(made.encode()), len(made)) == (len(text.encode()), len(text))
    assert len(made.split()) >= len(text.split())
    assert set(made) <= set('a7,;"§¿龘𠀀 \n\r\t')
    if kind != "control characters":  # JSON writes those in six bytes
        assert len(json.dumps(made)) >= 0.9 * len(json.dumps(text))


@pytest.mark.parametrize("kind", TEXTS)
def test_a_seed_makes_it_another_text_of_that_size(kind):
    one, two = (neutral_text(TEXTS[kind], seed=seed) for seed in ("01234567", "01234587"))
    assert one != two
    assert len(one.encode()) == len(two.encode()) == max(len(TEXTS[kind].encode()), 8)


@pytest.mark.parametrize(
    "value", ["text", 2**63 - 1, -(2**63), 0, 0.1, 1e300, True, None, ["a", "bc"], [1, -22], [0.5]]
)
def test_a_neutral_value_keeps_type_and_length(value):
    made = neutral_value(value)
    assert type(made) is type(value)
    if isinstance(value, list) and isinstance(made, list):
        assert [type(item) for item in made] == [type(item) for item in value]
    assert abs(len(json.dumps(made)) - len(json.dumps(value))) <= 2


def test_a_neutral_record_has_the_keys_its_source_and_an_id_of_no_document():
    metadata = {"document_key": "secret/key.txt", "s3sync_source": "other", "n": 7, "old": None}
    like = Record(id="x" * 70 + "-12", document="word " * 9, embedding_text="t", metadata=metadata)
    made = neutral_record(like, name="s3sync-probe-1", source_id="s1")
    validate_record(made)
    assert list(made.metadata) == list(metadata)
    assert (made.metadata["s3sync_source"], made.metadata["old"]) == ("s1", None)
    assert "secret" not in repr(made)
    assert made.id.startswith("s3sync-probe-1-")
    assert len(made.id) == len(like.id)
    assert not made.id.rpartition("-")[2].isdigit()


def test_the_largest_are_found_by_each_measure():
    long, dense, words = "x".ljust(100) + "x", "," * 80, "a " * 40 + "b"
    assert set(largest_texts(["x", long, words, dense, "y"])) == {long, words, dense}
    assert largest_texts([]) == []

    def record(name: str, text: str = "t", **metadata: Any) -> Record:
        return Record(id=name, document=text, embedding_text=text, metadata=metadata)

    records = [
        record("long", "x" * 99),
        record("value", a="x" * 99),
        record("keys", **dict.fromkeys("abcdefghi", 1)),
        record("cleared", gone=None),
        record("small", a=1),
    ]
    assert {one.id for one in largest_records(records)} == {"long", "value", "keys", "cleared"}
