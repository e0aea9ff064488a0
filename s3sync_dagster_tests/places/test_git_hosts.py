"""Two hosts on one catalog, each with its own copy: the older copy never decides."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from s3sync_dagster.catalog.listing_owner import KEPT_SECONDS
from s3sync_dagster.core.state import ListingState
from s3sync_dagster.model.errors import S3SyncError, Unavailable
from s3sync_dagster.places import git_repository
from s3sync_dagster.places.git import GitPlace
from s3sync_dagster.places.git_store import GitStore
from s3sync_dagster_tests.contracts.object_worlds import all_refs
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.places.git_server import Origin, git_server
from s3sync_dagster_tests.places.test_git import opened


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "served" / "team" / "docs")
    for number in range(12):
        made.write(f"a{number:02}.md", f"text {number}")
    made.commit()
    return made


@pytest.fixture
def server(tmp_path: Path, origin: Origin):
    with git_server(tmp_path / "served") as running:
        yield running


@pytest.fixture
def hosts(server, tmp_path: Path):
    with ExitStack() as stack:
        yield [
            stack.enter_context(opened(server, tmp_path / name)) for name in ("host-1", "host-2")
        ]


@pytest.fixture
def world(hosts):
    made = make_world()
    made.configure(place=GitPlace(repository="team/docs"), collection_name="docs")
    made.store = hosts[1]
    made.sync()  # both hosts have a copy of the first commit
    all_refs(hosts[0])
    yield made
    made.catalog.close()


def test_a_key_that_is_asked_for_is_not_read_from_an_older_copy(world, hosts, origin):
    origin.write("a00.md", "newer words")
    origin.write("z.md", "a new file")
    origin.commit()
    world.store = hosts[0]
    world.sync()
    world.ask("a00.md", "z.md")
    told = {report.key: report.state for report in world.run_batches(store=hosts[1])}
    assert "removed" not in told.values()
    assert {"newer words", "a new file"} <= set(world.texts().values())
    assert "text 0" not in world.texts().values()


def test_files_that_one_host_listed_are_read_by_another(world, hosts, origin):
    for number in range(5):
        origin.write(f"z{number}.md", f"later {number}")
    origin.write("a03.md", "changed")
    origin.commit()
    world.store = hosts[0]
    world.listing()
    told = {report.key: report.state for report in world.run_batches(store=hosts[1])}
    assert told == {"a03.md": "updated", **{f"z{number}.md": "indexed" for number in range(5)}}
    assert len(world.keys_indexed()) == 17
    assert "changed" in world.texts().values()


def test_a_batch_asks_the_server_once_whatever_its_size(world, hosts, origin, server):
    for number in range(12):
        origin.write(f"a{number:02}.md", f"second {number}")
    origin.commit()
    world.store = hosts[0]
    world.listing()
    world.ask("gone-1.md", "gone-2.md")
    server.seen.clear()
    assert len(world.run_batches(store=hosts[1])) == 14
    first = server.uploads()
    assert first <= 3  # which commit it is, and what differs
    world.ask("a00.md", "gone-1.md")
    server.seen.clear()
    world.run_batches(store=hosts[1])
    assert server.uploads() == 1  # which commit it is


def test_a_server_that_is_away_is_no_evidence_and_not_asked_for_each_key(
    world, hosts, origin, server
):
    origin.write("z.md", "a new file")
    origin.commit()
    world.store = hosts[0]
    world.sync()
    before = world.texts()
    server.redirect = "http://127.0.0.1:9"
    server.seen.clear()
    world.ask("z.md", *(f"a{number:02}.md" for number in range(12)))
    told = world.run_batches(store=hosts[1])
    assert {report.state for report in told}.isdisjoint({"removed", "updated", "indexed"})
    assert world.texts() == before
    assert len(server.seen) < len(told)
    server.redirect = None
    world.ask("z.md")  # another batch asks again
    assert {report.state for report in world.run_batches(store=hosts[1])} <= {"unchanged"}


def test_a_listing_of_another_host_begins_anew_and_removes_nothing(world, hosts, origin, tmp_path):
    for number in range(15):
        origin.write(f"z{number:02}.md", f"new {number}")
    origin.commit()
    world.store = hosts[0]
    world.sync()
    folders = [tmp_path / "listings-1", tmp_path / "listings-2"]
    begun = world.listing(budget_seconds=0.0, page_keys=5, snapshots=folders[0])
    assert not begun.done
    world.store = hosts[1]
    assert world.listing(page_keys=5, snapshots=folders[1]) is None
    world.clock.seconds += KEPT_SECONDS
    anew = world.listing(page_keys=5, snapshots=folders[1])
    assert (anew.listing.id != begun.listing.id, anew.listing.gone) == (True, 0)
    assert anew.listing.state is ListingState.COMPLETE
    assert world.run_batches() == []
    assert len(world.keys_indexed()) == 27


def test_a_listing_goes_on_with_its_commit_in_another_process(world, hosts, origin, tmp_path,
                                                              server):  # fmt: skip
    """A file that moves from behind the listing to before it is seen at its old place."""
    world.store = hosts[0]
    assert not world.listing(budget_seconds=0.0, page_keys=5, snapshots=tmp_path / "l").done
    origin.git("mv", "a11.md", "a00-moved.md")
    second = origin.commit()
    with opened(server, tmp_path / "host-1") as beside:
        all_refs(beside)  # the copy that both share moves on
    with opened(server, tmp_path / "host-1") as later:
        assert later.head("a01.md").version_id == second
        world.store = later
        ended = world.listing(page_keys=5, snapshots=tmp_path / "l")
        assert (ended.done, ended.listing.gone) == (True, 0)
        assert world.run_batches() == []
        told = world.sync()
    assert told == {"a00-moved.md": "indexed", "a11.md": "removed"}


def test_what_was_found_since_a_listing_began_is_not_taken_by_it(world, hosts, origin, tmp_path):
    world.store = hosts[0]
    assert not world.listing(budget_seconds=0.0, page_keys=5, snapshots=tmp_path / "l").done
    origin.write("z.md", "a new file")
    origin.commit()
    world.ask("z.md")
    assert [report.state for report in world.run_batches()] == ["indexed"]
    ended = world.listing(page_keys=5, snapshots=tmp_path / "l")
    assert (ended.done, ended.listing.gone) == (True, 0)
    assert "z.md" in world.keys_indexed()


def test_a_listing_whose_copy_was_made_anew_begins_anew(origin, server, tmp_path, monkeypatch):
    monkeypatch.setattr(git_repository, "MAX_PACKS", 1)
    with opened(server, tmp_path / "home") as store, opened(server, tmp_path / "home") as beside:
        assert isinstance(store, GitStore)
        token = store.pin()
        origin.write("a00.md", "changed")
        origin.commit()
        all_refs(beside)
        with pytest.raises(Unavailable) as caught:
            store.list_pinned(token, "", start_after="a03.md")
        assert caught.value.reason == "listing_lost"


def test_a_store_that_was_just_opened_asks_before_it_answers(origin, server, tmp_path):
    with opened(server, tmp_path / "home") as store:
        all_refs(store)
    origin.write("new.md", "x")
    commit = origin.commit()
    for ask in ("head", "page"):
        with opened(server, tmp_path / ask) as store:
            all_refs(store)
        origin.write(f"{ask}.md", "y")
        commit = origin.commit()
        with opened(server, tmp_path / ask) as store:
            if ask == "head":
                assert store.head("head.md").version_id == commit
            else:
                found = store.list_page("", start_after="a11.md").objects
                assert [ref.key for ref in found] == ["head.md", "new.md", "page.md"]
    server.redirect = "http://127.0.0.1:9"
    with opened(server, tmp_path / "head") as store, pytest.raises(S3SyncError) as caught:
        store.head("nothing.md")
    assert caught.value.reason == "repository_moved"
