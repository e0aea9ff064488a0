"""A team's parts, each a process of its own, from the commands of ``deploy/compose.yaml``."""

import json
import time
from contextlib import closing

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.local.loopback import free_port
from s3sync_dagster_tests.conftest_catalog import fresh_postgres_database
from s3sync_dagster_tests.deploy.compose_file import DEPLOY, Deployment


@pytest.fixture
def team(tmp_path, postgres_url, aws_endpoint):
    instance = sa.make_url(fresh_postgres_database(postgres_url))
    host = instance.host or instance.query["host"]
    ports = {name: str(free_port()) for name in ("4000", "3000", "8200", "8000")}
    for name in ("etc", "home", "secrets"):
        (tmp_path / name).mkdir()
    # The test's server listens on a socket file only.
    text = (DEPLOY / "dagster-postgres.yaml").read_text()
    text = text.replace(
        "hostname: {env: DAGSTER_POSTGRES_HOST}",
        f'hostname: ""\n      params: {{host: "{host}"}}',
    ).replace("{env: DAGSTER_POSTGRES_PORT}", str(instance.port or 5432))
    (tmp_path / "etc" / "dagster.yaml").write_text(text)
    workspace = (DEPLOY / "workspace.yaml").read_text()
    (tmp_path / "etc" / "workspace.yaml").write_text(workspace)
    for name, value in {
        "S3SYNC_DATABASE_URL": fresh_postgres_database(postgres_url),
        "S3SYNC_ENCRYPTION_KEY": Fernet.generate_key().decode(),
        "DAGSTER_POSTGRES_PASSWORD": instance.password or "none",
    }.items():
        (tmp_path / "secrets" / name).write_text(f"{value}\n")
    places = {
        "/var/lib/s3sync": str(tmp_path / "home"), "/etc/s3sync": str(tmp_path / "etc"),
        "s3sync-entrypoint": str(DEPLOY / "entrypoint.sh"), "0.0.0.0": "127.0.0.1",
        "code-server": "code-server", **ports,
    }  # fmt: skip
    places |= {f"//{name}:": "//127.0.0.1:" for name in ("chroma", "webserver")}
    overrides = {
        **aws_endpoint.environment(), "DAGSTER_POSTGRES_USER": str(instance.username),
        "DAGSTER_POSTGRES_DB": str(instance.database),
    }  # fmt: skip
    deployment = Team(folder=tmp_path, places=places, environment={}, overrides=overrides)
    yield deployment
    deployment.stop()


class Team(Deployment):
    """With the addresses of this machine."""

    def __init__(self, *, overrides, **fields):
        super().__init__(**fields)
        self.overrides = overrides

    def variables(self, name):
        own = super().variables(name)
        own["S3SYNC_CODE_SERVER_HOST"] = "127.0.0.1"
        return {**own, **self.overrides}

    def secret(self, name):
        return (self.folder / "secrets" / name).read_text().strip()

    def s3sync(self, *words):
        return self.run("api", "s3sync", *words)

    def until(self, condition, seconds=240):
        end = time.monotonic() + seconds
        while not (value := condition()):
            for name, process in self.started.items():
                assert name == "migrate" or process.poll() is None, self.log(name).read_text()
            assert time.monotonic() < end, {
                name: self.log(name).read_text()[-2000:] for name in self.started
            }
            time.sleep(0.5)
        return value


@pytest.mark.long
@pytest.mark.timeout(900)  # six starts of Python programs, one after the other
def test_a_source_that_the_command_line_made_is_indexed_by_a_teams_parts(team, aws_endpoint):
    bucket = aws_endpoint.make_bucket()
    queue = aws_endpoint.make_queue(bucket=bucket)
    aws_endpoint.put_all(bucket, {f"{n}.md": f"# {n}\n\nThe text of {n}." for n in range(5)})
    refused = team.s3sync("migrate", "--check")
    assert refused.returncode == 1, refused.stderr
    for name in ("daemon", "api"):
        team.start(name)
        team.wait(name)
    assert team.s3sync("migrate", "--check").returncode == 0
    made = team.s3sync(
        "source", "create", "docs", "--bucket", bucket, "--collection", bucket,
        "--endpoint-url", aws_endpoint.url, "--embedding", "hash",
        "--queue-url", queue, "--list-interval", "86400",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr

    with closing(open_catalog(team.secret("S3SYNC_DATABASE_URL"))) as catalog:
        source = catalog.sources.find("docs")
        team.until(lambda: catalog.views.counts(source.id).indexed == 5)
    told = team.s3sync("status", "docs", "--json")
    assert told.returncode == 0, told.stderr
    [one] = json.loads(told.stdout)
    assert one["indexed"] == 5
    url = team.variables("api")["S3SYNC_DAGSTER_URL"]
    assert (one["stack"], one["dagster"], one["sensor_on"]) == (True, url, True)
    assert "postgresql" in one["catalog"]
    said = team.s3sync("status").stdout
    assert f"Dagster {url}" in said
    assert "nothing is seen that works on it" not in said
    doctor = json.loads(team.s3sync("doctor", "--json").stdout)
    [dagster] = [check for check in doctor if check["name"] == "dagster"]
    assert dagster["state"] == "ok", dagster
    assert url in dagster["text"]
    hit = json.loads(team.s3sync("query", "text of 3", "-c", bucket, "--json").stdout)[0]
    assert hit["metadata"]["document_key"] == "3.md"
    follows_events(team, aws_endpoint, bucket, queue, listed=one["listing"])
    # Who looks at a Dagster that does not answer is told so.
    team.overrides["S3SYNC_DAGSTER_URL"] = "http://127.0.0.1:9"
    doctor = json.loads(team.s3sync("doctor", "--json").stdout)
    [dagster] = [check for check in doctor if check["name"] == "dagster"]
    assert (dagster["state"], "S3SYNC_DAGSTER_URL" in dagster["text"]) == ("broken", True)


def follows_events(team, aws_endpoint, bucket, queue, *, listed):
    """What S3 tells the queue is searchable, and what it says is gone is not; nothing is listed."""
    aws_endpoint.put(bucket, "late.md", "# Late\n\nThe ferry leaves at dawn.")
    aws_endpoint.delete(bucket, "0.md")
    began = time.monotonic()
    with closing(open_catalog(team.secret("S3SYNC_DATABASE_URL"))) as catalog:
        source = catalog.sources.find("docs")

        def indexed():
            rows = catalog.views.object_rows(source.id, state="indexed")
            return {row.object_key for row in rows}

        team.until(lambda: indexed() == {"1.md", "2.md", "3.md", "4.md", "late.md"}, 120)
    print(f"an event is indexed after {time.monotonic() - began:.1f} s")
    hit = json.loads(team.s3sync("query", "ferry at dawn", "-c", bucket, "--json").stdout)[0]
    assert hit["metadata"]["document_key"] == "late.md"
    [one] = json.loads(team.s3sync("status", "docs", "--json").stdout)
    assert one["listing"] == listed, "a listing found it"

    def waiting():
        asked = aws_endpoint.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
        name = "ApproximateNumberOfMessages"
        return int(asked["Attributes"][name]) + int(asked["Attributes"][f"{name}NotVisible"])

    team.until(lambda: waiting() == 0, 60)
