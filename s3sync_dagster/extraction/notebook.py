"""Jupyter notebooks: text, code and what the code printed."""

import json
import re
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.content import read_all
from s3sync_dagster.extraction.decoding import decode
from s3sync_dagster.extraction.fences import fence_of
from s3sync_dagster.extraction.pages import PageWriter
from s3sync_dagster.extraction.web import plain_text
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import UnreadableFile
from s3sync_dagster.model.source import ExtractionConfig

_NO_WORDS = re.compile(r"<[\w.]+(?: object)?(?: at 0x[0-9a-fA-F]+)?>")
"""What stands for an object that is shown as a page or a formula alone."""
MAX_OUTPUT_CHARACTERS = 20_000
"""Of one output: logs of a training run are not what people search for."""


def read_notebook(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return Markdown: text cells as they are, code and text outputs in fences.

    Each cell is a page labelled ``Cell 3``. Raises ``UnreadableFile`` (``damaged``).
    """
    del name, config
    try:
        book = json.loads(decode(read_all(content)).text)
        cells = book["cells"] if "cells" in book else book["worksheets"][0]["cells"]
        language = book.get("metadata", {}).get("language_info", {}).get("name") or "python"
        shown = [_show(cell, language) for cell in cells]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise UnreadableFile("The notebook is no valid JSON of cells.", reason="damaged") from None
    writer = PageWriter()
    for number, text in enumerate(shown, start=1):
        if text.strip():
            writer.add(f"Cell {number}", text)
    return Document(
        text=writer.text,
        format="markdown",
        pages=writer.pages,
        page_count=len(cells),
        title=book.get("metadata", {}).get("title"),
        engine="notebook",
    )


def _show(cell: dict[str, Any], language: str) -> str:
    source = _text(cell.get("source", cell.get("input", "")))
    if cell["cell_type"] != "code":
        return source if cell["cell_type"] == "markdown" else _fence(source, "")
    parts = [_fence(source, language)] if source.strip() else []
    for output in cell.get("outputs", []):
        text = _output(output)
        if len(text) > MAX_OUTPUT_CHARACTERS:
            text = text[:MAX_OUTPUT_CHARACTERS] + "\n[...]"
        if text.strip():
            parts.append(_fence(text, ""))
    return "\n\n".join(parts)


def _output(output: dict[str, Any]) -> str:
    if output["output_type"] == "stream":
        return _text(output.get("text", ""))
    if output["output_type"] in ("error", "pyerr"):
        return f"{output.get('ename', '')}: {output.get('evalue', '')}"
    data = output.get("data", output)
    shown = _text(data.get("text/markdown") or data.get("text/plain") or data.get("text") or "")
    if shown and not _NO_WORDS.fullmatch(shown.strip()):
        return shown
    latex, page = _text(data.get("text/latex") or ""), _text(data.get("text/html") or "")
    return latex or plain_text(page) or shown


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def _fence(text: str, language: str) -> str:
    mark = fence_of(text)
    return f"{mark}{language}\n{text.rstrip()}\n{mark}"
