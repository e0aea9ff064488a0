"""Web pages to Markdown in one walk over libxml2's tree: the ``fast`` engine for HTML."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.content import read_all
from s3sync_dagster.extraction.decoding import Decoded, decode
from s3sync_dagster.extraction.web import (
    BOILERPLATE_ROLES,
    BOILERPLATE_TAGS,
    MAX_DEPTH,
    nesting_depth,
    page_title,
    plain_text,
)
from s3sync_dagster.extraction.web_drawn import formula, labels, say_formulas_once
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.source import ExtractionConfig

PRELOAD = {"read_html_fast": ("lxml.html",)}
_SILENT = {"script", "style", "template", "head", "noscript", "svg", "iframe", "object", "select"}
_MARKS = {"b": "**", "strong": "**", "i": "*", "em": "*", "code": "`", "kbd": "`", "del": "~~"}
_MARKS |= {"samp": "`", "tt": "`", "s": "~~", "strike": "~~"}
_BOILERPLATE = "//*[{}]".format(
    " or ".join(
        (
            "self::header[not(ancestor::article or ancestor::main)]",
            *(f"self::{tag}" for tag in BOILERPLATE_TAGS),
            *(f"@role='{role}'" for role in BOILERPLATE_ROLES),
        )
    )
)
_BREAK = "\x00"
"""Of a line by ``br``; newlines of the source are blanks."""
_MAX_DEPTH_INSIDE = 50
"""Nested elements of a page in a frame, which add to those round it."""
_ROUND_ROWS = ("thead", "tbody", "tfoot", "form")
_MAX_CELL_WORDS = 60
"""Of a table with tables inside; those with more are there for the layout."""
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_BLOCKS = {
    *("address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "div", "dl"),
    *("dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5"),
    *("h6", "header", "hr", "html", "li", "main", "nav", "ol", "p", "pre", "section", "summary"),
    *("table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"),
}


def read_html_fast(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return a web page: headings, lists, tables, links, code, emphasis, alternative texts."""
    del name
    return page_document(decode(read_all(content)), markdown_by_walk(config))


def markdown_by_walk(config: ExtractionConfig) -> Callable[[str], tuple[str, str]]:
    """Return what makes Markdown of a page's source, and names its parser."""

    def markdown(source: str) -> tuple[str, str]:
        tree = html_tree(source)
        if not config.boilerplate:
            drop_boilerplate(tree)
        return "\n\n".join(html_blocks(tree)) + "\n", "lxml"

    return markdown


def page_document(page: Decoded, markdown: Callable[[str], tuple[str, str]]) -> Document:
    """Return a page as a document.

    Args:
        page: its HTML.
        markdown: makes Markdown of HTML, and tells the engine's name; not called for a page that
            is nested too deep, which is read as plain text.
    """
    warnings = [f"The encoding was guessed: {page.encoding}."] if page.guessed else []
    if nesting_depth(page.text) > MAX_DEPTH:
        warnings.append(f"Nested deeper than {MAX_DEPTH} elements: read as plain text.")
        text, engine = plain_text(page.text), "lxml"
    else:
        text, engine = markdown(page.text)
    return Document(
        text=text,
        format="markdown",
        title=page_title(page.text),
        encoding=page.encoding,
        encoding_guessed=page.guessed,
        engine=engine,
        warnings=tuple(warnings),
    )


def html_tree(source: str) -> Any:
    """Return the tree of a page, also of one without any element."""
    from lxml import html as lxml_html  # noqa: PLC0415 (loaded once by the forker)

    # The paragraph makes pages without any element parse too.
    parser = lxml_html.HTMLParser(encoding="utf-8", huge_tree=False)
    tree = lxml_html.document_fromstring(f"{source}<p></p>".encode(), parser=parser)
    for template in tree.iter("template"):
        if template.get("shadowrootmode"):  # which is shown without JavaScript
            template.tag = "div"
    say_formulas_once(tree)
    return tree


def drop_boilerplate(tree: Any) -> None:
    """Take what ``web.without_boilerplate`` leaves out from a tree, in a tenth of its time.

    An element is emptied, not removed: to join the texts around each of very many is quadratic.
    """
    from lxml import html as lxml_html  # noqa: PLC0415 (loaded once by the forker)

    for element in tree.xpath(_BOILERPLATE):
        if element.getparent() is not None:
            element.clear(keep_tail=True)
            element.tag = "span"
    for frame in tree.iter("iframe"):
        source = frame.get("srcdoc") or ""
        if source.strip() and nesting_depth(source) <= _MAX_DEPTH_INSIDE:
            inside = _tree_inside(source)
            drop_boilerplate(inside)
            frame.set("srcdoc", lxml_html.tostring(inside, encoding="unicode"))


