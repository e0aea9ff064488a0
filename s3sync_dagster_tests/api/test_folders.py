"""Folders by the API: off by default, for owners, below the roots that the operator named.

File stores: for tenants that are trusted."""

import uuid

import pytest

from s3sync_dagster.places.folder import FOLDER_ROOTS
from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.places.file_servers import served

SOURCES = "/api/v1/sources"


def payload(folder, **fields):
    name = f"c-{uuid.uuid4().hex[:12]}"
    return {
        "folder": {"folder": str(folder), "collection_name": name, **fields},
        "database_name": "default_database",
        "embedding": {"dense": {"model": "s3sync-hash"}},
    }


def test_no_folder_of_the_server_is_to_be_had_unless_a_root_is_named(http, tmp_path):
    refusal = http.post(SOURCES, json=payload(tmp_path))
    assert (refusal.status_code, refusal.json()["error"]) == (400, "source_type_not_available")
    assert FOLDER_ROOTS in refusal.json()["message"]


@pytest.fixture
def allowing(tmp_path, chroma_server, aws_endpoint):
    root = tmp_path / "shared"
    (root / "team").mkdir(parents=True)
    (root / "team" / "a.md").write_text("# Holidays")
    (tmp_path / "private").mkdir()
    with running_api(
        tmp_path / "home", chroma=chroma_server, aws=aws_endpoint,
        environ={FOLDER_ROOTS: str(root)},
    ) as api:  # fmt: skip
        yield api, root


def test_only_folders_below_a_root_are_to_be_had(allowing):
    api, root = allowing
    with api.client() as http:
        refusal = http.post(SOURCES, json=payload(root.parent / "private"))
        assert (refusal.status_code, refusal.json()["error"]) == (400, "folder_not_allowed")
        missing = http.post(SOURCES, json=payload(root / "missing"))
        assert missing.json()["error"] == "folder_missing"
        relative = http.post(SOURCES, json=payload("team"))
        assert relative.status_code == 400
        unknown = http.post(SOURCES, json=payload(root / "team", within="/"))
        assert unknown.status_code == 400

        made = http.post(SOURCES, json=payload(root / "team", include_globs=["*.md"]))
        assert made.status_code == 201, made.text
        name = made.json()["source_id"]
        shown = http.get(f"{SOURCES}/{name}").json()
        assert shown["folder"]["folder"] == str(root / "team")
        assert shown["folder"]["auto_sync"] == "none"
        assert "s3" not in shown
        managed = http.get(f"/s3sync/v1/sources/{name}").json()
        assert managed["type"] == "folder"
        assert managed["address"] == f"{root / 'team'}/"
        assert managed["settings"]["include_globs"] == ["*.md"]
        assert [
            one["id"] for one in http.get(SOURCES, params={"source_type": "folder"}).json()
        ] == [name]
        assert http.get(SOURCES, params={"source_type": "s3"}).json() == []

        changed = http.patch(f"/s3sync/v1/sources/{name}", json={"marker": ".mounted"})
        assert changed.status_code == 400  # it is looked at before it is taken
        (root / "team" / ".mounted").touch()
        changed = http.patch(f"/s3sync/v1/sources/{name}", json={"marker": ".mounted"})
        assert changed.json()["settings"]["marker"] == ".mounted"
        fixed = http.patch(f"/s3sync/v1/sources/{name}", json={"folder": "/etc"})
        assert fixed.status_code == 400

        asked = http.post(f"{SOURCES}/{name}/invocations", json={"object_key": "a.md"})
        assert asked.status_code == 201, asked.text

    member = api.token(role="member")
    with api.client(member) as http:
        assert http.post(SOURCES, json=payload(root / "team")).status_code == 403


def test_who_is_trusted_may_have_a_file_store_and_none_that_reads_this_disk(http, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Holidays")

    def store(url):
        return {
            "files": {"store_url": url, "collection_name": f"c-{uuid.uuid4().hex[:12]}"},
            "database_name": "default_database",
            "embedding": {"dense": {"model": "s3sync-hash"}},
        }

    with served(tmp_path) as url:
        made = http.post(SOURCES, json=store(url))
        assert made.status_code == 201, made.text
        shown = http.get(f"{SOURCES}/{made.json()['source_id']}").json()
        assert shown["files"]["store_url"] == url
        missing = http.post(SOURCES, json=store(f"{url}/missing"))
        assert missing.json()["error"] == "folder_missing"
    other = http.post(SOURCES, json=store("fsspec+memory://docs"))
    assert (other.status_code, other.json()["error"]) == (400, "store_not_allowed")
    secret = {**store(url)}
    secret["files"]["token_env"] = "S3SYNC_API_TOKEN"
    assert http.post(SOURCES, json=secret).status_code == 400
