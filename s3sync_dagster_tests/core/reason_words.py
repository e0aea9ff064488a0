"""The reason words that the package's source gives, read from its syntax trees."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "s3sync_dagster"
NO_WORDS = {"defs/sensors.py"}
"""A sensor's ``skip_reason`` is a sentence for Dagster's page, not a word."""


def words_of(file: Path) -> set[str]:
    """Return the reason words that a module gives to errors, skips and rows."""
    tree = ast.parse(file.read_text())
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found: set[str] = set()
    for place in _places(tree):
        value = constants.get(place.id, place) if isinstance(place, ast.Name) else place
        found |= {word for word in _strings(value) if word}
    return found


@cache
def all_words() -> dict[str, set[str]]:
    """Return word -> the modules that give it."""
    found: dict[str, set[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        module = file.relative_to(PACKAGE).as_posix()
        if module not in NO_WORDS:
            for word in words_of(file):
                found.setdefault(word, set()).add(module)
    return found


def _places(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the expressions that give a reason word."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="Skip"), args=[first, *_]):
                yield first
            case ast.Call(func=ast.Name(id="_invalid"), args=[_, second, *_]):
                yield second
            case ast.Call(func=ast.Attribute(attr="skip"), args=[first, *_]):
                yield first
            case ast.Assign(targets=[ast.Name(id="reason")], value=value):
                yield value
            # Tables of words: kinds of files that are never read, errors of credentials.
            case ast.Assign(targets=[ast.Name(id="_SKIPS")], value=ast.Dict(keys=keys)):
                yield from (key for key in keys if key is not None)
            case ast.AnnAssign(
                target=ast.Name(id="CREDENTIAL_CODES"), value=ast.Dict(values=values)
            ):
                yield from (value.elts[0] for value in values if isinstance(value, ast.Tuple))
            # A check of a sidecar and its word.
            case ast.Tuple(elts=[ast.Constant() as word, ast.Lambda()]):
                yield word
        if isinstance(node, ast.Call):
            yield from (one.value for one in node.keywords if one.arg == "reason")


def _strings(value: ast.expr) -> set[str]:
    match value:
        case ast.Constant(value=str(word)):
            return {word}
        case ast.IfExp(body=body, orelse=orelse):
            return _strings(body) | _strings(orelse)
    return set()
