"""Folders behind SFTP.

A server may answer a request never, or with more than was asked for: each call has its time, and
what still waits behind it goes with the connection.
"""

# ruff: noqa: D102  (the base class says what each method is for)

import asyncio
import stat
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from s3sync_dagster.model.errors import FixConfiguration, InvalidSetting, Unavailable
from s3sync_dagster.places import files_access
from s3sync_dagster.places.files_access import (
    CALL_SECONDS,
    CONNECT_SECONDS,
    PAGE_SECONDS,
    Access,
    Entry,
)

MOST_NAME_BYTES = 64 * 1024 * 1024
"""Of all names in a folder."""
_MOST_NONE = 100
"""Names of a folder that are those of no file, such as its own."""
_PACKET_BYTES = 1024 * 1024
"""Of one message of a server; OpenSSH's have 256 KiB. One of names takes many times its size."""
_BLOCK_BYTES, _BLOCKS_AT_ONCE = 48 * 1024, 64
"""Most servers give 64 KiB for one request."""


class Sftp(Access):
    """SFTP by asyncssh: hosts are those of ``known_hosts``, no configuration of ssh is read."""

    extra = "sftp"
    what = "A source over SFTP"

    def open(self) -> Any:
        from asyncssh import sftp  # noqa: PLC0415  (only these sources pay for it)
        from sshfs import SSHFileSystem  # noqa: PLC0415  (as above)

        # asyncssh has no setting for this.
        sftp.MAX_SFTP_PACKET_LEN = _PACKET_BYTES  # pyright: ignore[reportPrivateImportUsage]
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

    def listed(self, system: Any, folder: str) -> list[Entry]:
        # The driver keeps all that a server names, as long as it goes on.
        async def entries() -> list[Entry]:
            found: list[Entry] = []
            none = size = 0
            async with (
                system._pool.get() as channel,
                aclosing(channel.scandir(self.path(folder))) as named,
            ):
                async for one in named:
                    is_none = one.filename in ("", ".", "..")
                    none, size = none + is_none, size + len(one.filename)
                    full = len(found) >= files_access.MOST_NAMES and not is_none
                    if full or none > _MOST_NONE or size > MOST_NAME_BYTES:
                        raise Unavailable(
                            f"The folder names more than {files_access.MOST_NAMES:,} files, or "
                            "does not end.",
                            reason="answer_too_long",
                        )
                    if not is_none:
                        told = system._decode_attributes(one.attrs)
                        found.append(self.entry(one.filename, told))
            return found

        return self._within(system, entries, seconds=PAGE_SECONDS)

    def info(self, system: Any, key: str) -> Entry:
        found = self.entry(key, self._within(system, lambda: system._info(self.path(key))))
        # The driver follows links, which listings leave alone, and so would what is read.
        return found._replace(kind="link") if self._leads_elsewhere(system, key) else found

    def _timed(self, system: Any, key: str, found: Entry) -> Entry:
        return found  # it told all that it knows

    def opened(self, system: Any, key: str, found: Entry) -> Any:
        async def opened() -> Any:
            async with system._pool.get() as channel:
                return await channel.open(
                    self.path(key), "rb", block_size=_BLOCK_BYTES, max_requests=_BLOCKS_AT_ONCE
                )

        return _File(self, system, self._within(system, opened))

    def _leads_elsewhere(self, system: Any, key: str) -> bool:
        """Return whether a part of a key is a symbolic link."""
        parts = key.split("/")
        paths = [self.path("/".join(parts[:end])) for end in range(1, len(parts) + 1)]

        async def modes() -> list[int | None]:
            async with system._pool.get() as channel:
                told = await asyncio.gather(*map(channel.lstat, paths))
            return [one.permissions for one in told]

        return any(stat.S_ISLNK(mode or 0) for mode in self._within(system, modes))

    def _within(
        self, system: Any, ask: Callable[[], Awaitable[Any]], *, seconds: float = CALL_SECONDS
    ) -> Any:
        """Return what is asked for in the driver's loop; ends the connection when time is over.

        Else whatever waits there would do so for good, with its thread.
        """
        from fsspec.asyn import sync  # noqa: PLC0415  (as above)
        from fsspec.exceptions import FSTimeoutError  # noqa: PLC0415  (as above)
        from sshfs.utils import wrap_exceptions  # noqa: PLC0415  (as above)

        try:
            return sync(system.loop, wrap_exceptions(ask), timeout=seconds)
        except FSTimeoutError:
            system.loop.call_soon_threadsafe(system.client.abort)
            raise


class _File:
    """An open file of a server."""

    def __init__(self, access: Sftp, system: Any, file: Any) -> None:
        self._access, self._system, self._file = access, system, file

    def read(self, size: int) -> bytes:
        piece: bytes = self._access._within(self._system, lambda: self._file.read(size))
        return piece

    def close(self) -> None:
        self._access._within(self._system, self._file.close)
