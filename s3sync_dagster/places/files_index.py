"""Folders that a web server shows as pages of links.

Such a page may be any other page: one to log in, one that says "temporarily unavailable". So it
counts where it is the page that was asked for, and each file is asked for by itself.
"""

# ruff: noqa: D102  (the base class says what each method is for)

import asyncio
import contextlib
import html
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import quote, urlsplit

from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.places.files_access import (
    CALL_SECONDS,
    CONNECT_SECONDS,
    MOST_CHARACTERS,
    MOST_NAMES,
    PAGE_SECONDS,
    Access,
    Entry,
    Streamed,
    has_slash,
    plain,
    require_same,
    told_by_answer,
)
from s3sync_dagster.places.files_errors import is_absence
from s3sync_dagster.places.web_text import decoded

_HEADS_AT_ONCE = 4
"""``python -m http.server`` lets five wait: of more each waits for a second, and is asked again."""
_PAGES = ("text/html", "application/xhtml+xml")
"""Types of a folder's page, as aiohttp gives them: in lower case, without parameters."""
_SAFE = "/!$&'()*+,;=:@~"
"""What stands in a path as it is (RFC 3986)."""
_TAG = re.compile(r"<a\s", re.IGNORECASE)
_LINK = re.compile(
    r"""<a\s(?:[^>]*?\s)?href\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE
)
"""Apache writes an apostrophe in a name as it is, where the driver's own pattern ends."""
_PAGE_BYTES = 16 * 1024 * 1024
"""Of a folder's page, unpacked: it names more files than can be asked for one by one."""


class HttpIndex(Access):
    """Folders that a web server shows as pages of links; each file is asked for by a HEAD."""

    extra = "http-index"
    what = "A source of a web server's folders"
    doubtful = True

    def open(self) -> Any:
        from aiohttp import ClientTimeout, encode_basic_auth  # noqa: PLC0415  (only these sources pay for it)
        from fsspec.implementations.http import HTTPFileSystem  # noqa: PLC0415  (as above)

        scheme = self.url.protocol.removeprefix("index+")
        self.root = f"{scheme}://{self.url.host}/{quote(self.url.path)}".rstrip("/")
        headers: dict[str, str] = {}
        if self.secret:
            headers["Authorization"] = (
                encode_basic_auth(self.user, self.secret) if self.user else f"Bearer {self.secret}"
            )
        return HTTPFileSystem(
            simple_links=False,
            encoded=True,
            client_kwargs={
                "timeout": ClientTimeout(connect=CONNECT_SECONDS, sock_read=CALL_SECONDS),
                "headers": headers,
            },
            skip_instance_cache=True,
        )

    def close(self, system: Any) -> None:
        if system._session is not None:  # the driver keeps it there for who closes it
            system.close_session(system.loop, system._session)

    def path(self, key: str) -> str:
        return f"{self.root}/{quote(key, safe=_SAFE, errors='surrogateescape')}".rstrip("/")

    def listed(self, system: Any, folder: str) -> list[Entry]:
        page = self.path(folder) + "/"
        found: dict[str, Entry] = {}
        from fsspec.asyn import sync  # noqa: PLC0415  (as above)

        get: Any = sync
        links = self._links(page, get(system.loop, self._page, system, page))
        if not links:  # a server that lists a folder only at its other address
            address = page.rstrip("/")
            with contextlib.suppress(FileNotFoundError):  # the folder itself has just answered
                links = self._links(address, get(system.loop, self._page, system, address))
        inside = plain(page)
        for one in links:
            if len(one) > MOST_CHARACTERS:
                continue
            link = plain(one.partition("?")[0].partition("#")[0])
            if not link.startswith(inside):
                continue
            name = link[len(inside) :].removeprefix("./")
            bare = name.removesuffix("/")
            if bare and "/" not in bare and bare not in (".", "..") and not has_slash(bare):
                found[bare] = Entry(bare, "folder" if name != bare else "file")
        return list(found.values())

    async def _page(self, system: Any, page: str) -> str:
        """Return the text of a folder's page, which has to be that page itself.

        The driver's own listing does not tell where the server sent it.
        """
        session = await system.set_session()
        headers = {"Accept-Encoding": "identity"}
        async with (
            asyncio.timeout(PAGE_SECONDS),
            session.get(system.encode_url(page), headers=headers, **system.kwargs) as answer,
        ):
            if answer.status in (404, 410) and not answer.history:
                raise FileNotFoundError(page)
            answer.raise_for_status()
            asked, ended = urlsplit(page), answer.url
            here = (asked.hostname, plain(asked.path).rstrip("/"), "")
            path = plain(ended.raw_path).rstrip("/")
            if answer.history and (ended.host, path, ended.query_string) != here:
                raise Unavailable(
                    "The server sends who asks for a folder to another page, such as one to log "
                    "in.",
                    reason="store_failed",
                )
            if "Content-Type" in answer.headers and answer.content_type not in _PAGES:
                return ""
            body = bytearray()
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > _PAGE_BYTES:
                    raise _too_long()
            text = decoded(bytes(body), answer.charset)
            return body.decode("utf-8", "ignore") if text is None else text

    def _links(self, page: str, text: str) -> list[str]:
        """Return the addresses that a page links to.

        Not in the driver's loop, which all stores of a process share.
        """
        found, asked = _links_of(text), urlsplit(page)
        if len(found) > MOST_NAMES:
            raise _too_long()
        origin = f"{asked.scheme}://{asked.netloc}"
        return [
            f"{origin}{one}"
            if one.startswith("/") and len(one) > 1
            else one
            if one.startswith(("http://", "https://"))
            else f"{page.rstrip('/')}/{one.lstrip('/')}"
            for one in found
            if one not in ("..", "../")
        ]

    def info(self, system: Any, key: str) -> Entry:
        from fsspec.asyn import sync  # noqa: PLC0415  (as above)

        told: Any = sync(system.loop, self._told, system, key)
        return self._seen(key, told)

    async def _told(self, system: Any, key: str) -> Any:
        async with asyncio.timeout(PAGE_SECONDS):
            return await system._info(self.path(key))

    def opened(self, system: Any, key: str, found: Entry) -> Any:
        # The driver asks for ranges, cuts what it gets to the size it knows, and shows no headers.
        from fsspec.asyn import sync  # noqa: PLC0415  (as above)

        file: Any = sync(system.loop, self._streamed, system, key, found)
        return file

    async def _streamed(self, system: Any, key: str, found: Entry) -> Streamed:
        session = await system.set_session()
        as_it_is = {"Accept-Encoding": "identity"}  # as the driver asks for heads
        async with asyncio.timeout(PAGE_SECONDS):
            answer = await session.get(system.encode_url(self.path(key)), headers=as_it_is)
        try:
            if answer.status in (404, 410) and not answer.history:
                raise FileNotFoundError(key)
            answer.raise_for_status()
            told = told_by_answer(answer.status, answer.headers, answer.url)
            require_same(found, self._seen(key, told))
        except BaseException:
            answer.close()
            raise
        return Streamed(system.loop, answer.content.read, answer.close)

    def complete(self, system: Any, folder: str, entries: list[Entry]) -> list[Entry]:
        from fsspec.asyn import sync  # noqa: PLC0415  (as above)

        keys = [f"{folder}/{one.name}".lstrip("/") for one in entries]
        told: list[Any] = []
        heads: Any = sync
        for at in range(0, len(keys), _HEADS_AT_ONCE):
            told += heads(system.loop, self._heads, system, keys[at : at + _HEADS_AT_ONCE])
        return [
            self._seen(one.name, answer)
            for one, answer in zip(entries, told, strict=True)
            if answer is not None
        ]

    async def _heads(self, system: Any, keys: Iterable[str]) -> list[Any]:
        asked = [system._info(self.path(key)) for key in keys]
        async with asyncio.timeout(PAGE_SECONDS):
            answers = await asyncio.gather(*asked, return_exceptions=True)
        for one in answers:
            if isinstance(one, BaseException) and not is_absence(one):
                raise one
        return [None if isinstance(one, BaseException) else one for one in answers]

    def _seen(self, name: str, told: Mapping[str, Any]) -> Entry:
        ended = plain(str(told.get("url", name)).partition("?")[0])
        if ended.rstrip("/").rpartition("/")[2] != name.rpartition("/")[2]:
            raise Unavailable(
                f"The server sends who asks for {name!r} to another page, such as one to log in.",
                reason="store_failed",
            )
        if ended.endswith("/"):
            return Entry(name, "other")  # a folder that the index shows as a file
        return self.entry(name, told)


def _too_long() -> Unavailable:
    return Unavailable(
        "The server's page of a folder is longer than any of them, or does not end.",
        reason="answer_too_long",
    )


def _links_of(page: str) -> list[str]:
    """Return what the links of a page lead to; each is looked for up to the next one's begin."""
    begins = [one.start() for one in _TAG.finditer(page)]
    tags = (page[one:following] for one, following in pairwise([*begins, len(page)]))
    found = (_LINK.match(one) for one in tags)
    return [html.unescape("".join(one.groups(""))) for one in found if one is not None]
