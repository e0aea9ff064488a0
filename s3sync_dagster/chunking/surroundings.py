"""What stands around the chunks of a document: symbols, headings and context lines.

Chunks of one place share one string: a title of a few bytes stands around as many chunks as there
are below it, and whoever uploads chooses both.
"""

import sys

from s3sync_dagster.chunking.context import MAX_CONTEXT_SHARE, context_prefix
from s3sync_dagster.chunking.outline import Path, Piece, joined
from s3sync_dagster.core.record_limits import cut_plain
from s3sync_dagster.engine.ports import ModelLimits
from s3sync_dagster.model.errors import LimitExceeded

AROUND_BYTES = 256 * 1024**2
"""Of memory for a document: half a kilobyte for each of as many chunks as one has."""


class Surroundings:
    """Symbols, headings and contexts of a document's pieces, asked for in their order."""

    def __init__(self, object_key: str, limits: ModelLimits | None) -> None:
        """Begin with a document; ``limits`` of the model where chunks get a context."""
        self._object_key = object_key
        self._limits = limits
        self._strings: dict[str, str] = {}
        self._bytes = 0
        self._path: Path | None = None
        self._last: tuple[str | None, str | None, str] = (None, None, "")

    def of(self, piece: Piece) -> tuple[str | None, str | None, str]:
        """Return symbol and heading path, as long as records keep them, and the context.

        Raises:
            LimitExceeded: there is too much of it (``too_many_chunks``).
        """
        if piece.path != self._path:
            self._path = piece.path
            self._last = (
                self._shared(joined(piece.path, "symbol", ".")),
                self._shared(joined(piece.path, "heading", " > ")),
                self._context(piece),
            )
        if self._last[2]:  # each record has it once more, before its text
            self._count(self._last[2])
        return self._last

    def _shared(self, name: str | None) -> str | None:
        if name is None:
            return None
        name = cut_plain(name)
        known = self._strings.setdefault(name, name)
        if known is name:
            self._count(name)
        return known

    def _context(self, piece: Piece) -> str:
        if self._limits is None:
            return ""
        tokens = file = None
        if self._limits.max_tokens is not None and self._limits.tokenizer_file is not None:
            tokens = self._limits.max_tokens // MAX_CONTEXT_SHARE
            file = self._limits.tokenizer_file
        return context_prefix(self._object_key, piece, max_tokens=tokens, tokenizer_file=file)

    def _count(self, text: str) -> None:
        self._bytes += sys.getsizeof(text)
        if self._bytes > AROUND_BYTES:
            raise LimitExceeded(
                f"{self._object_key!r} has so long headings or names around so many chunks that "
                f"they would take more than {AROUND_BYTES // 1024**2} MiB: choose a larger "
                "chunking.max_size_bytes, or split the document.",
                reason="too_many_chunks",
            )
