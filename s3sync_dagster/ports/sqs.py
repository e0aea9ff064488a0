"""One SQS queue through botocore."""

# botocore has no types: what it gives is unknown here, and Any beyond this file.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false

import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as aws
from botocore.config import Config

from s3sync_dagster.core.events import Message
from s3sync_dagster.engine.ports import QueueRules
from s3sync_dagster.model.errors import AccessDenied, InvalidSetting, NotFound, S3SyncError
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.ports.aws_errors import (
    ASSUME_ROLE,
    answer_error,
    error_code,
    transport_error,
)
from s3sync_dagster.ports.aws_guard import AddressGuard
from s3sync_dagster.ports.aws_session import (
    DEFAULT_REGION,
    AwsSession,
    ResolveCredential,
    ResolveEnv,
    credentials_told,
    open_session,
)
from s3sync_dagster.ports.s3_client import FAILURES

BATCH = 10
"""Messages that SQS takes in one call."""
MAX_VISIBILITY_SECONDS = 43_200
MAX_WAIT_SECONDS = 20

_AWS_HOST = re.compile(r"(?:sqs\.)?(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)\.(?:queue\.)?amazonaws\.com")
_NO_QUEUE_CODES = frozenset(
    {"AWS.SimpleQueueService.NonExistentQueue", "NonExistentQueue", "QueueDoesNotExist"}
)


def open_queue(
    queue_url: str,
    *,
    place: S3Place,
    resolve_env: ResolveEnv,
    resolve_credential: ResolveCredential | None = None,
    guard: AddressGuard | None = None,
) -> "SqsQueue":
    """Return a queue. Nothing is sent yet; it may be used by many threads.

    Args:
        queue_url: as SQS gives it. At AWS its host names the region; elsewhere its scheme, host
            and port are the endpoint, and its region that of ``place``, or of AWS's own chain.
        place: of one of the queue's sources: its credentials are used.
        resolve_env: looks up the variables that ``place.credentials`` names.
        resolve_credential: looks up ``place.credentials.credential_id``.
        guard: ends connections to private addresses; None: all are allowed.

    Raises:
        InvalidSetting: the URL is none of a queue.
        AccessDenied: credentials that are named and not there.
    """
    region, endpoint = _address(queue_url, place=place)
    session = open_session(
        place.credentials,
        region=region,
        resolve_env=resolve_env,
        resolve_credential=resolve_credential,
    )
    return SqsQueue(queue_url, session=session, endpoint=endpoint, guard=guard)


