"""The rule on records of a source before, as a table."""

import pytest

from s3sync_dagster.core.standing import Nobody, may_go, may_tell
from s3sync_dagster.core.state import ObjectState
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.sources import s3_source

SOURCE = s3_source(id="s", name="s", bucket_name="b", collection_name="docs")
MIRROR, APPEND, KEEP = (
    SOURCE.with_changes(mode=one)
    for one in (DeleteMode.MIRROR, DeleteMode.APPEND, DeleteMode.KEEP_DELETED)
)


@pytest.mark.parametrize(
    ("heir", "standing", "gone", "goes"),
    [
        (None, ["now"], True, False),  # nobody knows who keeps it
        (Nobody.ENDED, [], False, True),
        (MIRROR, [], False, False),
        (MIRROR, [], True, True),
        (MIRROR, ["now"], False, True),
        (KEEP, [], True, False),
        (KEEP, ["now"], False, True),
        (APPEND, ["now"], True, False),
        (APPEND, ["now", "first"], False, True),
        (APPEND, [], True, False),
    ],
)
def test_a_text_of_a_source_before_goes_where_another_stands_or_on_evidence(
    heir, standing, gone, goes
):
    assert may_go(heir, etags={"first"}, standing=standing, gone=gone) is goes


@pytest.mark.parametrize("etags", [set(), {"first", "now"}, {""}])
def test_append_mode_keeps_what_is_of_no_one_write(etags):
    assert not may_go(APPEND, etags=etags, standing=["first", "now", None], gone=False)


@pytest.mark.parametrize(
    ("told", "tells"),
    [
        (None, False),
        ({"outcome": "indexed"}, False),
        ({"outcome": "indexed", "skip_reason": "not_included"}, True),
        ({"outcome": "failed"}, True),
    ],
)
def test_an_object_that_is_indexed_has_text(told, tells):
    known = told and ObjectState(
        source_id="s", object_key="a", partition_key="a", etag="e", size=1, **told
    )
    assert may_tell(known) is tells
