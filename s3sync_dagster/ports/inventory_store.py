"""A bucket whose listings are made of its inventory reports; all else is asked of the bucket."""

import re
import threading
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Protocol

from s3sync_dagster.core.state import ListedReport
from s3sync_dagster.engine.reports import REFUSED
from s3sync_dagster.engine.store_ports import (
    CarryingStore,
    ListPage,
    ObjectBody,
    ObjectStore,
    UnorderedPage,
)
from s3sync_dagster.model.document import Metadata
from s3sync_dagster.model.errors import (
    FixConfiguration,
    LimitExceeded,
    NotFound,
    NotPossible,
    S3SyncError,
    Unavailable,
)
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.place import Carried
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.ports.body_spool import discard
from s3sync_dagster.ports.inventory import (
    Manifest,
    ReportFile,
    parse_manifest,
    read_rows,
    refused,
    require_whole,
)

PAGE_ROWS = 10_000
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
HEADS_SIDE_BY_SIDE = 16
MANIFESTS_LOOKED_AT = 5
"""Where those that came last are refused: a folder of others must not hide ours."""
MOST_PAGES = 10
"""Of the folder of reports, which has two keys a report: thirteen years of daily ones."""
_FOLDER = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}-\d{2}Z)/manifest\.(json|checksum)")
_FOLDERS = "2"
"""What all of their names begin with: beside them lie ``data/`` and ``hive/``."""
_BEHIND = "0"
"""Follows the slash: with it a name stands behind all that lies in the folder."""


class Bucket(ObjectStore, CarryingStore, Protocol):
    """The source's bucket: what it is asked for besides listings."""


class InventoryStore:
    """``engine.ports.ReportedStore`` over two buckets.

    Args:
        place: of the source.
        bucket: the source's.
        reports: where its reports are delivered.
    """

    def __init__(self, place: S3Place, *, bucket: Bucket, reports: ObjectStore) -> None:
        assert place.inventory is not None
        assert place.reports is not None
        self.ordered = bucket.ordered
        self.inventory = place.inventory
        self._place, self._prefix = place, place.reports.path_prefix
        self._bucket, self._reports = bucket, reports
        self._manifest: Manifest | None = None
        self._listing: InventoryListing | None = None

    def __repr__(self) -> str:
        return f"InventoryStore({self._place.bucket_name!r})"

    # --- reports ------------------------------------------------------------------------------

    def newest_report(self, after: ListedReport | None, *, again: bool) -> ListedReport | None:
        """Return the newest report that is delivered whole; None: there is no newer one.

        Where its manifest is refused, the newest of those before it that came after ``after``.

        Raises:
            FixConfiguration: ``no_inventory_report``, ``inventory_report_refused``.
        """
        if after is not None and (after.place != self.inventory or not after.name):
            after = None
        start = None if after is None else f"{self._prefix}{after.name}{'' if again else _BEHIND}"
        delivered = self._delivered(start)
        names = sorted((name for name, whole in delivered.items() if whole), reverse=True)
        if not names and after is not None:
            return None
        if not names:
            raise FixConfiguration(
                f"No inventory report lies whole under {self.inventory}: "
                + (
                    "the delivery of the first one has not ended."
                    if delivered
                    else "AWS delivers the first one within 48 hours; it has to be the folder of "
                    "one configuration."
                ),
                reason="no_inventory_report",
            )
        refusal: FixConfiguration | None = None
        for name in names[:MANIFESTS_LOOKED_AT]:
            if refusal is not None and after is not None and name == after.name:
                break
            try:
                return self._report(name, after)
            except FixConfiguration as error:
                if error.reason != REFUSED:
                    raise
                refusal = refusal or error
        assert refusal is not None
        raise refusal

    def open_report(self, report: ListedReport) -> "InventoryListing":
        """Return the keys of a report."""
        manifest = self._manifest
        if manifest is None or manifest.name != report.name:
            manifest = self._read_manifest(report.name)
        if manifest.created_at != report.created_at:
            raise refused(report.name, "another one has taken its place")
        known = self._listing
        if known is None or known.manifest is not manifest:
            if known is not None:
                known.close()
            self._listing = known = InventoryListing(self._place, manifest, self._reports)
        return known

    def heads(self, keys: Sequence[str]) -> Mapping[str, ObjectRef | None]:
        """Return what the bucket has at each key now; None: nothing.

        A key of which the bucket does not tell is left out, whatever it says instead: some objects
        answer no HEAD, such as those with a key of the customer's, and what it is that refuses all
        of them is told by a LIST.
        """
        if not keys:
            return {}
        with ThreadPoolExecutor(max_workers=min(HEADS_SIDE_BY_SIDE, len(keys))) as threads:
            answers = list(threads.map(self._head, keys))
        return {key: ref for key, (told, ref) in zip(keys, answers, strict=True) if told}

    def look(self) -> None:
        """Raise what a listing of the bucket or of its reports would where it may not be made."""
        self._bucket.list_page(self._place.path_prefix, start_after=None, limit=1)
        self._reports.list_page(self._prefix, start_after=None, limit=1)

    def _head(self, key: str) -> tuple[bool, ObjectRef | None]:
        try:
            return True, self._bucket.head(key)
        except NotFound as error:
            if error.reason != "object_gone":
                raise
            return True, None
        except Unavailable:
            raise
        except S3SyncError:
            return False, None

    def _delivered(self, start: str | None) -> dict[str, bool]:
        """Return the reports behind a key, and whether each is delivered whole."""
        found: dict[str, set[str]] = {}
        for _ in range(MOST_PAGES):
            page = self._reports.list_page(f"{self._prefix}{_FOLDERS}", start_after=start)
            for ref in page.objects:
                match = _FOLDER.fullmatch(ref.key.removeprefix(self._prefix))
                if match is not None:
                    found.setdefault(match.group(1), set()).add(match.group(2))
            if page.last or not page.objects:
                return {name: len(files) == 2 for name, files in found.items()}
            start = page.objects[-1].key
        raise FixConfiguration(
            f"Under {self.inventory} lie too many keys that begin with {_FOLDERS!r} to look at "
            "each time: it has to be the folder of one configuration, and a lifecycle rule has to "
            "remove old reports.",
            reason="no_inventory_report",
        )

    def _report(self, name: str, after: ListedReport | None) -> ListedReport:
        found = self._read_manifest(name)
        if after is not None and found.created_at < after.created_at:
            raise refused(name, f"it is older than {after.name}, which was listed before")
        return ListedReport(place=self.inventory, name=name, created_at=found.created_at)

    def _read_manifest(self, name: str) -> Manifest:
        folder = f"{self._prefix}{name}/manifest."
        text, checksum = (self._read(name, f"{folder}{one}") for one in ("json", "checksum"))
        self._manifest = parse_manifest(
            name, text, checksum=checksum, bucket=self._place.bucket_name
        )
        return self._manifest

    def _read(self, name: str, key: str) -> bytes:
        try:
            content = self._reports.read(key, max_size_bytes=MAX_MANIFEST_BYTES).content
        except LimitExceeded:
            raise refused(name, "its manifest is larger than any that AWS writes") from None
        except NotFound:
            raise FixConfiguration(
                f"The inventory report {name} is not there any more.", reason="no_inventory_report"
            ) from None
        if isinstance(content, bytes):
            return content
        try:
            return content.read_bytes()
        finally:
            discard(content)

    # --- what the bucket answers --------------------------------------------------------------

    def list_page(self, prefix: str, *, start_after: str | None, limit: int = 1000) -> ListPage:
        """Return a page of the bucket itself: for who looks, no listing is made of it."""
        return self._bucket.list_page(prefix, start_after=start_after, limit=limit)

    def head(self, key: str, *, version_id: str | None = None) -> ObjectRef:
        """Return what the bucket has at ``key`` now."""
        return self._bucket.head(key, version_id=version_id)

    def read(
        self,
        key: str,
        *,
        version_id: str | None = None,
        if_match: str | None = None,
        max_size_bytes: int,
    ) -> ObjectBody:
        """Return the object's bytes."""
        return self._bucket.read(
            key, version_id=version_id, if_match=if_match, max_size_bytes=max_size_bytes
        )

    def carried(
        self,
        key: str,
        *,
        wanted: Carried,
        read: ObjectBody | None = None,
        exact: bool = False,
    ) -> Metadata:
        """Return what an object carries of what is wanted (``engine.ports.CarryingStore``)."""
        return self._bucket.carried(key, wanted=wanted, read=read, exact=exact)

    def requests(self) -> Mapping[str, int]:
        """Return requests to both buckets so far, by kind."""
        both = (self._bucket.requests(), self._reports.requests())
        return {kind: sum(one.get(kind, 0) for one in both) for kind in {*both[0], *both[1]}}

    def close(self) -> None:
        """Close connections."""
        if self._listing is not None:
            self._listing.close()
        self._bucket.close()
        self._reports.close()


