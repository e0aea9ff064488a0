"""Folders behind WebDAV.

A server says of each name in its answer how it went, and may leave out what is too much for it:
only an answer without such words is a whole one, and the driver does not read them.
"""

# ruff: noqa: D102  (the base class says what each method is for)

import re
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree.ElementTree import Element, fromstring

from s3sync_dagster.answer_time import answers_end_in
from s3sync_dagster.model.errors import AccessDenied, Unavailable
from s3sync_dagster.places.files_access import (
    CALL_SECONDS,
    MOST_CHARACTERS,
    PAGE_SECONDS,
    Access,
    Entry,
    has_slash,
    plain,
    require_same,
    told_by_answer,
)
from s3sync_dagster.plain_xml import declares, has_more

_GONE = frozenset({404, 410})
_DENIED = frozenset({401, 403})
_PAGE_BYTES = 32 * 1024 * 1024
"""Of an answer: one that tells of 50,000 files."""
_MOST_TAGS = 2_000_000
"""In an answer: each takes far more memory than it has bytes."""
_CHARSETS = re.compile(r"utf-?8|us-ascii|iso-?8859-?\d{1,2}|windows-125\d", re.IGNORECASE)
"""In which what is looked for before an answer is parsed has the bytes that it has in ASCII."""
_DATES = tuple(f".//{{DAV:}}{name}" for name in ("creationdate", "getlastmodified"))
_DATE_CHARACTERS = 100
"""Of a date: the driver's parser takes hours for one of megabytes."""


class WebDav(Access):
    """WebDAV: ``dav`` without TLS, ``davs`` with it."""

    extra = "webdav"
    what = "A source over WebDAV"

    def open(self) -> Any:
        from webdav4.fsspec import WebdavFileSystem  # noqa: PLC0415  (as above)

        from s3sync_dagster.http_bounds import (  # noqa: PLC0415  (as above)
            ACCEPTED,
            bound_connections,
            bounded,
        )

        scheme = "https" if self.url.protocol == "davs" else "http"
        self.root = ""
        bearer = {"Authorization": f"Bearer {self.secret}"} if not self.user and self.secret else {}
        system = WebdavFileSystem(
            f"{scheme}://{self.url.host}/",
            auth=(self.user, self.secret or "") if self.user else None,
            headers={**ACCEPTED, **bearer},
            event_hooks=bounded(_PAGE_BYTES, PAGE_SECONDS),
            timeout=CALL_SECONDS,
            skip_instance_cache=True,
        )
        bound_connections(system.client.http, PAGE_SECONDS)
        return system

    def close(self, system: Any) -> None:
        system.client.http.close()

    def path(self, key: str) -> str:
        # Whole, as the driver undoes what is escaped in the address that it begins with.
        whole = "/".join(filter(None, (self.url.path, key)))
        return quote(whole, errors="surrogateescape")

    def listed(self, system: Any, folder: str) -> list[Entry]:
        here, found = self._told(system, folder, depth="1")
        if found[here].resource_type == "file":
            raise NotADirectoryError(folder)
        inside = f"{here.rstrip('/')}/"
        entries: list[Entry] = []
        for path, one in found.items():
            if path == here:
                continue
            if not path.startswith(inside):
                raise _other_folder(folder)
            name = path[len(inside) :]
            # Some servers tell what is further down as well, or of the folder by other names.
            if "/" not in name and name not in (".", ".."):
                # One that nobody can ask for by its key is told of, and neither entered nor read.
                seen = Entry(name, "deep") if has_slash(name) else self._seen(name, one)
                entries.append(seen)
        return entries

    def info(self, system: Any, key: str) -> Entry:
        here, found = self._told(system, key, depth="0")
        return self._seen(key, found[here])

    def _timed(self, system: Any, key: str, found: Entry) -> Entry:
        return found  # it told all that it knows

    def _told(self, system: Any, key: str, *, depth: str) -> tuple[str, dict[str, Any]]:
        """Return the path of a file or folder, and what the server tells of it and in it.

        Raises:
            FileNotFoundError: it is not there.
            AccessDenied: the server keeps something of it back.
            Unavailable: ``store_failed``: it does not tell all, or of another folder.
        """
        from webdav4.fsspec import translate_exceptions  # noqa: PLC0415  (as above)
        from webdav4.multistatus import DAVProperties  # noqa: PLC0415  (as above)

        path = self.path(key)
        # Not the driver's own way, which reads all that an answer has, each date among it.
        ask = partial(
            system.client._request,
            "PROPFIND",
            path,
            headers={"Depth": depth},
            follow_redirects=depth == "1",
        )
        with translate_exceptions(), answers_end_in(PAGE_SECONDS):  # wherever it leads on to
            tree = _tree_of(system.client.with_retry(ask))
        here = _path_of(system.client.join_url(path).raw_path.decode("ascii"))
        gone: set[str] = set()
        there: dict[str, Any] = {}
        for one in tree.iter("{DAV:}response"):
            href = one.findtext("{DAV:}href") or ""
            if any(len(one.findtext(date) or "") > _DATE_CHARACTERS for date in _DATES):
                raise _not_all(key, "a date is none")
            status, told, name = _status_of(one), DAVProperties(one), _path_of(href)
            if status in _DENIED:
                raise AccessDenied(
                    f"The server keeps back what is at {href!r} from these credentials: what that "
                    "holds would be taken for gone."
                )
            if status in _GONE and one.find("{DAV:}propstat") is None:
                gone.add(name)
                continue
            if not 200 <= status < 300:
                raise _not_all(key, f"status {status}")
            # Of a name that is told twice, as of a file and a folder, one word hides the other.
            if there.setdefault(name, told).resource_type != told.resource_type:
                raise _not_all(key, "it tells a name twice")
        if not gone.isdisjoint(there):
            raise _not_all(key, "it tells a name twice")
        if here in gone:
            raise FileNotFoundError(key)
        if here not in there:
            raise _other_folder(key)
        return here, there

    def _seen(self, name: str, told: Any) -> Entry:
        known = told.as_dict()
        return self.entry(name, {**known, "size": known["content_length"]})

    def opened(self, system: Any, key: str, found: Entry) -> Any:
        from s3sync_dagster.http_bounds import STREAMED  # noqa: PLC0415  (as above)

        # The driver's own way to open a file stumbles over names with # and %.
        http = system.client.http
        url = system.client.join_url(self.path(key))
        # As it is: what a server packs for the way has another etag than the one that was told.
        as_it_is = {"Accept-Encoding": "identity"}
        asked = http.build_request("GET", url, headers=as_it_is, extensions={STREAMED: True})
        with answers_end_in(PAGE_SECONDS):
            response = http.send(asked, stream=True, follow_redirects=True)
        try:
            response.raise_for_status()
            told = told_by_answer(response.status_code, response.headers, response.url)
            require_same(found, self.entry(key, told))
        except BaseException:
            response.close()
            raise
        return _Streamed(response)


