"""How stores are spoken to through fsspec, and what tells that a file of theirs changed.

fsspec's drivers differ in what they call a file's version, and some take any failure for a file
that is not there: what is believed is decided here, and in ``files_errors``.
"""

# ruff: noqa: D102  (the base class says what each method is for)

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple
from urllib.parse import quote

from s3sync_dagster.model.errors import FixConfiguration, InvalidSetting
from s3sync_dagster.model.extras import Extra, require_extra
from s3sync_dagster.places.files_url import StoreUrl

CONNECT_SECONDS, CALL_SECONDS = 15.0, 60.0
FRESH_SECONDS = 10.0
"""A file that changed so shortly before it was looked at may change again within the same second,
which is all that some servers tell: it is looked at once more."""
_AHEAD_SECONDS = 300.0
"""So far a server's clock may be ahead of ours."""
_EXACT = ("generation", "etag", "ETag", "checksum", "md5", "content_md5", "Content-MD5")
_TIMES = ("mtime", "modified", "last_modified", "LastModified", "Last-Modified", "updated")

Kind = Literal["file", "folder", "link", "other", "deep"]
_KINDS: Mapping[str, Kind] = {"file": "file", "directory": "folder", "link": "link"}


class Entry(NamedTuple):
    """What a store tells of one name."""

    name: str
    """Without its folder; of a flat store the whole path."""
    kind: Kind
    size: int = -1
    version: str | None = None
    """None: this listing does not tell."""
    modified: datetime | None = None


class Access:
    """Any protocol of fsspec that has folders; those below differ in what they say here.

    Args:
        url: the store.
        user: who asks, where the address does not say.
        secret: password, key or token; None: what the process itself may read.
        user_home: of the process's user, for its ``known_hosts``.
    """

    extra: ClassVar[Extra | None] = None
    what: ClassVar[str] = "This store"
    flat: ClassVar[bool] = False
    """Whether it has no folders, and is listed by ``page``."""
    doubtful: ClassVar[bool] = False
    """Whether a folder that it shows may be another page: what it lacks is asked for by itself."""

    def __init__(self, url: StoreUrl, *, user: str, secret: str | None, user_home: Path) -> None:
        if self.extra is not None:
            require_extra(self.extra, what=self.what)
        self.url, self.user, self.secret, self.user_home = url, url.user or user, secret, user_home
        self.root = f"/{url.path}"

    def open(self) -> Any:
        """Return the file system; most connect here."""
        import fsspec  # noqa: PLC0415  (only these sources pay for it)

        name = self.url.protocol.removeprefix("fsspec+")
        options = {"password": self.secret} if self.secret else {}
        options |= {"username": self.user} if self.user and self.secret else {}
        try:
            system, self.root = fsspec.core.url_to_fs(
                f"{name}://{self.url.host}/{self.url.path}",
                skip_instance_cache=True,
                use_listings_cache=False,
                **options,
            )
        except (ValueError, ImportError):
            raise InvalidSetting(
                f"fsspec has no driver for {name!r} here: install the package that brings it."
            ) from None
        return system

    def close(self, system: Any) -> None:
        """End connections, where a driver does not do so by itself."""

    def path(self, key: str) -> str:
        """Return how the driver calls a file or folder."""
        return f"{self.root.rstrip('/')}/{key}".rstrip("/") or "/"

    def named(self, folder: str) -> str:
        """Return how the driver's listings call a folder."""
        return self.path(folder)

    def listed(self, system: Any, folder: str) -> list[Entry]:
        """Return what a folder holds, in no order."""
        system.invalidate_cache()
        inside = self.named(folder).strip("/")
        found: list[Entry] = []
        for told in system.ls(self.path(folder), detail=True):
            parent, _, name = str(told["name"]).strip("/").rpartition("/")
            if parent == inside and name not in ("", ".", ".."):
                found.append(self.entry(name, told))
        return found

    def info(self, system: Any, key: str) -> Entry:
        """Return what a file is now. Raises ``FileNotFoundError``."""
        system.invalidate_cache()
        found = self.entry(key, system.info(self.path(key)))
        return self._timed(system, key, found)

    def complete(self, system: Any, folder: str, entries: list[Entry]) -> list[Entry]:
        """Return entries with the versions that the listing did not tell."""
        return [self._timed(system, f"{folder}/{one.name}".lstrip("/"), one) for one in entries]

    def _timed(self, system: Any, key: str, found: Entry) -> Entry:
        """Return a file with its time, where the driver has to be asked for that."""
        if found.kind != "file" or found.version is not None:
            return found
        try:
            told = {"type": "file", "size": found.size, "mtime": system.modified(self.path(key))}
        except NotImplementedError:
            return found
        return self.entry(found.name, told)

    def opened(self, system: Any, key: str) -> Any:
        """Return a file to be read."""
        return system.open(self.path(key), "rb")

    def entry(self, name: str, told: Mapping[str, Any]) -> Entry:
        """Return what a driver told of a name."""
        kind: Kind = "link" if told.get("islink") else _KINDS.get(str(told.get("type")), "other")
        modified = _first_time(told)
        size = told.get("size")
        size = -1 if size is None else int(size)
        version = _version(told, size, modified) if kind == "file" else None
        return Entry(name, kind, size, version, modified)


