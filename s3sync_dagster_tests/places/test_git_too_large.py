"""Repositories that are too large: fetched until that shows, and not again at each listing."""

import os

import pytest

from s3sync_dagster.model.errors import FixConfiguration
from s3sync_dagster.places import git_repository
from s3sync_dagster.places.git import GIT_MAX_BYTES
from s3sync_dagster_tests.contracts.object_worlds import all_refs
from s3sync_dagster_tests.places.test_git import opened, origin, server

__all__ = ["origin", "server"]


@pytest.fixture
def refused(origin, server, tmp_path):
    """Return how often the server was asked by a listing that ends as too large."""
    origin.write("big.txt", os.urandom(2_000_000).hex())
    origin.commit()

    def asked(most=2**20):
        server.seen.clear()
        with opened(server, tmp_path / "home", environment={GIT_MAX_BYTES: str(most)}) as store:
            with pytest.raises(FixConfiguration) as caught:
                all_refs(store)
            assert caught.value.reason == "repository_too_large"
        return server.uploads()

    return asked


def test_it_is_not_fetched_at_each_listing(refused):
    assert refused() > 1
    assert [refused(), refused()] == [1, 1]  # which commit it is


@pytest.mark.parametrize("what", ["commit", "bound", "time"])
def test_it_is_tried_again_once_something_is_otherwise(refused, origin, monkeypatch, what):
    refused()
    if what == "commit":
        origin.write("more.md", "more")
        origin.commit()
        assert refused() == 1
        monkeypatch.setattr(git_repository, "TOO_LARGE_ANEW_SECONDS", 0.0)
    elif what == "time":
        monkeypatch.setattr(git_repository, "TOO_LARGE_SECONDS", 0.0)
    assert refused(2**20 + 1 if what == "bound" else 2**20) > 1


def test_it_is_read_once_it_is_small_or_may_be_large(refused, origin, server, tmp_path):
    refused()
    with opened(server, tmp_path / "home") as store:
        assert len(all_refs(store)) == 3
    origin.git("rm", "-q", "big.txt")
    origin.commit()
    with opened(server, tmp_path / "home", environment={GIT_MAX_BYTES: str(2**20)}) as store:
        assert len(all_refs(store)) == 2


def test_what_earlier_commits_left_behind_makes_no_repository_too_large(origin, server, tmp_path):
    """Of each fetch some of the copy is of no use by the next, long before it is made anew."""
    bound = {GIT_MAX_BYTES: str(2 * 2**20)}
    with opened(server, tmp_path / "home", environment=bound) as store:
        for turn in range(10):
            origin.write("changing.txt", os.urandom(300_000).hex())
            blob = origin.git("rev-parse", f"{origin.commit()}:changing.txt")
            assert store.list_page("", start_after=None).objects[1].etag == blob, turn
