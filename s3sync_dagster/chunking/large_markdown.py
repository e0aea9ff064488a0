"""Markdown that is too large to be scanned at once: window by window, each of whole blocks."""

from s3sync_dagster.chunking.budget import Budget
from s3sync_dagster.chunking.cutting import cut_outline
from s3sync_dagster.chunking.markdown import goes_on, outline_markdown
from s3sync_dagster.chunking.outline import Piece
from s3sync_dagster.chunking.windows import behind_header, in_document, window_end


def cut_large_markdown(data: bytes, budget: Budget, *, size: int, most: int) -> list[Piece]:
    """Return the pieces of a document; the rest is not cut where there are more than ``most``.

    A block that a window's end goes through belongs to the next window. One that takes half a
    window is cut where it is, and a table then repeats its header row behind it.
    """
    pieces: list[Piece] = []
    header = (0, 0)
    start = 0
    while start < len(data) and len(pieces) <= most:
        end = len(data)
        if end - start > size:
            end = window_end(data, start + size // 2, start + size)
        before = header[1] - header[0]
        part = data[slice(*header)] + data[start:end]
        outline = outline_markdown(part, budget.for_outline(part), begins=start == 0)
        of_last = outline.header_at_end
        if end < len(data) and outline.last_block > before + (end - start) // 2:
            outline.end_before(outline.last_block)
            part = part[: outline.last_block]
            end = start + outline.last_block - before
            of_last = None
        pieces.extend(behind_header(cut_outline(part, outline, budget), header, start))
        header = (0, 0) if of_last is None else in_document(of_last, header, start)
        if not goes_on(data[slice(*header)], data[end : data.find(b"\n", end) + 1 or len(data)]):
            header = (0, 0)
        start = end
    return pieces
