"""Bodies that were uploaded compressed: ``Content-Encoding: gzip`` is undone, piece by piece."""

import zlib
from collections.abc import Iterator
from itertools import chain

from s3sync_dagster.model.errors import UnreadableFile

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 31
"""What zlib calls gzip with its header."""
_PIECE_BYTES = 1024 * 1024


def decoded(pieces: Iterator[bytes], *, encoding: str | None, key: str) -> Iterator[bytes]:
    """Yield a body's pieces as their reader is to see them.

    A body that only claims to be compressed is passed on as it is: labels are often wrong.

    Args:
        pieces: as they come from the wire.
        encoding: the answer's ``Content-Encoding``.
        key: for messages.

    Raises:
        UnreadableFile: ``bad_gzip``, where the compressed stream is damaged or cut.
    """
    names = {name.strip().lower() for name in (encoding or "").split(",")}
    if not names & {"gzip", "x-gzip"}:
        yield from pieces
        return
    head = b""
    while len(head) < len(_GZIP_MAGIC) and (piece := next(pieces, b"")):
        head += piece
    whole = chain((head,), pieces)
    yield from _inflate(whole, key=key) if head.startswith(_GZIP_MAGIC) else whole


def _inflate(pieces: Iterator[bytes], *, key: str) -> Iterator[bytes]:
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        for piece in pieces:
            rest = piece
            while rest:
                if inflater.eof:  # a gzip file may have several members
                    inflater = zlib.decompressobj(_GZIP_WINDOW)
                # Bounded, so that a bomb meets the caller's limit before it fills the memory.
                yield inflater.decompress(rest, _PIECE_BYTES)
                rest = inflater.unconsumed_tail or inflater.unused_data
    except zlib.error:
        raise _damaged(key) from None
    while not inflater.eof:
        if not (more := inflater.decompress(inflater.unconsumed_tail, _PIECE_BYTES)):
            raise _damaged(key)
        yield more


def _damaged(key: str) -> UnreadableFile:
    return UnreadableFile(
        f"object {key!r} says Content-Encoding: gzip and is damaged or cut; upload it again",
        reason="bad_gzip",
    )
