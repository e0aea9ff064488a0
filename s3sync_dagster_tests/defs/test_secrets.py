"""No secret is in what Dagster shows or stores: definitions, runs, events, ticks."""

import os
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value

from s3sync_dagster.defs.building import build_definitions
from s3sync_dagster.defs.resources import S3Source
from s3sync_dagster.model.place import CredentialsConfig
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster_tests.sources import s3_source

SECRET = "zq8-do-not-show-me-4711"
NAMES = ("TICKETS_KEY_ID", "TICKETS_SECRET", "TICKETS_SESSION", "MODEL_KEY")


@pytest.fixture
def secrets(monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, SECRET)


def test_what_the_ui_is_given_holds_names_and_no_value(secrets):
    credentials = {
        "access_key_id_env": NAMES[0],
        "secret_access_key_env": NAMES[1],
        "session_token_env": NAMES[2],
    }
    embedding = {"kind": "openai", "endpoint_url": "http://e/v1", "model": "m"}
    embedding |= {"api_key_env": NAMES[3]}
    declared = S3Source(
        name="one", bucket_name="bucket", collection_name="ones", embedding=embedding, **credentials
    )
    stored = s3_source(
        id="2", name="two", bucket_name="bucket", collection_name="twos",
        credentials=CredentialsConfig(**credentials), embedding=EmbeddingConfig(**embedding),
    )  # fmt: skip
    definitions = build_definitions([declared], catalog_sources=[stored])
    snapshot = RepositorySnap.from_def(definitions.get_repository_def())
    text = serialize_value(snapshot)
    assert SECRET not in text
    assert SECRET not in repr(declared)
    for name in NAMES:
        assert text.count(name) >= 2  # both sources tell which variables they read
    resources = {resource.name for resource in snapshot.resources}
    assert {"source_one", "source_two", "s3sync"} <= resources


def test_nothing_that_a_run_or_a_tick_stores_holds_a_secret(defs_world):
    world = defs_world
    world.aws.put(world.bucket, "a.md", "# A")
    world.aws.put(world.bucket, "bad.pdf", b"%PDF-1.4")
    results = world.sync()
    world.tick("dispatch")
    assert results
    secret = world.aws.secret_access_key
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == secret
    for path in Path(world.settings.home).rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    records = world.instance.get_records_for_run(results[0].run_id, limit=1000).records
    assert any(
        record.event_log_entry.dagster_event_type == dg.DagsterEventType.RUN_FAILURE
        for record in records
    )
