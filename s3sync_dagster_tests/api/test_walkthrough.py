"""What the page of the API names, and a client generated from what the server publishes.

The page's walkthrough itself is played in ``end_to_end/test_daemon.py``, whose stack is there.
"""

import importlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from s3sync_dagster.api import errors
from s3sync_dagster.local.home import prepare_home
from s3sync_dagster.local.stack import Stack
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import open_parts

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Everything that ``s3sync up`` starts; its catalog beside it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("S3SYNC_", "DAGSTER_"))}
    home = tmp_path_factory.mktemp("walk") / "home"
    settings = load_settings({**kept, "S3SYNC_HOME": str(home)})
    prepare_home(settings)
    parts = open_parts(settings)
    with Stack(settings, sources_version=parts.catalog.sources.version) as running:
        yield running, parts
    parts.close()


def tend(running):
    """Do what the supervisor does between two looks, and leave the machine to those who work."""
    running.tend()
    time.sleep(0.5)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_client_generated_from_what_the_server_publishes(
    stack, aws_endpoint, tmp_path, monkeypatch
):
    running, _ = stack
    url = running.addresses.api
    generator = Path(sys.executable).with_name("openapi-python-client")
    made = subprocess.run(
        [generator, "generate", "--url", f"{url}/openapi.json", "--meta", "none"]
        + ["--output-path", tmp_path / "generated_client"],
        env={**os.environ, "PATH": f"{generator.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Warning" not in made.stdout + made.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    client_of = importlib.import_module("generated_client").AuthenticatedClient
    models = importlib.import_module("generated_client.models")

    def operation(name):
        return importlib.import_module(f"generated_client.api.{name}").sync

    bucket = aws_endpoint.make_bucket()
    aws_endpoint.put(bucket, "tea.md", "# Tea\n\nGreen tea takes water of 75 degrees.\n")
    aws_endpoint.put(bucket, "bad.pdf", b"no pdf")
    body = {
        "database_name": "default_database",
        "s3": {
            "bucket_name": bucket,
            "region": aws_endpoint.region,
            "collection_name": "kitchen",
            "aws_access_key_id": aws_endpoint.access_key_id,
            "aws_secret_access_key": aws_endpoint.secret_access_key,
            "endpoint_url": aws_endpoint.url,
        },
    }
    with client_of(
        base_url=url, token="any", prefix="", auth_header_name="x-chroma-token"
    ) as client:
        source = operation("source.create_source")(
            client=client, body=models.CreateSourcePayload.from_dict(body)
        )
        assert isinstance(source, models.CreateSourceResponse)
        [shown] = [
            one
            for one in operation("source.list_sources")(client=client)
            if one.id == source.source_id
        ]
        assert isinstance(shown, models.Source)
        asked = {
            key: operation("invocation.create_job")(
                source.source_id, client=client, body=models.CreateJobPayload(object_key=key)
            ).invocation_id
            for key in ("tea.md", "bad.pdf")
        }
        status = {}
        while len(status) < 2:
            tend(running)
            for key, invocation_id in asked.items():
                job = operation("invocation.get_job")(invocation_id, client=client)
                if isinstance(job.status, models.Complete | models.Failed):
                    status[key] = job.status
        assert status["tea.md"].complete.duration_ms > 0
        assert "suffix says .pdf" in status["bad.pdf"].failed.error
        refused = operation("invocation.create_job")(
            source.source_id, client=client, body=models.CreateJobPayload(object_key="")
        )
        assert isinstance(refused, models.ErrorResponse)
        answer = operation("search.search")(
            client=client,
            body=models.SearchPayload(collection_name="kitchen", query="how hot is green tea"),
        )
        assert "75 degrees" in answer.hits[0].document


def test_the_page_names_every_operation_and_every_word_of_this_room(http):
    page = PAGE.read_text("utf-8")
    room = Path(errors.__file__).parent
    source = "\n".join(path.read_text("utf-8") for path in sorted(room.glob("*.py")))
    words = set(re.findall(r'reason="([a-z_]+)"', source)) | set(errors._WORDS.values())
    words |= set(re.findall(r'^    reason = "([a-z_]+)"', source, re.MULTILINE))
    missing = {word for word in words if f"`{word}`" not in page}
    assert not missing
    for path in http.get("/openapi.json").json()["paths"]:
        tail = path.removeprefix("/s3sync/v1/sources/{source_id}").replace("source_id", "id")
        tail = tail.replace("invocation_id", "id").replace("/{credential_id}", "")
        assert tail in page, path
    variables = set(re.findall(r"S3SYNC_API_[A-Z_]+", source))
    assert variables
    assert all(f"`{name}`" in page for name in variables if not name.endswith("_"))
