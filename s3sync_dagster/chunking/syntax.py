"""A syntax tree's possible cuts: definitions stay whole, comments stay with what they describe."""

from functools import partial
from typing import TYPE_CHECKING

from s3sync_dagster.chunking.outline import ROOT, Outline, Scope
from s3sync_dagster.chunking.symbols import (
    COMMENT,
    DEFINITION,
    OTHER,
    definition_name,
    traits_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node, Tree

DEPTH_COST = (0.0, 0.0, 0.7, 1.2, 1.6, 2.0, 2.3, 2.6)
"""Cost of a cut by depth in the tree (only opened nodes count), last value for all deeper."""
AFTER_COMMENT = 5.0
"""Extra between a comment or decorator and what it describes."""
INSIDE_COMMENT = 2.0
"""Added to that between two comments of one run."""
AFTER_HEADER = 3.0
"""Extra between the first line of something and its body."""
INSIDE_LINE = 6.0
BLANK_LINE_BONUS = 0.3
OPEN_SHARE = 0.6
"""Inner statements above this share of the limit are opened, so that chunks fill well."""
SAME_NAME = 3.0
"""Extra between equations, clauses or overloads of one name that no blank line parts."""
WHOLE_ABOVE = 1536
"""With smaller limits, a definition that fits but not with its comment is cut in its body, so that
the comment stays with the beginning; with larger ones it stays whole."""
_PUNCTUATION_BYTES = 3
_KEYWORD_BYTES = 12
_KNOWN_GAP_BYTES = 40
_KNOWN_GAPS = 1000
_BLANK = 32
"""Bytes up to a space may be blank."""


class _Gaps(dict[bytes, tuple[int, int]]):
    """What stands before a node -> line ends in it, bytes of indentation after the last one.

    Both are 0 for a node that does not begin its line. Few gaps are common: those are looked up.
    """

    def __missing__(self, gap: bytes) -> tuple[int, int]:
        """Work out a gap, and keep it where it is short."""
        before, found, indentation = gap.rpartition(b"\n")
        blank = bool(found) and (not indentation or indentation.isspace())
        told = (before.count(b"\n") + 1, len(indentation)) if blank else (0, 0)
        if len(gap) <= _KNOWN_GAP_BYTES and len(self) < _KNOWN_GAPS:
            self[gap] = told
        return told


_gaps = _Gaps()


def outline_syntax(data: bytes, tree: "Tree", limit: int, language: str) -> Outline:
    """Return the possible cuts of parsed source; only what exceeds the limit is looked into.

    One pass over the nodes that matter, without recursion: trees can be 100,000 levels deep.
    """
    outline = Outline(inner_cost=DEPTH_COST[-1])
    positions, costs, scopes = outline.positions, outline.costs, outline.scopes
    traits = traits_of(language)
    gaps = _gaps
    tiny = max(32, limit // 48)  # neighbouring statements up to this size stay together
    open_above = limit * OPEN_SHARE
    long_line = max(16, limit // 5)  # a line is cut at a node only with so much before it
    stack: list[tuple[Iterator[Node], Scope, int, float]] = []
    children = iter(tree.root_node.children)
    scope = ROOT
    depth = 1
    deepest = len(DEPTH_COST) - 1
    depth_cost = DEPTH_COST[1]
    parent_kind = kind_before = OTHER
    last = line = end_before = 0
    named = ROOT  # that of the last definition: one for all clauses of a function
    after_header = in_wrapper = False
    described: list[int] = []  # indices of the comments before a definition
    while True:
        for node in children:
            start, end = node.start_byte, node.end_byte
            if end <= end_before:
                continue
            size = end - start
            if size <= _PUNCTUATION_BYTES and (end - last <= limit or not size):
                if size and data[start] > _BLANK:
                    end_before = end  # a closer or separator stays with what precedes it
                continue
            kind, is_body, is_named, is_wrapper = traits[node.kind_id]
            if not is_named and size <= _KEYWORD_BYTES and end - last <= limit:
                end_before = end
                continue
            if data[start] <= _BLANK and data[start:end].isspace():
                continue  # some grammars have nodes for blanks
            if start < end_before:  # noqa: PLR1730  a call for each node takes longer
                start = end_before
            # With the byte before, which may end a line; the document begins with a line.
            gap = data[end_before - 1 : start] if end_before else b"\n" + data[:start]
            newlines, indent = gaps[gap]
            position = start - indent
            size = end - position
            opens = (
                size > open_above
                and (size > limit or (kind == OTHER and depth > 2))
                or (is_body and parent_kind == DEFINITION)
                or in_wrapper
            )
            inner = scope
            same_name = False
            if kind == DEFINITION:
                inner = scope.inner("symbol", partial(definition_name, node, data, language))
                if kind_before == DEFINITION and newlines < 2 and named.parent is scope:
                    same_name = inner.name != "" and inner.name == named.name
                if same_name:
                    inner = named
                named = inner
            if position <= last:
                cut = False
            elif newlines:
                line = position
                together = end - last <= tiny and kind == kind_before == OTHER and not opens
                cut = newlines > 1 or not together
            else:
                cut = (end - last > limit and not opens) or (
                    is_named and position - last > long_line and position - line > long_line
                )
            described_here = kind_before == COMMENT and newlines < 2
            if described_here:
                if kind == DEFINITION and end - last > limit:
                    opens |= limit < WHOLE_ABOVE
                if cut and not opens and end - last <= limit:
                    cut = False  # a comment and what it describes fit together: they are one part
                    if kind != COMMENT:
                        for index in described:
                            scopes[index] = inner
            if cut:
                cost = depth_cost
                if not newlines:
                    cost += INSIDE_LINE
                elif newlines > 1:
                    cost -= BLANK_LINE_BONUS
                if after_header or (is_body and kind_before != COMMENT):
                    cost += AFTER_HEADER
                    after_header = False
                if same_name:
                    cost += SAME_NAME
                if described_here:
                    cost += AFTER_COMMENT + (INSIDE_COMMENT if kind == COMMENT else 0.0)
                elif described:
                    described.clear()
                if kind == COMMENT:
                    described.append(len(positions))
                elif described:
                    for index in described:
                        scopes[index] = inner
                    described.clear()
                positions.append(position)
                costs.append(cost)
                scopes.append(inner)
                last = position
            elif position == last:
                if kind == COMMENT:
                    described.append(len(positions) - 1)
                elif inner is not scope:
                    scopes[-1] = inner
            if not opens and not newlines and end - last > limit:
                opens = data.find(b"\n", start, end) >= 0
            if opens and node.child_count:
                inside = node.children
                stack.append((children, scope, parent_kind, depth_cost))
                children, scope, parent_kind = iter(inside), inner, kind
                depth += 1
                depth_cost = DEPTH_COST[min(depth, deepest)]
                after_header = position > last or not inside[0].is_named
                in_wrapper = is_wrapper
                kind_before = COMMENT if in_wrapper else OTHER
                end_before = start
                break
            end_before = end
            if newlines or kind != COMMENT:
                kind_before = kind
        else:
            if not stack:
                return outline
            children, scope, parent_kind, depth_cost = stack.pop()
            depth -= 1
            after_header = in_wrapper = False
