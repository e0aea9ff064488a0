"""A sidecar is followed to the letter or refused with a reason; nothing in between."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sync_dagster.core.sidecar import MAX_SIDECAR_BYTES, is_sidecar, parse_sidecar
from s3sync_dagster.model.errors import InvalidSidecar
from s3sync_dagster.model.source import Source
from s3sync_dagster_tests.sources import s3_source

SOURCE = s3_source(id="1", name="s", bucket_name="b", collection_name="ccc", path_prefix="docs/")
GOOD: dict[str, Any] = {"version": "chroma-v1", "id": "report-7", "path": "docs/a.pdf"}


def parse(fields: object, source: Source = SOURCE) -> Any:
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return parse_sidecar(body, source=source, key="docs/a.meta.json")


@pytest.mark.parametrize(
    ("key", "expected"),
    [("a.meta.json", True), (".meta.json", True), ("x/y.meta.json", True), ("a.json", False)]
    + [("ameta.json", False), ("a.meta.json/", False), ("A.META.JSON", False)],
)
def test_names(key: str, expected: bool) -> None:
    assert is_sidecar(key) is expected


def test_the_shortest_sidecar() -> None:
    sidecar = parse(GOOD)
    assert (sidecar.path, sidecar.custom_id) == ("docs/a.pdf", "report-7")
    assert sidecar.target_collection_name is None
    assert dict(sidecar.metadata) == {}


def test_all_fields() -> None:
    metadata = {"year": 2024, "tags": ["a", "b"], "draft": False, "score": 0.5, "none": None}
    sidecar = parse(GOOD | {"target_collection_name": "other", "metadata": metadata})
    assert sidecar.target_collection_name == "other"
    assert dict(sidecar.metadata) == metadata


def test_null_is_absent_and_a_byte_order_mark_is_borne() -> None:
    body = (
        b"\xef\xbb\xbf"
        + json.dumps(GOOD | {"target_collection_name": None, "metadata": None}).encode()
    )
    assert parse(body).target_collection_name is None


REFUSED = [
    (b"", "invalid_json"),
    (b"{", "invalid_json"),
    (b"\xff\xfe{\x00}\x00", "invalid_json"),
    (b"[" * 100_000, "invalid_json"),
    (b'{"version": "chroma-v1", "id": "a", "id": "b", "path": "docs/a"}', "invalid_json"),
    (b'{"version": "chroma-v1", "id": "a", "path": "docs/a", "metadata": {"x": NaN}}',)
    + ("invalid_json",),
    (b" " * (MAX_SIDECAR_BYTES + 1), "too_large"),
    ([], "wrong_type"),
    ("text", "wrong_type"),
    ({}, "wrong_version"),
    (GOOD | {"version": "chroma-v2"}, "wrong_version"),
    (GOOD | {"version": 1}, "wrong_version"),
    ({"version": "chroma-v1", "id": "x"}, "missing_field"),
    ({"version": "chroma-v1", "path": "docs/x"}, "missing_field"),
    (GOOD | {"extra": 1}, "unknown_field"),
    (GOOD | {"id": 7}, "wrong_type"),
    (GOOD | {"path": None}, "wrong_type"),
    (GOOD | {"target_collection_name": 5}, "wrong_type"),
    (GOOD | {"metadata": []}, "wrong_type"),
    (GOOD | {"id": ""}, "invalid_id"),
    (GOOD | {"id": "x" * 121}, "invalid_id"),
    (GOOD | {"id": "\ud800"}, "invalid_id"),
    (GOOD | {"path": ""}, "invalid_path"),
    (GOOD | {"path": "docs/" + "k" * 1020}, "invalid_path"),
    (GOOD | {"path": "docs/\ud800"}, "invalid_path"),
    (GOOD | {"path": "other/a.pdf"}, "outside_prefix"),
    (GOOD | {"path": "/docs/a.pdf"}, "outside_prefix"),
    (GOOD | {"path": "docs/b.meta.json"}, "path_is_sidecar"),
    (GOOD | {"target_collection_name": "x"}, "invalid_collection_name"),
    (GOOD | {"target_collection_name": "../x"}, "invalid_collection_name"),
    (GOOD | {"metadata": {"chroma:document": "x"}}, "invalid_metadata"),
    (GOOD | {"metadata": {"s3sync_source": "x"}}, "invalid_metadata"),
    (GOOD | {"metadata": {"document_key": "x"}}, "invalid_metadata"),
    (GOOD | {"metadata": {"nested": {"a": 1}}}, "invalid_metadata"),
    (GOOD | {"metadata": {"mixed": [1, "a"]}}, "invalid_metadata"),
    (GOOD | {"metadata": {"empty": []}}, "invalid_metadata"),
    (GOOD | {"metadata": {"big": 2**70}}, "invalid_metadata"),
    (GOOD | {"metadata": {"inf": 1e308}} | {"metadata": {"k" * 37: 1}}, "invalid_metadata"),
]


@pytest.mark.parametrize(
    ("fields", "reason"), REFUSED, ids=[f"{n}-{case[1]}" for n, case in enumerate(REFUSED)]
)
def test_what_cannot_be_followed(fields: object, reason: str) -> None:
    with pytest.raises(InvalidSidecar) as caught:
        parse(fields)
    assert caught.value.reason == reason
    assert "'docs/a.meta.json'" in caught.value.message


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"id": ""}, "id"),
        ({"path": ""}, "path"),
        ({"target_collection_name": "x"}, "target_collection_name"),
    ],
)
def test_a_refusal_names_the_field(fields: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidSidecar, match=rf"\b{named}\b"):
        parse(GOOD | fields)


def test_a_number_too_large_for_a_float_is_refused() -> None:
    body = b'{"version":"chroma-v1","id":"a","path":"docs/a","metadata":{"x":1e999}}'
    with pytest.raises(InvalidSidecar) as caught:
        parse(body)
    assert caught.value.reason == "invalid_metadata"


def test_the_source_s_id_prefix_counts() -> None:
    source = SOURCE.with_changes(id_prefix="p" * 56)
    assert parse(GOOD | {"id": "x" * 64}, source).custom_id == "x" * 64
    with pytest.raises(InvalidSidecar) as caught:
        parse(GOOD | {"id": "x" * 65}, source)
    assert caught.value.reason == "invalid_id"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(
    st.one_of(
        st.binary(max_size=50),
        json_values.map(lambda value: json.dumps(value).encode()),
        st.fixed_dictionaries(
            {"version": st.just("chroma-v1"), "id": json_values, "path": json_values},
            optional={"metadata": json_values, "target_collection_name": json_values},
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_hostile_sidecars_are_followed_or_refused(body: bytes) -> None:
    try:
        sidecar = parse(body)
    except InvalidSidecar:
        return
    assert sidecar.path.startswith("docs/")
