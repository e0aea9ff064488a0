"""Other hosts see the end of a process at once, on a real Postgres."""

import os
import signal
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog import presence
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import open_parts
from s3sync_dagster_tests.conftest_catalog import fresh_postgres_catalog

WORKER = """
import sys, time
import sqlalchemy as sa
from s3sync_dagster.catalog.presence import Presence
here = Presence(sa.make_url(sys.argv[1]))
here.hold("host:worker")
print("here", flush=True)
time.sleep(60)
"""


@pytest.fixture
def url(postgres_url):
    fresh = sa.make_url(fresh_postgres_catalog(postgres_url))
    yield fresh
    watch = presence._WATCHES.pop(fresh, None)
    if watch is not None and watch.connection is not None:
        watch.connection.close()


@pytest.fixture
def worker(url):
    whole = url.render_as_string(hide_password=False)
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, whole], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "here\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def until_left(url, owner, seconds=10.0):
    end = time.monotonic() + seconds
    while not presence.has_left(url, owner):
        assert time.monotonic() < end, "nobody was seen to leave"
        time.sleep(0.02)


def end_connections(url, application):
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = :name AND datname = current_database()"
            ),
            {"name": application},
        )


def test_who_is_killed_was_seen_and_is_gone(url, worker):
    assert not presence.has_left(url, "host:worker")
    os.kill(worker.pid, signal.SIGKILL)
    began = time.monotonic()
    until_left(url, "host:worker")
    print(f"seen {time.monotonic() - began:.2f} s after the kill")


def test_who_was_never_seen_is_not_known_to_be_gone(url, worker):
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    time.sleep(0.5)
    assert not presence.has_left(url, "host:worker")
    assert not presence.has_left(url, "host:nobody")


def test_no_more_names_are_remembered_than_may_be(url, worker, monkeypatch):
    monkeypatch.setattr(presence, "MOST_SEEN", 1)
    assert not presence.has_left(url, "host:worker")
    presence._WATCHES[url].seen |= {"host:other"}
    assert not presence.has_left(url, "host:worker")
    assert presence._WATCHES[url].seen == {"host:worker"}


def test_a_server_that_was_started_again_says_nothing_of_those_before(url, worker):
    assert not presence.has_left(url, "host:worker")
    end_connections(url, "s3sync presence")  # the worker's, and that of who watches
    assert not presence.has_left(url, "host:worker")  # it is met anew
    assert not presence.has_left(url, "host:worker")


def test_a_process_holds_what_it_is_until_its_parts_are_closed(url, tmp_path):
    settings = load_settings(
        {
            "S3SYNC_HOME": str(tmp_path),
            "S3SYNC_DATABASE_URL": url.render_as_string(hide_password=False),
        }
    )
    parts, other = open_parts(settings), open_parts(settings)
    owner = parts.at_work()
    assert owner == parts.owners.me()
    assert not other.has_left(owner)
    parts.close()
    until_left(url, owner)
    assert other.has_left(owner)
    assert not other.has_left(None)
    other.close()


def test_a_catalog_in_a_file_sees_nobody_leave(tmp_path):
    parts = open_parts(load_settings({"S3SYNC_HOME": str(tmp_path)}))
    assert not parts.has_left(parts.at_work())
    parts.close()


def test_without_a_connection_the_lease_has_to_do(caplog):
    nobody = sa.make_url("postgresql+psycopg2://s3sync@127.0.0.1:9/none")
    here = presence.Presence(nobody)
    here.hold("host:worker")
    assert "the lease has to do" in caplog.text
    assert not presence.has_left(nobody, "host:worker")
    here.close()
