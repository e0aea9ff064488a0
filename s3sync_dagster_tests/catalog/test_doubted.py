"""Who may read what is not asked of records that may hold what nobody vouched for."""

import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.catalog.copying import begin_anew
from s3sync_dagster.catalog.doubted import MOST
from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.catalog.tables import documents, objects, sources
from s3sync_dagster.core.intent import Claim, DocumentCommit, Intent
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.core.state import RESTORED, UNSEEN, KnownCollection, Target
from s3sync_dagster.core.vouching import NOTHING
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.catalog.scenes import list_all, ref, source
from s3sync_dagster_tests.catalog.test_versions import row

SALES = Reader(frozenset({"sales"}))
TEAM = '["team"]'


def rows_of(src, states):
    whole = {"phase": "clean", "metadata": {"team": "sales"}}
    place = {"tenant": src.tenant, "database_name": src.database_name, "source_id": src.id}
    return [
        row(f"d-{key}", **{**whole, "object_key": key, **place, **state})
        for key, state in states.items()
    ]


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ({"withheld": None}, False),
        ({"withheld": TEAM}, False),
        ({"withheld": NOTHING}, True),
        ({"withheld": '["dept", "team"]'}, True),
        ({"withheld": UNSEEN}, True),
        ({"withheld": RESTORED}, True),
        ({"withheld": None, "phase": "writing"}, False),
        ({"withheld": NOTHING, "metadata": {"lang": "team"}}, False),
        ({"withheld": NOTHING, "metadata": {"lang": '"team": '}}, False),
        ({"withheld": NOTHING, "metadata": {"lang": "de"}, "phase": "writing"}, True),
        ({"withheld": UNSEEN, "metadata": {}}, True),
    ],
)
def test_records_that_may_hold_what_nobody_vouched_for_are_kept_back(catalog, state, kept):
    src, plain = source(reader_keys=("team",)), source("plain", bucket_name="other")
    for one in (src, plain):
        catalog.sources.add(one)
        with catalog.database.write() as tx:
            tx.execute(documents.insert(), rows_of(one, {f"{one.name}.md": state}))
    rights = rights_of(catalog, SALES, tenant=src.tenant)
    record = {"s3sync_source": src.id, "document_key": "docs.md", "team": "sales"}
    assert rights.allow_record(record) is not kept
    assert rights.doubted.documents == ({(src.id, "d-docs.md")} if kept else set())
    assert rights.allow_record({**record, "document_key": "another.md"})
    assert rights.allow_record({**record, "s3sync_source": plain.id})
    assert rights.restricted == {src.id: ("team",)}


def test_a_source_with_more_of_them_than_a_filter_names_is_for_owners(catalog):
    src = source(reader_keys=("team",))
    small = source("small", bucket_name="other", collection_name="small", reader_keys=("team",))
    for one, number in ((src, MOST + 1), (small, MOST)):
        catalog.sources.add(one)
        with catalog.database.write() as tx:
            keys = [f"{one.name}-{place}.md" for place in range(number)]
            states = {key: {"withheld": NOTHING} for key in keys}
            tx.execute(documents.insert(), rows_of(one, states))
    rights = rights_of(catalog, SALES, tenant=src.tenant)
    assert rights.restricted == {src.id: (), small.id: ("team",)}
    assert {source_id for source_id, _ in rights.doubted.documents} == {small.id}
    assert len(rights.doubted.documents) == MOST
    assert not rights.allow(src.id, {"team": "sales"})


