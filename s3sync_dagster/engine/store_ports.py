"""What the engine asks of places: stores of objects, and what some of them can besides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from s3sync_dagster.core.state import ListedReport
    from s3sync_dagster.engine.ports import Content
    from s3sync_dagster.model.document import Metadata
    from s3sync_dagster.model.object import ObjectRef
    from s3sync_dagster.model.place import Carried


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """One answer of ListObjectsV2."""

    objects: tuple[ObjectRef, ...]
    """In UTF-8 binary order of the key."""
    last: bool
    """True when no page follows."""
    tells_missing: bool = True
    """False where keys that it does not have may be there all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectBody:
    """An object's bytes as one GET gave them, with what that GET said of them."""

    ref: ObjectRef
    content: Content
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """User metadata (``x-amz-meta-*``)."""
    metadata_unread: int = 0
    """User metadata that the answer only counts: they are no headers."""
    name: str | None = None
    """File name by which it is read, where the key does not tell; None: the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnorderedPage:
    """One answer of a listing that keeps no order."""

    objects: tuple[ObjectRef, ...]
    token: str | None
    """Where the listing goes on; None: no page follows."""


class UnorderedStore(Protocol):
    """What a store has besides whose ``ordered`` is False."""

    def list_unordered(self, prefix: str, *, token: str | None) -> UnorderedPage:
        """Return a page of keys that begin with ``prefix``; ``token`` None: the first."""
        ...


class ObjectStore(Protocol):
    """One bucket with one set of credentials.

    All methods raise errors of ``model.errors``: ``NotFound`` (reason ``object_gone`` for a
    key, ``bucket_not_found`` for the bucket), ``AccessDenied``, ``Unavailable`` (``Throttled``),
    ``FixInput`` with reason ``archived`` for an object in an archive class.
    """

    ordered: bool
    """False where listings have no order, as in directory buckets (S3 Express): such a store is an
    ``UnorderedStore`` as well, and listed through ``engine.pages``."""

    def list_page(self, prefix: str, *, start_after: str | None, limit: int = 1000) -> ListPage:
        """Return the page of keys that begin with ``prefix`` and come after ``start_after``.

        Raises ``NotPossible`` (``unordered_listing``) where there is no order.
        """
        ...

    def head(self, key: str, *, version_id: str | None = None) -> ObjectRef:
        """Return what the bucket has at ``key`` now."""
        ...

    def read(
        self,
        key: str,
        *,
        version_id: str | None = None,
        if_match: str | None = None,
        max_size_bytes: int,
    ) -> ObjectBody:
        """Return the object's bytes; ``LimitExceeded`` (``too_large``) before the body is read.

        Raises ``ObjectChanged`` when ``if_match`` does not hold (412).
        """
        ...

    def requests(self) -> Mapping[str, int]:
        """Return requests sent so far by kind (LIST, GET, HEAD), the SDK's own retries included."""
        ...

    def close(self) -> None:
        """Close connections; the next call opens new ones."""
        ...


class AheadStore(Protocol):
    """What a store has besides that may be asked for many pages at once."""

    pages_in_turn: int
    """Of a call, that are asked for one by one first: small sources have no more."""

    def list_ahead(
        self, prefix: str, *, start_after: str | None, limit: int = 1000
    ) -> Future[ListPage]:
        """Ask for a page without waiting for it, see ``ObjectStore.list_page``."""
        ...


class CarryingStore(Protocol):
    """What a store has besides of whose objects something more than bytes can be asked for."""

    def carried(
        self,
        key: str,
        *,
        wanted: Carried,
        read: ObjectBody | None = None,
        exact: bool = False,
    ) -> Metadata:
        """Return what an object carries of what is wanted, as metadata.

        One request for tags; without ``read`` another one for user metadata.

        Args:
            key: of the object.
            wanted: names.
            read: the object as it was read: what belongs to these very bytes is wanted.
            exact: in buckets without versions one request more proves that it does.

        Raises:
            FixConfiguration: ``invalid_object_metadata``, a value that nobody can read.
            AccessDenied: ``tags_denied``. Never are tags that cannot be read no tags.
            ObjectChanged: something else than ``read`` is there now.
        """
        ...


