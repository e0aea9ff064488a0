"""Formulas and drawings of web pages: each of their words once, whatever stands beside them."""

from collections.abc import Iterator
from typing import Any

from s3sync_dagster.extraction.formulas import latex_of

_TEX = "application/x-tex"
_LINES = ("text", "foreignobject")
_HOLDERS = {
    "span": {"katex", "mwe-math-element", "mjx-chtml", "MathJax", "MathJax_CHTML", "MathJax_SVG"},
    "div": {"mwe-math-element"},  # none that may be of an article
    "mjx-container": {""},
}
"""Of a formula in MathML and once more as letters or a picture (KaTeX, MediaWiki, MathJax)."""
_MAX_STEPS = 2
"""From a formula up to what holds both."""
_UNUSED = ("defs", "title", "desc", "metadata", "style", "script")
_PLACES = ("x", "y")
"""Of words that stand apart; those that only go up or down (``dy``) are of the same one."""


def say_formulas_once(tree: Any) -> None:
    """Take from a page's tree what shows a formula that stands beside it in MathML.

    An element is emptied, not removed: to join the texts around each of very many is quadratic.
    """
    kept: dict[Any, set[Any]] = {}
    for math in tree.iter("math"):
        branch = math
        for holder, _ in zip(math.iterancestors(), range(_MAX_STEPS), strict=False):
            if _HOLDERS.get(holder.tag, set()).intersection([*_classes(holder), ""]):
                kept.setdefault(holder, set()).add(branch)
                break
            branch = holder
    for holder, branches in kept.items():
        holder.text = None
        for other in holder:
            if other not in branches and isinstance(other.tag, str):
                other.clear(keep_tail=True)
                other.tag = "span"


def _classes(element: Any) -> list[str]:
    return str(element.get("class") or "").split()


def formula(math: Any) -> str:
    """Return a formula as its author typed it, where the page has that, or else its MathML."""
    typed = next((one for one in math.iter("annotation") if one.get("encoding") == _TEX), None)
    latex = " ".join(typed.text_content().split()) if typed is not None else latex_of(math)
    mark = "$$" if math.get("display") == "block" else "$"
    return f"{mark}{latex}{mark}" if latex else ""


def labels(drawing: Any) -> Iterator[str]:
    """Yield the words of a drawing, such as the labels of a chart; of several ways to say one, one.

    Browsers show the first of a ``switch``; diagrams.net writes labels as a page and as letters.
    """
    for child in drawing:
        if child.tag in _LINES:
            parts = _parts(child) if child.tag == "text" else [" ".join(child.itertext())]
            yield from filter(None, [" ".join("".join(parts).split())])
        elif child.tag == "switch":
            ways = ([*labels([way])] for way in child)
            yield from next(filter(None, ways), ())
        elif isinstance(child.tag, str) and child.tag not in _UNUSED:
            yield from labels(child)


def _parts(text: Any) -> Iterator[str]:
    yield text.text or ""
    for child in text:
        if isinstance(child.tag, str) and child.tag not in _UNUSED:
            yield " " if any(child.get(place) for place in _PLACES) else ""
            yield from _parts(child)
        yield child.tail or ""
