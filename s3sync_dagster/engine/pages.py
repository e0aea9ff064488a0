"""Pages of keys in order, and when the bucket was asked for them: from a bucket, or a snapshot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, cast

from s3sync_dagster.engine.snapshot import Snapshot
from s3sync_dagster.engine.store_ports import UnorderedPage
from s3sync_dagster.model.errors import NotPossible, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from s3sync_dagster.engine.store_ports import (
        ChangingStore,
        ConfirmingStore,
        CopiedStore,
        KeepingStore,
        ListPage,
        LookedAtStore,
        ObjectStore,
        PinnedStore,
        UnorderedStore,
        UnsureStore,
    )
    from s3sync_dagster.model.object import ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPage:
    """A page, and how old its news are."""

    page: ListPage
    number: int
    """Number of the listing's page when the bucket was asked: what was told since is newer."""
    commit: str | None = None
    """That is listed, where a ``CopiedStore`` is."""


class Pages(Protocol):
    """The keys under one prefix."""

    stays_here: bool
    """Whether their listing can go on in this data folder alone."""

    def next(self, after: str | None, *, limit: int, number: int = 0) -> AskedPage | None:
        """Return the page behind ``after``; None: the bucket was asked for more, ask again.

        Args:
            after: the last key so far.
            limit: keys.
            number: of the listing's page now.

        Raises:
            S3SyncError: the bucket could not be listed.
        """
        ...

    def close(self) -> None:
        """Leave what is there to whoever goes on."""
        ...

    def discard(self) -> None:
        """Remove what is there: the listing has ended."""
        ...


def open_pages(store: ObjectStore, prefix: str, *, snapshot: Path | None = None) -> Pages:
    """Return the ordered pages of a store, each asked for when it is wanted.

    Args:
        store: the bucket.
        prefix: of the keys.
        snapshot: where a listing without order, or the token of a pinned one, is kept between two
            calls; None: the one is gathered anew by each, the other has to end within one.

    Raises:
        FixConfiguration: ``listing_snapshot_unusable``.
    """
    if hasattr(store, "pin"):
        return _Pinned(cast("PinnedStore", store), prefix, Snapshot(snapshot))
    if store.ordered:
        return _Asked(store, prefix)
    return _Sorted(store, prefix, Snapshot(snapshot))


def renew(store: ObjectStore) -> None:
    """Have a store that answers from a copy ask its place before it does so again."""
    if hasattr(store, "renew"):
        cast("CopiedStore", store).renew()


def expect(store: ObjectStore, key: str, etag: str) -> None:
    """Have a store give no other bytes of a key, of those it kept, than of the version decided on.

    Another host's listing may have told of that version: what was kept here is older then.
    """
    if hasattr(store, "expect"):
        cast("KeepingStore", store).expect(key, etag)


def tells_of_one(store: ObjectStore) -> bool:
    """Return whether a HEAD of a key tells what a listing would.

    A site has pages that its source leaves out, or that nothing leads to.
    """
    return not hasattr(store, "may_have")


def look(store: ObjectStore, prefix: str) -> None:
    """Ask with one request whether a place may be listed. Raises what a listing would."""
    if hasattr(store, "look"):
        cast("LookedAtStore", store).look()
    else:
        first_object(store, prefix)


def confirm_gone(store: ObjectStore, keys: Sequence[str]) -> Sequence[str]:
    """Have a store whose listings may lack what is there confirm what one of them lacks.

    Returns:
        Those of the keys that are gone; the rest came back, or was missed while it was replaced.

    Raises:
        S3SyncError: it does not: the listing is not complete.
    """
    if keys and hasattr(store, "confirm_gone"):
        cast("ConfirmingStore", store).confirm_gone(keys)
    if keys and hasattr(store, "still_gone"):
        return cast("ChangingStore", store).still_gone(keys)
    return keys


