"""Chooses cuts: the cheapest way to make pieces that all fit, in linear time."""

from itertools import accumulate
from math import ceil

from s3sync_dagster.chunking.budget import Budget
from s3sync_dagster.chunking.filling import Parts, fill_gaps
from s3sync_dagster.chunking.outline import ROOT, Outline, Piece, common_scope

CHUNK_COST = 0.5
"""Price of each chunk. Higher fills better; 0.5 is the knee of fill against intactness."""
SMALL_SHARE = 0.3
"""Chunks below this share of the limit are small and cost extra."""
SMALL_COST = 3.0
"""Extra price of an empty chunk; falls linearly to 0 at ``SMALL_SHARE``."""


def cut_outline(data: bytes, outline: Outline, budget: Budget) -> list[Piece]:
    """Return pieces that tile ``data``, each within ``budget`` with its repeated header."""
    if not data:
        return []
    parts = fill_gaps(data, outline, budget)
    chosen = _cheapest(parts, budget.max_bytes)
    return _pieces(parts, chosen, len(data))


def _cheapest(parts: Parts, limit: int) -> list[int]:
    """Return the indices of the cuts at which chunks begin.

    A shortest path over the possible cuts. What a chunk costs depends on its size only below
    ``small``, and there linearly; so two sliding-window minima (monotone queues), one over starts
    that give a small chunk and one over the others, find the best start in amortised O(1).
    """
    costs = parts.costs
    count = len(costs)
    small = max(1.0, SMALL_SHARE * limit)
    slope = SMALL_COST / small
    grown_size = ceil(small)
    ends = list(accumulate(parts.weights))
    starts = [0, *ends[:-1]]
    for index, position in enumerate(parts.positions if parts.headers else ()):
        # A repeated header makes the chunk that starts here longer: it starts earlier, in effect.
        starts[index] -= parts.header_weights.get(position, 0)
    before = [0]
    totals: list[float] = []
    # What has left a queue at its head is lower than all: nothing is taken off beyond it.
    gone = float("-inf")
    small_queue, small_values, small_head = [-1], [gone], 1
    large_queue, large_values, large_head = [-1], [gone], 1
    chunk_cost, small_cost = CHUNK_COST, SMALL_COST  # a local name is found sooner
    grown = 0
    grows = starts[0] + grown_size  # where the next start gives no small chunk any more
    best = 0.0
    for i, (here, at, cost) in enumerate(zip(ends, starts, costs, strict=True)):
        total = best + chunk_cost + cost
        totals.append(total)
        value = total + slope * at
        while small_values[-1] >= value:
            small_values.pop()
            small_queue.pop()
        small_values.append(value)
        small_queue.append(i)
        while here >= grows and grown < i:
            value = totals[grown]
            while large_values[-1] >= value:
                large_values.pop()
                large_queue.pop()
            large_values.append(value)
            large_queue.append(grown)
            grown += 1
            grows = starts[grown] + grown_size
        lowest = here - limit
        start = small_queue[small_head]
        begin = starts[start]
        while start < grown or begin < lowest:
            small_values[small_head] = gone
            small_head += 1
            start = small_queue[small_head]
            begin = starts[start]
        best = totals[start]
        lacking = small_cost - slope * (here - begin)
        if lacking > 0.0:
            best += lacking
        while large_head < len(large_queue):
            large = large_queue[large_head]
            if starts[large] >= lowest:
                value = large_values[large_head]
                if value <= best:
                    start = large
                    best = value
                break
            large_values[large_head] = gone
            large_head += 1
        before.append(start)
    chosen: list[int] = []
    i = count
    while i > 0:
        i = before[i]
        chosen.append(i)
    chosen.reverse()
    return chosen


def _pieces(parts: Parts, chosen: list[int], end: int) -> list[Piece]:
    pieces: list[Piece] = []
    positions, scopes = parts.positions, parts.scopes
    for first, after in zip(chosen, [*chosen[1:], len(positions)], strict=True):
        scope = scopes[first]
        for other in scopes[first + 1 : after]:
            if scope is ROOT:
                break
            if other is not scope:
                scope = common_scope(scope, other)
        stop = positions[after] if after < len(positions) else end
        start = positions[first]
        pieces.append(Piece(start, stop, scope.path(), parts.headers.get(start)))
    return pieces
