"""Where a document may be cut, and what each cut costs.

All formats meet here: a grammar, the Markdown scanner or the row scanner only says at which bytes
a cut is possible, how much it hurts and what encloses the text after it. ``cutting`` does the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

MAX_DEPTH = 16
"""Levels that a symbol or heading path names; hostile files have 100,000."""

ScopeKind = Literal["symbol", "heading", "fence"]
Path = tuple[tuple[ScopeKind, str], ...]
"""Kinds and names of what encloses something, the outermost first."""


class Scope:
    """What encloses a part of a document: a definition, a heading, a fence."""

    __slots__ = ("_name", "_path", "depth", "kind", "parent")

    def __init__(
        self,
        kind: ScopeKind,
        name: str | Callable[[], str],
        parent: "Scope | None" = None,
        depth: int = 0,
    ) -> None:
        """Make a scope; a name that takes work to find is found when it is asked for."""
        self.kind: ScopeKind = kind
        self._name = name
        self.parent = parent
        self.depth = depth
        self._path: Path | None = None

    @property
    def name(self) -> str:
        """Name, empty for a definition without one."""
        if not isinstance(self._name, str):
            self._name = self._name()
        return self._name

    def inner(self, kind: ScopeKind, name: str | Callable[[], str]) -> "Scope":
        """Return the scope of something inside this one; very deep ones do not count."""
        if self.depth >= MAX_DEPTH:
            return self
        return Scope(kind, name, self, self.depth + 1)

    def path(self) -> Path:
        """Return kinds and names from the outermost to this one, each name once in a row."""
        if self.parent is None:
            return ()
        if self._path is None:
            step = (self.kind, self.name)
            outer = self.parent.path()
            self._path = outer if not step[1] or step in outer[-1:] else (*outer, step)
        return self._path


ROOT = Scope("symbol", "")
"""The whole document; not part of any path."""


def common_scope(first: Scope, second: Scope) -> Scope:
    """Return the innermost scope that encloses both."""
    while first is not second:
        if first.depth >= second.depth:
            first = first.parent or ROOT
        else:
            second = second.parent or ROOT
        if first.depth == 0:
            return ROOT
    return first


@dataclass(slots=True)
class Outline:
    """Possible cuts in order of position; the first stands at 0."""

    positions: list[int] = field(default_factory=lambda: [0])
    """Byte offsets."""
    costs: list[float] = field(default_factory=lambda: [0.0])
    """How much a cut there hurts; 0 is a cut between two top-level definitions."""
    scopes: list[Scope] = field(default_factory=lambda: [ROOT])
    """What encloses the text from this position to the next."""
    headers: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Position -> byte range of the header row that a chunk beginning there repeats."""
    header_at_end: tuple[int, int] | None = None
    """Header row that what follows would repeat: the document ends inside a table."""
    last_block: int = 0
    """Where the last block of a Markdown document begins that stands in no other."""
    uniform: bool = False
    """True where most cuts cost the same: content then decides between them (``anchors``)."""
    inner_cost: float = 0.0
    """Added to cuts inside what is too large and has no inner structure."""

    def allow(self, position: int, cost: float, scope: Scope = ROOT) -> None:
        """Permit a cut after the last one; a position that is already there keeps its cost."""
        if position > self.positions[-1]:
            self.positions.append(position)
            self.costs.append(cost)
            self.scopes.append(scope)
        elif position == self.positions[-1] and scope is not ROOT:
            self.scopes[-1] = scope

    def end_before(self, position: int) -> None:
        """Forget the cuts from a position on: the document ends there."""
        while len(self.positions) > 1 and self.positions[-1] >= position:
            del self.positions[-1], self.costs[-1], self.scopes[-1]


class Piece(NamedTuple):
    """A chosen part of a document, before it becomes a chunk. Offsets are bytes."""

    start: int
    end: int
    path: Path = ()
    header: tuple[int, int] | None = None
    """Range of the header row to repeat before the text."""

    def shifted(self, offset: int) -> "Piece":
        """Return the same piece of a document in which this window begins at ``offset``."""
        if offset == 0:
            return self
        header = self.header and (self.header[0] + offset, self.header[1] + offset)
        return Piece(self.start + offset, self.end + offset, self.path, header)


def joined(path: Path, kind: ScopeKind, separator: str) -> str | None:
    """Return the names of one kind on a path, or None when there are none."""
    if not path:
        return None
    return separator.join([name for of, name in path if of == kind]) or None
