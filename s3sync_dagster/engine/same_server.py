"""A source that names no server stays at the one that it was indexed from.

Whom it asks is told by the environment of each process. One with another environment would find
another bucket of that name, take the records of all that is not in it away, and write those of
what is.
"""

import logging
import shlex
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

from s3sync_dagster.model.errors import Conflict, NotFound
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import Source

LOOKED_AT = 20
"""Objects by which a server is known again."""
_log = logging.getLogger(__name__)


class ServersPort(Protocol):
    """What the catalog knows of the servers that were asked."""

    def names(self, source_id: str) -> list[str]:
        """Return under which names it was asked, the last one first; empty: the one all know."""
        ...

    def remember(self, source_id: str, server: str, *, same: bool) -> None:
        """Store which server is asked from now on; ``same``: it has the names of before as well."""
        ...

    def written_last(self, source_id: str, *, limit: int) -> dict[str, str]:
        """Return keys and etags of the objects that were indexed last, as far as they are there."""
        ...


def require_same_server(
    source: Source,
    server: str,
    *,
    declared: bool,
    servers: ServersPort,
    head: Callable[[str], ObjectRef],
) -> None:
    """Refuse to work with another server than that of a source's records.

    One under another name is known by its objects, and remembered. Processes that ask it under
    different names, one in a network of containers and one beside it, are each believed after that:
    all objects may have been written anew since the other one asked.

    Args:
        source: one that names no server.
        server: who is asked for it in this process; empty: the one that all know.
        declared: code says what the source is.
        servers: of the catalog.
        head: asks that server for an object.

    Raises:
        Conflict: ``other_server``.
    """
    names = servers.names(source.id)
    before = names[0] if names else None
    if before == server:
        return
    if server in names and not _may_be_another(server):
        servers.remember(source.id, server, same=True)
        return
    written = servers.written_last(source.id, limit=LOOKED_AT)
    if before is not None or server:  # a catalog of before this memory, and nothing is named
        there = sum(_lies_there(head, key, etag) for key, etag in written.items())
        if 2 * there < len(written):
            raise Conflict(
                _other_server(
                    source, server, before, declared=declared, seen=(there, len(written))
                ),
                reason="other_server",
            )
        if before is not None and written:
            _log.warning(
                "The source %r is asked at %s now, where its objects are as at %s before.",
                *(source.name, server or "AWS", before or "AWS"),
            )
    servers.remember(source.id, server, same=bool(written))


def _may_be_another(server: str) -> bool:
    """Return whether a name that was asked before proves nothing.

    On each host another server may have it; that of nobody is believed at first without a look.
    """
    host = urlsplit(server).hostname or ""
    return host in ("", "localhost", "::1") or host.startswith("127.")


def _lies_there(head: Callable[[str], ObjectRef], key: str, etag: str) -> bool:
    try:
        return head(key).etag == etag
    except NotFound:
        return False


def _other_server(
    source: Source, server: str, before: str | None, *, declared: bool, seen: tuple[int, int]
) -> str:
    was = f"; it was {before or 'AWS'} before" if before is not None else ""
    where = f"CHROMA_TENANT={source.tenant} CHROMA_DATABASE={source.database_name} "
    if (source.tenant, source.database_name) == ("default_tenant", "default_database"):
        where = ""  # a command without them looks there
    place = shlex.quote(source.place.address())
    out = f"`{where}s3sync sync {place} -c {source.collection_name}` keeps it"
    if declared:
        out = f"declare its endpoint_url, and say `s3sync source move {source.name}`"
    return (
        f"The source {source.name!r} names no endpoint, and AWS's variables or profile lead to "
        f"{server or 'AWS'} here{was}. Of the {seen[1]} objects that were indexed last, {seen[0]} "
        "are there as they were: it seems to be another server, and nothing was changed. Correct "
        f"AWS_ENDPOINT_URL where this runs; where the bucket did move, {out}."
    )