def _tree_of(answer: Any) -> Element:
    """Return what an answer says. Raises for one that a parser would make many times as large."""
    charset = answer.charset_encoding
    if answer.status_code != 207 or not (charset is None or _CHARSETS.fullmatch(charset)):
        raise Unavailable(
            "The server's answer is none of WebDAV, or in another charset than those have.",
            reason="store_failed",
        )
    if declares(answer.content):
        raise Unavailable(
            "The server's answer declares what no answer of WebDAV has.", reason="store_failed"
        )
    if has_more(answer.content, _MOST_TAGS):
        raise Unavailable(
            "The server's answer has more in it than any folder has.", reason="answer_too_long"
        )
    return fromstring(answer.text)


def _status_of(response: Any) -> int:
    """Return what a server says of a name: also where it keeps back whether that is a folder.

    Without that word a folder would pass for a file, and what it holds for gone. One whose address
    ends as those of folders do is none without that word either.
    """
    line = response.findtext("{DAV:}status")
    if line is not None and not 200 <= (status := _code_of(line)) < 300:
        return status
    told = (
        _code_of(one.findtext("{DAV:}status", "HTTP/1.1 200"))
        for one in response.iter("{DAV:}propstat")
        if one.find("{DAV:}prop/{DAV:}resourcetype") is not None
    )
    status = max(told, default=500)
    folder = response.find("{DAV:}propstat/{DAV:}prop/{DAV:}resourcetype/{DAV:}collection")
    ends_as_one = (response.findtext("{DAV:}href") or "").endswith("/")
    return 500 if status < 300 and ends_as_one and folder is None else status


def _code_of(line: str) -> int:
    """Return the code of a status line; of what is none that of a fault."""
    found = re.match(r"HTTP/\S+\s+(\d{3})(?!\d)", line)
    return int(found[1]) if found else 500


def _path_of(href: str) -> str:
    # Looked at before it is split, too: Python keeps what it has split.
    path = urlsplit(href).path if len(href) <= MOST_CHARACTERS else href
    return plain(path).rstrip("/") or "/"


def _not_all(key: str, why: str) -> Unavailable:
    return Unavailable(
        f"The server does not tell all of {key or '/'!r} ({why}): what is left out would be taken "
        "for gone.",
        reason="store_failed",
    )


def _other_folder(key: str) -> Unavailable:
    return Unavailable(
        f"The server was asked for {key or '/'!r} and tells of another place: is a proxy before "
        "it that changes paths? What its answer lacks would be taken for gone.",
        reason="store_failed",
    )


class _Streamed:
    """The body of an answer of httpx, read like a file."""

    def __init__(self, response: Any) -> None:
        self._pieces, self.close = response.iter_bytes(), response.close

    def read(self, _size: int) -> bytes:
        return next(self._pieces, b"")