class Sftp(Access):
    """SFTP by asyncssh: hosts are those of ``known_hosts``, no configuration of ssh is read."""

    extra = "sftp"
    what = "A source over SFTP"

    def open(self) -> Any:
        from sshfs import SSHFileSystem  # noqa: PLC0415  (as above)

        host, _, port = self.url.host.partition(":")
        known = self.user_home / ".ssh" / "known_hosts"
        if not known.is_file():
            raise FixConfiguration(
                f"There is no known_hosts of this process's user to tell whether {host!r} is who "
                "it says: write its key there (ssh-keyscan, compared with what its operator says).",
                reason="host_key_unknown",
            )
        return SSHFileSystem(
            host,
            **({"port": int(port)} if port else {}),
            username=self.user,
            known_hosts=str(known),
            config=None,
            connect_timeout=CONNECT_SECONDS,
            login_timeout=CONNECT_SECONDS,
            keepalive_interval=15,
            sftp_client_kwargs={"path_errors": "surrogateescape"},
            skip_instance_cache=True,
            **self._proof(),
        )

    def _proof(self) -> dict[str, Any]:
        import asyncssh  # noqa: PLC0415  (as above)

        if self.secret is None:
            return {}
        if "PRIVATE KEY" not in self.secret:
            return {"password": self.secret, "client_keys": None, "agent_path": None}
        try:
            key = asyncssh.import_private_key(self.secret)
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
            raise InvalidSetting(
                "The private key of an SFTP source cannot be read: it has to be one without a "
                "passphrase, whole, with its line breaks."
            ) from None
        return {"client_keys": [key], "agent_path": None}

    def close(self, system: Any) -> None:
        system.loop.call_soon_threadsafe(system.client.close)

    def path(self, key: str) -> str:
        return f"{self.root}/{key}".rstrip("/")


class WebDav(Access):
    """WebDAV: ``dav`` without TLS, ``davs`` with it."""

    extra = "webdav"
    what = "A source over WebDAV"

    def open(self) -> Any:
        from webdav4.fsspec import WebdavFileSystem  # noqa: PLC0415  (as above)

        scheme = "https" if self.url.protocol == "davs" else "http"
        self.root = ""
        bearer = {"Authorization": f"Bearer {self.secret}"} if not self.user and self.secret else {}
        return WebdavFileSystem(
            f"{scheme}://{self.url.host}/{quote(self.url.path)}",
            auth=(self.user, self.secret or "") if self.user else None,
            headers=bearer,
            timeout=CALL_SECONDS,
            skip_instance_cache=True,
        )

    def close(self, system: Any) -> None:
        system.client.http.close()

    def path(self, key: str) -> str:
        return quote(key)

    def named(self, folder: str) -> str:
        return folder

    def opened(self, system: Any, key: str) -> Any:
        # The driver's own way to open a file stumbles over names with # and %.
        http = system.client.http
        url = system.client.join_url(self.path(key))
        response = http.send(http.build_request("GET", url), stream=True, follow_redirects=True)
        try:
            response.raise_for_status()
        except BaseException:
            response.close()
            raise
        return _Streamed(response)


class _Streamed:
    """The body of an answer of httpx, read like a file."""

    def __init__(self, response: Any) -> None:
        self._pieces, self.close = response.iter_bytes(), response.close

    def read(self, _size: int) -> bytes:
        return next(self._pieces, b"")


def _version(told: Mapping[str, Any], size: int, modified: datetime | None) -> str | None:
    """Return what tells one version of a file from another: an exact word, or size and time."""
    for name in _EXACT:
        if told.get(name):
            return str(told[name]).removeprefix("W/").strip('"')
    if modified is None:
        return None
    # Another change within the same second would leave the same time.
    age = time.time() - modified.timestamp()
    fresh = modified.microsecond == 0 and -_AHEAD_SECONDS < age < FRESH_SECONDS
    return f"{size:x}-{int(modified.timestamp() * 1_000_000):x}" + ("-new" if fresh else "")


def _first_time(told: Mapping[str, Any]) -> datetime | None:
    found = next((told[name] for name in _TIMES if told.get(name)), None)
    try:
        if isinstance(found, int | float):
            return datetime.fromtimestamp(found, UTC)
        if isinstance(found, str):
            found = parsedate_to_datetime(found) if "," in found else datetime.fromisoformat(found)
    except (ValueError, OverflowError, OSError):
        return None
    if not isinstance(found, datetime):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
