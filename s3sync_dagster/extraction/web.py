"""Web pages through docling, with guards against what its parser does badly."""

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.content import read_all
from s3sync_dagster.extraction.decoding import Decoded, decode
from s3sync_dagster.extraction.docling_reader import (
    CSS_SELECTORS,
    TO_MARKDOWN,
    convert,
    fill_pictures,
    open_backend,
    to_markdown,
)
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.source import ExtractionConfig

PRELOAD = {"read_html": ("docling.backend.html_backend", TO_MARKDOWN, CSS_SELECTORS)}
MAX_DEPTH = 150
"""Nested elements beyond which docling's recursion takes minutes or dies."""
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)[^<>]*?(/?)>")
_VOID = {
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param"),
    *("source", "track", "wbr", "p", "li", "dt", "dd", "tr", "td", "th", "option", "thead"),
    *("tbody", "tfoot", "colgroup", "rt", "rp"),
}
"""Elements without an end tag, or whose end tag may be missing."""
BOILERPLATE_TAGS = ("nav", "footer", "aside", "form")
BOILERPLATE_ROLES = ("navigation", "banner", "contentinfo", "complementary", "search")
_ALTERNATIVE_TEXT = re.compile(r"""<img\b[^<>]*?\salt\s*=\s*["']([^"'<>]+)["']""", re.IGNORECASE)
_DECLARATION = re.compile(
    r"""(<meta[^>]+charset\s*=\s*["']?\s*|<\?xml[^>]+encoding\s*=\s*["'])[A-Za-z0-9_:.-]+""",
    re.IGNORECASE,
)


def read_html(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return a web page, with or without navigation, header and footer (``config.boilerplate``)."""
    decoded = decode(read_all(content))
    return html_to_document(decoded, name=name, config=config)


def html_to_document(decoded: Decoded, *, name: str, config: ExtractionConfig) -> Document:
    """Return the document of decoded HTML."""
    warnings = [f"The encoding was guessed: {decoded.encoding}."] if decoded.guessed else []
    title = page_title(decoded.text)
    if nesting_depth(decoded.text) > MAX_DEPTH:
        warnings.append(f"Nested deeper than {MAX_DEPTH} elements: read as plain text.")
        text, engine = plain_text(decoded.text), "html.parser"
    else:
        text, engine = _markdown(decoded.text, name=name, config=config), "docling"
    return Document(
        text=text,
        format="markdown",
        title=title,
        encoding=decoded.encoding,
        encoding_guessed=decoded.guessed,
        engine=engine,
        warnings=tuple(warnings),
    )


def nesting_depth(html: str) -> int:
    """Return how deep elements are nested, counted by tags without building a tree."""
    depth = deepest = 0
    for closing, tag, self_closing in _TAG.findall(html):
        if tag.lower() in _VOID or self_closing:
            continue
        depth = max(0, depth - 1) if closing else depth + 1
        deepest = max(deepest, depth)
    return deepest


def plain_text(html: str) -> str:
    """Return the text of any HTML in linear time, a line for each block."""
    parser = _TextParser()
    parser.feed(html)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


class _TextParser(HTMLParser):
    _SILENT = frozenset({"script", "style", "template", "head"})
    _INLINE = frozenset(
        ("a", "abbr", "b", "bdi", "bdo", "cite", "code", "em", "i", "kbd", "mark", "q", "s")
        + ("small", "span", "strong", "sub", "sup", "u")
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._silent += tag in self._SILENT
        if tag not in self._INLINE:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in self._SILENT and self._silent > 0
        if tag not in self._INLINE:
            self.pieces.append("\n")

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """Pass by a section as of SGML; of one that it does not know the parser is afraid."""
        try:
            return super().parse_marked_section(i, report)
        except AssertionError:
            return self.parse_bogus_comment(i, report)

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.pieces.append(data.replace("\n", " "))


def _markdown(html: str, *, name: str, config: ExtractionConfig) -> str:
    from docling.backend.html_backend import HTMLDocumentBackend
    from docling.datamodel.backend_options import HTMLBackendOptions

    html = _DECLARATION.sub(r"\1utf-8", html)  # what docling gets is UTF-8, whatever it was
    if not config.boilerplate:
        html = without_boilerplate(html)
    # Without the title as an item: it is kept as the document's title.
    options: Any = HTMLBackendOptions.model_validate({"infer_furniture": False, "add_title": False})
    backend = open_backend(
        html.encode(),
        name=name,
        format_name="HTML",
        backend=HTMLDocumentBackend,
        options=options,
    )
    layers = ("BODY", "FURNITURE") if config.boilerplate else ("BODY",)
    markdown = fill_pictures(to_markdown(convert(backend), layers=layers))
    # docling drops the alternative text of a picture that has a caption.
    texts = (" ".join(unescape(text).split()) for text in _ALTERNATIVE_TEXT.findall(html))
    lost = [text for text in dict.fromkeys(texts) if text and text not in markdown]
    return fill_pictures("\n\n".join([markdown, *(f"[Picture: {text}]" for text in lost)]))


def without_boilerplate(html: str) -> str:
    """Return HTML without navigation, page header, footer and what is beside the page."""
    from bs4 import BeautifulSoup  # noqa: PLC0415 (docling's dependency, only in workers)

    soup = BeautifulSoup(html, "html.parser")
    page_headers = [
        header for header in soup.find_all("header") if not header.find_parent(("article", "main"))
    ]
    for element in [
        *page_headers,
        *soup.find_all(BOILERPLATE_TAGS),
        *(found for role in BOILERPLATE_ROLES for found in soup.select(f'[role="{role}"]')),
    ]:
        if not element.decomposed:
            element.decompose()
    return str(soup)


def page_title(html: str) -> str | None:
    """Return the text of the title element."""
    found = re.search(r"<title[^>]*>([^<]{1,2000})</title>", html[:100_000], re.IGNORECASE)
    return " ".join(unescape(found[1]).split()) or None if found else None
