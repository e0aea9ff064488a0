"""Runs a grammar over source text within a budget, and cuts what it finds.

Meant to run in a worker process: some grammars hang or crash on a few bytes.
"""

from typing import TYPE_CHECKING, Any

from s3sync_dagster.chunking.budget import Budget
from s3sync_dagster.chunking.cutting import cut_outline
from s3sync_dagster.chunking.languages import GRAMMARS, grammar
from s3sync_dagster.chunking.outline import MAX_DEPTH, Piece
from s3sync_dagster.chunking.syntax import outline_syntax
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster.workers.shapes import is_of

if TYPE_CHECKING:
    from tree_sitter import Tree

PRELOAD = {
    "cut_source": ("tree_sitter", *dict.fromkeys(module for module, _, _ in GRAMMARS.values()))
}
"""Loaded once before the forks: to load a grammar takes longer than to parse with it."""
REUSED = ("cut_source",)
"""One process cuts many documents: a parser is made for each, and nothing of it stays."""
WINDOW_BYTES = 4_000_000
"""Most that is parsed at once: a tree takes 60 to 120 bytes of memory per byte of source."""
_SLICE_BYTES = 4096
_INSIDE_CHARACTER = 0x80
"""First bits of the bytes of a character behind its first, in UTF-8."""
_BASE_STEPS = 1000
_STEPS_PER_BYTE = 0.15
"""Source needs 0.003 to 0.019 calls per byte, text of another language up to 0.05. Counting them,
unlike a clock, stops at the same place on every machine."""


def cut_source(data: bytes, language: str, budget: Budget) -> list[Piece]:
    """Return the pieces of one window of source. Raises ``LimitExceeded`` (``parse_budget``)."""
    tree = parse(data, language)
    return cut_outline(data, outline_syntax(data, tree, budget.for_outline(data), language), budget)


def is_cut(pieces: Any, data: bytes) -> bool:
    """Return whether these are pieces of ``data`` as ``cut_source`` returns them.

    The worker may have been taken over: pieces tile the data between characters, name as much
    around them as others do, and repeat nothing of it.
    """
    if not is_of(pieces, list[Piece]):
        return False
    at = 0
    for start, end, path, header in pieces:
        good = start == at < end <= len(data) and len(path) <= MAX_DEPTH and header is None
        if not good or data[start] & 0xC0 == _INSIDE_CHARACTER:
            return False
        at = end
    return at == len(data)


def parse(data: bytes, language: str) -> "Tree":
    """Return the syntax tree. Raises ``LimitExceeded`` when the parser's budget is spent."""
    from tree_sitter import Parser  # heavy: only where something is parsed

    budget = _BASE_STEPS + int(len(data) * _STEPS_PER_BYTE)
    steps = 0

    def stop(_offset: int, _has_error: bool) -> bool:
        nonlocal steps
        steps += 1
        return steps > budget

    def read(offset: int, _point: object) -> bytes:
        # All at once, and a little when the parser looks back from the end.
        return data if offset == 0 else data[offset : offset + _SLICE_BYTES]

    # A new parser each time: after an abort an old one returns the tree of the old text.
    # A callable source, because the callback is ignored for bytes.
    parser = Parser(grammar(language))
    try:
        return parser.parse(read, progress_callback=stop)
    except ValueError:
        raise LimitExceeded(
            f"The {language} grammar did not finish within its budget.", reason="parse_budget"
        ) from None
