"""What is remembered of a site is kept as long as somebody uses it."""

import os
import time
from contextlib import closing

import pytest

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.model.source import Source
from s3sync_dagster.places.git_repository import sweep
from s3sync_dagster.places.web import SITES, UNUSED_SECONDS, WebPlace
from s3sync_dagster.ports.places import Surroundings, open_store


@pytest.fixture
def surroundings(tmp_path):
    return Surroundings(
        home=tmp_path,
        resolve_env={}.get,
        resolve_credential=lambda _: ("", "", None),
        uploads=lambda: open_catalog("sqlite://").uploads,
        guard_for=lambda _source, _url: None,
    )


def opened(name, surroundings):
    place = WebPlace(starting_url=f"https://{name}.example.org/")
    source = Source(id=name, name=name, place=place, collection_name="docs")
    return closing(open_store(source, surroundings))


def age(folder):
    then = time.time() - UNUSED_SECONDS - 86_400.0
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (then, then))


def test_a_process_that_runs_for_months_keeps_what_it_knows_of_a_site(surroundings, tmp_path):
    """Its file is open all the time: nothing comes into its folder, and nothing leaves it."""
    with opened("docs", surroundings) as store:
        store.tells_missing()
        (folder,) = (one for one in (tmp_path / SITES).iterdir() if one.is_dir())
        age(folder)
        store.learn([])  # as each crawl writes
        with opened("other", surroundings):
            assert (folder / "site.db").exists()
        age(folder)
    age(folder)
    sweep(tmp_path / SITES, unused_seconds=UNUSED_SECONDS)
    assert not folder.exists()
