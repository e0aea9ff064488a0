"""Completes an outline: no impossible cuts, and no part between two cuts that is too large."""

from dataclasses import dataclass, field

from s3sync_dagster.chunking.anchors import ANCHOR, find_anchors
from s3sync_dagster.chunking.budget import Budget
from s3sync_dagster.chunking.outline import Outline, Scope
from s3sync_dagster.chunking.text import CHARACTER, inside_character, text_cuts

BEFORE_BLANKS = 6.0
"""Cost of a cut between something that fits and the blank lines behind it that do not."""
SMALL_PARTS = 12
"""A run of so many parts, each below such a share of the limit, is uniform: a list of constants,
an array of numbers. Content decides between its cuts too."""


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
    equals: list[int] = field(default_factory=list)
    """Indices of cuts that cost what those around them cost."""
    floors: list[float] = field(default_factory=list)
    """What an anchor among ``equals`` costs, before ``ANCHOR`` is taken off."""

    def add(self, position: int, cost: float, scope: Scope, weight: int) -> None:
        """Add a part after the last one."""
        self.positions.append(position)
        self.costs.append(cost)
        self.scopes.append(scope)
        self.weights.append(weight)

    def mark_equal(self, floor: float) -> None:
        """Say that the last cut is one of many that cost the same."""
        self.equals.append(len(self.positions) - 1)
        self.floors.append(floor)


def fill_gaps(data: bytes, outline: Outline, budget: Budget) -> Parts:
    """Return the parts of a document between all its possible cuts."""
    limit = budget.max_bytes
    small = limit // SMALL_PARTS
    parts = Parts()
    cost_before = -1.0
    run = 0
    starts, costs, scopes = _possible(data, outline)
    ends = [*starts[1:], len(data)]
    weights = _weights(data, starts, ends, budget)
    header_weights = _header_weights(data, outline, budget)
    for start, end, cost, scope, weight in zip(starts, ends, costs, scopes, weights, strict=True):
        if weight > limit:
            _add_gap(data, parts, _Gap(start, end, weight, cost, scope), budget, outline.inner_cost)
            run = 0
            continue
        parts.add(start, cost, scope, weight)
        header = outline.headers.get(start) if header_weights else None
        if header is not None and weight + header_weights[header] <= limit:
            parts.headers[start] = header
            parts.header_weights[start] = header_weights[header]
        run = run + 1 if cost == cost_before and end - start <= small else 0
        cost_before = cost
        if outline.uniform or header is not None:
            parts.mark_equal(0.0)
        elif run >= SMALL_PARTS:
            parts.mark_equal(cost)
    _drop_anchors(data, parts, limit)
    return parts


def _possible(data: bytes, outline: Outline) -> tuple[list[int], list[float], list[Scope]]:
    """Return the outline without cuts inside characters and at the end."""
    size = len(data)
    if not any(p >= size or inside_character(data, p) for p in outline.positions if p):
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
        return [end - start for start, end in zip(starts, ends, strict=True)]
    return budget.weights([data[a:b] for a, b in zip(starts, ends, strict=True)])


def _header_weights(data: bytes, outline: Outline, budget: Budget) -> dict[tuple[int, int], int]:
    headers = sorted(set(outline.headers.values()))
    return dict(zip(headers, budget.weights([data[a:b] for a, b in headers]), strict=True))


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
    starts, costs = _cuts_inside(data, gap, budget)
    ends = [*starts[1:], gap.end]
    weights = _weights(data, starts, ends, budget)
    for start, end, cost, weight in zip(starts, ends, costs, weights, strict=True):
        total = gap.cost if start == gap.start else inner_cost + cost
        if weight > budget.max_bytes and len(starts) > 1:
            denser = _Gap(start, end, weight, total, gap.scope)
            _add_gap(data, parts, denser, budget, inner_cost)
            continue
        parts.add(start, total, gap.scope, min(weight, budget.max_bytes))  # a character stays whole
        if start > gap.start and cost < CHARACTER:
            parts.mark_equal(inner_cost)


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
        if not inside_character(data, position):
            starts.append(position)
            costs.append(cost)
    return starts, costs


def _drop_anchors(data: bytes, parts: Parts, limit: int) -> None:
    """Make the anchors among cuts that cost the same cheap enough to be taken."""
    positions = [parts.positions[index] for index in parts.equals]
    costs = [parts.costs[index] for index in parts.equals]
    for anchor in find_anchors(data, positions, costs, limit):
        parts.costs[parts.equals[anchor]] = parts.floors[anchor] - ANCHOR
