"""Copies of repositories and sites leave room on the disk, however many sources there are."""

import os

import pytest

from s3sync_dagster.model.errors import FixConfiguration, Unavailable
from s3sync_dagster.places import disk_room
from s3sync_dagster.places.git import GIT_MAX_BYTES
from s3sync_dagster_tests.contracts.object_worlds import all_refs
from s3sync_dagster_tests.places.test_git import opened, origin, server

__all__ = ["origin", "server"]


def bytes_below(folder):
    return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())


def test_no_repository_takes_the_last_of_the_disk(origin, server, tmp_path, monkeypatch):
    with opened(server, tmp_path / "home") as store:
        before = all_refs(store)
        origin.write("c.md", "another")
        origin.commit()
        with monkeypatch.context() as patch:
            patch.setattr(disk_room, "LEAST_FREE_BYTES", 2**62)
            with pytest.raises(Unavailable) as caught:
                all_refs(store)
        assert caught.value.reason == "disk_full"
        assert len(all_refs(store)) == len(before) + 1


def test_what_was_fetched_in_vain_does_not_stay(origin, server, tmp_path):
    origin.write("big.txt", os.urandom(3_000_000))
    origin.commit()
    with opened(server, tmp_path / "home", environment={GIT_MAX_BYTES: str(2**20)}) as store:
        with pytest.raises(FixConfiguration):
            all_refs(store)
        assert bytes_below(tmp_path / "home") < 100_000


def test_pages_do_not_wait_on_a_disk_that_is_nearly_full(site, visit, monkeypatch):
    site.page("/")
    monkeypatch.setattr(disk_room, "LEAST_FREE_BYTES", 2**62)
    visitor = visit()
    visitor.crawl()
    assert b"Words of /" in visitor.read("/")
    assert site.asked("/") == [200, 200]
