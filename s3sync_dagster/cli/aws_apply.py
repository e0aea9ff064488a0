"""Carries out an ``AwsPlan``. Running it twice changes nothing more."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from s3sync_dagster.cli.aws_plan import ACCOUNT, REGION, AwsPlan
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.ports.aws_errors import answer_error, transport_error
from s3sync_dagster.ports.aws_session import AwsSession, credentials_told


class AwsSetup:
    """The two clients, with errors in this project's words."""

    def __init__(self, session: AwsSession, *, endpoint_url: str | None) -> None:
        """Keep a session and the endpoint of S3 and SQS (None: AWS's own)."""
        self._session = session
        self._endpoint = endpoint_url

    def completed(self, plan: AwsPlan) -> AwsPlan:
        """Return the plan with region and account, which are asked for where they are missing."""
        if plan.region == REGION:
            s3 = self._client("s3", None)
            answer = self._call("finding the bucket", lambda: s3.head_bucket(Bucket=plan.bucket))
            headers = answer["ResponseMetadata"]["HTTPHeaders"]
            found = headers.get("x-amz-bucket-region") or self._session.region_name
            plan = replace(plan, region=found or "us-east-1")
        if plan.account == ACCOUNT:
            sts = self._client("sts", plan.region)
            identity = self._call("asking for the account", sts.get_caller_identity)
            plan = replace(plan, account=identity["Account"])
        return plan

    def apply(self, plan: AwsPlan) -> str:
        """Create both queues and the notification; return the queue's URL.

        Raises:
            S3SyncError: AWS refused, or cannot be reached.
        """
        self._queue(plan.region, plan.dead_letter_name, plan.dead_letter_attributes())
        url = self._queue(plan.region, plan.queue_name, plan.queue_attributes())
        self._notify(plan)
        return url

    def _queue(self, region: str, name: str, attributes: dict[str, str]) -> str:
        sqs = self._client("sqs", region)
        try:
            return sqs.get_queue_url(QueueName=name)["QueueUrl"]
        except (ClientError, BotoCoreError) as error:
            if not _code(error).endswith(("NonExistentQueue", "QueueDoesNotExist")):
                raise self._named(error, f"looking for queue {name!r}") from None
        made = self._call(
            f"creating queue {name!r}",
            lambda: sqs.create_queue(QueueName=name, Attributes=attributes),
        )
        return made["QueueUrl"]

    def _notify(self, plan: AwsPlan) -> None:
        """Put our entry among those that the bucket has: the call replaces them all."""
        s3 = self._client("s3", plan.region)
        doing = f"reading the notifications of bucket {plan.bucket!r}"
        there = self._call(
            doing, lambda: s3.get_bucket_notification_configuration(Bucket=plan.bucket)
        )
        there.pop("ResponseMetadata", None)
        ours = plan.notification()
        entries = there.get("QueueConfigurations", [])
        if any(plan.told_already(entry) for entry in entries):
            return
        entries = [entry for entry in entries if entry["Id"] != ours["Id"]]
        wanted = {**there, "QueueConfigurations": [*entries, ours]}
        try:
            s3.put_bucket_notification_configuration(
                Bucket=plan.bucket, NotificationConfiguration=wanted
            )
        except (ClientError, BotoCoreError) as error:
            if _code(error) in ("InvalidArgument", "OverlappingConfigurationException"):
                raise Conflict(
                    f"Bucket {plan.bucket!r} refuses the notification: another one of its own has "
                    f"an overlapping prefix, or the queue {plan.queue_name!r} existed already "
                    "without permission for S3. Remove the one, or name another queue.",
                    reason="notification_refused",
                ) from None
            doing = f"setting the notifications of bucket {plan.bucket!r}"
            raise self._named(error, doing) from None

    def _client(self, service: str, region: str | None) -> Any:
        return self._call(
            "opening a client of AWS",
            lambda: self._session.client(
                service,
                region_name=region or self._session.region_name or "us-east-1",
                endpoint_url=self._endpoint,
            ),
        )

    def _call(self, doing: str, call: Callable[[], Any]) -> Any:
        try:
            with credentials_told():
                return call()
        except (ClientError, BotoCoreError) as error:
            raise self._named(error, doing) from None

    def _named(self, error: ClientError | BotoCoreError, doing: str) -> Exception:
        if isinstance(error, ClientError):
            return answer_error(error, doing=doing)
        return transport_error(error, doing=doing, endpoint=self._endpoint)


def _code(error: Exception) -> str:
    return getattr(error, "response", {}).get("Error", {}).get("Code", "")
