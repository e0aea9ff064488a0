"""What every object store promises, tried on the fake and on a real server over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.store_ports import AheadStore, CarryingStore, UnorderedStore
from s3sync_dagster.model.errors import LimitExceeded, NotFound, NotPossible, ObjectChanged
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.place import Carried
from s3sync_dagster.ports.memory_s3 import MemoryObjectStore
from s3sync_dagster_tests.conftest_catalog import fresh_postgres_catalog
from s3sync_dagster_tests.contracts.object_worlds import (
    AWKWARD_KEYS,
    ObjectWorld,
    all_refs,
    endpoint_world,
    memory_world,
    uploads_world,
)
from s3sync_dagster_tests.fresh_catalogs import fresh_catalog

RCLONE = pytest.param("rclone", marks=pytest.mark.long)


@pytest.fixture(params=["memory", "sqlite", "postgres", "moto", RCLONE])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectWorld]:
    """Every make of bucket."""
    if request.param == "memory":
        yield memory_world()
    elif request.param in ("sqlite", "postgres"):
        url = "sqlite://"
        if request.param == "postgres":
            url = fresh_postgres_catalog(request.getfixturevalue("postgres_url"))
        catalog = fresh_catalog(url, clock=Clock())
        made = uploads_world(catalog, tmp_path)
        yield made
        made.store.close()
        catalog.close()
    else:
        name = {"moto": "aws_endpoint", "rclone": "second_endpoint"}[request.param]
        yield endpoint_world(request.getfixturevalue(name), spool_dir=tmp_path)


@pytest.fixture(params=["memory", "moto"])
def full_world(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectWorld:
    """Makes that have versions and storage classes."""
    if request.param == "memory":
        return memory_world(versioned=True)
    endpoint = request.getfixturevalue("aws_endpoint")
    return endpoint_world(endpoint, spool_dir=tmp_path, versioned=True)


def test_a_body_comes_with_what_its_own_answer_says(world: ObjectWorld) -> None:
    etag = world.put("a.md", b"hello", ContentType="text/markdown", Metadata={"lang": "en"})
    body = world.store.read("a.md", max_size_bytes=100)
    assert body.content == b"hello"
    assert body.content_type == "text/markdown"
    assert dict(body.metadata) == {"lang": "en"}
    assert (body.ref.key, body.ref.etag, body.ref.size) == ("a.md", etag, 5)
    assert body.ref.version_id is None
    assert body.ref.last_modified is not None
    assert body.ref.last_modified.utcoffset() is not None


def test_listing_head_and_read_agree(world: ObjectWorld) -> None:
    world.put("a", b"one")
    (listed,) = world.store.list_page("", start_after=None).objects
    head = world.store.head("a")
    read = world.store.read("a", max_size_bytes=10).ref
    assert listed.etag == head.etag == read.etag
    assert listed.size == head.size == read.size == 3


def test_pages_follow_each_other_in_byte_order(world: ObjectWorld) -> None:
    # By code point, by UTF-16 unit and by UTF-8 byte these sort differently or alike; S3: bytes.
    keys = ["a.txt", "B", "a/b", "a-b", "a0", "\uffff", "\U0001f4c4", "é", "x\u0301", "~", " "]
    for key in keys:
        world.put(key, b"x")
    expected = sorted(keys, key=str.encode)
    for limit in (1, 2, 3, len(keys), 1000):
        assert [ref.key for ref in all_refs(world.store, limit=limit)] == expected
    page = world.store.list_page("", start_after=None, limit=len(keys))
    assert page.last


def test_a_cursor_whose_object_is_gone_still_works(world: ObjectWorld) -> None:
    for key in "abcd":
        world.put(key, b"x")
    world.delete("b")
    page = world.store.list_page("", start_after="b", limit=1)
    assert [ref.key for ref in page.objects] == ["c"]
    assert not page.last
    assert world.store.list_page("", start_after="d").objects == ()
    assert world.store.list_page("", start_after="d").last


def test_a_prefix_is_a_plain_beginning(world: ObjectWorld) -> None:
    for key in ("doc", "docs.md", "docs/a", "docs2/a", "xdocs/a", "docs/%", "Docs/a"):
        world.put(key, b"x")
    listed = [ref.key for ref in all_refs(world.store, "docs")]
    assert listed == ["docs.md", "docs/%", "docs/a", "docs2/a"]
    assert [ref.key for ref in all_refs(world.store, "docs/%")] == ["docs/%"]
    assert all_refs(world.store, "nothing") == []


def test_a_key_may_be_the_beginning_of_another(full_world: ObjectWorld) -> None:
    keys = ["docs", "docs/", "docs/a", "docs/a/"]
    for key in keys:
        full_world.put(key, key.encode())
    assert [ref.key for ref in all_refs(full_world.store, "docs", limit=1)] == keys
    assert full_world.store.read("docs/", max_size_bytes=10).content == b"docs/"


def test_all_awkward_keys_can_be_listed_and_read(world: ObjectWorld) -> None:
    keys = [key for key in AWKWARD_KEYS if key not in world.refused_keys]
    assert len(set(keys)) >= 41 - len(world.refused_keys)
    for key in keys:
        world.put(key, key.encode())
    expected = sorted(keys, key=str.encode)
    assert [ref.key for ref in all_refs(world.store, limit=7)] == expected
    for key in keys:
        body = world.store.read(key, max_size_bytes=2000)
        assert body.content == key.encode()
        assert body.ref.key == key
        assert world.store.head(key).etag == body.ref.etag
        (alone,) = [r for r in all_refs(world.store, key) if r.key == key]
        assert alone.etag == body.ref.etag
    for key in keys:
        world.delete(key)
    assert all_refs(world.store) == []


def test_a_missing_key_is_gone(world: ObjectWorld) -> None:
    world.put("there", b"x")
    for ask in (
        lambda: world.store.head("gone"),
        lambda: world.store.read("gone", max_size_bytes=10),
    ):
        with pytest.raises(NotFound) as caught:
            ask()
        assert caught.value.reason == "object_gone"
        assert "'gone'" in caught.value.message


def test_an_overwritten_object_is_not_read_as_the_old_one(world: ObjectWorld) -> None:
    old = world.put("a", b"old")
    new = world.put("a", b"new")
    with pytest.raises(ObjectChanged):
        world.store.read("a", if_match=old, max_size_bytes=10)
    assert world.store.read("a", if_match=new, max_size_bytes=10).content == b"new"


def test_a_body_above_the_limit_is_refused(world: ObjectWorld) -> None:
    world.put("a", b"12345")
    assert world.store.read("a", max_size_bytes=5).content == b"12345"
    with pytest.raises(LimitExceeded) as caught:
        world.store.read("a", max_size_bytes=4)
    assert caught.value.reason == "too_large"


def test_an_empty_object_is_an_object(world: ObjectWorld) -> None:
    world.put("empty", b"")
    assert world.store.read("empty", max_size_bytes=0).content == b""
    assert world.store.head("empty").size == 0


def test_storage_class_is_told(full_world: ObjectWorld) -> None:
    world = full_world
    world.put("cold", b"x", StorageClass="STANDARD_IA")
    world.put("warm", b"x")
    found = {ref.key: ref.storage_class for ref in all_refs(world.store)}
    assert found == {"cold": "STANDARD_IA", "warm": "STANDARD"}
    assert world.store.head("cold").storage_class == "STANDARD_IA"


def test_an_old_version_can_be_read_and_the_current_one_leads(full_world: ObjectWorld) -> None:
    world = full_world
    world.put("a", b"one")
    first = world.store.head("a").version_id
    assert first
    world.put("a", b"two")
    second = world.store.read("a", max_size_bytes=10)
    assert second.content == b"two"
    assert second.ref.version_id not in (None, first)
    assert world.store.read("a", version_id=first, max_size_bytes=10).content == b"one"
    world.delete("a")
    with pytest.raises(NotFound) as caught:
        world.store.head("a")
    assert caught.value.reason == "object_gone"
    assert all_refs(world.store) == []
    assert world.store.head("a", version_id=first).size == 3


WANTED = Carried(metadata={"lang": "in", "none": "x"}, tags={"team": "team", "more": "y"})


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("make", ["memory", "moto"])
def test_what_an_object_carries_is_told_of_the_bytes_that_were_read(
    make: str, versioned: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if make == "memory":
        world: ObjectWorld = memory_world(versioned=versioned)
    else:
        endpoint = request.getfixturevalue("aws_endpoint")
        world = endpoint_world(endpoint, spool_dir=tmp_path, versioned=versioned)
    store = cast("CarryingStore", world.store)
    world.put("a", b"one", Metadata={"lang": "en", "b": "c"}, Tagging="team=red&c=d")
    read = world.store.read("a", max_size_bytes=100)
    assert dict(store.carried("a", wanted=WANTED)) == {"in": "en", "team": "red"}
    before = dict(world.store.requests())
    assert store.carried("a", wanted=WANTED, read=read, exact=True) == {"in": "en", "team": "red"}
    after = world.store.requests()
    assert after["TAGS"] - before["TAGS"] == 1
    assert after["HEAD"] - before["HEAD"] == (0 if versioned else 1)
    world.put("a", b"two", Metadata={"lang": "de"}, Tagging="team=blue")
    if versioned:
        found = store.carried("a", wanted=WANTED, read=read, exact=True)
        assert dict(found) == {"in": "en", "team": "red"}
    else:
        with pytest.raises(ObjectChanged):
            store.carried("a", wanted=WANTED, read=read, exact=True)
    assert dict(store.carried("a", wanted=WANTED)) == {"in": "de", "team": "blue"}
    world.delete("a")
    with pytest.raises(NotFound) as gone:
        store.carried("a", wanted=Carried(tags={"team": "team"}))
    assert gone.value.reason == "object_gone"


def test_pages_that_are_asked_for_ahead_are_those_waited_for(full_world: ObjectWorld) -> None:
    world = full_world
    for n in range(12):
        world.put(f"k/{n:02}", b"x")
    starts = (None, "k/02", "k/05", "k/05x", "k/09", "z")
    store = cast("AheadStore", world.store)
    asked = [store.list_ahead("k/", start_after=start, limit=4) for start in starts]
    for start, page in zip(starts, asked, strict=True):
        assert page.result() == world.store.list_page("k/", start_after=start, limit=4)


def test_requests_are_counted(world: ObjectWorld) -> None:
    world.put("a", b"x")
    assert dict(world.store.requests()) == {"LIST": 0, "GET": 0, "HEAD": 0}
    world.store.list_page("", start_after=None)
    world.store.head("a")
    world.store.head("a")
    for _ in range(3):
        world.store.read("a", max_size_bytes=10)
    assert dict(world.store.requests()) == {"LIST": 1, "GET": 3, "HEAD": 2}


@pytest.fixture(params=["memory", "moto"])
def unordered(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectWorld:
    """A bucket that is listed by tokens: the fake shuffles, a server over HTTP need not."""
    if request.param == "memory":
        world = memory_world()
        world.store = MemoryObjectStore(world.bucket, ordered=False, page_keys=7)
        return world
    return endpoint_world(request.getfixturevalue("aws_endpoint"), spool_dir=tmp_path)


@pytest.mark.parametrize("number", [30, pytest.param(1005, marks=pytest.mark.long)])
def test_a_listing_by_tokens_gives_every_key_once(unordered: ObjectWorld, number: int) -> None:
    keys = [f"k/{n:04}" for n in range(number)]
    for key in (*keys, "l/other"):
        unordered.put(key, b"x")
    found: list[ObjectRef] = []
    token, pages = None, 0
    while pages == 0 or token is not None:
        page = cast("UnorderedStore", unordered.store).list_unordered("k/", token=token)
        found += page.objects
        token, pages = page.token, pages + 1
    assert sorted(ref.key for ref in found) == keys
    assert {ref.size for ref in found} == {1}
    assert unordered.store.requests()["LIST"] == pages


def test_a_listing_by_tokens_of_nothing_ends_at_once(unordered: ObjectWorld) -> None:
    page = cast("UnorderedStore", unordered.store).list_unordered("none/", token=None)
    assert (page.objects, page.token) == ((), None)


def test_the_fake_without_order_shuffles_and_refuses_ordered_pages() -> None:
    world = memory_world()
    for key in "abcdefgh":
        world.put(key, b"x")
    store = MemoryObjectStore(world.bucket, ordered=False)
    keys = [ref.key for ref in store.list_unordered("", token=None).objects]
    assert keys != sorted(keys)
    with pytest.raises(NotPossible) as caught:
        store.list_page("", start_after=None)
    assert caught.value.reason == "unordered_listing"
