"""Numbers for one chunker on one language."""

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from units import Unit

Spans = Sequence[tuple[int, int]]
SMALL_SHARE = 0.1


@dataclass
class Score:
    """Sums over files; ``row`` gives the ratios of the table."""

    chunk_bytes: int = 0
    chunks: int = 0
    tiny: int = 0
    over: int = 0
    cuts: int = 0
    inside: int = 0
    units: int = 0
    intact: int = 0
    documented: int = 0
    documented_intact: int = 0
    kinds: dict[str, list[int]] = field(default_factory=dict)
    files: int = 0
    exact: int = 0
    edited: int = 0
    new_texts: int = 0
    seconds: float = 0.0
    source_bytes: int = 0

    def add_file(self, data: bytes, spans: Spans, units: list[Unit], limit: int) -> None:
        self.files += 1
        self.exact += _tiles(spans, len(data))
        sizes = [end - start for start, end in spans]
        self.chunks += len(sizes)
        self.chunk_bytes += sum(sizes)
        self.tiny += sum(size < SMALL_SHARE * limit for size in sizes)
        self.over += sum(size > limit for size in sizes)
        cuts = [start for start, _ in spans[1:]]
        self.cuts += len(cuts)
        broken = set()
        for unit in units:
            if unit.end - unit.start <= limit:
                whole = _whole(cuts, unit.start, unit.end, broken)
                self.units += 1
                self.intact += whole
                kind = self.kinds.setdefault(unit.kind, [0, 0])
                kind[0] += 1
                kind[1] += whole
            if unit.documented < unit.start and unit.end - unit.documented <= limit:
                self.documented += 1
                self.documented_intact += _whole(cuts, unit.documented, unit.end, set())
        self.inside += len(broken)

    def add_edit(self, before: list[bytes], after: list[bytes]) -> None:
        self.edited += 1
        self.new_texts += len(set(after) - set(before))

    def row(self, limit: int) -> dict[str, float]:
        row = {
            "fill": 100 * self.chunk_bytes / max(1, self.chunks * limit),
            "tiny": 100 * self.tiny / max(1, self.chunks),
            "over": 100 * self.over / max(1, self.chunks),
            "inside": 100 * self.inside / max(1, self.cuts),
            "intact": 100 * self.intact / max(1, self.units),
            "exact": 100 * self.exact / max(1, self.files),
            "edit": self.new_texts / max(1, self.edited),
            "MB/s": self.source_bytes / max(1e-9, self.seconds) / 1e6,
        }
        if self.documented:
            row["doc"] = 100 * self.documented_intact / self.documented
        return row


def _whole(cuts: list[int], start: int, end: int, broken: set[int]) -> bool:
    first = bisect.bisect_right(cuts, start)
    after = bisect.bisect_left(cuts, end)
    broken.update(cuts[first:after])
    return first >= after


def _tiles(spans: Spans, size: int) -> bool:
    position = 0
    for start, end in spans:
        if start != position:
            return False
        position = end
    return position == size


def insert_line(data: bytes) -> bytes:
    """Return the file with one line more in its middle, indented like the line before it."""
    middle = data.find(b"\n", len(data) // 2) + 1
    if middle == 0:
        return data
    begin = data.rfind(b"\n", 0, middle - 1) + 1
    line = data[begin:middle]
    indent = line[: len(line) - len(line.lstrip(b" \t"))]
    return data[:middle] + indent + b"edited = 12345\n" + data[middle:]


def measure(
    files: list[tuple[str, bytes]],
    units: list[list[Unit]],
    chunk: Callable[[str, bytes], Spans],
    *,
    limit: int,
    clock: Callable[[], float],
) -> Score:
    """Return the score of ``chunk`` on the files larger than the limit."""
    score = Score()
    for (name, data), found in zip(files, units, strict=True):
        begin = clock()
        spans = chunk(name, data)
        score.seconds += clock() - begin
        score.source_bytes += len(data)
        if len(data) <= limit:
            continue
        score.add_file(data, spans, found, limit)
        changed = insert_line(data)
        texts = [data[a:b] for a, b in spans]
        score.add_edit(texts, [changed[a:b] for a, b in chunk(name, changed)])
    return score
