"""A server of SFTP that answers never, without an end, or with more than was asked for."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s3sync_dagster.model.errors import S3SyncError, Unavailable
from s3sync_dagster.places import files_sftp, files_store
from s3sync_dagster.places.files import FilesPlace
from s3sync_dagster.places.files_store import FilesStore
from s3sync_dagster_tests.places.file_servers import open_place

asyncssh = pytest.importorskip("asyncssh")


class Hostile:
    """What the server does; each of these is set by a test."""

    def __init__(self) -> None:
        self.names: Callable[[], AsyncIterator[bytes]] | None = None
        self.hangs = False
        self.connections = 0


def names(one: bytes, *, number: int | None = None) -> Callable[[], AsyncIterator[bytes]]:
    async def them() -> AsyncIterator[bytes]:
        left = number
        while left is None or left > 0:
            left = None if left is None else left - 1
            yield one
            await asyncio.sleep(0)

    return them


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Hostile, Callable[[], FilesStore]]]:
    state = Hostile()

    class AnyPassword(asyncssh.SSHServer):
        def connection_made(self, conn: Any) -> None:
            state.connections += 1

        def connection_lost(self, exc: object) -> None:
            state.connections -= 1

        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return True

    class Server(asyncssh.SFTPServer):
        async def scandir(self, path: bytes) -> AsyncIterator[Any]:
            assert state.names is not None
            async for one in state.names():
                attributes = asyncssh.SFTPAttrs(permissions=0o100644, size=1, mtime=1, atime=1)
                yield asyncssh.SFTPName(one, b"", attributes)

        async def stat(self, path: bytes) -> Any:
            if state.hangs:
                await asyncio.sleep(3600)
            return asyncssh.SFTPAttrs(permissions=0o100644, size=1, mtime=1, atime=1)

        lstat = stat

    key = asyncssh.generate_private_key("ssh-ed25519")

    async def listen() -> Any:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[key], server_factory=AnyPassword, sftp_factory=Server
        )

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(20)
    port = server.sockets[0].getsockname()[1]
    (tmp_path / ".ssh").mkdir()
    public = key.export_public_key().decode().strip()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")
    place = FilesPlace(store_url=f"sftp://u@127.0.0.1:{port}/docs", token_env="SECRET")
    yield state, lambda: open_place(place, {"HOME": str(tmp_path), "SECRET": "p"})

    async def finish() -> None:
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(finish(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(20)
    loop.close()


def refused(call: Callable[[], object]) -> S3SyncError:
    with pytest.raises(S3SyncError) as caught:
        call()
    assert type(caught.value) is Unavailable
    return caught.value


def ends(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 15
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


def waiting() -> int:
    return sum(one.name == "s3sync-files" for one in threading.enumerate())


@pytest.mark.parametrize("name", [b".", b"..", b""])
def test_names_of_no_file_without_an_end(served: Any, name: bytes) -> None:
    state, store = served
    state.names = names(name)
    assert refused(lambda: store().list_unordered("", token=None)).reason == "answer_too_long"
    ends(lambda: not waiting())


def test_names_that_are_longer_than_those_of_any_folder(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, store = served
    state.names = names(b"n" * 1000, number=9)
    assert len(store()._folder("")) == 9
    monkeypatch.setattr(files_sftp, "MOST_NAME_BYTES", 8000)
    assert refused(lambda: store()._folder("")).reason == "answer_too_long"


def test_what_never_answers_keeps_neither_thread_nor_connection(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, store = served
    for call in (FilesStore._ask, files_sftp.Sftp._within):
        assert call.__kwdefaults__ is not None
        monkeypatch.setitem(call.__kwdefaults__, "seconds", 1.0)
    state.hangs = True
    opened = store()
    for _ in range(3):
        assert refused(lambda: opened.head("a.md")).reason == "store_timeout"
    ends(lambda: not waiting() and not state.connections)


def test_a_listing_that_stops_keeps_neither_thread_nor_connection(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, store = served
    monkeypatch.setattr(files_sftp, "PAGE_SECONDS", 1.0)
    monkeypatch.setattr(files_store, "LIST_SECONDS", 1.0)

    async def stops() -> AsyncIterator[bytes]:
        yield b"a.md"
        await asyncio.sleep(3600)

    state.names = stops
    assert refused(lambda: store()._folder("")).reason == "store_timeout"
    ends(lambda: not waiting() and not state.connections)
