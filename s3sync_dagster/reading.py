"""A document as a collection has it: its chunks in order, from a line or a chunk on."""

from collections.abc import Iterator
from dataclasses import dataclass

from s3sync_dagster.engine.hybrid import fetch_hits
from s3sync_dagster.engine.ports import RecordReader
from s3sync_dagster.model.document import Hit

PAGE = 32
"""Chunks that are fetched together: about 30 KB of text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A chunk, or those of its lines that were asked for."""

    number: int
    """Of the chunk in its document, from 0."""
    text: str
    start_line: int | None
    """1-based; None: the record does not tell."""
    end_line: int | None
    hit: Hit
    """The whole chunk with its metadata."""


def read_chunks(
    collection: RecordReader,
    document_id: str,
    count: int,
    *,
    start_chunk: int = 0,
    start_line: int | None = None,
    end_line: int | None = None,
) -> Iterator[Piece]:
    """Yield the chunks of a document; what is not looked at is not fetched.

    Args:
        collection: has the records ``{document_id}-{i}``.
        document_id: what their ids begin with.
        count: how many there are.
        start_chunk: the first one that is wanted.
        start_line: text before this line is left out.
        end_line: likewise after this line.
    """
    first = start_chunk
    if start_line is not None:
        first = max(first, _chunk_at(collection, document_id, count, start_line))
    for start in range(first, count, PAGE):
        numbers = range(start, min(start + PAGE, count))
        found = fetch_hits(collection, [f"{document_id}-{number}" for number in numbers])
        for number in numbers:
            hit = found.get(f"{document_id}-{number}")
            if hit is None:
                continue  # it is being written anew
            begins = _line(hit, "start_line")
            if end_line is not None and begins is not None and begins > end_line:
                return
            piece = _cut(number, hit, start_line, end_line)
            if piece is not None:
                yield piece


def _chunk_at(collection: RecordReader, document_id: str, count: int, line: int) -> int:
    """Return the first chunk that may hold a line: a look at one record for each halving."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        name = f"{document_id}-{middle}"
        record = collection.get([name]).get(name)
        ends = record.metadata.get("end_line") if record is not None else None
        if isinstance(ends, int) and ends < line:
            low = middle + 1
        else:
            high = middle
    return low


def _cut(number: int, hit: Hit, start_line: int | None, end_line: int | None) -> Piece | None:
    """Return the wanted lines of a chunk, None where it has none of them."""
    begins, ends = _line(hit, "start_line"), _line(hit, "end_line")
    whole = Piece(number=number, text=hit.document, start_line=begins, end_line=ends, hit=hit)
    if begins is None or ends is None or (start_line is None and end_line is None):
        return whole
    wanted = max(begins, start_line or begins), min(ends, end_line or ends)
    if wanted[0] > wanted[1]:
        return None
    lines = hit.document.split("\n")
    if wanted == (begins, ends) or len(lines) != ends - begins + 1:
        return whole  # lines do not match: a table's header is repeated before them
    text = "\n".join(lines[wanted[0] - begins : wanted[1] - begins + 1])
    return Piece(number=number, text=text, start_line=wanted[0], end_line=wanted[1], hit=hit)


def _line(hit: Hit, name: str) -> int | None:
    value = hit.metadata.get(name)
    return value if isinstance(value, int) else None
