"""Identity and metadata of records, and each limit of Chroma Cloud."""

import math
from dataclasses import replace

import pytest

from s3sync_dagster.core.record_limits import CONTRACT_KEYS, MAX_USER_KEYS
from s3sync_dagster.core.records import (
    build_records,
    metadata_digest,
    sha256_hex,
    text_digest,
    validate_record,
    validate_user_metadata,
)
from s3sync_dagster.model.document import Chunk, Record
from s3sync_dagster.model.errors import RecordRejected
from s3sync_dagster_tests.sources import s3_source

SOURCE = s3_source(
    id="6f0c8ad0-4f7b-4d4e-9a53-3a2f3f6f6f10", name="docs", bucket_name="b", collection_name="c"
)


def chunk(index: int = 0, **changes) -> Chunk:
    values = {
        "index": index,
        "text": f"text {index}",
        "start_line": 1 + index,
        "end_line": 2 + index,
        "start_col": 1,
        "end_col": 7,
        "start_byte": 0,
        "end_byte": 6,
        "strategy": "tree_sitter",
    }
    return Chunk(**(values | changes))


def build(chunks, metadata=None, **changes):
    values = {
        "object_key": "docs/a.md",
        "document_id": sha256_hex("docs/a.md"),
        "etag": "e1",
        "version_key": "e1",
        "custom_id": None,
    }
    return build_records(SOURCE, metadata=metadata or {}, chunks=chunks, **(values | changes))


def record(**changes) -> Record:
    values = {"id": "a-0", "document": "d", "embedding_text": "d", "metadata": {"k": 1}}
    return Record(**(values | changes))


def test_a_record_has_the_ids_and_names_that_people_rely_on():
    first, second = build(
        [
            chunk(0, language="python", symbol="A.b", context="a.md > A\n"),
            chunk(1, heading_path="One > Two", page="12"),
        ],
        {"team": "x", "tags": ["a", "b"]},
    )
    key_hash = sha256_hex("docs/a.md")
    assert (first.id, second.id) == (f"{key_hash}-0", f"{key_hash}-1")
    assert first.document == "text 0"
    assert first.embedding_text == "a.md > A\ntext 0"
    assert first.metadata == {
        "document_key": "docs/a.md",
        "document_key_sha256": key_hash,
        "version_key": "e1",
        "version_key_sha256": sha256_hex("e1"),
        "chunk_strategy": "tree_sitter",
        "language": "python",
        "start_line": 1,
        "end_line": 2,
        "start_col": 1,
        "end_col": 7,
        "symbol": "A.b",
        "team": "x",
        "tags": ["a", "b"],
        "s3sync_source": SOURCE.id,
        "s3sync_bucket": "b",
        "s3sync_etag": "e1",
        "s3sync_chunk": 0,
        "s3sync_chunk_count": 2,
    }
    assert second.metadata["page"] == "12"
    assert second.metadata["heading_path"] == "One > Two"
    assert "s3sync_chunk_count" not in second.metadata
    assert "language" not in second.metadata


def test_what_the_chunker_had_to_do_stands_in_the_metadata():
    plain, told = build([chunk(), chunk(1, fallback="parse_timeout", repeated_header=True)])
    assert told.metadata["s3sync_fallback"] == "parse_timeout"
    assert told.metadata["s3sync_repeated_header"] is True
    assert not {"s3sync_fallback", "s3sync_repeated_header"} & set(plain.metadata)


def test_a_custom_id_stands_in_the_metadata_too():
    (made,) = build([chunk()], custom_id="handbook", document_id="p:handbook")
    assert made.id == "p:handbook-0"
    assert made.metadata["custom_id"] == "handbook"


def test_a_users_key_wins_over_a_plain_one():
    (made,) = build([chunk(page="3", symbol="S")], {"page": "mine"})
    assert made.metadata["page"] == "mine"
    assert made.metadata["symbol"] == "S"


def test_plain_keys_are_given_up_before_the_limit_of_keys():
    full = {f"u{i}": i for i in range(MAX_USER_KEYS)}
    (made,) = build(
        [chunk(page="3", symbol="S", heading_path="H", language="c")], full, custom_id="x"
    )
    assert len(made.metadata) == 32
    assert not {"page", "symbol", "heading_path"} & set(made.metadata)
    del full["u0"]
    (made,) = build([chunk(page="3", symbol="S", heading_path="H")], full)
    assert made.metadata["page"] == "3"
    assert "symbol" not in made.metadata


def test_a_long_plain_value_is_cut_between_characters():
    (made,) = build([chunk(symbol="é" * 5000)])
    assert made.metadata["symbol"] == "é" * 512


@pytest.mark.parametrize("heading", ["Überschrift", "Überschrift " * 200])
def test_what_many_records_say_alike_is_one_text_in_memory(heading):
    chunks = [chunk(number, heading_path=heading, page=f"p{number}") for number in range(300)]
    values = [one.metadata["heading_path"] for one in build(chunks)]
    assert len(set(map(id, values))) == 1
    assert heading.startswith(values[0])
    assert heading == values[0] or len(values[0].encode()) == 1024


