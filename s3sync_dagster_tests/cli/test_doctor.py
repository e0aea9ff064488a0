"""``s3sync doctor``: quiet about what is well, one line with the way out for what is not."""

import json
import os
import time
from contextlib import closing

import pytest
from cryptography.fernet import Fernet

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.tables import sources
from s3sync_dagster.cli import checks
from s3sync_dagster.cli.checks import clock_check, disk_check
from s3sync_dagster.cli.dagster_door import NONE_SEEN
from s3sync_dagster.core.declaration import FORGOTTEN_SECONDS, Declaration
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import open_parts
from s3sync_dagster.workers import landlock
from s3sync_dagster.workers.environment import GROUPS
from s3sync_dagster_tests.conftest_aws import ACCESS_KEY_ID
from s3sync_dagster_tests.scripted_http import scripted_server


def states(answer):
    return {check["name"]: (check["state"], check["text"]) for check in answer.json}


def test_credentials_that_the_key_of_this_home_does_not_open(s3sync, home, monkeypatch):
    assert "stored credentials" not in states(s3sync("doctor", "--json"))
    monkeypatch.setenv("KEY_ID", ACCESS_KEY_ID)
    monkeypatch.setenv("SECRET", "not a secret")
    names = ["--access-key-id-env", "KEY_ID", "--secret-access-key-env", "SECRET"]
    stored = s3sync("credential", "create", *names)
    assert stored.code == 0, stored.err
    assert states(s3sync("doctor", "--json"))["stored credentials"] == ("ok", "1 can be read")
    key_file = home / "encryption.key"
    key_file.write_text(Fernet.generate_key().decode())
    state, text = states(s3sync("doctor", "--json"))["stored credentials"]
    assert (state, "1 of 1 cannot be read" in text) == ("broken", True)
    made = ["source", "create", "docs", "--bucket", "bucket", "--collection", "docs", "--no-check"]
    assert s3sync(*made, "--credential", "1").code == 0
    refused = states(s3sync("doctor", "--json"))["source docs"][1]
    assert f"{key_file} is not the key it was stored with" in refused


def test_a_healthy_machine(s3sync, aws_endpoint, chroma_server):
    bucket = aws_endpoint.make_bucket()
    aws_endpoint.put(bucket, "docs/a.md", "hello")
    queue = aws_endpoint.make_queue(bucket=bucket)
    made = s3sync(
        "source", "create", "docs", "--bucket", bucket, "--collection", "docs",
        "--embedding", "hash", "--endpoint-url", aws_endpoint.url, "--queue-url", queue,
    )  # fmt: skip
    assert made.code == 0
    answer = s3sync("doctor", "--json")
    found = states(answer)
    assert answer.code == 0, answer.out
    assert found["chroma"] == ("ok", chroma_server)
    assert found["privacy"][0] == "ok"
    assert found["workers"][0] == ("ok" if landlock.version() else "note")
    assert found["source docs"][0] == "ok"
    assert found["clock"][0] == "ok"
    assert found["model hash"] == ("ok", "answers with 384 numbers")
    assert found["queue of docs"][0] == "note"  # it has no dead-letter queue
    assert "aws-setup" in found["queue of docs"][1]
    lines = s3sync("doctor").out.splitlines()
    assert len(lines) == len(found)
    assert any(line.startswith("ok      catalog: sqlite") for line in lines)


