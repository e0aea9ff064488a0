"""A local S3 and SQS endpoint in a process of its own, for the demo: what it has is in memory."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s3sync_dagster.local.loopback import free_port, require_free
from s3sync_dagster.model.errors import Conflict, FixConfiguration

REGION = "us-east-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Any credentials do here; without these, AWS's default chain would look for a person's own."""


class LocalAws:
    """A running endpoint, with what the demo does in it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str) -> Any:
        """Return a boto3 client of this endpoint."""
        import boto3  # noqa: PLC0415 - 0.3 CPU-seconds that `s3sync up` need not pay

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def make_bucket(self, bucket: str) -> None:
        """Create a bucket."""
        self.client("s3").create_bucket(Bucket=bucket)

    def make_queue_of(self, bucket: str, queue: str) -> str:
        """Create a queue, let the bucket send its events there, return the queue's URL."""
        s3, sqs = self.client("s3"), self.client("sqs")
        url = sqs.create_queue(QueueName=queue)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        s3.put_bucket_notification_configuration(
            Bucket=bucket,
            NotificationConfiguration={
                "QueueConfigurations": [
                    {
                        "QueueArn": attributes["Attributes"]["QueueArn"],
                        "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
                    }
                ]
            },
        )
        return url

    def upload(self, bucket: str, prefix: str, folder: Path) -> list[str]:
        """Put each file of ``folder`` under ``prefix`` and return the keys in order."""
        s3 = self.client("s3")
        keys = []
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            if "__pycache__" in path.parts:
                continue  # bytecode of the samples that are Python
            key = prefix + path.relative_to(folder).as_posix()
            s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
            keys.append(key)
        return keys


@contextlib.contextmanager
def local_aws(log: Path, *, port: int = 0) -> Iterator[LocalAws]:
    """Run an endpoint until the block ends; it also ends with this process, however that dies.

    Args:
        log: where its output goes.
        port: the one to listen on when it is free (an interrupted demo goes on with the same
            address); 0: any.

    Raises:
        FixConfiguration: it does not start (``aws_start``).
    """
    try:
        port = require_free(port, what="the local S3") if port else free_port()
    except Conflict:
        port = free_port()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "s3sync_dagster.local.aws_server", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the supervisor, which still needs the bucket
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if not process.stdout.readline().strip():
            raise FixConfiguration(
                f"The local S3 endpoint did not start: {str(log)!r} says why. It is part of the "
                "extra `demo`: pip install s3sync-dagster[demo].",
                reason="aws_start",
            )
        yield LocalAws(f"http://127.0.0.1:{port}")
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
