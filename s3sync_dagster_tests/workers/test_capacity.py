"""How many cores a process gives to what."""

import os

import pytest

from s3sync_dagster import embedding, wiring
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.settings import load_settings
from s3sync_dagster.workers import capacity
from s3sync_dagster.workers.capacity import default_workers, usable_cores


def test_cores_and_workers_are_those_of_this_machine():
    assert 1 <= default_workers() <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("cores", "asked", "workers"), [(1, "", 1), (2, "", 1), (16, "", 8), (2, "5", 5)]
)
def test_half_of_the_cores_infer_unless_told_otherwise(
    tmp_path, monkeypatch, cores, asked, workers
):
    given = []
    monkeypatch.setattr(capacity, "usable_cores", lambda: cores)
    monkeypatch.setattr(embedding, "open_embedder", lambda _config, **named: given.append(named))
    environment = {"S3SYNC_HOME": str(tmp_path), "S3SYNC_EMBEDDING_WORKERS": asked}
    parts = wiring.open_parts(load_settings(environment))
    parts.embedder_for(EmbeddingConfig(kind="minilm"))
    parts.close()
    assert [named["workers"] for named in given] == [workers]
