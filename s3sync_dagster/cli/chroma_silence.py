"""Whether the Chroma that a source's work waits for answers."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from s3sync_dagster.core.declaration import CLOUD
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import Source

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

ANSWER_SECONDS = 2.0

Silence = Callable[[Source], str | None]


def chroma_silence(parts: "Parts") -> Silence:
    """Return what tells why a source's work is not handed out; it asks each Chroma once."""

    @cache
    def why(address: str) -> str | None:
        from s3sync_dagster.ports.chroma import open_collections  # noqa: PLC0415  (rarely)

        opened = open_collections(url=address)
        try:
            opened.heartbeat(within=ANSWER_SECONDS)
        except Unavailable as error:
            return f"Work waits for the Chroma at {address}: {error.message.rstrip('.')}."
        finally:
            opened.close()
        return None

    def silence(source: Source) -> str | None:
        declared = parts.catalog.sources.declaration(source.id)
        address = (declared and declared.chroma) or parts.chroma_address
        # A folder lets one process in; Cloud says of itself how it is.
        if address is None or not address.startswith("http") or address.startswith(CLOUD):
            return None
        return why(address)

    return silence