def html_blocks(element: Any) -> Iterator[str]:
    """Yield the Markdown blocks of an element; text between its blocks is a paragraph."""
    inline = [element.text or ""]
    for child in element:
        if _is_block(child):
            yield from _paragraph(inline)
            inline = []
            yield from _block(child)
        else:
            inline.append(_inline(child))
        inline.append(child.tail or "")
    yield from _paragraph(inline)


def _block(element: Any) -> Iterator[str]:
    tag = element.tag
    if re.fullmatch("h[1-6]", tag):
        words = _squeeze(_content(element))
        if words:
            yield "#" * int(tag[1]) + " " + words.replace("\n", " ")
    elif tag in ("ul", "ol"):
        items = list(_items(element, depth=0))
        if items:
            yield "\n".join(items)
    elif tag == "pre":
        for line_break in element.iter("br"):
            line_break.tail = f"\n{line_break.tail or ''}"
        yield "```\n" + element.text_content().strip("\n") + "\n```"
    elif tag == "table" and (element.find(".//table") is None or _has_data(element)):
        yield from _beside_rows(element)
        rows = list(_rows(element))
        if rows:
            yield "\n".join(rows)
    elif tag == "blockquote":
        for block in html_blocks(element):
            yield "\n".join("> " + line for line in block.split("\n"))
    elif tag in ("svg", "math"):
        yield from _paragraph([_inline(element)])
    elif tag == "dt":
        yield from _paragraph(["**", _squeeze(_content(element)), "**"])
    elif tag == "iframe":
        yield from _page_inside(element.get("srcdoc") or "")
    elif tag not in _SILENT:
        yield from html_blocks(element)


def _page_inside(source: str) -> Iterator[str]:
    """Yield the blocks of a page that stands in a page's frame, without those in its own frames."""
    if nesting_depth(source) > _MAX_DEPTH_INSIDE:
        yield from filter(None, [plain_text(source).strip()])
    elif source.strip():
        yield from html_blocks(_tree_inside(source))


def _tree_inside(source: str) -> Any:
    tree = html_tree(source)
    for frame in tree.iter("iframe"):
        frame.attrib.pop("srcdoc", None)
    return tree


def _blocks_of(element: Any) -> Iterator[str]:
    """Yield the blocks of an element in a list, where those of a frame are its page's."""
    return _block(element) if element.tag == "iframe" else html_blocks(element)


def _is_block(element: Any) -> bool:
    """Return whether an element stands on lines of its own, also by what is inside it."""
    if element.tag in _BLOCKS or element.tag == "iframe" and element.get("srcdoc"):
        return True
    return isinstance(element.tag, str) and any(_is_block(child) for child in element)


def _paragraph(parts: list[str]) -> Iterator[str]:
    text = _squeeze("".join(parts))
    if text.strip("*`~ "):
        yield text


def _content(element: Any) -> str:
    """Return an element's text with inline marks."""
    parts = [element.text or ""]
    for child in element:
        parts.extend((_inline(child), child.tail or ""))
    return "".join(parts)


def _inline(element: Any) -> str:
    tag = element.tag
    if tag == "math":
        return formula(element)
    if tag == "svg":
        return f" {' '.join(labels(element))} "
    if not isinstance(tag, str) or tag in _SILENT:  # comments have no name
        return ""
    if tag == "br":
        return _BREAK
    if tag == "img":
        alternative = _squeeze(element.get("alt") or "")
        return f" [Picture: {alternative}] " if alternative else " "
    text = _content(element)
    words = text.strip()
    if tag == "a" and words and (target := element.get("href") or ""):
        return text.replace(words, f"[{_squeeze(words)}]({target.strip()})", 1)
    mark = _MARKS.get(tag)
    if mark and words:
        return text.replace(words, f"{mark}{words}{mark}", 1)
    return text


