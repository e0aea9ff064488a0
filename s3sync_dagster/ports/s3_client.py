"""The client of one bucket: its region, its patience, and a count of what went out."""

# botocore has no types: what it gives is unknown here, and Any beyond this file.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import botocore
from botocore import exceptions as aws
from botocore.config import Config
from botocore.parsers import ResponseParserError
from urllib3 import exceptions as http

from s3sync_dagster import __version__
from s3sync_dagster.core.source_identity import server_name
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.ports.aws_errors import error_headers
from s3sync_dagster.ports.aws_guard import AddressGuard
from s3sync_dagster.ports.aws_session import DEFAULT_REGION, AwsSession, credentials_told
from s3sync_dagster.ports.s3_endpoint import AWS_DOMAINS
from s3sync_dagster.ports.s3_errors import Request, s3_error

POOL_CONNECTIONS = 32
FAILURES = (
    aws.ClientError,
    aws.BotoCoreError,
    ResponseParserError,
    http.HTTPError,
    ConnectionError,
    ValueError,  # what botocore raises for an endpoint that is no URL
)
"""All that botocore raises for reasons outside of this program."""

_KINDS: Mapping[str, str] = {
    "ListObjectsV2": "LIST",
    "HeadObject": "HEAD",
    "HeadBucket": "HEAD",
    "GetObject": "GET",
    "GetObjectTagging": "TAGS",
}
_MAX_BUCKET_HEADS = 3
_NEVER_SENT = (aws.EndpointConnectionError, aws.ConnectTimeoutError, aws.ProxyConnectionError)


class S3Client:
    """Sends S3 operations; safe for many threads.

    Until the first answer it is impatient, so that a wrong or dead endpoint is reported within
    25 seconds; then it waits longer and tries more often.
    """

    def __init__(
        self,
        place: S3Place,
        *,
        session: AwsSession,
        guard: AddressGuard | None = None,
        admit: Callable[[str], None] | None = None,
    ) -> None:
        self.answered = False
        """True once the endpoint has answered anything."""
        self._place = place
        self.asked = place
        """The place with the endpoint that is asked: ``AWS_ENDPOINT_URL`` and the like may name one
        where the place does not."""
        self._session = session
        self._guard = guard
        self._admit = admit
        self._admitting = threading.Lock()
        self._region = place.region
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._requests: Counter[str] = Counter({"LIST": 0, "GET": 0, "HEAD": 0})
        self._clients: dict[bool, Any] = {}
        self._thread = threading.local()

    def send(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call an operation of botocore's client by its name; raises what it raises."""
        client = self._client(patient=self.answered)
        if self._admit is not None:
            self._ask_admission()
        self._thread.bucket_heads = 0
        try:
            with credentials_told():  # some are read when a request is signed
                answer = getattr(client, operation)(**arguments)
        except aws.ClientError:
            self.answered = True
            raise
        self.answered = True
        return answer

    def requests(self) -> dict[str, int]:
        """Return requests that went out so far by kind, the SDK's own retries included."""
        with self._counting:
            return dict(self._requests)

    def close(self) -> None:
        """Close all connections; the next ``send`` opens new ones."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

    def _ask_admission(self) -> None:
        with self._admitting:
            if self._admit is not None:
                self._admit(server_name(self.asked.endpoint_url))
                self._admit = None  # the environment of a process stays

    def _client(self, *, patient: bool) -> Any:
        with self._lock:
            if patient not in self._clients:
                if self._region is None:
                    self._region = self._find_region()
                self._clients[patient] = self._open(self._region, patient=patient)
            return self._clients[patient]

    def _open(self, region: str, *, patient: bool) -> Any:
        place = self._place
        style = place.addressing_style
        if style == "auto" and place.endpoint_url and place.ordered:
            style = "path"  # servers of one's own seldom have a DNS name for each bucket
        config = Config(
            connect_timeout=5,
            read_timeout=60 if patient else 10,
            retries={"mode": "standard", "total_max_attempts": 4 if patient else 2},
            max_pool_connections=POOL_CONNECTIONS,
            tcp_keepalive=True,
            s3={"addressing_style": style},
            # Whole: botocore would put its own together twice a request, an eighth of a GET's CPU.
            user_agent=f"s3sync-dagster/{__version__} botocore/{botocore.__version__}",
            # Others than AWS often know neither the new checksums nor their trailers.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        client = self._session.client(
            "s3", region_name=region, endpoint_url=place.endpoint_url, config=config
        )
        host = urlsplit(client.meta.endpoint_url).hostname or ""
        if not host.endswith(AWS_DOMAINS):
            self.asked = replace(place, endpoint_url=client.meta.endpoint_url)
        if self._guard is not None:
            self._guard.install(client)
        # Before the counting: what is stopped does not go out.
        client.meta.events.register_first(
            "before-send.s3.HeadBucket", lambda **_: self._stop_redirects()
        )
        for operation, kind in _KINDS.items():
            client.meta.events.register_first(
                f"before-send.s3.{operation}", lambda kind=kind, **_: self._count(kind, 1)
            )
            client.meta.events.register_first(
                f"response-received.s3.{operation}",
                lambda exception, kind=kind, **_: self._take_back(kind, exception),
            )
        return client

    def _find_region(self) -> str:
        """Ask AWS for the bucket's region; the answer carries it even when it is a refusal."""
        if self._place.endpoint_url is not None:
            return self._session.region_name or DEFAULT_REGION
        if not self._place.ordered:
            # Its host name holds the region: nobody answers for it elsewhere.
            if self._session.region_name is None:
                raise InvalidSetting(
                    f"directory bucket {self._place.bucket_name!r} can only be asked in its own "
                    "region: set the source's region"
                )
            return self._session.region_name
        try:
            with credentials_told():
                client = self._open(DEFAULT_REGION, patient=False)
                answer = client.head_bucket(**bucket_arguments(self._place))
        except FAILURES as error:
            if isinstance(error, aws.ClientError):
                found = error_headers(error).get("x-amz-bucket-region")
                if found is not None:
                    return found
            # Not the caller's request: a missing bucket must not pass for a missing object.
            raise s3_error(error, Request("asking for", self.asked)) from None
        return answer.get("BucketRegion") or DEFAULT_REGION

    def _stop_redirects(self) -> None:
        """End botocore's search for a region where redirect leads to redirect without end."""
        self._thread.bucket_heads = getattr(self._thread, "bucket_heads", 0) + 1
        if self._thread.bucket_heads > _MAX_BUCKET_HEADS:
            where = self.asked.endpoint_url or "AWS"
            raise InvalidSetting(
                f"{where} answers requests for bucket {self._place.bucket_name!r} with redirects "
                "only; give the address that it redirects to (mostly https for http), or the "
                "bucket's region",
                reason="redirected",
            )

    def _count(self, kind: str, number: int) -> None:
        with self._counting:
            self._requests[kind] += number

    def _take_back(self, kind: str, exception: Exception | None) -> None:
        if isinstance(exception, _NEVER_SENT):
            self._count(kind, -1)


def bucket_arguments(place: S3Place) -> dict[str, Any]:
    """Return the arguments that every operation on the bucket takes."""
    arguments = {"Bucket": place.bucket_name}
    if place.expected_bucket_owner:
        arguments["ExpectedBucketOwner"] = place.expected_bucket_owner
    return arguments
