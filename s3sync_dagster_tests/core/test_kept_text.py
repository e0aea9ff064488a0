"""What append mode keeps: each case of a document and its object, and the catalog's own word."""

from itertools import product

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.tables import documents, objects
from s3sync_dagster.catalog.unclean import is_kept_as_it_was
from s3sync_dagster.core.kept_text import Held, held, is_left_alone, may_stand
from s3sync_dagster.core.state import DocumentPhase, DocumentState, Said
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import s3_source

NOWHERE, AT_HAND, ALONE = Held.NOWHERE, Held.AT_HAND, Held.ALONE
CLEAN, WRITING, REMOVING = DocumentPhase.CLEAN, DocumentPhase.WRITING, DocumentPhase.REMOVING
NOW = "settings of now"
BEFORE = "settings of before"

# phase, bytes, settings, records: what is so where the object has the same bytes, other ones,
# some that nobody knows, or is gone.
CASES = [
    # written whole
    (CLEAN, "old", NOW, 3, AT_HAND, ALONE, ALONE, ALONE),
    (CLEAN, "old", BEFORE, 3, AT_HAND, ALONE, ALONE, ALONE),
    (CLEAN, "", NOW, 3, ALONE, ALONE, ALONE, ALONE),
    # begun, and never whole
    (WRITING, None, None, 0, NOWHERE, NOWHERE, NOWHERE, NOWHERE),
    (WRITING, None, None, 3, NOWHERE, NOWHERE, NOWHERE, NOWHERE),
    # read back from records, or distrusted by a rebuild, and not written over
    (WRITING, "old", None, 3, AT_HAND, ALONE, ALONE, ALONE),
    # read back, of bytes that nobody knows: half written, or of two versions
    (WRITING, "", None, 3, NOWHERE, NOWHERE, NOWHERE, NOWHERE),
    # handed on without a record
    (WRITING, "old", None, 0, NOWHERE, NOWHERE, NOWHERE, NOWHERE),
    # written over, or late writes may have hit it: unsettled
    (WRITING, "old", NOW, 3, NOWHERE, NOWHERE, NOWHERE, NOWHERE),
    (WRITING, "old", BEFORE, 3, NOWHERE, NOWHERE, NOWHERE, NOWHERE),
    (WRITING, "", NOW, 3, NOWHERE, NOWHERE, NOWHERE, NOWHERE),
    # on its way out
    (REMOVING, "old", NOW, 3, NOWHERE, NOWHERE, NOWHERE, NOWHERE),
    (REMOVING, "old", None, 3, NOWHERE, NOWHERE, NOWHERE, NOWHERE),
    (REMOVING, None, None, 3, NOWHERE, NOWHERE, NOWHERE, NOWHERE),
]
ETAGS = ("old", "new", "", None)


def document(phase, etag, fingerprint, records, *, said=None):
    return DocumentState(
        id=1, source_id="s", object_key="a.txt", tenant="t", database_name="d",
        collection_name="docs", document_id="x", custom_id=None, metadata={}, owner="source",
        phase=phase, etag=etag, fingerprint=fingerprint, high_water=records, said=said,
    )  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_where_the_text_of_a_document_is_to_be_had(case):
    *what, same, other, unknown, gone = case
    one = document(*what)
    assert [held(one, etag) for etag in ETAGS] == [same, other, unknown, gone]


def test_the_table_has_every_case():
    told = {(phase, etag and "old", told is None) for phase, etag, told, *_ in CASES}
    here = product((WRITING, REMOVING), ("old", None), (True,))
    assert told >= {*here, (CLEAN, "old", False), (WRITING, "old", False)}


@pytest.mark.parametrize("case", CASES)
def test_automatic_work_leaves_alone_what_is_whole_or_stands_in_the_records_alone(case):
    phase, *rest = case[:4]
    for etag, where in zip(ETAGS, case[4:], strict=True):
        one = document(phase, *rest)
        assert is_left_alone(one, etag) == (phase is CLEAN or where is ALONE)
        asked = document(phase, *rest, said=Said(custom_id=None, metadata={}))
        assert not is_left_alone(asked, etag)


@pytest.mark.parametrize(
    ("phase", "etag", "fingerprint", "append", "others"),
    [
        (WRITING, "old", NOW, True, True),
        (WRITING, "old", BEFORE, True, False),
        (WRITING, "old", None, True, False),
        (WRITING, None, NOW, False, False),
        (WRITING, "", NOW, False, False),
        (REMOVING, "old", NOW, False, False),
    ],
)
def test_a_restored_catalog_is_believed_of_what_was_whole(phase, etag, fingerprint, append, others):
    one = document(phase, etag, fingerprint, 3)
    for mode in DeleteMode:
        wanted = append if mode is DeleteMode.APPEND else others
        assert (
            may_stand(
                one,
                s3_source(id="s", name="s", bucket_name="b", collection_name="docs", mode=mode),
                fingerprint=NOW,
            )
            == wanted
        )


def test_a_rebuild_leaves_what_the_rule_has_in_the_records_alone():
    """The catalog asks in SQL of a million rows what the rule says of one."""
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("a.txt", "text")
    world.sync()
    for (phase, etag, fingerprint, records, *wheres), place in product(CASES, range(4)):
        now = ETAGS[place]
        with world.catalog.database.write() as tx:
            tx.execute(objects.update().values(etag=now or "", gone=now is None))
            values = {"phase": phase.value, "etag": etag, "fingerprint": fingerprint}
            tx.execute(documents.update().values(high_water=records, chunks=0, **values))
            kept = is_kept_as_it_was(tx, world.source.id)
            found = tx.execute(sa.select(documents.c.id).where(kept)).all()
        wanted = phase is CLEAN and wheres[place] is ALONE
        assert bool(found) == wanted, (phase, etag, fingerprint, records, now)