def test_what_code_declares_no_more_or_twice_is_said(s3sync, aws_endpoint, home):
    bucket = aws_endpoint.make_bucket()
    catalog = open_catalog(load_settings().database_url)
    for name in ("left", "fresh", "twice"):
        declared = aws_endpoint.source(bucket, name=name, collection_name=f"c-{name}")
        catalog.sources.register(declared, by="ours")
    catalog.sources.register(declared.with_changes(max_size_bytes=1), by="theirs")
    renamed = aws_endpoint.source(bucket, name="renamed", collection_name="c-left")
    with pytest.raises(Conflict, match="`s3sync source delete left --undeclared`"):
        catalog.sources.register(renamed, by="ours")
    past = Declaration(at=time.time() - FORGOTTEN_SECONDS - 60, by="ours").to_json()
    with catalog.database.write() as tx:
        tx.execute(sources.update().where(sources.c.name == "left").values(declared=past))
    catalog.close()
    found = states(s3sync("doctor", "--json"))
    assert "declaration of fresh" not in found
    state, text = found["declaration of left"]
    assert state == "note"
    assert text.startswith("code declared it 6 min ago for the last time, so nothing lists it, and")
    assert "`s3sync source delete left --undeclared`" in text
    assert NONE_SEEN in text
    status = {one["source"]: one for one in s3sync("status", "--json").json}
    assert (status["left"]["declares"], status["fresh"]["declares"]) == (False, True)
    told = {name: " ".join(s3sync("status", name).out.split()) for name in ("left", "fresh")}
    assert "s3sync source delete left --undeclared" in told["left"]
    assert "nothing is seen that works on it" not in told["fresh"], "its code ticks"
    refused = s3sync("source", "delete", "left").err
    assert "s3sync source delete left --undeclared" in refused
    state, text = found["declaration of twice"]
    assert state == "broken"
    assert "is declared by the code location 'theirs', too" in text


def test_a_code_location_that_a_dagster_of_ones_own_lacks_is_named(s3sync, monkeypatch):
    entry = {"name": "company.definitions", "loadStatus": "LOADED"}
    entry["locationOrLoadError"] = {"__typename": "RepositoryLocation"}
    locations = {"data": {"workspaceOrError": {"locationEntries": [entry]}}}
    beat = {"daemonHealth": {"allDaemonStatuses": [{"lastHeartbeatTime": time.time()}]}}

    def decide(asked):
        if b"locationEntries" in asked:
            return 200, json.dumps(locations), {}
        found = {"data": {"instance": beat}} if asked else {"dagster_webserver_version": "1.13.27"}
        return 200, json.dumps(found), {}

    with scripted_server() as server:
        server.decide = decide
        monkeypatch.setenv("S3SYNC_DAGSTER_URL", server.url)
        for named, state in ((None, "broken"), ("company.definitions", "ok")):
            if named:
                monkeypatch.setenv("S3SYNC_DAGSTER_LOCATION", named)
            found = states(s3sync("doctor", "--json"))["dagster"]
            assert found[0] == state, found
            if named is None:
                assert "no code location 's3sync'" in found[1]
                assert "S3SYNC_DAGSTER_LOCATION ('company.definitions')" in found[1]


def test_a_dagster_of_ones_own_that_does_not_answer_is_told(s3sync, monkeypatch):
    monkeypatch.setenv("S3SYNC_DAGSTER_URL", "http://127.0.0.1:9")
    told = "The Dagster webserver at http://127.0.0.1:9 does not answer (ConnectError): start it, "
    told += "or correct S3SYNC_DAGSTER_URL"
    create = ["source", "create", "docs", "--bucket", "b-ucket", "-c", "docs", "--no-check"]
    made = s3sync(*create)
    assert made.code == 0
    assert made.err.endswith(f"Next: nothing is seen that begins with it. {told}\n")
    said = s3sync("status").out
    assert "Dagster http://127.0.0.1:9, which does not answer" in said.splitlines()[0]
    assert f"nothing is seen that works on it: {told}" in " ".join(said.split())
    [one] = s3sync("status", "--json").json
    assert (one["stack"], one["sensor_on"], one["unseen"]) == (False, None, told)


