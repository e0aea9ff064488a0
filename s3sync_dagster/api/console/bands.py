"""A document's text as its records have it: each chunk a band, nothing twice, gaps told.

Chunks tile the text from which they were cut, without the newline at the end of a chunk and with a
table's header row repeated before some: records and their positions give the text back, and no
object is read again. Records of others may overlap or leave text out.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from markupsafe import Markup

from s3sync_dagster.api.manage_wire import HitShown
from s3sync_dagster.model.document import Hit

Position = tuple[int, int]
"""Line and column of a character, both from 1."""
MOST_CHUNKS = 10**9
"""Of a document, in an address."""
MOST_SHARED = 65_536
"""Characters before a chunk that are looked at for what it repeats: four of the largest chunks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One chunk in the text, or the place of one whose record is not shown."""

    number: int
    """Of the chunk in its document, from 0."""
    anchor: str
    """Fragment of its address in the page."""
    hit: Hit | None = None
    """None: its record is not there, or kept from who asks."""
    text: str = ""
    """What no band above shows; empty: all stands above."""
    places: tuple[Position, Position] | None = None
    """Of its first and last character; None: the record does not tell."""
    header_lines: int = 0
    """Lines of a table's header at the record's beginning, which stand elsewhere in the text."""
    shared: int = 0
    """Characters at its beginning that stand in bands above."""
    differs: bool = False
    """Whether it claims the place of text above and has another one: two versions of an object."""
    gap: str = ""
    """Where text before it stands that no record has."""

    @property
    def splits_line(self) -> bool:
        """Whether it goes on in the line where the band before ends."""
        return self.places is not None and self.places[0][1] > 1


@dataclass(slots=True)
class _Reached:
    """How far the bands above go."""

    position: Position | None = None
    """Of the character behind them; None: unknown."""
    text: str = ""
    """Their end, to find what is repeated."""

    def add(self, start: Position, text: str) -> None:
        """Take a band's new text up."""
        self.position = _behind(start, text)
        self.text = (self.text + text)[-MOST_SHARED:]

    def repeated_by(self, start: Position, text: str) -> tuple[int, bool]:
        """Return how many characters of a text stand above; true: other ones stand there."""
        position = self.position or start
        if _behind(start, text) < position:
            return (len(text), False) if text in self.text else (0, True)
        shared = text[: _offset(start, text, position)]
        known = shared[-len(self.text) :] if self.text else ""
        return (len(shared), False) if self.text.endswith(known) else (0, True)


@dataclass(slots=True)
class _Composer:
    document: str
    reached: _Reached = field(default_factory=_Reached)

    def band(self, number: int, hit: Hit | None) -> Band:
        """Return the next chunk's band."""
        anchor = f"{self.document}-{number}"
        if number == 0 and self.reached.position is None:
            self.reached.position = (1, 1)
        placed = None if hit is None else _placed(hit)
        if hit is None or placed is None:
            self.reached = _Reached()
            return Band(number=number, anchor=anchor, hit=hit, text=hit.document if hit else "")
        start, header, own = placed
        last = (_line(hit, "end_line") or start[0], _line(hit, "end_col") or 1)
        shared, differs, gap = self._joined(start, own)
        return Band(
            number=number,
            anchor=anchor,
            hit=hit,
            text=own[shared:],
            places=(start, last),
            header_lines=header,
            shared=shared,
            differs=differs,
            gap=gap,
        )

    def _joined(self, start: Position, own: str) -> tuple[int, bool, str]:
        """Return what a text shares with those above, whether it contradicts them, and a gap."""
        position = self.reached.position
        shared, differs, gap = 0, False, ""
        if position is None or start == position:
            pass
        elif start < position:
            shared, differs = self.reached.repeated_by(start, own)
        elif start == (position[0] + 1, 1):
            self.reached.text += "\n"  # records go without it
        else:
            gap = _gap(position, start)
        if differs:
            self.reached = _Reached()
        if shared < len(own):
            self.reached.add(_behind(start, own[:shared]), own[shared:])
        return shared, differs, gap


def composed(
    document: str, hits: Mapping[int, Hit], numbers: range, *, before: Hit | None = None
) -> Iterator[Band]:
    """Yield the bands of a page of chunks, in their order.

    Args:
        document: what anchors begin with, see ``document_anchor``.
        hits: records by the numbers of their chunks; those that are missing are told.
        numbers: of the page.
        before: the chunk before the page, behind which its first one begins.
    """
    composer = _Composer(document)
    if before is not None:
        composer.band(numbers.start - 1, before)
    for number in numbers:
        yield composer.band(number, hits.get(number))


def document_anchor(database: str, collection: str, document_id: str) -> str:
    """Return what the anchors of a document's chunks begin with, whatever its id is made of."""
    name = repr((database, collection, document_id))
    return f"chunk-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def band_address(hit: HitShown, database: str, collection: str, question: str = "") -> Markup:
    """Return what leads from an object's address to a hit's band; empty for a stranger's record."""
    number = hit.metadata.get("s3sync_chunk")
    if not isinstance(number, int) or not 0 <= number <= MOST_CHUNKS:
        return Markup("")
    anchor = document_anchor(database, collection, hit.document_id)
    asked = Markup("&amp;q={0}").format(quote(question, safe="")) if question else ""
    return Markup("&amp;chunk={0}{2}#{1}-{0}").format(number, anchor, asked)


def _placed(hit: Hit) -> tuple[Position, int, str] | None:
    """Return where a record begins, lines of a repeated header, and its own text."""
    first, last = _line(hit, "start_line"), _line(hit, "end_line")
    column = _line(hit, "start_col")
    if first is None or last is None or column is None:
        return None
    header = hit.document.count("\n") - (last - first)
    if header < 0:
        return None
    own = hit.document.split("\n", header)[-1]
    return (first, column), header, own


def _behind(start: Position, text: str) -> Position:
    """Return the position behind a text."""
    line, column = start
    newlines = text.count("\n")
    if not newlines:
        return line, column + len(text)
    return line + newlines, len(text) - text.rfind("\n")


def _offset(start: Position, text: str, position: Position) -> int:
    """Return how many characters of a text stand before a position; more than it has: all."""
    line, column = start
    place = 0
    for _ in range(position[0] - line):
        found = text.find("\n", place)
        if found < 0:
            return len(text)
        place, column = found + 1, 1
    ends = text.find("\n", place)
    return min(place + position[1] - column, len(text) if ends < 0 else ends + 1)


def _gap(position: Position, start: Position) -> str:
    """Return in words where text stands between two bands."""
    first = position[0] if position[1] == 1 else position[0] + 1
    if start[1] == 1 and first < start[0]:
        last = start[0] - 1
        return f"line {first}" if first == last else f"lines {first} to {last}"
    return f"line {position[0]}, column {position[1]}, up to line {start[0]}, column {start[1] - 1}"


def _line(hit: Hit, name: str) -> int | None:
    value = hit.metadata.get(name)
    return value if isinstance(value, int) and value > 0 else None