def test_a_listing_asks_for_what_was_written_under_other_keys(catalog):
    src = source(reader_keys=("team",))
    catalog.sources.add(src)
    states = {
        "a.md": {"withheld": NOTHING},
        "b.md": {"withheld": TEAM},
        "c.md": {"withheld": None},
        "d.md": {"withheld": NOTHING, "metadata": {"lang": "de"}},
        "e.md": {"withheld": NOTHING, "phase": "writing", "chunks": 0, "high_water": 0},
    }
    list_all(catalog, src, [ref(key) for key in states])
    with catalog.database.write() as tx:
        tx.execute(documents.insert(), rows_of(src, states))
        tx.execute(objects.update().values(fingerprint="f"))
    catalog.listings.begin(src.id, owner="me")
    window = catalog.listings.window(src.id, after=None, until=None, limit=10)
    found = {key: one.fingerprint for key, one in window.objects.items()}
    assert found == {"a.md": "", "b.md": "f", "c.md": "f", "d.md": "f", "e.md": "f"}


@pytest.mark.parametrize(
    ("before", "vouched", "meanwhile", "after", "said"),
    [
        (None, True, UNSEEN, None, "team"),
        (None, True, None, None, "lang"),
        (None, False, NOTHING, TEAM, "team"),
        (None, False, TEAM, TEAM, "lang"),
        (NOTHING, False, NOTHING, TEAM, "team"),
        (TEAM, False, TEAM, TEAM, "team"),
        (NOTHING, True, UNSEEN, None, "team"),
        (NOTHING, True, None, None, "lang"),
        (UNSEEN, True, UNSEEN, None, "lang"),
        (RESTORED, False, NOTHING, TEAM, "lang"),
    ],
)
def test_while_records_are_written_both_those_of_before_and_of_now_may_be_there(
    catalog, before, vouched, meanwhile, after, said
):
    src = source(reader_keys=("team",))
    catalog.sources.add(src)
    with catalog.database.write() as tx:
        state = {"withheld": before, "metadata": {said: "sales"}}
        tx.execute(documents.insert(), rows_of(src, {"a.md": state}))
    catalog.invocations.request(src, ["a.md"], trigger=Trigger.API)
    batch = catalog.batches.reserve(src.id, take=Take(by_hand=True), owner="me")
    assert batch is not None
    metadata = {said: "de"}
    target = Target(collection_name="c", metadata=metadata, vouched=vouched)
    intent = Intent(key="a.md", target=target, document_id="d-a.md", count=1, metadata_keys=())
    [claim] = catalog.documents.claim(batch.token, src, [intent])
    assert isinstance(claim, Claim)

    def now():
        [one] = catalog.documents.of_key(src.id, "a.md")
        return one.withheld

    assert now() == meanwhile
    commit = DocumentCommit(
        id=claim.before.id,
        etag="e1",
        fingerprint="f",
        count=1,
        digests=b"x" * 16,
        metadata_keys=(),
        text_bytes=1,
        pages=0,
        withheld=after,
    )
    catalog.documents.commit(batch.token, src, written=[commit], outcomes=[])
    assert now() == after


def test_a_restored_catalog_trusts_no_records_until_they_were_held_against_it(catalog):
    src = source(reader_keys=("team",))
    catalog.sources.add(src)
    states = {
        f"{place}.md": {"withheld": one, "collection_id": "id", "high_water": 2}
        for place, one in enumerate((None, TEAM, UNSEEN))
    }
    with catalog.database.write() as tx:
        tx.execute(documents.insert(), rows_of(src, states))
    begin_anew(catalog.database)
    assert len(rights_of(catalog, SALES, tenant=src.tenant).doubted.documents) == 3
    found = {key: catalog.documents.of_key(src.id, key)[0] for key in states}
    assert [one.vouched for one in found.values()] == [True, False, True]
    place = KnownCollection(
        tenant=src.tenant,
        database_name=src.database_name,
        collection_name="c",
        collection_id="id",
    )
    with catalog.database.write() as tx:  # the listing that it waited for has told which sidecars
        tx.execute(sources.update().values(list_due_at=0.0))
    assert catalog.collections.trust_again(src.id, place, list(found.values())) == 3
    rights = rights_of(catalog, SALES, tenant=src.tenant)
    assert rights.doubted.documents == {(src.id, "d-1.md"), (src.id, "d-2.md")}
