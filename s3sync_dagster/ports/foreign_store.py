"""A store of another package: whatever it raises is an error of ours behind this."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from s3sync_dagster.engine.store_ports import ListPage, ObjectBody, UnorderedPage
from s3sync_dagster.engine.unexpected import place_error
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.object import ObjectRef

if TYPE_CHECKING:
    from s3sync_dagster.model.source import Source

_FAULTS = (Exception, asyncio.CancelledError)
"""The second one is what a driver's own loop raises when it ends, and no wish to end this one."""
_OF_A_KEY = frozenset({"head", "read", "carried", "expect", "may_have"})
_GIVES: dict[str, type] = {
    "head": ObjectRef,
    "read": ObjectBody,
    "list_page": ListPage,
    "list_pinned": ListPage,
    "list_unordered": UnorderedPage,
}


def open_foreign(source: Source, opened: Callable[[], Any]) -> Any:
    """Return the store of a place whose type another package brings.

    Args:
        source: whose store it is.
        opened: opens it.

    Raises:
        Unavailable: ``place_failed``.
    """
    return _Foreign(source, _asked(source, None, opened))


class _Foreign:
    """Has what the store has, no more: what a store can besides is told by its methods."""

    def __init__(self, source: Source, store: Any) -> None:
        self._source, self._store = source, store

    def __getattr__(self, name: str) -> Any:
        try:
            value = getattr(self._store, name)
        except AttributeError:
            raise
        except _FAULTS as error:
            raise place_error(error, _named(self._source, None)) from None
        return partial(self._call, name, value) if callable(value) else value

    def _call(self, name: str, method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        key = args[0] if name in _OF_A_KEY and args else None

        def called() -> Any:
            found = method(*args, **more)
            wanted = _GIVES.get(name)
            if wanted is not None and not isinstance(found, wanted):
                raise TypeError(name)
            return found

        found = _asked(self._source, key, called)
        return self._later(found) if isinstance(found, Future) else found  # pyright: ignore[reportUnknownArgumentType]

    def _later(self, page: Future[Any]) -> Future[Any]:
        """Return a page that was asked for ahead, as the store will give it."""
        told: Future[Any] = Future()

        def tell(done: Future[Any]) -> None:
            try:
                told.set_result(_asked(self._source, None, done.result))
            except BaseException as error:  # noqa: BLE001  (handed over to who waits)
                told.set_exception(error)

        page.add_done_callback(tell)
        return told


def _asked(source: Source, key: object, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except S3SyncError:
        raise
    except _FAULTS as error:
        raise place_error(error, _named(source, key)) from None


def _named(source: Source, key: object) -> str:
    """Return what was asked for, as the beginning of a sentence."""
    try:
        place = source.place.address()
    except Exception:  # noqa: BLE001  (it is of the same package)
        place = source.place.type
    what = f"{place!r} of the source {source.name!r}"
    return f"{key!r} in {what}" if key is not None else what
