"""Questions with known answers, made from text that ships with Python itself.

Code: the first paragraph of a function's docstring asks, its body without the docstring answers.
Prose: a heading of a README asks, the text below it answers.
"""

import ast
import hashlib
import re
import sysconfig
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SKIPPED = {"test", "tests", "idlelib", "lib2to3", "turtledemo", "site-packages", "__pycache__"}
ANSWER_CHARACTERS = 1000
HEADING = re.compile(r"^#{1,4}\s+(.+?)\s*#*$", re.MULTILINE)


@dataclass(frozen=True)
class Pair:
    """One question and the one text that answers it."""

    question: str
    answer: str
    origin: str


def docstring_pairs(limit: int | None = None) -> list[Pair]:
    """Return pairs from the standard library, each question and answer once."""
    return _distinct(_docstrings(Path(sysconfig.get_path("stdlib"))), limit)


def heading_pairs(limit: int | None = None) -> list[Pair]:
    """Return pairs from the README that each installed package carries in its METADATA."""
    return _distinct(_headings(Path(sysconfig.get_path("purelib"))), limit)


def _docstrings(root: Path) -> Iterator[Pair]:
    for path in sorted(root.rglob("*.py")):
        if SKIPPED & set(path.relative_to(root).parts):
            continue
        source = path.read_text(errors="ignore")
        try:
            tree = ast.parse(source)
        except SyntaxError:
            continue
        lines = source.splitlines()
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            text = ast.get_docstring(node)
            if not text or len(node.body) < 2:
                continue
            question = " ".join(text.split("\n\n")[0].split())
            head = lines[node.lineno - 1 : node.body[0].lineno - 1]
            body = lines[node.body[1].lineno - 1 : node.end_lineno]
            answer = textwrap.dedent("\n".join(head + body))[:ANSWER_CHARACTERS]
            if len(question) > 25 and len(body) >= 3:
                yield Pair(question, answer, f"{path.relative_to(root)}:{node.lineno}")


def _headings(root: Path) -> Iterator[Pair]:
    for path in sorted(root.glob("*.dist-info/METADATA")):
        text = path.read_text(errors="ignore").partition("\n\n")[2]
        text = re.sub(r"```.*?```", lambda match: match[0].replace("#", " "), text, flags=re.DOTALL)
        found = list(HEADING.finditer(text))
        title = path.parent.name.split("-")[0]
        ends = [heading.start() for heading in found[1:]] + [len(text)]
        for here, end in zip(found, ends, strict=bool(found)):
            answer = text[here.end() : end].strip()
            if len(answer) > 150 and len(here[1]) > 8:
                yield Pair(f"{title}: {here[1]}", answer[:ANSWER_CHARACTERS], path.parent.name)


def _distinct(pairs: Iterator[Pair], limit: int | None) -> list[Pair]:
    seen: set[str] = set()
    chosen: list[Pair] = []
    for pair in pairs:
        if pair.question not in seen and pair.answer not in seen:
            seen |= {pair.question, pair.answer}
            chosen.append(pair)
    # A sample that is the same on each run, spread over all files.
    chosen.sort(key=lambda pair: hashlib.sha256(pair.question.encode()).digest())
    return chosen[:limit]
