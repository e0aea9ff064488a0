"""The schema of a catalog that came from a backup: somebody else may have written it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.local.restored_schema import require_own_schema
from s3sync_dagster.model.errors import FixConfiguration

SCHEMA = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY 1, 2"
AGAIN = """ALTER TABLE audit RENAME TO old;
CREATE TABLE audit (id INTEGER NOT NULL, at DOUBLE NOT NULL, tenant TEXT, who TEXT NOT NULL,
role TEXT NOT NULL, door TEXT NOT NULL, address TEXT, action TEXT NOT NULL, subject TEXT NOT NULL,
outcome TEXT NOT NULL, CONSTRAINT pk_audit PRIMARY KEY (id){more}); DROP TABLE old"""


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    file = tmp_path / "catalog.db"
    with closing(Database(f"sqlite:///{file}")) as database:
        database.migrate()
    return file


def run(catalog: Path, statements: str) -> None:
    with closing(sqlite3.connect(catalog)) as connection:
        connection.executescript(statements)


def schema(catalog: Path) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(catalog)) as connection:
        return connection.execute(SCHEMA).fetchall()


@pytest.mark.parametrize(
    "statements",
    [
        "CREATE UNIQUE INDEX e ON audit((CASE WHEN id > 3 THEN 0 ELSE id END))",
        "CREATE UNIQUE INDEX e ON audit(who)",
        "CREATE INDEX e ON audit(abs(-9223372036854775807 - (id > 3)))",
        "CREATE INDEX e ON audit(who) WHERE abs(-9223372036854775807 - (id > 3)) > 1",
        "DROP INDEX ix_audit_at; CREATE UNIQUE INDEX ix_audit_at ON audit(who)",
        "DROP INDEX uq_documents_record_ids",
        "ALTER TABLE audit ADD COLUMN e TEXT GENERATED ALWAYS AS (zeroblob(1000000000)) VIRTUAL",
        "ALTER TABLE audit ADD COLUMN e TEXT DEFAULT (abs(-9223372036854775807 - 1))",
        "DROP TABLE audit",
        "DROP TABLE audit; CREATE VIEW audit AS SELECT 1 AS id",
        "DROP TABLE audit; CREATE VIRTUAL TABLE audit USING fts5(who)",
        AGAIN.format(more=", UNIQUE (who)"),
        AGAIN.format(more="").replace("(id INTEGER", "(more TEXT NOT NULL, id INTEGER"),
        AGAIN.format(more=", FOREIGN KEY (who) REFERENCES tokens (id)"),
        AGAIN.format(more=", CHECK (id < 3)"),
        AGAIN.format(more="").replace("address TEXT", "address TEXT NOT NULL DEFAULT ''"),
    ],
)
def test_what_would_keep_rows_out_does_not_come_back(catalog: Path, statements: str) -> None:
    run(catalog, statements)
    with pytest.raises(FixConfiguration) as refused:
        require_own_schema(catalog)
    assert refused.value.reason == "backup_damaged"


def test_what_this_program_makes_comes_back(catalog: Path) -> None:
    before = schema(catalog)
    require_own_schema(catalog)
    assert schema(catalog) == before


@pytest.mark.parametrize(
    "statements",
    [
        "ALTER TABLE audit ADD COLUMN later TEXT",
        "ALTER TABLE audit ADD COLUMN later INTEGER NOT NULL DEFAULT 0",
        "CREATE TABLE later (id INTEGER PRIMARY KEY, word TEXT UNIQUE)",
        "CREATE INDEX ix_later ON audit(who)",
    ],
)
def test_what_a_later_version_has_added_stays(catalog: Path, statements: str) -> None:
    run(catalog, statements)
    before = schema(catalog)
    require_own_schema(catalog)
    assert schema(catalog) == before


def test_what_is_missing_is_made_and_what_acts_by_itself_goes(catalog: Path) -> None:
    before = schema(catalog)
    run(
        catalog,
        "DROP INDEX ix_audit_at; CREATE INDEX ix_audit_at ON audit(who);"
        "DROP INDEX ix_audit_tenant; CREATE VIEW v AS SELECT 1;"
        "CREATE TRIGGER e AFTER INSERT ON audit BEGIN DELETE FROM audit; END",
    )
    require_own_schema(catalog)
    assert schema(catalog) == before
