"""A file store that fsspec reaches: Google Cloud Storage, Azure Blob, SFTP, WebDAV and others."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self
from urllib.parse import quote

from s3sync_dagster.engine.store_ports import ObjectStore
from s3sync_dagster.model.errors import AccessDenied, InvalidSetting
from s3sync_dagster.model.place import Admission, Place, PlaceIdentity, told
from s3sync_dagster.places.files_access import Access
from s3sync_dagster.places.files_cloud import AzureBlob, GoogleStorage
from s3sync_dagster.places.files_index import HttpIndex
from s3sync_dagster.places.files_sftp import Sftp
from s3sync_dagster.places.files_store import FilesStore
from s3sync_dagster.places.files_url import StoreUrl, is_store, parse_store_url
from s3sync_dagster.places.files_webdav import WebDav
from s3sync_dagster.places.folder import stays_inside

if TYPE_CHECKING:
    from s3sync_dagster.model.source import Source
    from s3sync_dagster.ports.places import Surroundings

_ACCESS: dict[str, type[Access]] = {
    "gs": GoogleStorage,
    "abfs": AzureBlob,
    "sftp": Sftp,
    "dav": WebDav,
    "davs": WebDav,
    "index+http": HttpIndex,
    "index+https": HttpIndex,
}
_ENCRYPTED = frozenset({"gs", "abfs", "sftp", "davs", "index+https"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesPlace(Place):
    """All files below one folder of a store; keys are their paths in it."""

    store_url: str = field(
        metadata=told(
            "A folder of a file store: gs://, abfs://, sftp://, davs://, index+https://, "
            "fsspec+PROTOCOL://.",
            metavar="URL",
            fixed=True,
        )
    )
    marker: str | None = None
    """Path of a file without which nothing is listed, read or taken for gone."""
    token_env: str | None = None
    """Variable with the password, key or token; what it is depends on the protocol."""
    saved_token: int | None = None
    type: str = "files"
    kind: ClassVar[str] = "file"
    form: ClassVar[str] = "gs://, abfs://, sftp://, davs://, index+https:// or fsspec+PROTOCOL://"

    @classmethod
    def read(cls, text: str) -> "FilesPlace | None":
        """Return the store that a person wrote by its address."""
        if not is_store(text):
            return None
        place = cls(store_url=text)
        place.check()
        return place

    @property
    def url(self) -> StoreUrl:
        """The address in its parts."""
        return parse_store_url(self.store_url)

    @property
    def credential_id(self) -> int | None:
        """Return the row of the catalog whose secrets open the store."""
        return self.saved_token

    @property
    def ordered(self) -> bool:
        """Return False: each store has an order of its own, so listings are sorted on the disk."""
        return False

    def address(self, key: str | None = None) -> str:
        """Return the address of a file, without a key that of the store."""
        url = self.url
        return f"{'/'.join(filter(None, (url.server, url.path)))}/{key or ''}"

    def identity(self) -> PlaceIdentity:
        """Return what makes two stores the same one."""
        return PlaceIdentity(self.type, self.url.server, self.url.path, "")

    def check(self) -> None:
        """Refuse with ``InvalidSetting`` what is no address, or would send a secret in the open."""
        url = self.url
        if self.marker is not None and not stays_inside(self.marker):
            raise InvalidSetting("marker is the path of a file in the store, such as .mounted.")
        if self.token_env is not None and self.saved_token is not None:
            raise InvalidSetting("token_env and saved_token exclude each other.")
        named = self.token_env or self.saved_token
        if named and url.protocol not in _ENCRYPTED and not url.is_other:
            raise InvalidSetting("token_env and saved_token need a store that is reached by TLS.")

    def admitted(self, admission: Admission) -> Self:
        """Return the place. Tenants that nobody trusts have none: drivers connect by themselves.

        No guard stands between a driver and this server's own network, and without a secret some
        use the server's own credentials.

        Raises:
            InvalidSetting: this caller may not have the store.
        """
        if not admission.trusted:
            raise InvalidSetting(
                "Only trusted tenants of this server may have sources of file stores.",
                reason="store_not_allowed",
            )
        if self.url.is_other:
            raise InvalidSetting(
                "Stores of fsspec+ are made at the command line, in Python or in YAML.",
                reason="store_not_allowed",
            )
        return self

    def link(self, key: str) -> str | None:
        """Return a file's page or address, where a browser can open it."""
        url = self.url
        path = quote("/".join(filter(None, (url.path, key))))
        match url.protocol:
            case "gs":
                return (
                    f"https://console.cloud.google.com/storage/browser/_details/{url.host}/{path}"
                )
            case "dav" | "davs" | "index+http" | "index+https":
                scheme = "https" if url.protocol.endswith("s") else "http"
                return f"{scheme}://{url.host}/{path}"
            case _:
                return None


def open_files(source: "Source", surroundings: "Surroundings") -> ObjectStore:
    """Return the store of a source; nothing is asked of the outside yet.

    Raises:
        AccessDenied: a secret that is named and not there.
        MissingEngine: ``missing_package``, where the protocol's extra is not installed.
    """
    place = source.place
    assert isinstance(place, FilesPlace)
    user, secret = "", None
    if place.token_env is not None:
        secret = surroundings.resolve_env(place.token_env)
        if not secret:
            raise AccessDenied(
                f"The variable {place.token_env!r} with the secret of source {source.name!r} is "
                "not set.",
                reason="no_credentials",
            )
    elif place.saved_token is not None:
        user, secret, _ = surroundings.resolve_credential(place.saved_token)
    user_home = Path(surroundings.resolve_env("HOME") or "/nonexistent")
    access = _ACCESS.get(place.url.protocol, Access)
    return FilesStore(
        access(place.url, user=user, secret=secret, user_home=user_home),
        marker=place.marker,
        shown=place.address().rstrip("/"),
    )
