"""The local S3 and SQS endpoint, and the samples that the demo uploads to it."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3

from s3sync_dagster.core.filetypes import skip_reason, suffix_of
from s3sync_dagster.core.sidecar import is_sidecar
from s3sync_dagster.local import aws, samples
from s3sync_dagster.local.aws import local_aws
from s3sync_dagster.local.loopback import free_port

SAMPLES = Path(samples.__path__[0])


def listens(url):
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_samples_arrive_and_their_events_too(tmp_path):
    with local_aws(tmp_path / "aws.log") as endpoint:
        endpoint.make_bucket("company")
        queue = endpoint.make_queue_of("company", "company-events")
        keys = endpoint.upload("company", "docs/", SAMPLES)
        s3 = endpoint.client("s3")
        listed = [o["Key"] for o in s3.list_objects_v2(Bucket="company")["Contents"]]
        assert sorted(listed) == sorted(keys)
        sqs = endpoint.client("sqs")
        seen = set()
        while received := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10):
            if "Messages" not in received:
                break
            for message in received["Messages"]:
                for record in json.loads(message["Body"]).get("Records", ()):
                    seen.add(record["s3"]["object"]["key"])
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        assert len(seen) == len(keys)
    assert not listens(endpoint.url)


def test_an_address_is_used_again_when_it_is_free(tmp_path):
    port = free_port()
    with local_aws(tmp_path / "aws.log", port=port) as first:
        assert first.url.endswith(f":{port}")
        with local_aws(tmp_path / "aws.log", port=port) as second:
            assert second.url != first.url


def test_a_killed_parent_leaves_no_endpoint(tmp_path):
    program = (
        "import sys, pathlib\n"
        "from s3sync_dagster.local.aws import local_aws\n"
        "with local_aws(pathlib.Path(sys.argv[1])) as endpoint:\n"
        "    print(endpoint.url, flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "aws.log")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    ) as parent:
        url = parent.stdout.readline().strip()
        assert listens(url)
        parent.kill()
    end = time.monotonic() + 10
    while listens(url):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_credentials_keep_the_default_chain_away_from_a_persons_own(monkeypatch):
    for name, value in aws.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    credentials = boto3.Session().get_credentials()
    assert (credentials.access_key, credentials.method) == ("local", "env")


def test_the_samples_are_as_odd_as_real_buckets():
    names = [
        path.relative_to(SAMPLES).as_posix()
        for path in SAMPLES.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    suffixes = {suffix_of(name) for name in names}
    assert len(names) >= 25
    assert suffixes >= {".md", ".py", ".go", ".ts", ".rs", ".hpp", ".sql", ".txt", ".csv", ".tsv"}
    assert suffixes >= {".json", ".yaml", ".html"}
    assert suffixes >= {".docx", ".pdf", ".xlsx", ".pptx"}
    for letter in (" ", "+", "%", "Ü", "よ"):
        assert any(letter in name for name in names), letter
    assert any("/" in name for name in names)
    assert [name for name in names if skip_reason(name) == "archive"]
    assert [name for name in names if (SAMPLES / name).stat().st_size == 0] == ["notes/empty.txt"]
    sidecars = [name for name in names if is_sidecar(name)]
    assert len(sidecars) == 1
    described = json.loads((SAMPLES / sidecars[0]).read_text())["path"]
    assert (SAMPLES / described.removeprefix("company/")).is_file()
    assert sum((SAMPLES / name).stat().st_size for name in names) < 1_000_000