def _items(element: Any, *, depth: int) -> Iterator[str]:
    number = int(element.get("start") or 1) if str(element.get("start") or 1).isdigit() else 1
    for item in _entries(element):
        if isinstance(item, str):
            yield f"{'    ' * depth}- {item}"
            continue
        if item.tag in ("ul", "ol"):
            yield from _items(item, depth=depth + 1)
            continue
        words = [item.text or ""]
        nested: list[str] = []
        for child in item:
            if child.tag in ("ul", "ol"):
                nested.extend(_items(child, depth=depth + 1))
            elif _is_block(child):
                words.append(" " + " ".join(_blocks_of(child)) + " ")
            else:
                words.append(_inline(child))
            words.append(child.tail or "")
        mark = "-" if element.tag == "ul" else f"{number}."
        yield f"{'    ' * depth}{mark} {_one_line(''.join(words))}".rstrip()
        yield from nested
        number += 1


def _entries(element: Any) -> Iterator[Any]:
    """Yield what a list has: items, lists that stand in no item, and words beside items."""
    yield from filter(None, [_one_line(element.text or "")])
    for child in element:
        if child.tag in ("li", "ul", "ol"):
            yield child
        elif child.tag in _SILENT or not isinstance(child.tag, str):
            pass
        elif next(child.iter("li"), None) is not None:
            yield from _entries(child)
        else:
            blocks = _blocks_of(child) if _is_block(child) else [_inline(child)]
            yield from filter(None, [_one_line(" ".join(blocks))])
        yield from filter(None, [_one_line(child.tail or "")])


def _beside_rows(table: Any) -> Iterator[str]:
    """Yield the caption of a table, and words in it that stand in no row."""
    yield from _paragraph([table.text or ""])
    for child in table:
        if child.tag == "caption" or child.tag not in (*_ROUND_ROWS, "tr", *_SILENT):
            yield from html_blocks(child) if isinstance(child.tag, str) else ()
        elif child.tag in _ROUND_ROWS:
            yield from _beside_rows(child)
        yield from _paragraph([child.tail or ""])


def _rows(table: Any) -> Iterator[str]:
    """Yield the rows of a table; cells over several rows or columns are repeated."""
    grid: list[list[str]] = []
    below: dict[int, tuple[int, str]] = {}
    for row in _own_rows(table):
        cells: list[str] = []
        for cell in _cells(row):
            _take_from_above(cells, below)
            nested = cell.find(".//table") is not None
            words = " ".join(cell.itertext() if nested else html_blocks(cell))
            words = _one_line(words).replace("|", "\\|")
            for _ in range(_span(cell, "colspan")):
                if _span(cell, "rowspan") > 1:
                    below[len(cells)] = (_span(cell, "rowspan") - 1, words)
                cells.append(words)
        _take_from_above(cells, below)
        if any(cells):
            grid.append(cells)
    width = max(map(len, grid), default=0)
    for number, cells in enumerate(grid):
        yield "| " + " | ".join(cells + [""] * (width - len(cells))) + " |"
        if number == 0:
            yield "|" + " - |" * width


def _own_rows(table: Any) -> Iterator[Any]:
    """Yield the rows of a table, not those of tables in its cells."""
    for child in table.iterchildren("tr", *_ROUND_ROWS):
        if child.tag == "tr":
            yield child
        else:
            yield from _own_rows(child)


def _cells(row: Any) -> Iterator[Any]:
    """Yield the cells of a row, also those in a form, which pages begin between two cells."""
    for child in row.iterchildren("td", "th", "form"):
        if child.tag == "form":
            yield from _cells(child)
        else:
            yield child


def _has_data(table: Any) -> bool:
    """Return whether a table with tables in its cells is one itself, not a page's layout."""
    rows = [list(_cells(row)) for row in _own_rows(table)]
    widths = {sum(_span(cell, "colspan") for cell in row) for row in rows}
    if len(rows) < 2 or len(widths) != 1 or widths.pop() < 2:
        return False
    return all(
        len(cell.text_content().split()) <= _MAX_CELL_WORDS
        and not any(True for _ in cell.iter(*_HEADINGS, "form", "ul", "ol"))
        for row in rows
        for cell in row
    )


def _take_from_above(cells: list[str], below: dict[int, tuple[int, str]]) -> None:
    while len(cells) in below:
        left, words = below.pop(len(cells))
        if left > 1:
            below[len(cells)] = (left - 1, words)
        cells.append(words)


def _span(cell: Any, name: str) -> int:
    text = cell.get(name) or "1"
    return min(100, max(1, int(text))) if text.isascii() and text.isdigit() else 1


def _squeeze(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split(_BREAK))
    return "\n".join(line for line in lines if line)


def _one_line(text: str) -> str:
    return " ".join(text.replace(_BREAK, " ").split())
