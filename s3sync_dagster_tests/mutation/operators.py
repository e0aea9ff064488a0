"""Small mistakes in Python source: each is one replacement of a few bytes."""

import ast
import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.Pow: ast.Mult,
}  # fmt: skip
_NEGATED = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
_UNSEEN = ("_log", "log")
"""Calls that only write to a log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One mistake in one file."""

    path: str
    """Relative to the root of the tree."""
    line: int
    end_line: int
    operator: str
    before: str
    after: str
    start: int
    stop: int
    """Bytes of the file that ``after`` replaces."""
    lines: tuple[int, int]
    """Where a test has to pass to notice: its own lines, for a default those of the function."""
    names: tuple[str, ...]
    """For what runs at import: who uses one of these names may notice."""
    version: str
    """Of the file that it was made from."""

    @property
    def id(self) -> str:
        """What tells it from all other mutants, also of other versions of the file."""
        return f"{self.path}:{self.line}:{self.start}-{self.stop}:{self.operator}:{self.version}"

    def applied_to(self, source: bytes) -> bytes:
        """Return the file with the mistake in it."""
        return source[: self.start] + self.after.encode() + source[self.stop :]


@dataclass(frozen=True, slots=True)
class _Place:
    """What surrounds a node."""

    in_function: bool = False
    lines: tuple[int, int] | None = None
    names: tuple[str, ...] = ()


def mutants_of(path: Path, root: Path) -> list[Mutant]:
    """Return every mutant of a file, in the order of their places."""
    source = path.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    version = hashlib.sha256(source).hexdigest()[:12]
    found: dict[tuple[int, int, str], Mutant] = {}
    for node, operator, after, place in _mistakes(ast.parse(source), _Place()):
        start = starts[node.lineno - 1] + node.col_offset
        stop = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        before = source[start:stop].decode()
        if before == after or f"({before})" == after:
            continue
        found[start, stop, after] = Mutant(
            path=str(path.relative_to(root)), line=node.lineno, end_line=node.end_lineno or 0,
            operator=operator, before=before, after=after, start=start, stop=stop,
            lines=place.lines or (node.lineno, node.end_lineno or 0),
            names=() if place.in_function or place.lines else place.names, version=version,
        )  # fmt: skip
    return [found[key] for key in sorted(found)]


def _mistakes(
    node: ast.AST, place: _Place
) -> Iterator[tuple[ast.expr | ast.stmt, str, str, _Place]]:
    """Yield the node to replace, the operator, the new text and what surrounds it."""
    if isinstance(node, ast.expr | ast.stmt):
        for operator, after in _of_node(node, place):
            yield node, operator, after, place
    for condition in _conditions(node):
        plain = isinstance(condition, ast.UnaryOp | ast.Constant)
        single = isinstance(condition, ast.Compare) and len(condition.ops) == 1
        if not plain and not (single and isinstance(condition.ops[0], _NEGATED)):  # pyright: ignore
            yield condition, "condition", f"(not ({ast.unparse(condition)}))", place
    for child, around in _children(node, place):
        yield from _mistakes(child, around)


def _of_node(node: ast.expr | ast.stmt, place: _Place) -> Iterator[tuple[str, str]]:
    match node:
        case ast.Compare():
            for number, op in enumerate(node.ops):
                changed = copy.deepcopy(node)
                changed.ops[number] = _COMPARE[type(op)]()
                yield "comparison", f"({ast.unparse(changed)})"
        case ast.BoolOp():
            other = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
            yield "boolean", f"({ast.unparse(ast.BoolOp(other, node.values))})"
        case ast.UnaryOp(op=ast.Not()):
            yield "not", f"({ast.unparse(node.operand)})"
        case ast.BinOp() if type(node.op) in _ARITHMETIC and place.in_function:
            other = ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right)
            yield "arithmetic", f"({ast.unparse(other)})"
        case ast.Constant(value=bool()):
            yield "constant", str(not node.value)
        case ast.Constant(value=int() | float()):
            yield "constant", repr(node.value + 1)  # pyright: ignore
        case ast.Constant(value=str()) if not any(map(str.isspace, node.value)):
            yield "constant", repr(f"XX{node.value}XX")  # with a space it is prose
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "return", "return None"
        case ast.Expr(value=ast.Call()) if not _is_unseen(node):
            yield "statement", "pass"
        case ast.AugAssign() | ast.Raise() | ast.Continue() | ast.Break() | ast.Delete():
            yield "statement", "pass"
        case _:
            return


def _conditions(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.If() | ast.While() | ast.IfExp():
            return [node.test]
        case ast.comprehension():
            return node.ifs
        case _:
            return []


def _children(node: ast.AST, place: _Place) -> Iterator[tuple[ast.AST, _Place]]:
    """Yield what is below a node.

    Left out is what no test can or should hold: docstrings, annotations, decorators, f-strings,
    and ``strict=True`` of ``zip``, which is an assertion.
    """
    match node:
        case ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.keyword(arg="strict"):
            return
        case ast.Expr() if _is_unseen(node):
            return
        case (
            ast.Call(func=ast.Name(id="cast" | "TypeVar"))
            | ast.Subscript(value=ast.Name(id="Literal"))
        ):
            return
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            body = replace(place, in_function=True, lines=None, names=())
            around = place if place.in_function else _Place(
                lines=(node.body[0].lineno, node.end_lineno or 0)
            )  # fmt: skip
            yield from (
                (one, around) for one in [*node.args.defaults, *node.args.kw_defaults] if one
            )
            yield from ((one, body) for one in node.body if not _is_text(one))
        case ast.ClassDef():
            inside = place if place.in_function else _Place(names=(node.name,))
            yield from ((one, inside) for one in node.body if not _is_text(one))
        case ast.Lambda():
            yield node.body, replace(place, in_function=True)
        case ast.AnnAssign() if node.value is not None:
            yield node.value, _named(place, node.target)
        case ast.AnnAssign():
            return
        case ast.Assign() if ast.unparse(node.targets[0]) not in ("__all__", "__slots__"):
            yield node.value, _named(place, *node.targets)
        case ast.Assign():
            return
        case ast.If() if "TYPE_CHECKING" in ast.unparse(node.test):
            return
        case _:
            yield from ((one, place) for one in ast.iter_child_nodes(node) if not _is_text(one))


def _named(place: _Place, *targets: ast.expr) -> _Place:
    if place.in_function:
        return place
    return replace(place, names=place.names + tuple(map(ast.unparse, targets)))


def _is_unseen(node: ast.Expr) -> bool:
    return ast.unparse(node).split(".")[0] in _UNSEEN


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