def test_a_key_that_is_cleared_counts_as_absent_in_the_digest():
    (made,) = build([chunk(page="1")], {"team": "x"})
    cleared = replace(made, metadata={**made.metadata, "old": None, "symbol": None})
    assert metadata_digest(made.metadata) == metadata_digest(cleared.metadata)
    validate_record(cleared)


def test_text_and_metadata_have_digests_of_their_own():
    (old,) = build([chunk()])
    (other_etag,) = build([chunk()], etag="e2")
    assert text_digest(old) == text_digest(other_etag)
    assert metadata_digest(old.metadata) != metadata_digest(other_etag.metadata)
    (moved_context,) = build([chunk(context="x\n")])
    assert text_digest(moved_context) != text_digest(old)
    assert len(text_digest(old)) == len(metadata_digest(old.metadata)) == 8
    shifted = replace(old, document="text", embedding_text=" 0" + old.embedding_text)
    assert text_digest(shifted) != text_digest(old)


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("document_key", "x", "reserved"),
        ("s3sync_source", "x", "reserved"),
        ("chroma_x", "x", "reserved"),
        ("k" * 37, 1, "37 bytes"),
        ("", 1, "empty"),
        ("#k", 1, "refused"),
        ("$k", 1, "refused"),
        ("k\ud800", 1, "surrogate"),
        ("k", math.nan, "finite"),
        ("k", [1.0, math.inf], "finite"),
        ("k", 2**63, "64 bits"),
        ("k", [-(2**63) - 1], "64 bits"),
        ("k", [], "empty"),
        ("k", [1, 2.0], "same type"),
        ("k", [True, 1], "same type"),
        ("k", [None], "NoneType"),
        ("k", [["a"]], "list"),
        ("k", {"a": 1}, "dict"),
        ("k", b"x", "bytes"),
        ("k", "x" * 8_183, "8183 bytes"),
        ("k", ["x" * 5_000, "y" * 5_000], "10000 bytes"),
        ("k", ["ok", "\udfff"], "surrogate"),
        (7, "x", "not a string"),
    ],
)
def test_user_metadata_that_chroma_cannot_hold_is_refused_with_its_key(key, value, rule):
    with pytest.raises(RecordRejected, match=rule) as caught:
        validate_user_metadata({key: value})
    if isinstance(key, str) and key.isalnum():
        assert ascii(key)[1:20] in caught.value.message


def test_user_metadata_that_fits_is_accepted():
    validate_user_metadata(
        {"s": "x" * 8_182, "i": 2**63 - 1, "j": -(2**63), "f": 1e308, "b": True, "n": None}
    )
    validate_user_metadata({"a": ["x", "x"], "b": [1, 2], "c": [0.5], "d": [True, False]})
    with pytest.raises(RecordRejected, match="17 keys"):
        validate_user_metadata({f"k{i}": 1 for i in range(MAX_USER_KEYS + 1)})


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"id": ""}, "id is empty"),
        ({"id": "é" * 65}, "130 bytes"),
        ({"id": "a\ud800"}, "surrogate"),
        ({"document": ""}, "empty"),
        ({"document": "é" * 8_193}, "16386 bytes"),
        ({"document": "\udc00"}, "surrogate"),
        ({"embedding_text": "\udc00"}, "surrogate"),
        ({"metadata": {}}, "no metadata"),
        ({"metadata": {"gone": None}}, "no metadata"),
        ({"metadata": {f"k{i}": 1 for i in range(33)}}, "33 metadata keys"),
        ({"metadata": {"chroma:document": "x"}}, "refused"),
    ],
)
def test_a_record_beyond_a_limit_is_refused(changes, rule):
    with pytest.raises(RecordRejected, match=rule) as caught:
        validate_record(record(**changes))
    assert caught.value.reason == "record_rejected"


def test_a_record_at_the_limits_is_accepted():
    validate_record(
        record(
            id="x" * 128,
            document="x" * 16_384,
            embedding_text="x" * 20_000,
            metadata={f"{i:036}": "v" for i in range(32)},
        )
    )


def test_a_text_one_byte_longer_than_the_limit_is_refused():
    with pytest.raises(RecordRejected, match="16385 bytes, limit 16384"):
        validate_record(record(document="x" * 16_385))


@pytest.mark.parametrize("key", ["document_key", "document_key_sha256", "s3sync_source"])
def test_nobody_brings_metadata_under_the_names_of_the_contract(key):
    with pytest.raises(RecordRejected, match=key):
        build([chunk()], {key: "mine"})


def test_the_names_of_the_contract_are_those_on_a_record():
    (one,) = build([chunk()])
    assert {key for key in one.metadata if not key.startswith("s3sync_")} <= CONTRACT_KEYS
    assert {"document_key", "document_key_sha256", "start_line", "end_line"} <= set(one.metadata)


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        (["x" * 4091] * 2, True),
        (["x" * 4091, "x" * 4092], False),
        ([1] * 1022, True),
        ([1] * 1023, False),
    ],
)
def test_an_array_is_as_long_as_a_text_may_be(values, fits):
    """8,182 bytes: those of its texts, and 8 a number."""
    if fits:
        validate_user_metadata({"a": values})
        return
    with pytest.raises(RecordRejected, match="limit 8182"):
        validate_user_metadata({"a": values})
