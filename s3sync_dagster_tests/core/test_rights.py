"""Who may read what: the filter for Chroma and the decision about one record agree."""

import pytest

from s3sync_dagster.core.filters import matches
from s3sync_dagster.core.rights import EVERYTHING, MAX_TERMS, WHOLE, Doubted, Reader, Rights
from s3sync_dagster.model.errors import InvalidSetting

RESTRICTED = {"a": ("team",), "b": ("team", "readers"), "c": ("readers",)}
OPEN = frozenset({"open"})
RECORDS = [
    {},
    {"team": "hr"},
    {"s3sync_source": "open"},
    {"s3sync_source": "open", "team": "sales"},
    *(
        {"s3sync_source": source, **said}
        for source in RESTRICTED
        for said in (
            {},
            {"team": "sales"},
            {"team": "hr"},
            {"readers": "sales"},
            {"readers": ["hr", "sales"]},
            {"readers": ["hr"]},
            {"team": "hr", "readers": ["ops"]},
            {"team": "*"},
            {"readers": ["*"]},
            {"team": 7},
            {"team": True},
            {"team": "Sales"},
            {"team": ""},
            {"readers": ["", "hr"]},
        )
    ),
]


@pytest.mark.parametrize("groups", [set(), {"sales"}, {"hr", "ops"}, {"7", "True"}, {"", "ops"}])
def test_the_filter_keeps_out_what_the_decision_does(groups):
    rights = Rights(reader=Reader(frozenset(groups)), restricted=RESTRICTED, open_sources=OPEN)
    where = rights.narrowed(None)
    assert where is not None
    for record in RECORDS:
        assert matches(record, where) == rights.allow_record(record), record
        if record.get("team") == "":  # what is disputed, and a tag without a value
            assert not rights.allow_record(record), record


def test_documents_that_are_doubted_are_kept_out_by_filter_and_decision_alike():
    doubted = Doubted(documents=frozenset({("a", "1")}), keys={"a": frozenset({"x.md"})})
    rights = Rights(
        reader=Reader(frozenset({"sales"})),
        restricted=RESTRICTED,
        open_sources=OPEN,
        doubted=doubted,
    )
    where = rights.narrowed(None)
    assert where is not None
    for source in ("a", "b", "open"):
        for key in ("x.md", "y.md"):
            record = {"s3sync_source": source, "document_key": key, "team": "sales"}
            seen = (source, key) != ("a", "x.md")
            assert matches(record, where) == rights.allow_record(record) == seen, record
    assert matches({}, where)


def test_what_names_nobody_is_for_those_who_read_everything():
    record = {"s3sync_source": "a"}
    member = Rights(reader=Reader(frozenset({"sales"})), restricted=RESTRICTED)
    assert not member.allow_record(record)
    assert member.allow_record({**record, "team": "sales"})
    assert member.allow_record({**record, "team": "*"})
    owner = Rights(reader=EVERYTHING, restricted=RESTRICTED)
    assert owner.allow_record(record)
    assert owner.narrowed(None) is None
    assert WHOLE.narrowed({"a": 1}) == {"a": 1}


def test_a_filter_of_the_question_narrows_further():
    rights = Rights(reader=Reader(frozenset({"sales"})), restricted=RESTRICTED)
    where = rights.narrowed({"$or": [{"s3sync_source": "a"}, {"s3sync_source": "b"}]})
    assert where is not None
    assert not matches({"s3sync_source": "a", "team": "hr"}, where)
    assert matches({"s3sync_source": "a", "team": "sales"}, where)


def test_more_groups_than_a_filter_holds_are_refused():
    many = frozenset(str(number) for number in range(MAX_TERMS))
    with pytest.raises(InvalidSetting):
        Rights(reader=Reader(many), restricted=RESTRICTED).narrowed(None)


@pytest.mark.parametrize("number", [64, 1000])
def test_doubted_documents_of_many_sources_are_kept_back_side_by_side(number):
    """A Chroma refuses a filter of some sixty levels, and one of some thousand parts."""
    ids = [f"source-{one}" for one in range(number)]
    rights = Rights(
        reader=Reader(frozenset({"sales"})),
        restricted=dict.fromkeys(ids, ("team",)),
        doubted=Doubted(keys={one: frozenset({f"key-{one}"}) for one in ids}),
    )
    where = rights.narrowed({"lang": "de"})
    assert where is not None
    assert len(where["$and"]) <= 200
    assert _depth(where) < 20
    seen = {"s3sync_source": ids[-1], "team": "sales", "lang": "de"}
    assert matches({**seen, "document_key": "another"}, where)
    assert not matches({**seen, "document_key": f"key-{ids[-1]}"}, where)
    assert not matches({**seen, "document_key": "another", "team": "hr"}, where)
    assert not matches({**seen, "document_key": "another", "lang": "en"}, where)
    other = {"s3sync_source": "open", "document_key": f"key-{ids[0]}", "lang": "de"}
    assert matches(other, where)


def _depth(one: object) -> int:
    parts = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return 1 + max(map(_depth, parts), default=0)
