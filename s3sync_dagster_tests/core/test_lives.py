"""Whose a record is that bears the id of a source with lives that ended, by where it stands."""

import pytest

from s3sync_dagster.core.lives import Life, Lives, is_of
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


def test_what_is_of_a_life_that_ends_now():
    moved, kept = Lives(leaving=life()), Lives(leaving=life(kept=True))
    assert (moved.over(PLACE, told()), moved.kept(PLACE, told())) == (True, False)
    assert (kept.over(PLACE, told()), kept.kept(PLACE, told())) == (False, True)
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
    ("changes", "own"),
    [
        ({}, True),
        ({"bucket_name": "there"}, True),  # its own collection, whatever the bucket
        ({"collection_name": "new"}, True),  # its own bucket, in its database
        ({"collection_name": "new", "bucket_name": "there"}, False),
        ({"tenant": "t"}, False),
        ({"database_name": "db"}, False),
    ],
)
def test_what_bears_the_id_of_a_source_is_its_own_in_its_place(changes, own):
    assert is_of(changed(SOURCE, **changes), PLACE, told()) is own


@pytest.mark.parametrize(
    ("was", "looked_at", "over"),
    [(None, "http://a:8000", True), ("http://a:8000", None, True),
     ("http://a:8000", "http://a:8000", True), ("http://a:8000", "http://b:8000", False)],
)  # fmt: skip
def test_a_life_at_another_chroma_had_nothing_in_this_one(was, looked_at, over):
    assert Lives(ended=[life(chroma=was)]).at(looked_at).over(PLACE, told()) is over


@pytest.mark.parametrize("leaving", [True, False])
def test_but_what_a_person_has_kept_stays_under_each_name_of_a_server(leaving):
    kept = life(chroma="http://a:8000", kept=True)
    over = life(chroma="http://b:8000")
    lives = Lives(leaving=kept, ended=[over]) if leaving else Lives(ended=[kept, over])
    found = lives.at("http://b:8000")
    assert (found.kept(PLACE, told()), found.over(PLACE, told())) == (True, False)
