"""Chooses cuts: the cheapest way to make pieces that all fit, in linear time."""

from dataclasses import dataclass
from itertools import accumulate

from s3sync_dagster.chunking.budget import Budget
from s3sync_dagster.chunking.outline import Outline, Piece, Scope, common_scope
from s3sync_dagster.chunking.text import inside_character, text_cuts

CHUNK_COST = 0.5
"""Price of each chunk. Higher fills better; 0.5 is the knee of fill against intactness."""
SMALL_SHARE = 0.3
"""Chunks below this share of the limit are small and cost extra."""
SMALL_COST = 3.0
"""Extra price of an empty chunk; falls linearly to 0 at ``SMALL_SHARE``."""
FORCED_INSIDE_LINE = 6.0


def cut_outline(data: bytes, outline: Outline, budget: Budget) -> list[Piece]:
    """Return pieces that tile ``data``, each within ``budget`` with its repeated header."""
    if not data:
        return []
    filled, weights = _fill_gaps(data, outline, budget)
    chosen = _cheapest(filled, weights, budget.max_bytes)
    return _pieces(filled, chosen, len(data))


@dataclass(slots=True)
class _Weights:
    """What pieces weigh: the sum over the parts between possible cuts, and a header's."""

    parts: list[int]
    headers: dict[int, int]
    """Position -> weight of the header row that a piece beginning there repeats."""


def _fill_gaps(data: bytes, outline: Outline, budget: Budget) -> tuple[Outline, _Weights]:
    """Return an outline without impossible cuts and without gaps above the budget."""
    filled = Outline(scopes=[outline.scopes[0]])
    limit = budget.max_bytes
    possible = [
        (position, cost, scope)
        for position, cost, scope in zip(
            outline.positions, outline.costs, outline.scopes, strict=True
        )
        if position == 0 or (position < len(data) and not inside_character(data, position))
    ]
    starts = [position for position, _, _ in possible]
    weights = _Weights([], {})
    header_weights = _header_weights(data, outline, budget)
    for (start, cost, scope), end, weight in zip(
        possible,
        [*starts[1:], len(data)],
        _part_weights(data, starts, budget),
        strict=True,
    ):
        filled.allow(start, cost, scope)
        header = outline.headers.get(start)
        if header is not None and weight + header_weights[header] <= limit:
            filled.headers[start] = header
            weights.headers[start] = header_weights[header]
        if weight <= limit:
            weights.parts.append(weight)
        else:
            gap = _Gap(start, end, weight)
            weights.parts += _fill_gap(data, filled, gap, budget, inner_cost=outline.inner_cost)
    return filled, weights


def _part_weights(data: bytes, starts: list[int], budget: Budget) -> list[int]:
    ends = [*starts[1:], len(data)]
    if budget.text_tokens is None:
        return [end - start for start, end in zip(starts, ends, strict=True)]
    return budget.weights([data[a:b] for a, b in zip(starts, ends, strict=True)])


def _header_weights(data: bytes, outline: Outline, budget: Budget) -> dict[tuple[int, int], int]:
    headers = sorted(set(outline.headers.values()))
    return dict(zip(headers, budget.weights([data[a:b] for a, b in headers]), strict=True))


@dataclass(frozen=True, slots=True)
class _Gap:
    start: int
    end: int
    weight: int


def _fill_gap(
    data: bytes, filled: Outline, gap: _Gap, budget: Budget, *, inner_cost: float
) -> list[int]:
    """Allow cuts inside a part that is too heavy; return the weights of what they make of it."""
    limit = budget.max_bytes
    scope = filled.scopes[-1]
    starts, costs = _cuts_inside(data, gap, budget)
    ends = [*starts[1:], gap.end]
    weights: list[int] = []
    found = budget.weights([data[a:b] for a, b in zip(starts, ends, strict=True)])
    for start, end, cost, weight in zip(starts, ends, costs, found, strict=True):
        filled.allow(start, inner_cost + cost, scope)
        if weight <= limit or len(starts) == 1:  # one character is never cut
            weights.append(min(weight, limit))
        else:
            denser = _Gap(start, end, weight)
            weights += _fill_gap(data, filled, denser, budget, inner_cost=inner_cost)
    return weights


def _cuts_inside(data: bytes, gap: _Gap, budget: Budget) -> tuple[list[int], list[float]]:
    starts = [gap.start]
    costs = [0.0]
    content_end = gap.start + len(data[gap.start : gap.end].rstrip())
    if gap.start < content_end < gap.end:
        (weight,) = budget.weights([data[gap.start : content_end]])
        if weight <= budget.max_bytes:
            # Only the blanks behind it are too many: the thing itself stays whole.
            return [gap.start, content_end], [0.0, FORCED_INSIDE_LINE]
    room = max(1, budget.max_bytes * (gap.end - gap.start) // gap.weight)
    for position, cost in text_cuts(data, gap.start, gap.end, room):
        if not inside_character(data, position):
            starts.append(position)
            costs.append(cost)
    return starts, costs


def _cheapest(outline: Outline, weights: _Weights, limit: int) -> list[int]:
    """Return the indices of the cuts at which chunks begin.

    A shortest path over the possible cuts. What a chunk costs depends on its size only below
    ``small``, and there linearly; so two sliding-window minima (monotone queues), one over starts
    that give a small chunk and one over the others, find the best start in amortised O(1).
    """
    costs = outline.costs
    count = len(costs)
    small = max(1.0, SMALL_SHARE * limit)
    slope = SMALL_COST / small
    ends = list(accumulate(weights.parts))
    starts = [0, *ends[:-1]]
    for index, position in enumerate(outline.positions if weights.headers else ()):
        # A repeated header makes the chunk that starts here longer: it starts earlier, in effect.
        starts[index] -= weights.headers.get(position, 0)
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
