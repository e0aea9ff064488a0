"""Whose word says who may read: an owner's, or that of who writes to the bucket."""

from datetime import UTC, datetime

import pytest

from s3sync_dagster.core.decision import decide_key
from s3sync_dagster.core.facts import KeyFacts, SidecarState
from s3sync_dagster.core.state import RESTORED, UNSEEN, DocumentPhase, DocumentState
from s3sync_dagster.core.vouching import NOBODY, NOTHING, with_said, withheld_for
from s3sync_dagster.model.invocation import Invocation, InvocationStatus, Trigger
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.place import UploadPlace
from s3sync_dagster_tests.sources import s3_source

TEAM = {"team": "sales"}
SOURCE = s3_source(
    id="i", name="d", bucket_name="b", collection_name="texts", reader_keys=("team",)
)
UPLOADS = SOURCE.with_changes(place=UploadPlace())
SIDECAR = SidecarState(
    sidecar_key="a.txt.meta.json",
    path="a.txt",
    custom_id="x",
    target_collection_name=None,
    metadata=dict(TEAM),
    etag="e",
)


def asked(**more):
    return Invocation(
        **{
            "id": "1",
            "source_id": "i",
            "object_key": "a.txt",
            "tenant": "t",
            "database_name": "d",
            "collection_name": "texts",
            "kind": "sync",
            "trigger": Trigger.API,
            "status": InvocationStatus.PROCESSING,
            "created_at": datetime.now(UTC),
            "metadata": TEAM,
            **more,
        }
    )


def stored(withheld, **more):
    return DocumentState(
        **{
            "id": 1,
            "source_id": "i",
            "object_key": "a.txt",
            "tenant": "t",
            "database_name": "d",
            "collection_name": "texts",
            "document_id": "a",
            "custom_id": None,
            "metadata": TEAM,
            "owner": "request",
            "phase": DocumentPhase.CLEAN,
            "etag": "e1",
            "fingerprint": SOURCE.fingerprint(),
            "withheld": withheld,
            **more,
        }
    )


def decided(source=SOURCE, **facts):
    ref = ObjectRef(key="a.txt", etag="e1", size=10)
    given = {"invocations": (), "object": None, "documents": (), **facts}
    decision = decide_key(KeyFacts(key="a.txt", ref=ref, **given), source)
    return decision.verdict, [one.vouched for one in decision.targets]


@pytest.mark.parametrize(
    ("facts", "vouched"),
    [
        ({"invocations": (asked(),)}, False),
        ({"invocations": (asked(vouched=True),)}, True),
        ({"invocations": (asked(metadata={}),)}, True),
        ({"invocations": (asked(),), "documents": (stored(None, etag="e0"),)}, True),
        ({"invocations": (asked(),), "documents": (stored(NOTHING, etag="e0"),)}, False),
        ({"documents": (stored(NOTHING, etag="e0"),)}, False),
        *(({"documents": (stored(one, etag="e0"),)}, True) for one in (None, UNSEEN, RESTORED)),
        ({"sidecars": (SIDECAR,)}, True),
        ({"sidecars": (SIDECAR,), "source": UPLOADS}, False),
    ],
)
def test_who_vouches_for_what_is_said_of_a_document(facts, vouched):
    assert decided(**facts) == ("write", [vouched])


def test_a_document_is_written_anew_where_its_records_hold_what_does_not_count():
    clean = withheld_for(SOURCE.reader_keys)
    for withheld, verdict in (
        (None, "unchanged"),
        (clean, "unchanged"),
        (NOTHING, "write"),
        (UNSEEN, "write"),
    ):
        assert decided(documents=(stored(withheld),))[0] == verdict, withheld
    assert decided(documents=(stored(clean),), invocations=(asked(vouched=True),))[0] == "write"


@pytest.mark.parametrize(
    ("own", "metadata", "vouched", "told"),
    [
        ({"team": "hr"}, {"team": "sales"}, True, {"team": "sales"}),
        ({"team": "hr"}, {"lang": "de"}, False, {"team": "hr", "lang": "de"}),
        ({"team": "hr"}, {"team": "hr"}, False, {"team": "hr"}),
        ({"team": "hr"}, {"team": "sales", "lang": "de"}, False, {"team": NOBODY, "lang": "de"}),
        ({"team": "*"}, {"team": "hr"}, False, {"team": NOBODY}),
        ({"team": "hr", "dept": "x"}, {"team": "sales"}, False, {"team": NOBODY}),
        ({}, {"team": "sales"}, False, {"team": NOBODY}),
        ({"team": "hr"}, {"lang": "de"}, True, {"team": "hr", "lang": "de"}),
    ],
)
def test_where_nobody_vouches_for_another_reader_a_document_names_none(
    own, metadata, vouched, told
):
    assert with_said(own, metadata, vouched=vouched, keys=("team", "dept")) == told


@pytest.mark.parametrize(
    ("asked_for", "before", "target", "vouched"),
    [
        ({}, None, TEAM, True),
        ({"lang": "de"}, None, {"lang": "de", **TEAM}, False),
        ({"team": "hr"}, None, TEAM, True),
        ({}, NOTHING, TEAM, False),
    ],
)
def test_a_request_of_a_member_takes_no_word_on_readers_away(asked_for, before, target, vouched):
    """It may have been asked while the source was open."""
    ref = ObjectRef(key="a.txt", etag="e1", size=10)
    facts = KeyFacts(
        key="a.txt",
        ref=ref,
        invocations=(asked(metadata=asked_for),),
        object=None,
        documents=(stored(before, etag="e0"),),
    )
    [one] = decide_key(facts, SOURCE).targets
    assert (dict(one.metadata), one.vouched) == (target, vouched)


@pytest.mark.parametrize("metadata", [{}, {"lang": "de"}, {"team": "ops"}])
@pytest.mark.parametrize("custom_id", [None, "mine"])
@pytest.mark.parametrize("documents", [(), (stored(NOTHING, etag="e0", metadata={}),)])
def test_a_request_of_a_member_takes_no_word_of_a_sidecar_away(metadata, custom_id, documents):
    """It may have been asked before the sidecar came, or have failed and be tried again."""
    ref = ObjectRef(key="a.txt", etag="e1", size=10)
    facts = KeyFacts(
        key="a.txt",
        ref=ref,
        invocations=(asked(metadata=metadata, custom_id=custom_id),),
        object=None,
        documents=documents,
        sidecars=(SIDECAR,),
    )
    [one] = decide_key(facts, SOURCE).targets
    assert (dict(one.metadata), one.custom_id, one.vouched) == (TEAM, "x", True)
    [one] = decide_key(facts, SOURCE.with_changes(reader_keys=())).targets
    assert dict(one.metadata) == (metadata or ({} if custom_id else TEAM))


@pytest.mark.parametrize("metadata", [{}, {"team": "sales"}])
def test_a_copy_that_a_member_asked_for_is_nobodys(metadata):
    """What an owner says of the document is said of that, in the same batch or later."""
    ref = ObjectRef(key="a.txt", etag="e1", size=10)
    copy = asked(metadata=metadata, target_collection_name="other")
    owners = asked(id="2", metadata={"team": "hr"}, vouched=True)
    facts = KeyFacts(key="a.txt", ref=ref, invocations=(copy, owners), object=None, documents=())
    found = {one.collection_name: one for one in decide_key(facts, SOURCE).targets}
    told = with_said(
        {"team": "sales"}, found["other"].metadata, vouched=found["other"].vouched, keys=("team",)
    )
    assert told == {"team": NOBODY}
    assert found["texts"].vouched
