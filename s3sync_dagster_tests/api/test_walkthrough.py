"""The curl walkthrough of the docs, word for word, through the real stack and its Dagster."""

import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from s3sync_dagster.api import errors
from s3sync_dagster.local.home import prepare_home
from s3sync_dagster.local.stack import Stack
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import open_parts

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def script():
    [found] = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return found


@pytest.mark.timeout(600)
def test_the_walkthrough_of_the_docs(tmp_path, aws_endpoint):
    bucket = aws_endpoint.make_bucket()
    aws_endpoint.put_all(
        bucket,
        {
            "docs/holidays.md": "# Holidays\n\nEverybody has 30 days of holidays a year.\n",
            "docs/bread.md": "# Bread\n\nFlour, water, salt and patience.\n",
            "docs/broken.pdf": b"no pdf",
            "else/away.md": "not under the prefix",
        },
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("S3SYNC_", "DAGSTER_"))}
    settings = load_settings({**kept, "S3SYNC_HOME": str(tmp_path / "home")})
    prepare_home(settings)
    parts = open_parts(settings)
    stack = Stack(settings, sources_version=parts.catalog.sources.version)
    with stack:
        url = stack.addresses.api
        curl = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script()],
            env={
                **kept,
                "S3SYNC": url,
                "TOKEN": "any",
                "BUCKET": bucket,
                "REGION": aws_endpoint.region,
                "ENDPOINT": aws_endpoint.url,
                "KEY_ID": aws_endpoint.access_key_id,
                "SECRET": aws_endpoint.secret_access_key,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        while curl.poll() is None:
            stack.tend()
            try:
                curl.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
        told = curl.stdout.read()
        assert curl.returncode == 0, told
        assert '"object_key":"docs/holidays.md"' in told
        assert "30 days of holidays" in told
        assert '"key":"docs/broken.pdf","state":"failed"' in told
        with httpx.Client(base_url=url) as http:
            source_id = re.search(r"source ([0-9a-f-]{36})", told).group(1)
            history = http.get(f"/s3sync/v1/sources/{source_id}/history").json()
            first = history["runs"][-1]
            assert first["triggers"] == {"api": 1}
            # The run that did it is one of Dagster's, and the link leads there.
            run = stack.dagster.run(first["run_id"])
            assert run.status in ("SUCCESS", "FAILURE")
            assert first["dagster_url"] == f"{stack.addresses.dagster}/runs/{run.id}"
            assert http.get("/health").json()["parts"]["dagster"] == "ok"
            detail = http.get(
                f"/s3sync/v1/sources/{source_id}/object", params={"key": "docs/holidays.md"}
            ).json()
            [document] = detail["documents"]
            assert document["custom_id"] == "holidays"
            # Deleted at last: the sensor takes the row away, the records stay.
            assert http.delete(f"/api/v1/sources/{source_id}").status_code == 204
            while parts.catalog.sources.row(source_id) is not None:
                stack.tend()
            question = {"collection_name": "handbook", "query": "bread"}
            assert http.post("/s3sync/v1/search", json=question).json()["hits"]
    parts.close()


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
