"""Uploads in a data folder whose list somebody else has written, as in a backup of his."""

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.local.backup import write_backup
from s3sync_dagster.model.errors import FixConfiguration, InvalidSetting
from s3sync_dagster.ports.files import EarlierUploads
from s3sync_dagster.ports.places import open_uploads
from s3sync_dagster.ports.uploads import bring_uploads
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.earlier_uploads import upload_as_before

SECRET = "of the operator"
VIEW = """DROP TABLE objects; CREATE VIEW objects AS WITH RECURSIVE c(x) AS
(SELECT 1 UNION ALL SELECT x + 1 FROM c)
SELECT 'k' AS key, 'e' AS etag, x AS size, 1 AS modified FROM c"""


class Rows:
    """Takes what is brought."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def find(self, *_: object) -> None:
        return None

    def write_bytes(self, pieces: Any) -> str:
        self.taken.append(b"".join(pieces))
        return "body"

    def put(self, *_: object, **__: object) -> bool:
        return True

    def clear(self, _: str) -> None:
        pass

    def brought(self, _: str) -> bool:
        return True


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    upload_as_before(tmp_path / "uploads" / "one", "a.md", "text")
    return tmp_path / "uploads"


def changed(uploads: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(uploads / "one" / "index.db")) as index, index:
        if values:
            index.execute(statement, values)
        else:
            index.executescript(statement)


def brought(uploads: Path) -> list[bytes]:
    rows: Any = Rows()
    bring_uploads(uploads, lambda: rows)
    return rows.taken


def test_what_lies_there_is_brought(uploads: Path) -> None:
    assert brought(uploads) == [b"text"]
    assert not (uploads / "one").exists()


@pytest.mark.parametrize("absolute", [True, False])
def test_a_name_that_leads_elsewhere_is_neither_read_nor_deleted(
    uploads: Path, tmp_path: Path, absolute: bool
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    name = str(secret) if absolute else "../../../secret"
    changed(uploads, "UPDATE objects SET size = ?", len(SECRET))
    changed(uploads, "UPDATE objects SET file = ?", name)
    assert brought(uploads) == []
    with pytest.raises(OSError, match="no name of an upload"):
        EarlierUploads(uploads / "one").delete("a.md")
    assert secret.read_text() == SECRET


def test_a_link_in_place_of_the_bytes_is_not_followed(uploads: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    [stored] = (uploads / "one" / "objects").iterdir()
    stored.unlink()
    stored.symlink_to(secret)
    changed(uploads, "UPDATE objects SET size = ?", len(SECRET))
    assert brought(uploads) == []


@pytest.mark.parametrize(
    "statement",
    [
        VIEW,
        "ALTER TABLE objects ADD COLUMN more TEXT GENERATED ALWAYS AS (zeroblob(1000)) VIRTUAL",
        "CREATE TRIGGER more AFTER DELETE ON objects BEGIN SELECT 1; END",
        "DROP TABLE objects; CREATE VIRTUAL TABLE objects USING fts5(key, etag, size, modified)",
        "UPDATE objects SET modified = 1e300",
        "UPDATE objects SET key = x'ff'",
    ],
)
def test_a_list_that_does_more_than_hold_rows_is_none(uploads: Path, statement: str) -> None:
    changed(uploads, statement)
    with pytest.raises(FixConfiguration) as refused:
        EarlierUploads(uploads / "one").refs()
    assert refused.value.reason == "uploads_unusable"
    assert brought(uploads) == []


@pytest.mark.parametrize("absolute", [True, False])
def test_the_id_of_a_source_leads_to_no_folder_elsewhere(
    uploads: Path, tmp_path: Path, absolute: bool
) -> None:
    """Who deletes a source has its uploads removed, and a backup may bring any id."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "of the operator").write_text(SECRET)
    rows: Any = Rows()
    surroundings: Any = SimpleNamespace(home=tmp_path, uploads=lambda: rows)
    with pytest.raises(InvalidSetting):
        open_uploads(str(files) if absolute else "../files", surroundings).clear()
    with pytest.raises(InvalidSetting):
        open_uploads("..", surroundings).clear()
    assert (files / "of the operator").exists()
    open_uploads("one", surroundings).clear()
    assert not (uploads / "one").exists()


def test_a_backup_writes_beside_no_name_that_leads_elsewhere(uploads: Path, tmp_path: Path) -> None:
    (uploads / "one" / "written").write_text("bytes")
    changed(uploads, "UPDATE objects SET file = ?", "../written")
    settings = load_settings({"S3SYNC_HOME": str(tmp_path)})
    with (
        closing(Database(settings.database_url)) as database,
        pytest.raises(FixConfiguration) as refused,
    ):
        write_backup(settings, database, tmp_path / "saved" / "one", parts=["uploads"])
    assert refused.value.reason == "uploads_unusable"
    assert list((tmp_path / "saved").rglob("written")) == []
