"""What is to be done about a key, from its facts alone."""

import random

import pytest

from s3sync_dagster.core.decision import Decision, decide_key, give_up
from s3sync_dagster.core.deed import Deed
from s3sync_dagster.core.facts import KeyFacts, told_ref
from s3sync_dagster.core.outcome import outcome_of
from s3sync_dagster.core.patience import Patience
from s3sync_dagster.core.state import ObjectState
from s3sync_dagster.model.errors import FixInput, LimitExceeded
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster_tests.sources import s3_source

SOURCE = s3_source(id="i", name="docs", bucket_name="bucket", collection_name="texts")
REF = ObjectRef(key="a.txt", etag="e1", size=10)


def known(**fields) -> ObjectState:
    return ObjectState(
        **{
            "source_id": "i",
            "object_key": "a.txt",
            "partition_key": "a.txt",
            "etag": "e1",
            "size": 10,
            **fields,
        }
    )


def facts(**fields) -> KeyFacts:
    values = {"key": "a.txt", "invocations": (), "object": None, "documents": (), "ref": REF}
    return KeyFacts(**{**values, **fields})


def test_an_empty_object_is_told_without_a_head():
    """It has bytes to speak of: none. Only a size that nobody told asks the bucket."""
    told = told_ref(facts(object=known(size=0)))
    assert told is not None
    assert (told.key, told.etag, told.size) == ("a.txt", "e1", 0)
    assert told_ref(facts(object=known(size=-1))) is None
    assert told_ref(facts(object=known(etag=""))) is None
    assert told_ref(facts(object=known(gone=True))) is None


@pytest.mark.parametrize("error", ["It is damaged.", None])
def test_bytes_that_failed_before_fail_with_the_words_of_then(error):
    before = known(
        outcome="failed", retry_class="input", outcome_etag="e1", error=error, reason="damaged"
    )
    decision = decide_key(facts(object=before), SOURCE)
    assert decision.verdict == "fail"
    assert decision.error.message == (error or "It could not be read before.")
    assert decision.error.reason == "damaged"
    assert decision.remove == "stale"


@pytest.mark.parametrize(
    ("size", "reason", "remove"),
    [(0, "empty_object", "stale"), (10**12, "too_large", "nothing")],
)
def test_what_is_emptied_takes_older_texts_along_and_what_a_setting_refuses_waits_for_a_listing(
    size, reason, remove
):
    decision = decide_key(facts(ref=ObjectRef(key="a.txt", etag="e2", size=size)), SOURCE)
    assert (decision.verdict, decision.reason, decision.remove) == ("skip", reason, remove)


def test_what_selection_refuses_for_its_name_keeps_its_records_until_a_listing_says_so():
    source = s3_source(
        id="i", name="d", bucket_name="b", collection_name="texts", include_globs=("*.md",)
    )
    decision = decide_key(facts(), source)
    assert (decision.verdict, decision.remove) == ("skip", "nothing")


@pytest.mark.parametrize("reason", ["archived", "too_large"])
def test_what_a_read_meets_of_selection_s_business_is_skipped_and_tried_again(reason):
    error = LimitExceeded("It is larger than 5 bytes.", reason=reason)
    decision = give_up(Decision(facts=facts(), verdict="write"), error)
    assert (decision.verdict, decision.reason, decision.cause) == ("skip", reason, "transient")
    assert decision.message == error.message
    assert decision.remove == "nothing"


def test_an_object_that_the_catalog_does_not_know_was_told_of_no_times():
    deed = Deed(decision=give_up(Decision(facts=facts(), verdict="write"), FixInput("No.")))
    end = outcome_of(
        deed, SOURCE, fingerprint="f", patience=Patience(), now=0.0, chance=random.Random(1)
    )
    assert end.told_count == 0
    assert (end.key, end.etag, end.bytes) == ("a.txt", "e1", 10)
