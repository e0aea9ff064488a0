"""Whose records are a source's own, by what they say."""

import pytest

from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.lives import Life, Lives
from s3sync_dagster.core.writers import Writers, successor_id, would_write
from s3sync_dagster.model.place import UploadPlace
from s3sync_dagster_tests.sources import changed, s3_source

SOURCE = s3_source(
    id="mine",
    name="mine",
    bucket_name="here",
    path_prefix="in/",
    collection_name="docs",
    exclude_globs=("*.log",),
)
PLACE = (SOURCE.tenant, SOURCE.database_name, "docs")
KEY = "in/a.md"
RECORD = f"{document_id(KEY, custom_id=None, id_prefix='')}-7"
SUCCESSOR = successor_id("mine", changed(SOURCE, bucket_name="there"))


def told(owner="stranger", bucket="here", key=KEY, **more):
    return {"s3sync_source": owner, "s3sync_bucket": bucket, "document_key": key, **more}


def writers(**changes):
    known = {"own": {"mine", "before"}, "others": {"neighbour", "kept"}, **changes}
    return Writers(**{"source_id": "mine", "place": PLACE, "places": {PLACE}, **known})


@pytest.mark.parametrize(
    ("said", "held", "not_held"),
    [
        (told("mine", bucket="elsewhere"), True, True),
        (told("before"), True, True),
        (told("neighbour"), False, False),
        (told("kept"), False, False),
        (told(SUCCESSOR, bucket="there", key="out/b.md"), True, True),
        (told(SUCCESSOR), True, False),  # no move to this bucket has that id
        (told(), True, False),
        (told(bucket="there"), False, False),
        (told(key="out/a.md"), False, False),
        (told(key="in/a.log"), False, False),
        (told(custom_id="x"), False, False),
        (told(""), False, False),
        ({}, False, False),
    ],
)
def test_who_wrote_a_record(said, held, not_held):
    assert writers().wrote(RECORD, said, held_by=SOURCE) is held
    assert writers().wrote(RECORD, said) is not_held


def test_records_that_name_nobody_are_of_who_took_such_over():
    assert writers(own={"mine", ""}).wrote(RECORD, {})


def test_a_successor_that_the_catalog_knows_is_another_source():
    said = told(SUCCESSOR, bucket="there")
    assert not writers(others={SUCCESSOR}).wrote(RECORD, said, held_by=SOURCE)


@pytest.mark.parametrize(
    ("record", "more", "answer"),
    [
        ("x-0", {"custom_id": "x"}, True),
        ("p-x-0", {"custom_id": "x"}, False),
        (RECORD, {}, True),
        (RECORD, {"document_key": 7}, False),
    ],
)
def test_what_a_source_would_write(record, more, answer):
    assert would_write(SOURCE, record, told(**more)) is answer
    prefixed = changed(SOURCE, id_prefix="p-")
    assert would_write(prefixed, record, told(**more)) is (record == "p-x-0")


@pytest.mark.parametrize(
    "change", [{"bucket_name": "b"}, {"collection_name": "two"}, {"tenant": "t"}]
)
def test_each_move_has_an_id_of_its_own_and_the_same_one_again(change):
    moved = changed(SOURCE, **change)
    assert successor_id("mine", moved) == successor_id("mine", changed(moved, name="again"))
    others = {successor_id("mine", SOURCE), successor_id("other", moved), "mine"}
    assert successor_id("mine", moved) not in others


def test_a_catalog_that_was_never_put_back_has_forgotten_no_successor():
    said = told(SUCCESSOR, bucket="there")
    assert writers().wrote(RECORD, said)
    assert not writers(places=()).wrote(RECORD, said)


@pytest.mark.parametrize(
    "elsewhere", [{"endpoint_url": "https://minio-a:9000"}, {"place": UploadPlace()}], ids=str
)
def test_what_has_its_name_on_one_server_alone_proves_nothing(elsewhere):
    """Another installation may have a bucket of that name: its records are no evidence."""
    source = changed(SOURCE, **elsewhere)
    said = told(bucket=source.place.identity().bucket_name)
    assert would_write(source, RECORD, said)
    assert not writers().wrote(RECORD, said, held_by=source)


@pytest.mark.parametrize(
    ("asked", "proves"), [([], True), ([""], True), (["https://minio:9000"], False)]
)
def test_so_does_a_bucket_for_which_the_environment_names_a_server(asked, proves):
    assert writers(asked=asked).wrote(RECORD, told(), held_by=SOURCE) is proves
    assert writers(asked=["", "https://minio:9000"]).wrote(RECORD, told("before"), held_by=SOURCE)
    assert not writers(asked=["", "https://minio:9000"]).wrote(RECORD, told(), held_by=SOURCE)


WAS = Lives(ended=[Life(places={PLACE}, bucket_name="here", path_prefix="in/")])


@pytest.mark.parametrize(
    ("free", "said", "answer"),
    [
        ({}, told("gone"), False),
        ({"gone": None}, told("gone", bucket="there"), True),  # a source before
        ({"gone": Lives()}, told("gone"), False),  # where it was is not known
        ({"gone": WAS}, told("gone"), True),
        ({"gone": WAS}, told("gone", bucket="there"), False),
        ({"gone": WAS}, told("another"), False),
    ],
)
def test_what_bears_the_id_of_a_source_that_is_no_more_is_written_over_in_its_place_alone(
    free, said, answer
):
    assert writers(free=free).wrote(RECORD, said) is answer
    elsewhere = (*PLACE[:2], "elsewhere")
    assert writers(free=free, place=elsewhere).wrote(RECORD, said) is (free == {"gone": None})


def test_where_it_was_is_not_known_what_it_would_write_is_evidence_as_of_anybody():
    free = {"gone": Lives()}
    assert writers(free=free).wrote(RECORD, told("gone"), held_by=SOURCE)
    assert not writers(free=free).wrote(RECORD, told("gone", bucket="there"), held_by=SOURCE)
