"""A syntax tree's possible cuts: definitions stay whole, comments stay with what they describe."""

import functools
import re
from typing import TYPE_CHECKING, Literal

from s3sync_dagster.chunking.outline import ROOT, Outline, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node, Tree

DEPTH_COST = (0.0, 0.0, 0.7, 1.2, 1.6, 2.0, 2.3, 2.6)
"""Cost of a cut by depth in the tree (only opened nodes count), last value for all deeper."""
AFTER_COMMENT = 4.0
"""Extra between a comment or decorator and what it describes."""
AFTER_HEADER = 3.0
"""Extra between the first line of something and its body."""
INSIDE_LINE = 6.0
BLANK_LINE_BONUS = 0.3
OPEN_SHARE = 0.6
"""Inner statements above this share of the limit are opened, so that chunks fill well."""

_DEFINITION = re.compile(
    r"(?:^|_)(function|method|class|struct|enum|trait|impl|interface|module|namespace|constructor"
    r"|object|record|protocol|extension|mod|contract|type|union|func|def|subroutine|procedure"
    r"|package|singleton)(?:_|$)"
)
_NOT_DEFINITION = re.compile(
    r"_(body|list|identifier|call|expression|type|parameters|arguments|name|specification|clause"
    r"|path|ref)$|^(type|function|module|class|method|comment|package)$"
    r"|call|parameter|argument|identifier|import"
)
_COMMENT = re.compile(r"comment|decorator|attribute|annotation|^pragma")
_WRAPPERS = frozenset(
    ("decorated_definition", "template_declaration", "export_statement", "ambient_declaration")
)

NodeKind = Literal["definition", "comment", "other"]


@functools.cache
def node_kind(node_type: str) -> NodeKind:
    """Return what a node's type name says about it; grammars name alike."""
    if _COMMENT.search(node_type):
        return "comment"
    if _DEFINITION.search(node_type) and not _NOT_DEFINITION.search(node_type):
        return "definition"
    return "other"


def outline_syntax(data: bytes, tree: "Tree", limit: int) -> Outline:
    """Return the possible cuts of parsed source; only what exceeds the limit is looked into."""
    outline = Outline(inner_cost=DEPTH_COST[-1])
    _Walk(data, limit, outline).run(tree.root_node)
    return outline


class _Walk:
    """One pass over the nodes that matter, without recursion (trees can be 100,000 deep)."""

    def __init__(self, data: bytes, limit: int, outline: Outline) -> None:
        self.data = data
        self.limit = limit
        self.outline = outline
        self.tiny = max(32, limit // 48)
        """Neighbouring statements up to this size stay together, like a run of imports."""
        self.long_line = max(16, limit // 5)
        """Lines are cut at a node only when so many bytes lie before it."""

    def run(self, root: "Node") -> None:
        data, limit, outline = self.data, self.limit, self.outline
        stack: list[tuple[Iterator[Node], Scope]] = []
        children = iter(root.children)
        scope = ROOT
        end_before = 0
        kind_before: NodeKind = "other"
        after_header = False
        described: list[int] = []  # outline indices of comments before a definition
        while True:
            node = next(children, None)
            if node is None:
                if not stack:
                    return
                children, scope = stack.pop()
                after_header = False
                continue
            start, end = node.start_byte, node.end_byte
            if end <= end_before:
                continue
            start = max(start, end_before)
            size = end - start
            named = node.is_named
            kind = node_kind(node.type) if named else "other"
            depth = len(stack) + 1
            position = line_start(data, start, end_before)
            at_line = position >= 0
            if not at_line:
                position = start
            last = outline.positions[-1]
            newlines = data.count(b"\n", end_before, position) if at_line else 0
            if position and data[position - 1] == 10 and position == end_before:
                newlines += 1
            opens = size > limit or (kind == "other" and depth > 2 and size > limit * OPEN_SHARE)
            inner = scope
            if kind == "definition":
                name = definition_name(node, data)
                if name and scope.name != name:
                    inner = scope.inner("symbol", name)
            if self._cut_before(
                node,
                position,
                at_line=at_line,
                newlines=newlines,
                kind=kind,
                kind_before=kind_before,
                opens=opens,
            ):
                cost = DEPTH_COST[min(depth, len(DEPTH_COST) - 1)]
                if not at_line:
                    cost += INSIDE_LINE
                elif newlines > 1:
                    cost -= BLANK_LINE_BONUS
                if after_header:
                    cost += AFTER_HEADER
                    after_header = False
                if kind_before == "comment" and newlines < 2:
                    cost += AFTER_COMMENT
                else:
                    described.clear()
                outline.allow(position, cost, inner)
                if kind == "comment":
                    described.append(len(outline.positions) - 1)
                elif described:
                    for index in described:
                        outline.scopes[index] = inner
                    described.clear()
            elif position == last and inner is not scope:
                outline.allow(position, 0.0, inner)
            if not opens and not at_line and end - last > limit:
                opens = data.find(b"\n", start, end) >= 0
            if opens and node.child_count:
                first = node.child(0)
                stack.append((children, scope))
                children = iter(node.children)
                scope = inner
                mid_line = position > outline.positions[-1]
                after_header = mid_line or not (first is not None and first.is_named)
                kind_before = "other"
                end_before = start
                continue
            end_before = end
            if at_line or kind != "comment":
                kind_before = kind

    def _cut_before(
        self,
        node: "Node",
        position: int,
        *,
        at_line: bool,
        newlines: int,
        kind: NodeKind,
        kind_before: NodeKind,
        opens: bool,
    ) -> bool:
        last = self.outline.positions[-1]
        if position <= last:
            return False
        size = node.end_byte - node.start_byte
        if not at_line:
            if node.end_byte - last > self.limit and not opens:
                return True
            return node.is_named and size > 3 and position - last > self.long_line
        if size <= 3 and (
            not node.is_named or not self.data[node.start_byte : node.end_byte].isalnum()
        ):
            return node.end_byte - last > self.limit  # a closer on its own line
        together = node.end_byte - last <= self.tiny
        return not (
            newlines == 1 and kind == "other" and kind_before == "other" and together and not opens
        )


def line_start(data: bytes, position: int, low: int) -> int:
    """Return where the line of ``position`` begins, or -1 when more than blanks precede it.

    Bytes before ``low`` belong to what comes before and are not looked at.
    """
    begin = data.rfind(b"\n", low, position) + 1
    if begin == 0:
        if low and data[low - 1] not in b"\n\r":
            return -1
        begin = low
    if begin == position or data[begin:position].isspace():
        return begin
    return -1


def definition_name(node: "Node", data: bytes) -> str:
    """Return the name that a definition gives, or an empty string."""
    inner = node
    if node.type in _WRAPPERS:
        inner = (
            node.child_by_field_name("definition")
            or node.child_by_field_name("declaration")
            or (node.named_children[-1] if node.named_child_count else node)
        )
    name = inner.child_by_field_name("name") or inner.child_by_field_name("type")
    if name is None:
        name = inner.child_by_field_name("declarator")
        for _ in range(8):  # C nests declarators: pointer, array, function
            deeper = name.child_by_field_name("declarator") if name is not None else None
            if deeper is None:
                break
            name = deeper
    if name is None:
        return ""
    text = data[name.start_byte : name.end_byte]
    return text.decode("utf-8", "replace") if len(text) <= 120 and b"\n" not in text else ""
