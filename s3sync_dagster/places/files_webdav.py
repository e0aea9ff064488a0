"""Folders behind WebDAV."""

# ruff: noqa: D102  (the base class says what each method is for)

from typing import Any
from urllib.parse import quote

from s3sync_dagster.places.files_access import (
    CALL_SECONDS,
    Access,
    Entry,
    require_same,
    told_by_answer,
)


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

    def opened(self, system: Any, key: str, found: Entry) -> Any:
        # The driver's own way to open a file stumbles over names with # and %.
        http = system.client.http
        url = system.client.join_url(self.path(key))
        # As it is: what a server packs for the way has another etag than the one that was told.
        as_it_is = {"Accept-Encoding": "identity"}
        asked = http.build_request("GET", url, headers=as_it_is)
        response = http.send(asked, stream=True, follow_redirects=True)
        try:
            response.raise_for_status()
            told = told_by_answer(response.status_code, response.headers, response.url)
            require_same(found, self.entry(key, told))
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