def test_a_model_folder_that_is_none_is_told(s3sync, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("S3SYNC_MODEL_DIR", str(tmp_path / "nowhere"))
    told = f"S3SYNC_MODEL_DIR names {str(tmp_path / 'nowhere')!r}, which is no folder"
    state, text = states(s3sync("doctor", "--json"))["model folder"]
    assert (state, text.startswith(told)) == ("note", True)
    with closing(open_parts(load_settings())) as parts:
        for kind in ("hash", "static"):
            parts.embedder_for(EmbeddingConfig(kind=kind))
    assert [told in one for one in caplog.messages].count(True) == 1, "once"
    (tmp_path / "nowhere").mkdir()
    assert "model folder" not in states(s3sync("doctor", "--json"))


def test_what_is_broken_is_named_with_the_way_out(s3sync, aws_endpoint, home, monkeypatch):
    made = s3sync(
        "source", "create", "docs", "--bucket", "no-such-bucket", "--collection", "docs",
        "--no-check",
        "--embedding", "hash", "--endpoint-url", aws_endpoint.url,
    )  # fmt: skip
    assert made.code == 0
    (home / "encryption.key").chmod(0o644)
    home.chmod(0o1777)  # shared by intent: nobody takes that back unasked
    monkeypatch.setenv("S3SYNC_CHROMA_URL", "http://127.0.0.1:9")
    answer = s3sync("doctor", "--json")
    assert answer.code == 1
    found = states(answer)
    broken = {name for name, (state, _) in found.items() if state == "broken"}
    assert broken == {"encryption key", "privacy", "chroma", "source docs"}
    assert f"chmod 700 {home}" in found["privacy"][1]
    assert "chmod 600" in found["encryption key"][1]
    assert "127.0.0.1:9" in found["chroma"][1]
    assert "no-such-bucket" in found["source docs"][1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of other users")
def test_what_another_user_has_put_into_the_data_folder_is_named(s3sync, home):
    assert states(s3sync("doctor", "--json"))["privacy"][0] == "ok"
    planted = home / "logs" / "api.log"
    planted.symlink_to("/nowhere")
    os.chown(planted, 65534, 65534, follow_symlinks=False)
    answer = s3sync("doctor", "--json")
    state, text = states(answer)["privacy"]
    assert (answer.code, state, str(planted) in text) == (1, "broken", True)


def test_an_instance_of_ones_own_that_others_may_look_into_is_a_note(s3sync, tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.mkdir(mode=0o755)
    own.chmod(0o755)
    monkeypatch.setenv("DAGSTER_HOME", str(own))
    answer = s3sync("doctor", "--json")
    assert states(answer)["privacy"][0] == "note"
    assert str(own) in states(answer)["privacy"][1]
    assert answer.code == 0


def test_settings_that_cannot_be_read_are_one_broken_line(s3sync, monkeypatch):
    monkeypatch.setenv("S3SYNC_CHROMA_URL", "not a url")
    monkeypatch.setenv("S3SYNC_WORKER_SANDBOX", "off")
    answer = s3sync("doctor", "--json")
    assert answer.code == 1
    assert states(answer)["start"][0] == "broken"
    assert "S3SYNC_CHROMA_URL" in states(answer)["start"][1]
    assert states(answer)["workers"][0] == "note"


def test_what_workers_could_still_do_is_said(monkeypatch):
    held = "s3sync_dagster_tests.workers.burglar:hold_files"
    monkeypatch.setattr(checks, "_HELD", held)
    check, _ = checks.worker_checks()
    assert check.state == "note"
    assert "has all files of this user: " in check.text


def test_whether_a_control_group_bounds_workers_is_said(monkeypatch, tmp_path):
    counted = GROUPS in os.environ  # of this machine
    _, check = checks.worker_checks()
    assert (check.state, "bounds all of it" in check.text) == ("ok", counted)
    monkeypatch.setenv(GROUPS, str(tmp_path))  # no control group
    _, check = checks.worker_checks()
    assert (check.state, f"{tmp_path}, where no worker comes in" in check.text) == ("note", True)
    monkeypatch.delenv(GROUPS)
    _, check = checks.worker_checks()
    assert (check.state, "what the kernel keeps for them" in check.text) == ("ok", True)


@pytest.mark.parametrize(
    ("free_mib", "state", "words"),
    [(1, "broken", "1 MiB free"), (1000, "note", "1.0 GiB free"), (9000, "ok", "8.8 GiB free")],
)
def test_a_disk_without_room_is_broken(free_mib, state, words):
    check = disk_check(free_mib * 1024**2)
    assert (check.state, words in check.text) == (state, True)


def test_a_clock_that_is_off_is_found(aws_endpoint):
    assert clock_check(aws_endpoint.url, time.time()).state == "ok"
    assert clock_check(aws_endpoint.url, time.time() + 60).state == "note"
    late = clock_check(aws_endpoint.url, time.time() - 3600)
    assert late.state == "broken"
    assert "set it" in late.text
    assert clock_check("http://127.0.0.1:9", time.time()).state == "note"
