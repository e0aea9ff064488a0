"""Chooses cuts: the cheapest way to make pieces that all fit, in linear time."""

from s3sync_dagster.chunking.outline import Outline, Piece, Scope, common_scope
from s3sync_dagster.chunking.text import inside_character, text_cuts

CHUNK_COST = 0.5
"""Price of each chunk. Higher fills better; 0.5 is the knee of fill against intactness."""
SMALL_SHARE = 0.3
"""Chunks below this share of the limit are small and cost extra."""
SMALL_COST = 3.0
"""Extra price of an empty chunk; falls linearly to 0 at ``SMALL_SHARE``."""
FORCED_INSIDE_LINE = 6.0


def cut_outline(data: bytes, outline: Outline, limit: int) -> list[Piece]:
    """Return pieces that tile ``data``, each at most ``limit`` bytes with its repeated header."""
    if not data:
        return []
    filled = _fill_gaps(data, outline, limit)
    chosen = _cheapest(filled, len(data), limit)
    return _pieces(filled, chosen, len(data))


def _fill_gaps(data: bytes, outline: Outline, limit: int) -> Outline:
    """Return an outline without impossible cuts and without gaps above ``limit``."""
    filled = Outline(scopes=[outline.scopes[0]])
    possible = [
        (position, cost, scope)
        for position, cost, scope in zip(
            outline.positions, outline.costs, outline.scopes, strict=True
        )
        if position == 0 or (position < len(data) and not inside_character(data, position))
    ]
    ends = [position for position, _, _ in possible[1:]]
    ends.append(len(data))
    for (start, cost, scope), end in zip(possible, ends, strict=True):
        filled.allow(start, cost, scope)
        header = outline.headers.get(start)
        if header is not None and end - start + header[1] - header[0] <= limit:
            filled.headers[start] = header
        if end - start > limit:
            _fill_gap(data, filled, (start, end), limit, inner_cost=outline.inner_cost)
    return filled


def _fill_gap(
    data: bytes, filled: Outline, gap: tuple[int, int], limit: int, *, inner_cost: float
) -> None:
    start, end = gap
    scope = filled.scopes[-1]
    content_end = start + len(data[start:end].rstrip())
    if start < content_end <= start + limit:
        # Only the blanks behind it are too many: the thing itself stays whole.
        filled.allow(content_end, inner_cost + FORCED_INSIDE_LINE, scope)
        start = content_end
    if end - start > limit:
        for position, cost in text_cuts(data, start, end, limit):
            if not inside_character(data, position):
                filled.allow(position, inner_cost + cost, scope)


def _cheapest(outline: Outline, end: int, limit: int) -> list[int]:
    """Return the indices of the cuts at which chunks begin.

    A shortest path over the possible cuts. What a chunk costs depends on its size only below
    ``small``, and there linearly; so two sliding-window minima (monotone queues), one over starts
    that give a small chunk and one over the others, find the best start in amortised O(1).
    """
    positions, costs, headers = outline.positions, outline.costs, outline.headers
    count = len(positions)
    small = max(1.0, SMALL_SHARE * limit)
    slope = SMALL_COST / small
    # A repeated header makes the chunk that starts here longer: it starts earlier, in effect.
    starts = positions
    if headers:
        starts = [p - (headers[p][1] - headers[p][0] if p in headers else 0) for p in positions]
    ends = [*positions[1:], end]
    before = [0] * (count + 1)
    totals = [0.0] * count
    small_queue: list[int] = []
    small_values: list[float] = []
    large_queue: list[int] = []
    large_values: list[float] = []
    small_head = large_head = grown = 0
    best = 0.0
    for i in range(count):
        total = best + CHUNK_COST + costs[i]
        totals[i] = total
        value = total + slope * starts[i]
        while len(small_queue) > small_head and small_values[-1] >= value:
            small_values.pop()
            small_queue.pop()
        small_values.append(value)
        small_queue.append(i)
        here = ends[i]
        while grown < i and here - starts[grown] >= small:
            value = totals[grown]
            while len(large_queue) > large_head and large_values[-1] >= value:
                large_values.pop()
                large_queue.pop()
            large_values.append(value)
            large_queue.append(grown)
            grown += 1
        lowest = here - limit
        while small_queue[small_head] < grown or starts[small_queue[small_head]] < lowest:
            small_head += 1
        while large_head < len(large_queue) and starts[large_queue[large_head]] < lowest:
            large_head += 1
        start = small_queue[small_head]
        size = here - starts[start]
        best = totals[start] + max(0.0, SMALL_COST - slope * size)
        if large_head < len(large_queue) and large_values[large_head] <= best:
            start = large_queue[large_head]
            best = large_values[large_head]
        before[i + 1] = start
    chosen: list[int] = []
    i = count
    while i > 0:
        i = before[i]
        chosen.append(i)
    chosen.reverse()
    return chosen


def _pieces(outline: Outline, chosen: list[int], end: int) -> list[Piece]:
    pieces: list[Piece] = []
    positions, scopes = outline.positions, outline.scopes
    for first, after in zip(chosen, [*chosen[1:], len(positions)], strict=True):
        scope: Scope = scopes[first]
        for other in scopes[first + 1 : after]:
            if other is not scope:
                scope = common_scope(scope, other)
        stop = positions[after] if after < len(positions) else end
        start = positions[first]
        pieces.append(Piece(start, stop, scope.path(), outline.headers.get(start)))
    return pieces
