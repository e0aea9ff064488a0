"""Tables as layout analysis gives them, with the words of their cells."""

from collections.abc import Sequence

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word

LETTER, BLANK, HEIGHT = 5.0, 3.0, 10.0


def words_at(text: str, left: float, top: float) -> list[Word]:
    """Return words in a line, 5 points a letter and 3 between them."""
    found: list[Word] = []
    for word in text.split():
        found.append(Word(word, left, top, LETTER * len(word), HEIGHT))
        left += LETTER * len(word) + BLANK
    return found


def table_of(
    rows: list[list[str]], tops: list[float], columns: Sequence[tuple[float, float]]
) -> Block:
    """Return a table with the places of its rows and columns."""
    left = columns[0][0]
    return Block(
        kind="table",
        rows=rows,
        first_row=rows[0],
        top=tops[0],
        height=tops[-1] + HEIGHT - tops[0],
        left=left,
        width=columns[-1][1] - left,
        columns=list(columns),
        tops=tops,
    )


def words_of_rows(
    rows: list[list[str]], tops: list[float], columns: Sequence[tuple[float, float]]
) -> list[Word]:
    """Return the words of rows, each cell beginning where its column does."""
    return [
        word
        for row, top in zip(rows, tops, strict=True)
        for cell, (left, _) in zip(row, columns, strict=True)
        for word in words_at(cell, left, top)
    ]


def text_at(text: str, left: float, top: float, *, kind: str = "paragraph") -> Block:
    """Return a line of text beside or between tables."""
    words = words_at(text, left, top)
    width = words[-1].left + words[-1].width - left
    return Block(kind=kind, text=text, top=top, height=HEIGHT, left=left, width=width)