def first_object(store: ObjectStore, prefix: str) -> ObjectRef | None:
    """Return any object under the prefix; one request, which shows whether it may be listed."""
    if store.ordered:
        objects = store.list_page(prefix, start_after=None, limit=1).objects
    else:
        objects = _unordered(store).list_unordered(prefix, token=None).objects
    return objects[0] if objects else None


class _Asked:
    """Pages as a bucket gives them, each asked for when it is wanted."""

    stays_here = False

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store, self._prefix = store, prefix

    def next(self, after: str | None, *, limit: int, number: int = 0) -> AskedPage | None:
        page = self._store.list_page(self._prefix, start_after=after, limit=limit)
        if not page.last and not page.objects:
            raise Unavailable(
                f"The listing does not go on after {after!r}: the endpoint answered with an empty "
                "page that is not the last.",
                reason="listing_stuck",
            )
        _require_order([one.key for one in page.objects], after=after)
        return AskedPage(page=page, number=number)

    def close(self) -> None:
        pass

    def discard(self) -> None:
        pass


def _require_order(keys: Sequence[str], *, after: str | None) -> None:
    """Refuse a page that goes back: it would never end, or have what comes late taken for gone."""
    if not keys or (list(keys) == sorted(keys) and (after is None or keys[0] > after)):
        return
    raise NotPossible(
        f"The place does not list the keys after {after!r} in the order of their bytes: what comes "
        "late would be taken for gone.",
        reason="unordered_listing",
    )


class _Pinned:
    """Pages of what the place was at the first, all of them as old as that."""

    stays_here = True

    def __init__(self, store: PinnedStore, prefix: str, snapshot: Snapshot) -> None:
        self._store, self._prefix, self._snapshot = store, prefix, snapshot

    def next(self, after: str | None, *, limit: int, number: int = 0) -> AskedPage | None:
        snapshot = self._snapshot
        if after is None:
            snapshot.add(UnorderedPage(objects=(), token=self._store.pin()), number=number)
        if snapshot.token is None or snapshot.number is None:
            raise Unavailable(
                "The listing was begun on another host, whose copy or mount of the place may be "
                "another one, and cannot go on here: the next one begins anew.",
                reason="listing_lost",
            )
        page = self._store.list_pinned(snapshot.token, self._prefix, start_after=after, limit=limit)
        commit = snapshot.token if hasattr(self._store, "renew") else None
        return AskedPage(page=page, number=snapshot.number, commit=commit)

    def close(self) -> None:
        self._snapshot.close()

    def discard(self) -> None:
        self._snapshot.discard()


class _Sorted:
    """Pages of a snapshot, which is gathered first: another host gathers its own, and goes on."""

    stays_here = False

    def __init__(self, store: ObjectStore, prefix: str, snapshot: Snapshot) -> None:
        self._store, self._prefix, self._snapshot = _unordered(store), prefix, snapshot

    def next(self, after: str | None, *, limit: int, number: int = 0) -> AskedPage | None:
        snapshot = self._snapshot
        if snapshot.complete and snapshot.number is not None:
            page = replace(
                snapshot.page(after, limit=limit), tells_missing=_tells_missing(self._store)
            )
            return AskedPage(page=page, number=snapshot.number)
        more = self._store.list_unordered(self._prefix, token=snapshot.token)
        self._check(more)
        snapshot.add(more, number=number)
        return None

    def close(self) -> None:
        self._snapshot.close()

    def discard(self) -> None:
        self._snapshot.discard()

    def _check(self, page: UnorderedPage) -> None:
        if page.token is not None and page.token == self._snapshot.token:
            raise Unavailable(
                "The listing does not go on: the endpoint answered with the token of the same page "
                "again.",
                reason="listing_stuck",
            )


def _tells_missing(store: UnorderedStore) -> bool:
    return not hasattr(store, "tells_missing") or cast("UnsureStore", store).tells_missing()


def _unordered(store: ObjectStore) -> UnorderedStore:
    return cast("UnorderedStore", store)