class PinnedStore(Protocol):
    """What a store has besides whose listings are of one thing from the first page to the last.

    All the pages count as of the first: what was told since is newer.
    """

    def pin(self) -> str:
        """Return a token of what the place has, or is, now."""
        ...

    def list_pinned(
        self, token: str, prefix: str, *, start_after: str | None, limit: int = 1000
    ) -> ListPage:
        """Return a page of what the token is of.

        Raises:
            Unavailable: ``listing_lost``, ``folder_not_mounted``, where that is not to be had any
                more.
        """
        ...


class CopiedStore(PinnedStore, Protocol):
    """What a store has besides that answers from a copy of its place on this host.

    Another host's copy may be newer, and what that host found stands in the catalog: a copy that
    was not compared with the place since is no evidence. Its tokens are commits.
    """

    def renew(self) -> None:
        """Have each HEAD and GET that is asked from now on know of what the place has by then."""
        ...


class KeepingStore(Protocol):
    """What a store has besides that keeps what its listing has read until it is asked for."""

    def expect(self, key: str, etag: str) -> None:
        """Keep what lies here for a key no longer where it is another version than ``etag``."""
        ...


class UnsureStore(Protocol):
    """What an unordered store may have besides: listings that do not know all there is."""

    def tells_missing(self) -> bool:
        """Return whether a key that the listing did not name, and that has ended, is gone."""
        ...

    def may_have(self, key: str) -> bool:
        """Return whether the place could have such a key."""
        ...

    def learn(self, parts: Iterable[Mapping[str, str]]) -> None:
        """Have the next listings look for keys by themselves, wherever nothing leads to them.

        Args:
            parts: keys that records are of, with the ETags that they were made of.
        """
        ...


class ConfirmingStore(Protocol):
    """What a store may have besides: listings that may lack what is there."""

    def confirm_gone(self, keys: Sequence[str]) -> None:
        """Raise unless each of the keys, which a listing lacks, is gone."""
        ...


class ReportListing(Protocol):
    """An unordered store of what a report says that the bucket held when it was made."""

    ordered: bool

    def list_unordered(self, prefix: str, *, token: str | None) -> UnorderedPage:
        """Return a page of the report's keys that begin with ``prefix``.

        Raises:
            FixConfiguration: ``inventory_report_refused``, where it is not what it says it is.
        """
        ...


class ReportedStore(Protocol):
    """What a store has besides whose listings are made of reports, which are hours old."""

    inventory: str
    """Where the reports are delivered."""

    def newest_report(self, after: ListedReport | None, *, again: bool) -> ListedReport | None:
        """Return the newest report that is delivered whole; None: there is no newer one.

        Args:
            after: the report that was listed last; an older one is never taken.
            again: that one itself will do.

        Raises:
            FixConfiguration: ``no_inventory_report``, ``inventory_report_refused``.
        """
        ...

    def open_report(self, report: ListedReport) -> ReportListing:
        """Return the keys of a report. Raises as ``newest_report`` does."""
        ...

    def heads(self, keys: Sequence[str]) -> Mapping[str, ObjectRef | None]:
        """Return what the bucket has at each key now; None: nothing.

        Keys of which it does not tell are left out.
        """
        ...


class LookedAtStore(Protocol):
    """What a store has besides whose first page costs more than a request."""

    def look(self) -> None:
        """Raise what a listing would where the place may not be listed."""
        ...


class ChangingStore(Protocol):
    """What a store may have besides: listings that miss what is replaced while they are made."""

    def still_gone(self, keys: Sequence[str]) -> Sequence[str]:
        """Return those of the keys, which a listing lacks, that are not there by now."""
        ...
