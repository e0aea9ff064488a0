"""Partition keys carry any object key through Dagster; ids stay within Chroma's limits."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sync_dagster.core.keys import (
    MAX_PARTITION_KEY_BYTES,
    document_id,
    object_key_of,
    partition_key,
    validate_collection_name,
    validate_custom_id,
    validate_id_prefix,
    validate_object_key,
    validate_source_name,
)
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster_tests.contracts.object_worlds import AWKWARD_KEYS

TROUBLE = ["...", "....", "|", ",", "[", "]", "%", "%41", "%2C", " ", "/", ".", '"', "\\", "~"]
keys = st.lists(
    st.one_of(
        st.sampled_from(TROUBLE),
        st.characters(exclude_categories=["Cs"]),
        st.characters(min_codepoint=0, max_codepoint=0x250),
        st.sampled_from(["\u2028", "\u2029", "\ufeff", "📄", "中", "é", "e\u0301"]),
    ),
    min_size=1,
    max_size=40,
).map("".join)
long_keys = st.tuples(keys, st.integers(1, 400)).map(
    lambda parts: (parts[0] * parts[1]).encode()[:1024].decode(errors="ignore") or "x"
)
REFUSED = re.compile(r"[\x00-\x1f|,\[\]\"\\\u2028\u2029\ufeff]|\.\.\.")


def bearable(partition: str) -> bool:
    """Tell whether the UI, the command line and both storages carry it."""
    return (
        bool(partition)
        and not REFUSED.search(partition)
        and partition == partition.strip(" ")
        and len(partition.encode()) <= MAX_PARTITION_KEY_BYTES
    )


@given(keys)
def test_short_keys_come_back(key: str) -> None:
    partition = partition_key(key)
    assert bearable(partition)
    assert object_key_of(partition) == key


@given(long_keys)
def test_long_keys_are_bearable_and_come_back_or_say_that_they_cannot(key: str) -> None:
    partition = partition_key(key)
    assert bearable(partition)
    assert object_key_of(partition) in (key, None)


@given(st.lists(st.one_of(keys, long_keys), min_size=2, max_size=30, unique=True))
def test_different_keys_have_different_partitions(some: list[str]) -> None:
    assert len({partition_key(key) for key in some}) == len(some)


@given(keys)
def test_what_people_type_always_means_some_key(typed: str) -> None:
    assert object_key_of(typed) is not None


@pytest.mark.parametrize("key", AWKWARD_KEYS, ids=ascii)
def test_awkward_keys(key: str) -> None:
    partition = partition_key(key)
    assert bearable(partition)
    assert object_key_of(partition) in (key, None)


@pytest.mark.parametrize(
    ("key", "partition"),
    [
        ("reports/2024/über uns.pdf", "reports/2024/über uns.pdf"),
        ("a,b [1]...x|y%.pdf", "a%2Cb %5B1%5D%2E%2E%2Ex%7Cy%25.pdf"),
        ("..", ".."),
        ("//", "//"),
        (" ", "%20"),
        (" a ", "%20a%20"),
        ("a\n", "a%0A"),
        ("a \n", "a %0A"),
    ],
)
def test_readable_keys_stay_readable(key: str, partition: str) -> None:
    assert partition_key(key) == partition


def test_typed_percent_signs_are_taken_as_they_stand() -> None:
    assert object_key_of("50%.pdf") == "50%.pdf"
    assert object_key_of("%FF") == "%FF"  # not UTF-8
    assert object_key_of("a%2fb") == "a%2fb"  # this project writes upper case only


def test_a_capped_key_is_cut_neither_in_a_character_nor_in_its_escapes() -> None:
    for length in range(20):
        for filler in ("\u2028", "📄", "é", "%", ".", "\U0001f9d1\u200d"):
            key = ("x" * length + filler * 1024).encode()[:1024].decode(errors="ignore")
            partition = partition_key(key)
            stem, tilde, digest = partition.rpartition("~")
            if not tilde:
                assert object_key_of(partition) == key
                continue
            assert digest == hashlib.sha256(key.encode()).hexdigest()[:32]
            whole = object_key_of(stem)
            assert whole is not None
            assert key.startswith(whole.rstrip("."))


def test_a_key_of_capped_form_is_hashed_from_the_shortest_that_a_cut_can_leave() -> None:
    # 1,200 bytes less one byte short of the longest character, and 32 digits of the hash.
    for size, hashed in ((1220, False), (1221, True)):
        # A form feed is escaped: three bytes of the partition for one of the key.
        tail = "~" + "0" * 32
        key = "\f" * 200 + "a" * (size - 600 - len(tail)) + tail
        assert (partition_key(key).rpartition("~")[2] != "0" * 32) is hashed


def test_a_true_key_of_capped_form_is_not_mistaken() -> None:
    long = "%" * 1024
    capped = partition_key(long)
    assert object_key_of(capped) is None
    # A key whose escaped form would be exactly that partition key: 1,233 bytes from 411 escapes.
    twin = object_key_of(capped.replace("~", "!"))
    assert twin is not None
    twin = twin.replace("!", "~")
    assert partition_key(twin) != capped


@given(keys, st.text(min_size=1, max_size=10))
def test_document_ids(key: str, prefix: str) -> None:
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert document_id(key, custom_id=None, id_prefix="") == digest
    assert document_id(key, custom_id="mine", id_prefix=prefix) == prefix + "mine"


@pytest.mark.parametrize("name", ["a", "Docs_2", "_x", "1", "x" * 100])
def test_good_source_names(name: str) -> None:
    validate_source_name(name)


@pytest.mark.parametrize(
    "name", ["", "a-b", "a b", "a.b", "é", "a\n", "catalog", "x" * 101, "a/b", "٣"]
)
def test_bad_source_names(name: str) -> None:
    with pytest.raises(InvalidSetting, match="name"):
        validate_source_name(name)


def test_custom_ids_keep_room_for_the_chunk_number() -> None:
    validate_custom_id("x" * 120)
    validate_custom_id("é" * 60)
    validate_custom_id("x" * 64, id_prefix="p" * 56)
    for custom_id, prefix in (
        ("x" * 121, ""),
        ("é" * 61, ""),
        ("x" * 65, "p" * 56),
        ("", ""),
        ("a\x00b", ""),
        ("a\nb", ""),
        ("\ud800", ""),
    ):
        with pytest.raises(InvalidSetting, match="custom_id"):
            validate_custom_id(custom_id, id_prefix=prefix)


def test_id_prefixes_leave_room_for_a_hash() -> None:
    validate_id_prefix("")
    validate_id_prefix("p" * 56)
    for prefix in ("p" * 57, "é" * 29, "a\x7f", "\udfff"):
        with pytest.raises(InvalidSetting, match="id_prefix"):
            validate_id_prefix(prefix)


def test_object_keys_are_what_s3_has() -> None:
    for key in AWKWARD_KEYS:
        validate_object_key(key)
    for key in ("", "k" * 1025, "é" * 513, "\ud83d"):
        with pytest.raises(InvalidSetting, match="object_key"):
            validate_object_key(key)


@pytest.mark.parametrize("name", ["abc", "a.b-c_d", "Docs", "1a2", "x" * 128])
def test_good_collection_names(name: str) -> None:
    validate_collection_name(name)


@pytest.mark.parametrize(
    "name", ["", "ab", "x" * 129, "-abc", "abc-", "a..b", "127.0.0.1", "a b", "é12", "abc\n"]
)
def test_bad_collection_names(name: str) -> None:
    with pytest.raises(InvalidSetting, match="collection_name"):
        validate_collection_name(name)


def test_a_partition_key_is_readable_up_to_its_limit() -> None:
    fits, too_long = "\f" * 238 + "a" * 786, "\f" * 239 + "a" * 784  # 1,500 and 1,501 bytes
    assert object_key_of(partition_key(fits)) == fits
    assert partition_key(too_long).rpartition("~")[1] == "~"


def test_a_collection_name_has_128_characters_at_most() -> None:
    validate_collection_name("c" * 128)
    with pytest.raises(InvalidSetting):
        validate_collection_name("c" * 129)
