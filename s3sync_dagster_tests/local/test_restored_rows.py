"""Rows of a catalog that came from a backup: somebody else may have written them."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.local.restored_rows import LAST_NUMBER, ROOM
from s3sync_dagster.local.restored_schema import require_own_schema
from s3sync_dagster.model.errors import FixConfiguration

AUDIT = (
    "INSERT INTO audit (id, at, tenant, who, role, door, action, subject, outcome) "
    "VALUES ({id}, {at}, {tenant}, {who}, 'owner', 'cli', 'token create', '', 'done')"
)
ROW = {"id": 7, "at": 1795807641.25, "tenant": "NULL", "who": "'ann \U0001f642'"}


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    file = tmp_path / "catalog.db"
    with closing(Database(f"sqlite:///{file}")) as database:
        database.migrate()
    return file


def look(catalog: Path, *statements: str) -> None:
    with closing(sqlite3.connect(catalog)) as given, given:
        for one in statements:
            given.execute(one)
    require_own_schema(catalog)


@pytest.mark.parametrize(
    "unfit",
    [
        {"at": "'soon'"},
        {"at": "1e300"},
        {"at": "9e999"},
        {"id": 2**63 - 1},
        {"id": LAST_NUMBER - ROOM + 1},
        {"id": -(2**63)},
        {"tenant": "x'00'"},
        {"who": "x'616e6e'"},
        {"who": "CAST(x'ff616e6e' AS TEXT)"},
    ],
    ids=str,
)
def test_a_row_that_nobody_could_read_again_does_not_come_back(catalog, unfit):
    look(catalog, AUDIT.format(**ROW))
    with pytest.raises(FixConfiguration, match="'audit'") as refused:
        look(catalog, "DELETE FROM audit", AUDIT.format(**(ROW | unfit)))
    assert refused.value.reason == "backup_damaged"


@pytest.mark.parametrize("time", [datetime.min, datetime.max, datetime(9999, 12, 31, 23, 59, 59)])
def test_every_time_that_a_file_may_have_comes_back(catalog, time):
    look(catalog, AUDIT.format(**ROW | {"at": repr(time.replace(tzinfo=UTC).timestamp())}))


@pytest.mark.parametrize("number", ["9223372036854775807", "'many'", f"{LAST_NUMBER}", "-1"])
def test_numbers_that_leave_none_to_come_do_not_come_back(catalog, number):
    sequence = "INSERT INTO sqlite_sequence (name, seq) VALUES ('{}', {})"
    look(catalog, sequence.format("listings", LAST_NUMBER - ROOM))
    with pytest.raises(FixConfiguration, match="sqlite_sequence"):
        look(catalog, sequence.format("documents", number))


def test_two_numbers_to_come_of_one_table_do_not_come_back(catalog):
    sequence = "INSERT INTO sqlite_sequence (name, seq) VALUES ('documents', {})"
    look(catalog, sequence.format(3))
    with pytest.raises(FixConfiguration, match="sqlite_sequence"):
        look(catalog, sequence.format(4))
