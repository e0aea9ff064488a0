"""What a check of records is told of objects where a listing may lack what is there."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from s3sync_dagster.core.selection import decide
from s3sync_dagster.core.state import ObjectState
from s3sync_dagster.engine.expected import VerifiedDocuments
from s3sync_dagster.engine.store_ports import ObjectStore
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import Source


def asking(
    documents: VerifiedDocuments, source: Source, open_store: Callable[[], ObjectStore]
) -> VerifiedDocuments:
    """Return documents that ask such a place for each object that the catalog does not know.

    A restored catalog has forgotten it, and its records are all that tells of it: no listing has
    asked for it by its address, as for what is known.

    Args:
        documents: the catalog's.
        source: whose records are checked.
        open_store: opens its place; called where an object is in question.
    """
    return cast("VerifiedDocuments", _Asking(documents, source, open_store))


class _Asking:
    def __init__(
        self, documents: VerifiedDocuments, source: Source, open_store: Callable[[], ObjectStore]
    ) -> None:
        self._documents, self._source, self._open_store = documents, source, open_store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._documents, name)

    def objects_there(self, source_id: str, keys: Sequence[str]) -> dict[str, ObjectState | None]:
        """Return what is known of objects, and None for what the place may have besides."""
        told = self._documents.objects_there(source_id, keys)
        unknown = [key for key in keys if key not in told]
        if not unknown:
            return told
        try:
            store = self._open_store()
        except S3SyncError:
            return dict.fromkeys(unknown) | told
        if not (hasattr(store, "confirm_gone") or hasattr(store, "may_have")):
            return told
        return dict.fromkeys(key for key in unknown if self._may_be_there(store, key)) | told

    def _may_be_there(self, store: ObjectStore, key: str) -> bool:
        try:
            return decide(self._source, store.head(key)) is None
        except S3SyncError as error:  # gone, or what the source does not take; else it did not tell
            return error.reason not in ("object_gone", "outside_site")
