"""Repositories of a test, and a server over HTTP: git's own backend behind Python's."""

import base64
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

_PLAIN = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


@dataclass
class Origin:
    """A repository that a test writes."""

    folder: Path
    object_format: str = "sha1"

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.git("init", "-q", "-b", "main", f"--object-format={self.object_format}")
        self.git("config", "uploadpack.allowFilter", "true")

    def git(self, *arguments: str, text: str | None = None) -> str:
        """Run git in it."""
        return subprocess.run(
            ["git", *arguments], cwd=self.folder, env={**os.environ, **_PLAIN}, check=True,
            input=text, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip

    def write(self, path: str, content: str | bytes) -> None:
        """Write a file."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, message: str = "change") -> str:
        """Commit all that is there and return the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


@dataclass
class GitServer:
    """Serves the repositories of a folder."""

    root: Path
    token: str | None = None
    url: str = ""
    seen: list[str] = field(default_factory=list)
    """Method and path of each request."""
    redirect: str | None = None
    slow_seconds: float = 0.0
    """Before the files of a commit are sent."""

    def uploads(self) -> int:
        """Return how many fetches were asked for since the last ``seen.clear()``."""
        return sum("git-upload-pack" in line and line.startswith("POST") for line in self.seen)


@contextmanager
def git_server(root: Path, *, token: str | None = None) -> Iterator[GitServer]:
    """Serve until the block ends."""
    served = GitServer(root, token)
    backend = subprocess.run(
        ["git", "--exec-path"], capture_output=True, text=True, check=True
    ).stdout.strip()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self._answer()

        do_POST = do_GET  # noqa: N815

        def _body(self) -> bytes:
            if self.headers.get("transfer-encoding") == "chunked":
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body
            return self.rfile.read(int(self.headers.get("content-length") or 0))

        def _answer(self) -> None:
            body = self._body()
            asked = urlsplit(self.path)  # of a proxy the whole URL is asked
            path, query = asked.path, asked.query
            served.seen.append(f"{self.command} {self.path}")
            if served.redirect is not None:
                return self._send(302, [("Location", served.redirect + self.path)], b"")
            if served.token is not None:
                wanted = base64.b64encode(f"x-access-token:{served.token}".encode()).decode()
                if self.headers.get("authorization") != f"Basic {wanted}":
                    return self._send(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
            if b"command=fetch" in body:
                time.sleep(served.slow_seconds)
            done = subprocess.run(
                [f"{backend}/git-http-backend"], input=body, capture_output=True, check=False,
                env={
                    **os.environ, **_PLAIN, "GIT_PROJECT_ROOT": str(root), "PATH_INFO": path,
                    "GIT_HTTP_EXPORT_ALL": "1", "QUERY_STRING": query,
                    "REQUEST_METHOD": self.command, "CONTENT_LENGTH": str(len(body)),
                    "CONTENT_TYPE": self.headers.get("content-type", ""),
                    "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                    "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
                },
            )  # fmt: skip
            head, _, answer = done.stdout.partition(b"\r\n\r\n")
            headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if line]
            status = next((int(v.split()[0]) for k, v in headers if k == "Status"), 200)
            self._send(status, [(k, v) for k, v in headers if k != "Status"], answer)

        def _send(self, status: int, headers: list, body: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
