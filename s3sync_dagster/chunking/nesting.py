"""Cuts in JSON and XML that no grammar can take: by brackets and tags, in one linear pass."""

import re
from collections.abc import Iterator

from s3sync_dagster.chunking.outline import ROOT, Outline, Scope
from s3sync_dagster.chunking.syntax import DEPTH_COST

# Possessive and with optional ends: a match never fails half way, so that hostile input stays
# linear. A JSON string ends at its line's end at the latest.
_JSON_TOKEN = re.compile(
    rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"?+|[\[\]{},]|//[^\n]*+|/\*(?s:.*?\*/|.*+)'
)
_XML_TOKEN = re.compile(
    rb"<!--(?:.*?-->|.*+)|<!\[CDATA\[(?:.*?\]\]>|.*+)|<[?!][^>]*+>?"
    rb"|<(/?)([^\s/<>]*+)(?:\"[^\"<]*+\"?+|'[^'<]*+'?+|[^<>\"']++)*+>?",
    re.DOTALL,
)


class _Containers:
    """Cuts between the children of open containers; those of small ones are dropped on close."""

    def __init__(self, limit: int, base: float) -> None:
        self.limit = limit
        self.base = base
        self.open: list[tuple[int, int, Scope]] = []
        """Begin, number of cuts at that time, scope."""
        self.scope = ROOT
        self.cuts: list[tuple[int, float, Scope]] = []

    def enter(self, start: int, name: str) -> None:
        self.open.append((start, len(self.cuts), self.scope))
        if name:
            self.scope = self.scope.inner("symbol", name)

    def leave(self, end: int) -> None:
        if not self.open:
            return
        start, count, self.scope = self.open.pop()
        if end - start <= self.limit:
            del self.cuts[count:]

    def between(self, position: int) -> None:
        depth = min(len(self.open), len(DEPTH_COST) - 1)
        self.cuts.append((position, self.base + DEPTH_COST[depth], self.scope))


def outline_json(data: bytes, limit: int) -> Outline:
    """Return cuts between elements of arrays and members of objects that do not fit."""
    outline = Outline(inner_cost=DEPTH_COST[-1])
    allow_json(data, (0, len(data)), limit, outline)
    return outline


def json_positions(data: bytes) -> Iterator[int]:
    """Yield where the next element or member begins, behind a comma that stands in no string."""
    for match in _JSON_TOKEN.finditer(data):
        if data[match.start()] == 44:
            yield _after_comma(data, match.end(), len(data))


def xml_positions(data: bytes) -> Iterator[int]:
    """Yield where elements begin; what stands in comments and CDATA is none."""
    return (match.start() for match in _XML_TOKEN.finditer(data) if match[2] and not match[1])


def allow_json(
    data: bytes, span: tuple[int, int], limit: int, outline: Outline, *, base: float = 0.0
) -> None:
    """Allow the cuts of the JSON value in ``data[span]``."""
    containers = _Containers(limit, base)
    string = (0, 0)
    for match in _JSON_TOKEN.finditer(data, *span):
        start = match.start()
        byte = data[start]
        if byte == 34:  # a string
            string = match.span()
        elif byte == 44:  # a comma
            containers.between(_after_comma(data, match.end(), span[1]))
        elif byte in b"{[":
            between = data[string[1] : start] if start - string[1] < 64 else b"?"
            named = string[1] and between.strip() == b":"
            name = data[string[0] + 1 : string[1] - 1][:120] if named else b""
            containers.enter(start, name.decode("utf-8", "replace"))
        elif byte in b"}]":
            containers.leave(match.end())
    for position, cost, scope in containers.cuts:
        if position < span[1]:
            outline.allow(position, cost, scope)


def _after_comma(data: bytes, position: int, end: int) -> int:
    """Return the begin of the next line when nothing else follows here, else of what follows."""
    line = data.find(b"\n", position, min(end, position + 200))
    if line >= 0 and not data[position:line].strip():
        return line + 1
    while position < end and data[position] in b" \t":
        position += 1
    return position


def outline_xml(data: bytes, limit: int) -> Outline:
    """Return cuts before the children of elements that do not fit."""
    outline = Outline(inner_cost=DEPTH_COST[-1])
    containers = _Containers(limit, 0.0)
    last = 0
    for match in _XML_TOKEN.finditer(data):
        name = match.group(2)
        start = match.start()
        if match.group(1):
            containers.leave(match.end())
            last = match.end()
            continue
        between = data[last:start]
        line = between.rfind(b"\n") + 1
        blank = line and (not between or between.isspace())
        containers.between(last + line if blank else start)
        last = match.end()
        if name and data[match.end() - 2 : match.end()] != b"/>":
            containers.enter(start, name.decode("utf-8", "replace")[:120])
    for position, cost, scope in containers.cuts:
        outline.allow(position, cost, scope)
    return outline
