"""Instance and catalog on Postgres: run workers with empty homes of their own."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.defs.dagster_internals.pruning import prune_runs
from s3sync_dagster.engine import dispatching
from s3sync_dagster_tests.conftest_catalog import fresh_postgres_database
from s3sync_dagster_tests.defs.defs_fixture import open_world

DEPLOY = Path(__file__).parents[2] / "deploy"
WORKER = """
import json, sys
import dagster as dg
from s3sync_dagster.definitions import defs

request = json.loads(sys.stdin.read())
definitions = defs()
with dg.DagsterInstance.get() as instance:
    job = definitions.resolve_job_def(request["job"])
    result = job.execute_in_process(
        run_config=request["config"], tags=request["tags"], instance=instance,
        run_id=request["run_id"], raise_on_error=False,
    )
    # Connections to Dagster's Postgres are kept, not opened for each call.
    pool = type(instance.event_log_storage._engine.pool).__name__
    print(json.dumps({"success": result.success, "pool": pool}))
"""


@pytest.fixture
def world(tmp_path, aws_endpoint, chroma_server, aws_environment, postgres_url, monkeypatch):
    for name in list(os.environ):
        if name.startswith(("S3SYNC_", "CHROMA_", "DAGSTER_")):
            monkeypatch.delenv(name)
    instance = sa.make_url(fresh_postgres_database(postgres_url))
    values = {
        "S3SYNC_HOME": str(tmp_path / "home"),
        "DAGSTER_HOME": str(tmp_path / "home" / "dagster"),
        "S3SYNC_DATABASE_URL": fresh_postgres_database(postgres_url),
        "S3SYNC_CHROMA_URL": chroma_server,
        "DAGSTER_EVENT_BATCH_SIZE": "100",
        "DAGSTER_POSTGRES_HOST": instance.host or instance.query["host"],
        "DAGSTER_POSTGRES_PORT": str(instance.port or 5432),
        "DAGSTER_POSTGRES_USER": instance.username,
        "DAGSTER_POSTGRES_PASSWORD": instance.password or "none",
        "DAGSTER_POSTGRES_DB": instance.database,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    dagster_home(tmp_path / "home")
    with open_world(aws_endpoint, tmp_path / "home", dict(os.environ)) as opened:
        yield opened


def dagster_home(home):
    (home / "dagster").mkdir(parents=True)
    text = (DEPLOY / "dagster-postgres.yaml").read_text()
    # The test's server listens on a socket file only.
    where = f'hostname: ""\n      params: {{host: "{os.environ["DAGSTER_POSTGRES_HOST"]}"}}'
    text = text.replace("hostname: {env: DAGSTER_POSTGRES_HOST}", where)
    text = text.replace("{env: DAGSTER_POSTGRES_PORT}", os.environ["DAGSTER_POSTGRES_PORT"])
    (home / "dagster" / "dagster.yaml").write_text(text)


def start_worker(home, request):
    dagster_home(home)
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "S3SYNC_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")},
    )  # fmt: skip
    run_id = request.tags["s3sync/batch"]
    values = {
        "job": request.job_name,
        "config": request.run_config,
        "tags": dict(request.tags),
        "run_id": run_id,
    }
    process.stdin.write(json.dumps(values))
    process.stdin.close()
    process.stdin = None
    return process, run_id


@pytest.mark.long
def test_workers_with_empty_homes_share_the_work(world, tmp_path, monkeypatch):
    keys = [f"docs/{number:03d}.md" for number in range(60)]
    for key in keys:
        world.aws.put(world.bucket, key, f"# {key}")
    world.aws.put(world.bucket, "bad.pdf", b"%PDF-1.4")
    world.listing()
    monkeypatch.setattr(dispatching, "Take", lambda **_: Take(max_keys=31))  # two batches of 61
    requests = world.dispatcher().requests()
    assert len(requests) == 2
    workers = [
        start_worker(tmp_path / f"worker-{place}", request)[0]
        for place, request in enumerate(requests)
    ]
    answers = []
    for worker in workers:
        output, errors = worker.communicate(timeout=240)
        assert worker.returncode == 0, errors
        answers.append(json.loads(output.splitlines()[-1]))
    assert sorted(answer["success"] for answer in answers) == [False, True]  # the bad key
    assert {answer["pool"] for answer in answers} == {"QueuePool"}
    assert world.indexed_keys() == set(keys)
    assert world.collection().count() == len(keys)
    assert world.statuses(*keys, "bad.pdf") == dict.fromkeys(keys, "MATERIALIZED") | {
        "bad.pdf": "FAILED"
    }
    records = world.instance.fetch_materializations(world.asset, limit=1000).records
    assert sorted(record.partition_key for record in records) == keys
    for place in range(2):  # nothing of a run is on its disk
        home = tmp_path / f"worker-{place}"
        files = {path.name for path in home.rglob("*") if path.is_file()}
        assert not any(name.endswith(".db") for name in files), files


def test_a_worker_that_died_elsewhere_is_released_when_its_lease_ends(world):
    world.aws.put(world.bucket, "a.md", "# A")
    world.listing()
    (request,) = world.dispatcher().requests()
    assert world.catalog.batches.start(
        request.run_key, owner="another-home:1-x", run_id="run-elsewhere"
    )
    dispatcher = world.dispatcher()
    assert dispatcher._release_dead(log=print) == []
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("UPDATE batches SET lease_until = 0")
    assert dispatcher._release_dead(log=print) == ["released a batch: its lease ended"]
    (result,) = world.dispatch()
    assert result.success
    assert world.statuses("a.md") == {"a.md": "MATERIALIZED"}


def test_old_runs_leave_postgres_and_materialisations_stay(world):
    for number in range(3):
        world.aws.put(world.bucket, "a.md", f"# {number}")
        world.sync()
    later = datetime.now(UTC) + timedelta(hours=2)
    assert prune_runs(world.instance, [world.source.name], keep_runs=0, now=later) == 3
    assert world.instance.get_runs_count() == 0
    assert world.statuses("a.md") == {"a.md": "MATERIALIZED"}
    filtered = dg.AssetRecordsFilter(world.asset, asset_partitions=["a.md"])
    assert len(world.instance.fetch_materializations(filtered, limit=10).records) == 1