class InventoryListing:
    """The keys of one report, whose files are read one after the other.

    What is being read stays open for the next tick; another process opens the file anew.
    """

    ordered = False

    def __init__(self, place: S3Place, manifest: Manifest, reports: ObjectStore) -> None:
        self.manifest = manifest
        self._place, self._reports = place, reports
        self._token: str | None = None
        self._rows: Generator[ObjectRef | None] | None = None
        self._lock = threading.Lock()

    def list_unordered(self, prefix: str, *, token: str | None) -> UnorderedPage:
        """Return a page of the report's keys that begin with ``prefix``.

        Raises:
            FixConfiguration: ``inventory_report_refused``.
        """
        number, done = (int(part) for part in (token or "0:0").split(":"))
        if number >= len(self.manifest.files):
            return UnorderedPage(objects=(), token=None)
        with self._lock:
            if self._rows is None or self._token != f"{number}:{done}":
                self._close()
                self._rows = self._file_rows(self.manifest.files[number])
                deque(islice(self._rows, done), maxlen=0)
            rows = list(islice(self._rows, PAGE_ROWS))
            if len(rows) == PAGE_ROWS:
                following = f"{number}:{done + len(rows)}"
            else:
                self._close()
                left = number + 1 < len(self.manifest.files)
                following = f"{number + 1}:0" if left else None
            self._token = following
        taken = tuple(ref for ref in rows if ref is not None and ref.key.startswith(prefix))
        return UnorderedPage(objects=taken, token=following)

    def list_page(self, prefix: str, *, start_after: str | None, limit: int = 1000) -> ListPage:
        """Raise ``NotPossible``: a report has an order of its own."""
        del prefix, start_after, limit
        raise NotPossible("A report is not in order.", reason="unordered_listing")

    def close(self) -> None:
        """Let go of the file that is being read."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._rows is not None:
            self._rows.close()
        self._rows = None

    def _file_rows(self, file: ReportFile) -> Generator[ObjectRef | None]:
        name = self.manifest.name
        try:
            content = self._reports.read(file.key, max_size_bytes=max(file.size, 1)).content
        except LimitExceeded:
            raise refused(name, f"{file.key!r} is larger than its manifest tells") from None
        except NotFound as error:
            if error.reason != "object_gone":
                raise
            raise refused(name, f"{file.key!r} is not there") from None
        try:
            require_whole(self.manifest, file, content)
            yield from read_rows(self.manifest, file, content, bucket=self._place.bucket_name)
        finally:
            discard(content)
