"""Completes an outline: no impossible cuts, and no part between two cuts that is too large."""

import re
from dataclasses import dataclass, field
from operator import eq, sub

from s3sync_dagster.chunking.anchors import ANCHOR, ANCHOR_REACH, LIGHT_ANCHOR, find_anchors
from s3sync_dagster.chunking.budget import Budget
from s3sync_dagster.chunking.outline import Outline, Scope
from s3sync_dagster.chunking.text import CHARACTER, LINE, inside_character, text_cuts

BEFORE_BLANKS = 6.0
"""Cost of a cut between something that fits and the blank lines behind it that do not."""
SMALL_PARTS = 12
"""A run of so many parts, each below such a share of the limit, is uniform: a list of constants,
an array of numbers. Content decides between its cuts too."""
_RUN = re.compile(rb"\x01{%d,}" % SMALL_PARTS)
LONG_GAP = 4
"""A part of more than so many chunks gets anchors."""


@dataclass(slots=True)
class Parts:
    """Possible cuts in order; each part reaches to the next cut and fits the budget."""

    positions: list[int] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    """How much of the budget's bytes each part takes."""
    headers: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Position -> range of the header row that a chunk beginning there repeats."""
    header_weights: dict[int, int] = field(default_factory=dict)
    floors: dict[int, float] = field(default_factory=dict)
    """Index of a cut that costs what those around it cost -> what an anchor costs in its place,
    before ``ANCHOR`` is taken off."""

    def extend(
        self, positions: list[int], costs: list[float], scopes: list[Scope], weights: list[int]
    ) -> None:
        """Add parts after the last one."""
        self.positions += positions
        self.costs += costs
        self.scopes += scopes
        self.weights += weights


def fill_gaps(data: bytes, outline: Outline, budget: Budget) -> Parts:
    """Return the parts of a document between all its possible cuts."""
    limit = budget.max_bytes
    parts = Parts()
    starts, costs, scopes = _possible(data, outline)
    ends = [*starts[1:], len(data)]
    weights = _weights(data, starts, ends, budget)
    done = 0
    fits = max(weights) <= limit
    for heavy in [] if fits else [at for at, weight in enumerate(weights) if weight > limit]:
        chosen = slice(done, heavy)
        parts.extend(starts[chosen], costs[chosen], scopes[chosen], weights[chosen])
        gap = _Gap(starts[heavy], ends[heavy], weights[heavy], costs[heavy], scopes[heavy])
        _add_gap(data, parts, gap, budget, outline.inner_cost)
        done = heavy + 1
    parts.extend(starts[done:], costs[done:], scopes[done:], weights[done:])
    if outline.headers:
        _add_headers(data, parts, outline, budget)
    if outline.uniform:
        for index, cost in enumerate(parts.costs):
            if cost < CHARACTER:
                parts.floors.setdefault(index, 0.0)
    else:
        _mark_runs(parts, limit // SMALL_PARTS)
    if parts.floors:
        _drop_anchors(data, parts, limit)
    return parts


def _add_headers(data: bytes, parts: Parts, outline: Outline, budget: Budget) -> None:
    """Repeat header rows where they fit; rows of a table cost the same."""
    headers = sorted(set(outline.headers.values()))
    weights = dict(zip(headers, budget.weights([data[a:b] for a, b in headers]), strict=True))
    for index, position in enumerate(parts.positions):
        header = outline.headers.get(position)
        if header is not None:
            parts.floors[index] = 0.0
            if parts.weights[index] + weights[header] <= budget.max_bytes:
                parts.headers[position] = header
                parts.header_weights[position] = weights[header]


def _mark_runs(parts: Parts, small: int) -> None:
    """Find runs of small parts that cost the same."""
    equal = bytes(map(eq, parts.costs[1:], parts.costs))  # 1 where a cut costs what the last did
    for found in _RUN.finditer(equal):
        run = 0
        for index in range(found.start() + 1, found.end() + 1):
            run = run + 1 if parts.weights[index] <= small else 0
            if run >= SMALL_PARTS:
                parts.floors.setdefault(index, parts.costs[index])


def _possible(data: bytes, outline: Outline) -> tuple[list[int], list[float], list[Scope]]:
    """Return the outline without cuts inside characters and at the end."""
    size = len(data)
    plain = b"\r" not in data and data.isascii() and outline.positions[-1] < size
    if plain or not any(p >= size or inside_character(data, p) for p in outline.positions if p):
        return outline.positions, outline.costs, outline.scopes
    kept = [
        index
        for index, position in enumerate(outline.positions)
        if position == 0 or (position < size and not inside_character(data, position))
    ]
    return (
        [outline.positions[index] for index in kept],
        [outline.costs[index] for index in kept],
        [outline.scopes[index] for index in kept],
    )


def _weights(data: bytes, starts: list[int], ends: list[int], budget: Budget) -> list[int]:
    if budget.text_tokens is None:
        return list(map(sub, ends, starts))
    return budget.weights([data[a:b] for a, b in zip(starts, ends, strict=True)])


@dataclass(frozen=True, slots=True)
class _Gap:
    """A part that is too heavy, with its place in the outline."""

    start: int
    end: int
    weight: int
    cost: float
    scope: Scope


def _add_gap(data: bytes, parts: Parts, gap: _Gap, budget: Budget, inner_cost: float) -> None:
    """Add the parts that cuts inside a too heavy one make."""
    long = LONG_GAP * budget.max_bytes
    starts, costs = _cuts_inside(data, gap, budget)
    ends = [*starts[1:], gap.end]
    weights = _weights(data, starts, ends, budget)
    if gap.end - gap.start <= long and max(weights) <= budget.max_bytes:
        costs = [gap.cost, *[inner_cost + cost for cost in costs[1:]]]
        parts.extend(starts, costs, [gap.scope] * len(starts), weights)
        return
    for start, end, cost, weight in zip(starts, ends, costs, weights, strict=True):
        total = gap.cost if start == gap.start else inner_cost + cost
        if weight > budget.max_bytes and len(starts) > 1:
            denser = _Gap(start, end, weight, total, gap.scope)
            _add_gap(data, parts, denser, budget, inner_cost)
            continue
        if start > gap.start and cost < CHARACTER and gap.end - gap.start > long:
            parts.floors[len(parts.positions)] = inner_cost
        whole = min(weight, budget.max_bytes)  # a character is never cut, whatever it weighs
        parts.positions.append(start)
        parts.costs.append(total)
        parts.scopes.append(gap.scope)
        parts.weights.append(whole)


def _cuts_inside(data: bytes, gap: _Gap, budget: Budget) -> tuple[list[int], list[float]]:
    content_end = gap.start + len(data[gap.start : gap.end].rstrip())
    if gap.start < content_end < gap.end:
        (weight,) = budget.weights([data[gap.start : content_end]])
        if weight <= budget.max_bytes:
            return [gap.start, content_end], [0.0, BEFORE_BLANKS]
    starts = [gap.start]
    costs = [0.0]
    room = max(1, budget.max_bytes * (gap.end - gap.start) // gap.weight)
    for position, cost in text_cuts(data, gap.start, gap.end, room):
        if cost <= LINE or not inside_character(data, position):
            starts.append(position)
            costs.append(cost)
    return starts, costs


def _drop_anchors(data: bytes, parts: Parts, limit: int) -> None:
    """Make the anchors among cuts that cost the same cheap enough to be taken."""
    equals = sorted(parts.floors)
    positions = [parts.positions[index] for index in equals]
    costs = [parts.costs[index] for index in equals]
    anchors = [equals[anchor] for anchor in find_anchors(data, positions, costs, limit)]
    headed = [index for index in anchors if parts.positions[index] in parts.headers]
    for index in anchors:
        parts.costs[index] = parts.floors[index] - ANCHOR
    for index in headed:
        parts.costs[index] = parts.floors[index] - LIGHT_ANCHOR
    positions = [parts.positions[index] for index in headed]
    costs = [0.0] * len(headed)  # rows of tables cost the same
    for anchor in find_anchors(data, positions, costs, int(ANCHOR_REACH * limit)):
        parts.costs[headed[anchor]] = parts.floors[headed[anchor]] - ANCHOR