class SqsQueue:
    """``engine.ports.Queue`` over botocore."""

    def __init__(
        self,
        url: str,
        *,
        session: AwsSession,
        endpoint: str | None,
        guard: AddressGuard | None = None,
    ) -> None:
        self._url = url
        self._endpoint = endpoint
        self._region = session.region_name or DEFAULT_REGION
        self._client: Any = self._call(
            lambda: _open_client(session, region=self._region, endpoint=endpoint), "opening"
        )
        if guard is not None:
            guard.install(self._client)

    def __repr__(self) -> str:
        return f"SqsQueue({self._url!r})"

    def receive(self, *, limit: int = BATCH, wait_seconds: int = 1) -> list[Message]:
        """Return up to ``limit`` (1 to 10) messages, waiting up to ``wait_seconds`` (0 to 20).

        They stay invisible to others for the queue's own time; see ``extend``.
        """
        answer = self._call(
            lambda: self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=max(1, min(limit, BATCH)),
                WaitTimeSeconds=max(0, min(wait_seconds, MAX_WAIT_SECONDS)),
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            ),
            "receiving from",
        )
        return [_message(entry) for entry in answer.get("Messages", ())]

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Delete messages; return those that SQS did not delete, which will come again."""
        left: list[Message] = []
        for group in _groups(messages):
            entries = [
                {"Id": str(number), "ReceiptHandle": message.receipt_handle}
                for number, message in enumerate(group)
            ]
            answer = self._call(
                lambda entries=entries: self._client.delete_message_batch(
                    QueueUrl=self._url, Entries=entries
                ),
                "deleting from",
            )
            left.extend(group[int(failed["Id"])] for failed in answer.get("Failed", ()))
        return left

    def extend(self, messages: Sequence[Message], *, seconds: int) -> None:
        """Keep messages invisible for ``seconds`` (at most 12 hours) from now, 0 to give them back.

        A handle that expired meanwhile is no error: its message comes again, and events may.
        """
        timeout = max(0, min(seconds, MAX_VISIBILITY_SECONDS))
        for group in _groups(messages):
            entries = [
                {
                    "Id": str(number),
                    "ReceiptHandle": message.receipt_handle,
                    "VisibilityTimeout": timeout,
                }
                for number, message in enumerate(group)
            ]
            self._call(
                lambda entries=entries: self._client.change_message_visibility_batch(
                    QueueUrl=self._url, Entries=entries
                ),
                "extending messages of",
            )

    def rules(self) -> QueueRules:
        """Return how the queue is set up, as far as these credentials are told."""
        try:
            found = self.attributes()
        except AccessDenied:
            return QueueRules()
        seconds = found.get("VisibilityTimeout")
        return QueueRules(
            visibility_seconds=int(seconds) if seconds else None,
            dead_letters="RedrivePolicy" in found,
        )

    def attributes(self) -> dict[str, str]:
        """Return the queue's attributes as SQS names them, all as text; takes no message."""
        answer = self._call(
            lambda: self._client.get_queue_attributes(
                QueueUrl=self._url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "RedrivePolicy",
                    "VisibilityTimeout",
                ],
            ),
            "asking for attributes of",
        )
        return answer.get("Attributes", {})

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def _call(self, call: Callable[[], Any], doing: str) -> Any:
        try:
            with credentials_told():
                return call()
        except (*FAILURES, RecursionError) as error:
            raise _queue_error(
                error,
                doing=f"{doing} queue {self._url!r}",
                endpoint=self._endpoint,
                region=self._region,
            ) from None


def _open_client(session: AwsSession, *, region: str, endpoint: str | None) -> Any:
    config = Config(
        connect_timeout=5,
        read_timeout=MAX_WAIT_SECONDS + 10,  # longer than the longest wait for messages
        retries={"mode": "standard", "total_max_attempts": 2},
        user_agent_extra="s3sync-dagster",
    )
    return session.client(
        "sqs",
        region_name=region,
        endpoint_url=endpoint,
        config=config,
    )


def _address(queue_url: str, *, place: S3Place) -> tuple[str | None, str | None]:
    parts = urlsplit(queue_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or len(parts.path) < 2:
        raise InvalidSetting(
            f"queue_url {queue_url!r} is not the URL of a queue, such as "
            "https://sqs.eu-central-1.amazonaws.com/123456789012/name"
        )
    at_aws = _AWS_HOST.fullmatch(parts.hostname)
    if at_aws is not None:
        return at_aws["region"], None
    return place.region, f"{parts.scheme}://{parts.netloc}"


def _queue_error(error: Exception, *, doing: str, endpoint: str | None, region: str) -> S3SyncError:
    if not isinstance(error, aws.ClientError):
        return transport_error(error, doing=doing, endpoint=endpoint)
    code = error_code(error)
    if error.operation_name == ASSUME_ROLE:
        return answer_error(error, doing=doing)
    if code in _NO_QUEUE_CODES:
        return NotFound(
            f"{doing} failed: the queue does not exist in region {region!r}; check its URL, the "
            "source's region and the account",
            reason="queue_not_found",
        )
    found = answer_error(error, doing=doing)
    if type(found) is AccessDenied and found.reason == AccessDenied.reason:
        return AccessDenied(
            f"{doing} is not allowed; grant sqs:ReceiveMessage, sqs:DeleteMessage, "
            "sqs:ChangeMessageVisibility and sqs:GetQueueAttributes"
        )
    return found


def _message(entry: dict[str, Any]) -> Message:
    attributes = entry.get("Attributes", {})
    return Message(
        message_id=entry["MessageId"],
        receipt_handle=entry["ReceiptHandle"],
        body=entry.get("Body", ""),
        receive_count=int(attributes.get("ApproximateReceiveCount", 1)),
    )


def _groups(messages: Sequence[Message]) -> list[Sequence[Message]]:
    return [messages[at : at + BATCH] for at in range(0, len(messages), BATCH)]
