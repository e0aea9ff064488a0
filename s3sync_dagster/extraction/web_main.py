"""What of a web page is its own: the ``main`` engine, for sites whose pages share all the rest.

HTML's own word for it counts first (``main``, or a single ``article`` that is no mere part of the
page, such as a comment or a piece of news beside it). Where a page has none, the library
``readability`` tells where its article stands; that part of the page is then rendered whole, since
what such libraries give back themselves lacks headings or code.
"""

import re
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.content import read_all
from s3sync_dagster.extraction.decoding import decode
from s3sync_dagster.extraction.web_fast import (
    drop_boilerplate,
    html_blocks,
    html_tree,
    page_document,
)
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import EmptyText
from s3sync_dagster.model.source import ExtractionConfig

PRELOAD = {"read_main": ("lxml.html", "readability")}
MIN_MAIN_SHARE, MIN_PART_SHARE = 0.05, 0.3
"""Of a page's words that its ``main`` has, or a part that is an ``article`` or was found: with less
it is taken for a mistake, and the page is read whole. There is one ``main`` and it is all that the
page is about; articles stand beside other things."""
MAX_LOCATED_CHARACTERS = 1024 * 1024
"""Of a page in which the article is looked for; the tree is walked several times."""
FEW_WORDS = 30
"""With fewer a page that has scripts may be one that they fill in."""
_NAMED = (("//main | //*[@role='main']", MIN_MAIN_SHARE), ("//article", MIN_PART_SHARE))
_COVERED = 0.9
_SCRIPT = re.compile(r"<script\b", re.IGNORECASE)
_NOSCRIPT = re.compile(r"<noscript\b[^>]*>(.*?)</noscript\s*>", re.IGNORECASE | re.DOTALL)
_MOUNT = re.compile(
    r"""<(?:div|main|section|body|[a-z]+-[a-z-]+)\b[^>]*\bid\s*=\s*["']?(?:root|app|__next|___gatsby|__nuxt|"""
    r"""svelte|q-app|main-app|react-root|application)["']?[^>]*>\s*(?:<!--[^>]{0,200}-->\s*)?</""",
    re.IGNORECASE,
)


def read_main(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return the main content of a web page.

    Raises:
        EmptyText: ``javascript_only``, for a page that a browser fills in.
    """
    del name, config
    page = decode(read_all(content))
    document = page_document(page, _main_text)
    if _is_filled_in(page.text, document.text):
        raise EmptyText(
            "The page has no text of its own: JavaScript fills it in, in a browser. Name the "
            "site's sitemap, its printed form or its repository instead.",
            reason="javascript_only",
        )
    return document


def _main_text(html: str) -> tuple[str, str]:
    """Return Markdown, and who told where it stands."""
    tree = html_tree(html)
    drop_boilerplate(tree)
    whole = _markdown(tree)
    words = len(whole.split())
    for path, least in _NAMED:
        named = [one for one in tree.xpath(path) if not one.xpath("ancestor::main")]
        if len(named) == 1:
            text = _markdown(named[0])
            if len(text.split()) >= least * words:
                return text, "main"
            break
    if words > FEW_WORDS and len(html) <= MAX_LOCATED_CHARACTERS:
        found = _located(tree)
        text = "" if found is None else _markdown(found)
        if len(text.split()) >= MIN_PART_SHARE * words:
            return _with_heading(tree, text), "readability"
    return whole, "lxml"


def _located(tree: Any) -> Any:
    """Return the smallest element that holds nearly all of what the library finds."""
    from lxml import html as lxml_html  # noqa: PLC0415  (loaded once by the forker)
    from readability import Document as Article  # noqa: PLC0415  (as above)
    from readability.readability import Unparseable  # noqa: PLC0415  (as above)

    try:
        summary = Article(lxml_html.tostring(tree, encoding="unicode"), xpath=True).summary()
        parts = lxml_html.document_fromstring(summary).xpath("//*[@x]")
    except (Unparseable, ValueError, lxml_html.etree.ParserError):
        return None
    weights: dict[str, int] = {}
    for part in parts:
        own = len(part.text or "") + sum(len(child.tail or "") for child in part)
        path = str(part.get("x"))
        while own and path:
            weights[path] = weights.get(path, 0) + own
            path = path.rpartition("/")[0]
    total = max(weights.values(), default=0)
    enough = [path for path, weight in weights.items() if weight >= _COVERED * total]
    for path in sorted(enough, key=lambda one: one.count("/"), reverse=True):
        found = tree.getroottree().xpath(path)
        if found:
            return found[0]
    return None


def _with_heading(tree: Any, text: str) -> str:
    """Return the text with the page's one heading of the first rank, which often stands outside."""
    headings = tree.xpath("//h1")
    if len(headings) != 1:
        return text
    words = " ".join(headings[0].text_content().split())
    return text if not words or words in text else f"# {words}\n\n{text}"


def _markdown(element: Any) -> str:
    return "\n\n".join(html_blocks(element)) + "\n"


def _is_filled_in(html: str, text: str) -> bool:
    """Return whether a page without much text is one that its scripts would fill in."""
    words = len(text.split())
    if words >= FEW_WORDS or not _SCRIPT.search(html):
        return False
    asked = any("javascript" in told.lower() for told in _NOSCRIPT.findall(html[:500_000]))
    return not words or asked or _MOUNT.search(html[:500_000]) is not None
