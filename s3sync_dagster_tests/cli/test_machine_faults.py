"""What the machine does to a command is one sentence: a full disk, a folder that is read-only."""

import errno
import logging
import resource
import sqlite3
import subprocess
import sys

import pytest
import sqlalchemy as sa
from dagster._core.instance.types import _EventListenerLogHandler
from dagster._core.log_manager import set_log_record_metadata

from s3sync_dagster.cli.machine_faults import hushed, machine_fault
from s3sync_dagster.engine.unexpected import batch_error

SYNC = "from s3sync_dagster.cli import main; main()"


def test_a_disk_that_takes_nothing_more_is_one_sentence(environment, home):
    """The kernel refuses to let any file grow beyond a limit, as a full disk does."""
    for part in ("catalog.db", "catalog.db-wal"):
        (home / part).unlink(missing_ok=True)  # it is made anew, and does not fit

    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [sys.executable, "-c", SYNC, "sync", "s3://bucket/", "-c", "full", "--embedding", "hash"],
        capture_output=True, text=True, timeout=100, check=False,
        preexec_fn=little_room,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert f"The disk of '{home}' takes nothing more" in sentence
    assert "make room" in sentence


def test_a_database_that_may_not_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("S3SYNC_HOME", str(tmp_path))
    path = tmp_path / "catalog.db"
    sqlite3.connect(path).execute("create table one (a)").connection.close()
    engine = sa.create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    with engine.connect() as connection, pytest.raises(sa.exc.OperationalError) as caught:
        connection.execute(sa.text("insert into one values (1)"))
    engine.dispose()
    assert f"'{tmp_path}', or a file in it, is read-only" in str(machine_fault(caught.value))


def test_a_fault_is_found_behind_what_was_raised_around_it(tmp_path, monkeypatch):
    monkeypatch.setenv("S3SYNC_HOME", str(tmp_path / "not" / "there"))
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("a step failed") from error
    except RuntimeError as error:
        told = machine_fault(error)
    assert told is not None
    assert "takes nothing more" in told
    assert "MiB free" in told


def lines_beside(error):
    """What Dagster's own handler and our log write when the history takes no event for it."""

    class Full:
        def handle_new_event(self, *_args, **_named):
            raise error

        def report_engine_event(self, *_args, **_named):
            raise error

    handler = _EventListenerLogHandler(Full())
    record = logging.makeLogRecord({"name": "events", "levelno": logging.INFO})
    metadata = {"run_id": "r", "job_name": "j", "dagster_event": None, "step_key": None,
                "orig_message": "m", "log_message_id": "i", "log_timestamp": "0",
                "resource_fn_name": None, "resource_name": None, "job_tags": {},
                "dagster_event_batch_metadata": None}  # fmt: skip
    set_log_record_metadata(record, metadata)
    with pytest.raises(type(error)):
        handler.emit(record)
    batch_error(error)


def test_beside_the_sentence_nothing_is_said_of_a_full_disk(capsys, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("S3SYNC_HOME", str(tmp_path))
    full = sqlite3.OperationalError("database or disk is full")

    def ends_by_it():
        with hushed():
            lines_beside(full)
            raise full

    with pytest.raises(sqlite3.OperationalError):
        ends_by_it()
    assert (capsys.readouterr().err, caplog.messages) == ("", [])
    with hushed():  # it passed by itself
        lines_beside(full)
        print("another line", file=sys.stderr)
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "another line"
    assert told[1].startswith("Note: the disk took nothing more for a while")
    with hushed():
        lines_beside(sqlite3.OperationalError("no such table: event_logs"))
    assert "no such table" in capsys.readouterr().err
    assert "a batch could not go on: OperationalError in" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a bug"),
        OSError(errno.ENOENT, "No such file"),
        sqlite3.OperationalError("no such table: objects"),
    ],
)
def test_a_fault_of_the_program_is_none_of_the_machine(error):
    assert machine_fault(error) is None
