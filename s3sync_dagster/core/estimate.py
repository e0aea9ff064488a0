"""What objects come to when they are embedded, by their names and sizes alone: rough.

The figures are those of this project's documents and code with ``minilm``, whose texts, bytes and
tokens are met to a tenth; for 37 small samples, three of them without a text, 72 texts are told
where there are 56.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from s3sync_dagster.core.filetypes import kind_of
from s3sync_dagster.model.embedding_kinds import EMBEDDING_KINDS
from s3sync_dagster.model.source import Source

FILLED = 0.65
"""Of the size that a chunk may have: cuts are made where the text has one."""
TEXT_SHARE = 0.1
"""Of formats that hold much that is no text."""
LINE_BYTES = 40
BYTES_A_TOKEN = 3.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a model would have to read."""

    texts: int = 0
    """Chunks, equal ones counted each."""
    text_bytes: int = 0

    @property
    def tokens(self) -> int:
        """Of the text; other scripts than Latin may have more."""
        return round(self.text_bytes / BYTES_A_TOKEN)

    def times(self, factor: float) -> "Estimate":
        """Return what so much more comes to."""
        return Estimate(
            texts=round(self.texts * factor), text_bytes=round(self.text_bytes * factor)
        )

    def told(self, *, price: float | None) -> str:
        """Return a sentence's part: no figure has more than two digits that mean something.

        Args:
            price: of a million tokens, where a person has said it.
        """
        text = (
            f"about {_rough(self.texts)} texts, {_rough(self.text_bytes)} bytes, "
            f"{_rough(self.tokens)} tokens"
        )
        if price is None:
            return text
        return f"{text}, {self.tokens * price / 1e6:.2g} at {price:g} a million tokens"


def estimate(source: Source, objects: Iterable[tuple[str, int]]) -> Estimate:
    """Return what keys with their sizes in bytes come to; an unknown size counts as none."""
    chunk_bytes = _chunk_bytes(source)
    texts = total = 0
    for key, size in objects:
        kind = kind_of(key)
        share = 1.0 if kind is None or kind.reader == "text" else TEXT_SHARE
        text_bytes = round(max(0, size) * share)
        total += text_bytes
        texts += 1 + int(text_bytes // chunk_bytes)
    return Estimate(texts=texts, text_bytes=total)


def _chunk_bytes(source: Source) -> float:
    chunking, kind = source.chunking, EMBEDDING_KINDS.get(source.embedding.kind)
    if chunking.type == "lines":
        return min(chunking.max_lines * LINE_BYTES, chunking.max_size_bytes or 4096)
    return FILLED * (chunking.max_size_bytes or (kind.chunk_bytes if kind else 1024))


def _rough(number: int) -> str:
    return f"{float(f'{number:.2g}'):,.0f}"
