"""From a place to its store; which function opens which is told by ``model.place_types``."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.store_ports import ObjectStore
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place_types import is_ours, opener_of
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source
from s3sync_dagster.ports.aws_guard import AddressGuard
from s3sync_dagster.ports.aws_session import ResolveCredential, ResolveEnv
from s3sync_dagster.ports.s3 import S3ObjectStore, open_object_store
from s3sync_dagster.ports.uploads import UploadRows, UploadStore

UPLOADS = "uploads"
"""Folder of the home in which uploads come in; they lay there once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What places need of their process."""

    home: Path
    resolve_env: ResolveEnv
    """Value of a variable that a place names."""
    resolve_credential: ResolveCredential
    """Secrets of a stored credential that a place names."""
    uploads: Callable[[], UploadRows]
    """Opens what keeps uploaded files."""
    guard_for: Callable[[Source, str | None], AddressGuard | None]
    """What keeps a source's connections to a URL away from private addresses."""
    admits: Callable[[Source, str], None] | None = None
    """Raises where the server that the environment names for a source is not the source's."""
    clock: Clock = field(default_factory=Clock)
    """By which it is told how old something is."""


def open_store(source: Source, surroundings: Surroundings) -> ObjectStore:
    """Return the store of a source's objects. Nothing is asked of the outside yet.

    Raises:
        AccessDenied: credentials that are named and not there.
        InvalidSetting: settings of the place that do not go together.
        Unavailable: ``place_failed``, where another package brings the type, and fails.
    """
    if is_ours(source.place.type):
        return opener_of(source.place.type)(source, surroundings)
    from s3sync_dagster.ports.foreign_store import open_foreign  # noqa: PLC0415  (few have one)

    return open_foreign(source, lambda: opener_of(source.place.type)(source, surroundings))


def open_uploads(source_id: str, surroundings: Surroundings) -> UploadStore:
    """Return the store of what was uploaded to a source.

    Raises:
        InvalidSetting: its id is that of none: a catalog that came from a backup may have any, and
            this one would lead to other folders of the server, to be read and emptied.
    """
    before = surroundings.home / UPLOADS / source_id
    if before.name != source_id or source_id == "..":
        raise InvalidSetting("The id of a source is none that this program gives.")
    return UploadStore(source_id, rows=surroundings.uploads, before=before)


def open_s3(source: Source, surroundings: Surroundings) -> ObjectStore:
    """Return the store of a bucket."""
    place = source.place
    assert isinstance(place, S3Place)

    admits = surroundings.admits

    def opened(asked: S3Place) -> S3ObjectStore:
        return open_object_store(
            asked,
            resolve_env=surroundings.resolve_env,
            resolve_credential=surroundings.resolve_credential,
            guard=surroundings.guard_for(source, asked.endpoint_url),
            admit=partial(admits, source) if admits and asked.endpoint_url is None else None,
        )

    if place.reports is None:
        return opened(place)
    from s3sync_dagster.ports.inventory_store import InventoryStore  # noqa: PLC0415  (rarely)

    return InventoryStore(place, bucket=opened(place), reports=opened(place.reports))


def open_upload_place(source: Source, surroundings: Surroundings) -> ObjectStore:
    """Return the store of a source of uploads."""
    return open_uploads(source.id, surroundings)
