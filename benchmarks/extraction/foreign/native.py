"""pandoc's own notation of documents, which its tests hold as truth, to Markdown.

The notation is what Haskell prints: ``[Header 1 ("id",[],[]) [Str "Word"], Para [...]]``.
"""

import ast
import re
from typing import Any

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[\[\](),{}=]|-?[\w.]+)', re.DOTALL)
_ESCAPE = re.compile(r"\\(&|\d+|x[0-9a-fA-F]+|\s+\\)")
_BLANKS = ("Space", "SoftBreak", "LineBreak")


def native_to_markdown(text: str) -> str:
    """Return headings, paragraphs, lists and tables; notes follow where they are called."""
    tokens = _TOKEN.findall(text)
    value, place = _value(tokens, 0)
    if isinstance(value, tuple) and value and value[0] == "Pandoc":
        value = value[-1]
    elif place < len(tokens):
        value, _ = _value(["[", *tokens, "]"], 0)
    return "\n\n".join(_blocks(value))


def _value(tokens: list[str], place: int) -> tuple[Any, int]:
    """Return a value with its arguments: ``("Str", "word")``, lists, tuples, strings."""
    value, place = _atom(tokens, place)
    if not (isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], str)):
        return value, place
    arguments: list[Any] = list(value)
    while place < len(tokens) and tokens[place] not in ("]", ")", ",", "}", "="):
        argument, place = _atom(tokens, place)
        arguments.append(argument)
    return tuple(arguments), place


def _atom(tokens: list[str], place: int) -> tuple[Any, int]:
    token = tokens[place]
    if token in "[({":
        values: list[Any] = []
        place += 1
        while tokens[place] not in "])}":
            value, place = _value(tokens, place)
            values.append(value)
            if tokens[place] in (",", "="):
                place += 1
        is_group = token == "(" and len(values) == 1
        return (values[0] if is_group else values), place + 1
    if token.startswith('"'):
        return _string(token), place + 1
    return (token,), place + 1


def _string(token: str) -> str:
    def plain(found: re.Match[str]) -> str:
        code = found[1]
        if code == "&" or code.isspace() or code.endswith("\\"):
            return ""
        return chr(int(code[1:], 16) if code.startswith("x") else int(code))

    body = _ESCAPE.sub(plain, token[1:-1])
    try:
        return ast.literal_eval('"' + body.replace("\n", "\\n") + '"')
    except (SyntaxError, ValueError):
        return body


def _blocks(blocks: Any) -> list[str]:
    out: list[str] = []
    for block in blocks if isinstance(blocks, list) else [blocks]:
        if not isinstance(block, tuple) or not block:
            continue
        kind, parts = block[0], block[1:]
        if kind in ("Para", "Plain"):
            out.append(_inline(parts[0]).strip())
        elif kind == "Header":
            out.append("#" * int(parts[0][0]) + " " + _inline(parts[2]).strip())
        elif kind in ("CodeBlock", "RawBlock"):
            out.append(parts[1] if kind == "CodeBlock" else "")
        elif kind == "Table":
            out.append(_table(parts))
        elif kind in ("BulletList", "OrderedList"):
            out.extend("- " + "\n\n".join(_blocks(item)) for item in parts[-1])
        elif kind == "DefinitionList":
            for term, meanings in parts[0]:
                out.append(_inline(term))
                out.extend("\n\n".join(_blocks(meaning)) for meaning in meanings)
        elif kind == "LineBlock":
            out.append("\n".join(map(_inline, parts[0])))
        else:  # BlockQuote, Div, Figure: what is in them
            out.extend(_blocks([inner for part in parts for inner in _lists(part)]))
    return [text for text in out if text.strip()]


def _lists(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _inline(value: Any) -> str:
    if isinstance(value, list):
        return "".join(map(_inline, value))
    if not isinstance(value, tuple) or not value:
        return ""
    kind, parts = value[0], value[1:]
    if kind in _BLANKS:
        return " "
    if kind in ("Str",):
        return parts[0]
    if kind in ("Code", "Math"):
        return parts[1]
    if kind == "Note":
        return " ".join(["", *_blocks(parts[0]), ""])
    if kind == "Quoted":
        return f"“{_inline(parts[1])}”"
    if kind in ("RawInline", "Image"):
        return "" if kind == "RawInline" else _inline(parts[1])
    if kind in ("Link", "Span"):
        return _inline(parts[1])
    if kind == "Cite":
        return _inline(parts[1])
    return _inline(parts[-1]) if parts else ""


def _table(parts: Any) -> str:
    """Return rows of cells, found by their names whatever the version of the notation."""
    rows: list[list[str]] = []

    def walk(value: Any) -> None:
        if isinstance(value, tuple) and value and value[0] == "Row":
            rows.append([" ".join(_blocks(cell[-1])) for cell in value[2]])
            return
        for inner in value if isinstance(value, (list, tuple)) else ():
            walk(inner)

    walk(list(parts))
    if not rows and len(parts) == 5:  # before 2020: caption, alignments, widths, head, rows
        rows = [[" ".join(_blocks(cell)) for cell in row] for row in [parts[3], *parts[4]]]
    caption = _caption(parts)
    lines = [
        "| " + " | ".join(cell.replace("\n", " ").replace("|", "\\|") for cell in row) + " |"
        for row in rows
    ]
    return "\n".join([*([caption, ""] if caption else []), *lines])


def _caption(parts: Any) -> str:
    for part in parts:
        if isinstance(part, tuple) and part and part[0] == "Caption":
            return " ".join(_blocks(part[-1]))
    return ""
