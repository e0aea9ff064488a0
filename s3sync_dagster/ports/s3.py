"""One bucket through botocore: pages of keys, HEAD, and whole bodies that fit in memory."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from botocore import exceptions as aws

from s3sync_dagster.core.carried import carried_metadata
from s3sync_dagster.engine.pages_ahead import AT_ONCE
from s3sync_dagster.engine.store_ports import ListPage, ObjectBody, UnorderedPage
from s3sync_dagster.model.document import Metadata
from s3sync_dagster.model.errors import (
    AccessDenied,
    InvalidSetting,
    NotFound,
    NotPossible,
    ObjectChanged,
    S3SyncError,
    Unavailable,
)
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.place import Carried
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.ports.aws_errors import error_status, is_broken_connection
from s3sync_dagster.ports.aws_guard import AddressGuard
from s3sync_dagster.ports.aws_session import ResolveCredential, ResolveEnv, open_session
from s3sync_dagster.ports.body_encoding import decoded
from s3sync_dagster.ports.body_spool import BodySpool, pieces_of, require_size
from s3sync_dagster.ports.s3_answers import (
    described_ref,
    listed_ref,
    require_order,
    user_metadata,
)
from s3sync_dagster.ports.s3_client import (
    FAILURES,
    S3Client,
    bucket_arguments,
)
from s3sync_dagster.ports.s3_errors import Request, s3_error, says_gone, tags_error

_TRIES = 3
"""Whole reads and pages that are begun again when their connection breaks."""
_PAUSE_SECONDS = 0.2
_BUCKET_KNOWN_SECONDS = 60.0
_PAGES_IN_TURN = 3
_EMPTY_PAGES = 10_000
"""So many one after the other are followed, which may all differ: each has its token kept."""
_T = TypeVar("_T")


def open_object_store(
    place: S3Place,
    *,
    resolve_env: ResolveEnv,
    resolve_credential: ResolveCredential | None = None,
    spool_dir: Path | None = None,
    guard: AddressGuard | None = None,
    admit: Callable[[str], None] | None = None,
) -> "S3ObjectStore":
    """Return a bucket. Nothing is sent yet; the store may be used by many threads.

    Args:
        place: bucket, endpoint, region and where its credentials come from.
        resolve_env: looks up the variables that ``place.credentials`` names.
        resolve_credential: looks up ``place.credentials.credential_id``.
        spool_dir: where bodies above 8 MiB go, as files that the caller deletes.
            None: a folder of the store's own, which ``close`` removes.
        guard: ends connections to private addresses; None: all are allowed.
        admit: is told which server is asked, before it is, and raises where it is the wrong one;
            empty: AWS.

    Raises:
        AccessDenied: credentials that are named and not there.
        InvalidSetting: credentials that do not go together.
    """
    session = open_session(
        place.credentials,
        region=place.region,
        resolve_env=resolve_env,
        resolve_credential=resolve_credential,
    )
    return S3ObjectStore(
        place,
        client=S3Client(place, session=session, guard=guard, admit=admit),
        spool=BodySpool(spool_dir),
    )


class S3ObjectStore:
    """``engine.ports.ObjectStore`` over botocore."""

    def __init__(self, place: S3Place, *, client: S3Client, spool: BodySpool) -> None:
        self.ordered = place.ordered
        self._place = place
        self._client = client
        self._spool = spool
        self._bucket_known_until = 0.0
        self.pages_in_turn = _PAGES_IN_TURN
        self._listers: ThreadPoolExecutor | None = None
        self._opening = threading.Lock()

    def __repr__(self) -> str:
        return f"S3ObjectStore({self._place.bucket_name!r})"

    def list_page(self, prefix: str, *, start_after: str | None, limit: int = 1000) -> ListPage:
        """Return the page of keys that begin with ``prefix`` and come after ``start_after``.

        Raises:
            NotPossible: ``unordered_listing``, where order is promised and not kept, and for
                directory buckets, which promise none.
        """
        if not self.ordered:
            raise NotPossible(
                f"directory bucket {self._place.bucket_name!r} lists its keys without order",
                reason="unordered_listing",
            )
        arguments: dict[str, Any] = {"MaxKeys": limit}
        if start_after:
            arguments["StartAfter"] = start_after
        objects: list[ObjectRef] = []
        last, met = False, {""}
        while not objects and not last:  # some servers give an empty page before the end
            answer = self._list(prefix, arguments)
            objects = [listed_ref(entry) for entry in answer.get("Contents", ())]
            last = not answer.get("IsTruncated", False)
            following = answer.get("NextContinuationToken", "")
            if not objects and not last and (following in met or len(met) > _EMPTY_PAGES):
                raise self._stuck()  # or it goes on for ever
            met.add(following)
            arguments = {"MaxKeys": limit, "ContinuationToken": following}
        require_order(objects, start_after=start_after, bucket=self._place.bucket_name)
        return ListPage(objects=tuple(objects), last=last)

    def list_ahead(
        self, prefix: str, *, start_after: str | None, limit: int = 1000
    ) -> Future[ListPage]:
        """Ask for a page in a thread, see ``list_page``."""
        with self._opening:
            if self._listers is None:
                self._listers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="list")
            listers = self._listers
        return listers.submit(self.list_page, prefix, start_after=start_after, limit=limit)

    def list_unordered(self, prefix: str, *, token: str | None) -> UnorderedPage:
        """Return a page of keys that begin with ``prefix``; ``token`` None: the first.

        Raises:
            InvalidSetting: a directory bucket takes only prefixes that end in ``/``.
        """
        if not self.ordered and prefix and not prefix.endswith("/"):
            raise InvalidSetting(
                f"path_prefix {prefix!r} of directory bucket {self._place.bucket_name!r} has to "
                "end in '/': such buckets list folders only"
            )
        answer = self._list(prefix, {} if token is None else {"ContinuationToken": token})
        following = answer.get("NextContinuationToken") if answer["IsTruncated"] else None
        if answer["IsTruncated"] and not following:
            raise self._stuck()
        return UnorderedPage(
            objects=tuple(listed_ref(entry) for entry in answer.get("Contents", ())),
            token=following,
        )

    def _stuck(self) -> Unavailable:
        return Unavailable(
            f"bucket {self._place.bucket_name!r} says that more keys follow, and not where",
            reason="listing_stuck",
        )

    def head(self, key: str, *, version_id: str | None = None) -> ObjectRef:
        """Return what the bucket has at ``key`` now."""
        return described_ref(key, self._ask(key, version_id=version_id))

    def read(
        self,
        key: str,
        *,
        version_id: str | None = None,
        if_match: str | None = None,
        max_size_bytes: int,
    ) -> ObjectBody:
        """Return the object's bytes, and of it what this very answer says.

        A connection that breaks on the way makes the whole read begin again, up to 3 times.

        Raises:
            LimitExceeded: ``too_large``, before the body is read.
            ObjectChanged: ``if_match`` does not hold any more.
        """
        arguments = self._object_arguments(key, version_id=version_id)
        if if_match:
            arguments["IfMatch"] = f'"{if_match}"'
        try:
            return self._retrying(
                lambda: self._read_once(
                    key, arguments, if_match=if_match, max_size_bytes=max_size_bytes
                )
            )
        except FAILURES as error:
            raise self._object_error(error, self._asked("reading", key)) from None

    def carried(
        self,
        key: str,
        *,
        wanted: Carried,
        read: ObjectBody | None = None,
        exact: bool = False,
    ) -> Metadata:
        """Return what an object carries of what is wanted (``engine.ports.CarryingStore``)."""
        metadata: Mapping[str, str] = {}
        version_id, unread = None, 0
        if read is not None:
            metadata, unread, version_id = read.metadata, read.metadata_unread, read.ref.version_id
        elif wanted.metadata:
            answer = self._ask(key)
            metadata, unread = user_metadata(answer), answer.get("MissingMeta", 0)
            version_id = described_ref(key, answer).version_id
        tags = self._tags(key, version_id=version_id) if wanted.tags else {}
        if wanted.tags and read is not None and exact and version_id is None:
            there = described_ref(key, self._ask(key))
            if (there.etag, there.last_modified) != (read.ref.etag, read.ref.last_modified):
                raise ObjectChanged(f"object {key!r} was overwritten while its tags were read")
        return carried_metadata(key, wanted, metadata=metadata, unread=unread, tags=tags)

    def requests(self) -> Mapping[str, int]:
        """Return requests that went out so far by kind, the SDK's own retries included."""
        return self._client.requests()

    def close(self) -> None:
        """Close connections and remove the store's own spool folder."""
        with self._opening:
            listers, self._listers = self._listers, None
        if listers is not None:
            listers.shutdown(wait=False, cancel_futures=True)
        self._client.close()
        self._spool.close()

    def _ask(self, key: str, *, version_id: str | None = None) -> dict[str, Any]:
        arguments = self._object_arguments(key, version_id=version_id)
        try:
            return self._send("head_object", arguments)
        except FAILURES as error:
            raise self._object_error(error, self._asked("asking for", key)) from None

    def _tags(self, key: str, *, version_id: str | None) -> dict[str, str]:
        """Return an object's tags.

        A GET tells their number, and nothing where it may not: that there are none, this alone can
        tell.
        """
        arguments = self._object_arguments(key, version_id=version_id)
        try:
            answer = self._send("get_object_tagging", arguments)
        except FAILURES as error:
            refused = tags_error(error, key=key)
            request = self._asked("reading the tags of", key)
            raise refused or self._object_error(error, request) from None
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    def _read_once(
        self,
        key: str,
        arguments: Mapping[str, Any],
        *,
        if_match: str | None,
        max_size_bytes: int,
    ) -> ObjectBody:
        answer = self._send("get_object", arguments)
        body = answer["Body"]
        try:
            ref = described_ref(key, answer)
            if if_match and ref.etag != if_match:
                # Not every server knows If-Match (rclone does not).
                raise ObjectChanged(f"object {key!r} was overwritten before it could be read")
            require_size(f"object {key!r}", ref.size, most=max_size_bytes)
            pieces = decoded(pieces_of(body), encoding=answer.get("ContentEncoding"), key=key)
            content = self._spool.read(pieces, key=key, limit=max_size_bytes)
        finally:
            body.close()  # gives a finished connection back, and cuts one that is not wanted
        return ObjectBody(
            ref=ref,
            content=content,
            content_type=answer.get("ContentType"),
            metadata=user_metadata(answer),
            metadata_unread=answer.get("MissingMeta", 0),
        )

    def _list(self, prefix: str, paging: Mapping[str, Any]) -> dict[str, Any]:
        arguments = {"Prefix": prefix, **paging, **self._common_arguments()}
        if self.ordered:
            arguments["OptionalObjectAttributes"] = ["RestoreStatus"]
        try:
            answer = self._retrying(lambda: self._send("list_objects_v2", arguments))
        except FAILURES as error:
            raise s3_error(error, self._asked("listing")) from None
        if "IsTruncated" not in answer:
            # Any well-formed page would else pass for a complete listing of an empty bucket.
            raise NotPossible(
                f"{self._asked('listing')} gave no listing; check that the endpoint's URL is that "
                "of its S3 API and not of a console or proxy",
                reason="not_this_service",
            )
        return answer

    def _asked(self, doing: str, key: str | None = None) -> Request:
        return Request(doing, self._client.asked, key)

    def _object_error(self, error: Exception, request: Request) -> S3SyncError:
        found = s3_error(error, request)
        if isinstance(found, NotFound) and found.reason == "object_gone" and not says_gone(error):
            self._require_bucket()
        return found

    def _require_bucket(self) -> None:
        """Raise unless the bucket exists.

        A bare 404, as HEAD gives it, comes from a missing bucket, a wrong endpoint or a proxy as
        well, and it may be the reason to delete records: the bucket has to have answered within
        the last minute, or it is asked for.
        """
        if time.monotonic() < self._bucket_known_until:
            return
        try:
            self._send("head_bucket", bucket_arguments(self._place))
        except FAILURES as error:
            if isinstance(error, aws.ClientError) and error_status(error) == 403:
                raise AccessDenied(
                    f"whether bucket {self._place.bucket_name!r} exists is not shown to these "
                    "credentials, so a missing object cannot be told; grant s3:ListBucket"
                ) from None
            raise s3_error(error, self._asked("asking for")) from None

    def _retrying(self, call: Callable[[], _T]) -> _T:
        for attempt in range(1, _TRIES):
            try:
                return call()
            except FAILURES as error:
                if not self._client.answered or not is_broken_connection(error):
                    raise
                time.sleep(_PAUSE_SECONDS * 4 ** (attempt - 1))
        return call()

    def _send(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._client.send(operation, arguments)
        self._bucket_known_until = time.monotonic() + _BUCKET_KNOWN_SECONDS
        return answer

    def _object_arguments(self, key: str, *, version_id: str | None) -> dict[str, Any]:
        arguments = {"Key": key, **self._common_arguments()}
        if version_id is not None:
            arguments["VersionId"] = version_id
        return arguments

    def _common_arguments(self) -> dict[str, Any]:
        arguments = bucket_arguments(self._place)
        if self._place.requester_pays:
            arguments["RequestPayer"] = "requester"
        return arguments
