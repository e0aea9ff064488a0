"""Whose a record is that bears the id of a source with lives that ended, by where it stands."""

import pytest

from s3sync_dagster.core.lives import Life, Lives, is_of
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.sources import changed, s3_source

SOURCE = s3_source(
    id="mine", name="mine", bucket_name="here", path_prefix="in/", collection_name="docs"
)
TENANT, DATABASE = SOURCE.tenant, SOURCE.database_name
PLACE = (TENANT, DATABASE, "docs")
ELSEWHERE = [(TENANT, DATABASE, "other"), (TENANT, "db", "docs"), ("t", DATABASE, "docs")]


def told(bucket="here", key="in/a.md"):
    return {"s3sync_source": "mine", "s3sync_bucket": bucket, "document_key": key}


def life(**options):
    return Life(**{"places": {PLACE}, "bucket_name": "here", "path_prefix": "in/", **options})


@pytest.mark.parametrize(
    ("place", "said", "answer"),
    [
        (PLACE, told(), True),
        (PLACE, told(bucket="there"), False),
        (PLACE, told(key="out/a.md"), False),
        (PLACE, {}, False),
        *((one, told(), False) for one in ELSEWHERE),
    ],
)
def test_a_life_had_records_in_its_place_alone(place, said, answer):
    assert Lives(ended=[life()]).over(place, said) is answer
    assert Lives(ended=[life(kept=True)]).kept(place, said) is answer


def test_what_is_of_a_life_that_ends_now_is_the_work_of_the_source_that_is_there():
    moved, kept = Lives(leaving=life()), Lives(leaving=life(kept=True))
    assert (moved.over(PLACE, told()), moved.before(PLACE, told())) == (True, False)
    assert (kept.over(PLACE, told()), kept.before(PLACE, told())) == (False, True)
    assert Lives(ended=[life()], leaving=life()).before(PLACE, told())
    assert not Lives(leaving=life(chroma="http://a:8000")).at("http://b:8000").over(PLACE, told())


def test_where_no_life_is_known_nothing_is_over():
    assert not Lives().over(PLACE, told())


def test_what_a_person_has_kept_of_one_life_is_over_by_no_other():
    both = Lives(ended=[life(), life(kept=True)])
    assert (both.over(PLACE, told()), both.kept(PLACE, told())) == (False, True)
    apart = Lives(ended=[life(), life(kept=True, bucket_name="there")])
    assert (apart.over(PLACE, told()), apart.kept(PLACE, told())) == (True, False)
    assert (apart.over(PLACE, told("there")), apart.kept(PLACE, told("there"))) == (False, True)


@pytest.mark.parametrize(
    ("changes", "over"),
    [
        ({}, False),
        ({"bucket_name": "there"}, False),  # its own collection, whatever the bucket
        ({"collection_name": "new"}, False),  # its own bucket, in its database
        ({"collection_name": "new", "bucket_name": "there"}, True),
        ({"tenant": "t"}, True),
        ({"database_name": "db"}, True),
    ],
)
def test_mode_mirror_asks_for_its_own_objects_by_itself(changes, over):
    by_now = changed(SOURCE, **changes)
    assert is_of(by_now, PLACE, told()) is not over
    assert Lives(ended=[life()], by_now=by_now).over(PLACE, told()) is over
    for mode in (DeleteMode.APPEND, DeleteMode.KEEP_DELETED):
        keeps = changed(by_now, mode=mode)
        assert Lives(ended=[life()], by_now=keeps).over(PLACE, told())


@pytest.mark.parametrize(
    ("was", "looked_at", "over"),
    [(None, "http://a:8000", True), ("http://a:8000", None, True),
     ("http://a:8000", "http://a:8000", True), ("http://a:8000", "http://b:8000", False)],
)  # fmt: skip
def test_a_life_at_another_chroma_had_nothing_in_this_one(was, looked_at, over):
    assert Lives(ended=[life(chroma=was)]).at(looked_at).over(PLACE, told()) is over
