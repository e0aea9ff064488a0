"""How many objects and documents a tenant may have, on SQLite and Postgres alike."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.catalog.quotas import ObjectQuota
from s3sync_dagster.core.intent import Claim, Intent, Refusal
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.page import PageCommit
from s3sync_dagster.core.state import ListingState, Target
from s3sync_dagster.model.errors import FixConfiguration
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.catalog.scenes import index_all, list_all, ref, source

QUOTA = ObjectQuota(most=3, exempt=frozenset({"operator"}))


@pytest.fixture
def catalog(catalog_url, clock):
    opened = open_catalog(catalog_url, clock=clock, quota=QUOTA)
    yield opened
    opened.close()


def keys_of(catalog, src):
    return sorted(row.object_key for row in catalog.views.object_rows(src.id, limit=100))


def test_a_listing_takes_as_many_as_there_is_room_for_and_says_how_many_it_left_out(catalog):
    src = catalog.sources.add(source())
    listing = list_all(catalog, src, [ref(f"{n}.md") for n in range(5)])
    assert (listing.state, listing.listed, listing.new) == (ListingState.COMPLETE, 5, 3)
    assert listing.left_out == 2
    assert keys_of(catalog, src) == ["0.md", "1.md", "2.md"]
    assert catalog.invocations.live_count(src.id) == 3


def test_what_is_gone_makes_room_and_known_objects_are_followed_though_there_is_none(catalog):
    src = catalog.sources.add(source())
    index_all(catalog, src, [f"{n}.md" for n in range(3)])
    there = [ref("0.md", etag="changed"), ref("1.md"), ref("new.md")]
    listing = list_all(catalog, src, there, approved=True)
    assert (listing.changed, listing.left_out, listing.gone) == (0, 1, 1)
    assert catalog.work.object(src.id, "0.md").etag == "changed"
    assert catalog.work.object(src.id, "2.md").gone
    assert list_all(catalog, src, there, approved=True).left_out == 0
    assert catalog.work.object(src.id, "new.md").etag == "e1"


def test_all_sources_of_a_tenant_count_and_those_of_others_do_not(catalog):
    mine = [catalog.sources.add(source(f"s{n}", collection_name=f"coll-{n}")) for n in range(2)]
    other = catalog.sources.add(source("other", tenant="another"))
    operator = catalog.sources.add(source("own", tenant="operator"))
    refs = [ref(f"{n}.md") for n in range(5)]
    assert list_all(catalog, mine[0], refs[:2]).left_out == 0
    assert list_all(catalog, mine[1], refs).left_out == 4
    assert list_all(catalog, other, refs).left_out == 2
    assert list_all(catalog, operator, refs).left_out == 0


def test_events_of_new_objects_come_again_where_there_is_no_room_and_others_are_kept(catalog):
    src = catalog.sources.add(source())
    list_all(catalog, src, [ref(f"{n}.md") for n in range(3)])
    told = [(ref("0.md", etag="e2"), None), (ref("new.md"), None)]
    with pytest.raises(FixConfiguration) as caught:
        catalog.work.record_events(
            src.id, upserts=told, sync=["0.md", "new.md"], remove=["1.md"], sequencers={}
        )
    assert caught.value.reason == "too_many_objects"
    assert catalog.work.object(src.id, "0.md").etag != "e1"  # whoever reads it asks the bucket
    assert catalog.work.object(src.id, "new.md") is None
    waiting = catalog.invocations.latest_by_keys(src.id, ["0.md", "1.md", "new.md"])
    assert {key: one.kind for key, one in waiting.items()} == {"0.md": "sync", "1.md": "remove"}


def test_a_key_that_was_asked_for_is_refused_where_there_is_no_room(catalog):
    src = catalog.sources.add(source())
    list_all(catalog, src, [ref(f"{n}.md") for n in range(3)])
    with pytest.raises(FixConfiguration, match="all it may have"):
        catalog.work.record_objects(src.id, [(ref("new.md"), None)], known={"new.md": None})
    known = {"0.md": catalog.work.object(src.id, "0.md")}
    catalog.work.record_objects(src.id, [(ref("0.md", etag="e2"), None)], known=known)
    assert catalog.work.object(src.id, "0.md").etag == "e2"


def intent(key, collection="ccc", custom_id=None):
    return Intent(
        key=key,
        target=Target(collection_name=collection, custom_id=custom_id),
        document_id=document_id(key, custom_id=custom_id, id_prefix=""),
        count=1,
        metadata_keys=(),
    )


def test_documents_in_collections_of_one_s_own_count_too(catalog):
    src = catalog.sources.add(source())
    index_all(catalog, src, ["0.md", "1.md"])
    catalog.invocations.request(src, ["0.md", "1.md"], trigger=Trigger.API)
    batch = catalog.batches.reserve(src.id, take=Take(), owner="me", run_id="r")
    answers = catalog.documents.claim(
        batch.token,
        src,
        [
            intent("0.md"),
            intent("0.md", "another"),
            intent("1.md", "another"),
            intent("1.md", custom_id="renamed"),  # the room of the one that it replaces
        ],
    )
    assert [type(one) for one in answers] == [Claim, Claim, Refusal, Claim]
    assert answers[2].reason == "too_many_objects"


def test_listings_at_once_never_pass_the_most_of_their_tenant(catalog_url, clock):
    doors = [open_catalog(catalog_url, clock=clock, quota=QUOTA) for _ in range(4)]
    sources = [doors[0].sources.add(source(f"s{n}", collection_name=f"coll-{n}")) for n in range(4)]
    begun = [
        door.listings.begin(src.id, owner="me") for door, src in zip(doors, sources, strict=True)
    ]
    start = threading.Barrier(4)

    def commit(number):
        refs = [ref(f"{n}.md") for n in range(2)]
        start.wait(10)
        page = PageCommit(
            cursor="1.md",
            listed=2,
            new=2,
            asked=begun[number].number,
            upserts=[(one, None) for one in refs],
            invoke=[one.key for one in refs],
        )
        return doors[number].listings.commit_page(begun[number], page, owner="me").left_out

    with ThreadPoolExecutor(4) as pool:
        left_out = list(pool.map(commit, range(4)))
    there = Counter(src.id for src in sources for _ in keys_of(doors[0], src))
    for door in doors:
        door.close()
    assert (sum(left_out), there.total()) == (5, 3)
