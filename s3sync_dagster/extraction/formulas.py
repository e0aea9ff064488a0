"""Formulas as LaTeX where they stand, as docling gives those of Word documents.

Those of OpenDocument files are objects beside the text, in MathML (MathML 3, 3: presentation
markup); those of PowerPoint slides stand in their text, in the markup of Office.
"""

import re
from collections.abc import Callable
from typing import Any

from s3sync_dagster.extraction.formula_signs import latex_of_office, latex_of_text, shown
from s3sync_dagster.extraction.office_shapes import replace
from s3sync_dagster.extraction.word_formulas import MATH, mend_formulas

_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_SLIDE_TEXT = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_SLIDE_FORMULA = "{http://schemas.microsoft.com/office/drawing/2010/main}m"
_PARAGRAPHS = (f"{_TEXT}p", f"{_TEXT}h")
_MAX_FORMULA_BYTES = 4 * 1024**2
_TOKENS = ("mi", "mn", "mo", "mtext", "ms")
_SILENT = ("annotation", "annotation-xml", "mphantom", "none", "mprescripts")
_FORMS = {
    ("mfrac", 2): "\\frac{{{0}}}{{{1}}}",
    ("mroot", 2): "\\sqrt[{1}]{{{0}}}",
    ("msub", 2): "{0}_{{{1}}}",
    ("msup", 2): "{0}^{{{1}}}",
    ("msubsup", 3): "{0}_{{{1}}}^{{{2}}}",
    ("munder", 2): "{0}_{{{1}}}",
    ("mover", 2): "\\overset{{{1}}}{{{0}}}",
    ("munderover", 3): "{0}_{{{1}}}^{{{2}}}",
}
_WITH_BASE = ("msub", "msup", "msubsup", "munder", "munderover")
_BELOW = ("msub", "munder")
_NO_LINE = re.compile(r"\s*0*\.?0+[a-z%]*\s*")
"""How thick the line of a fraction is that has none, such as a binomial."""
_ROUND = ("mrow", "mstyle", "mpadded", "math")
_MARKS = {
    name: {mark[0]: mark[1:] for mark in marks.split()}
    for name, marks in {
        "mover": (
            "^hat ˆhat ~tilde ˜tilde ¯bar ‾overline →vec \u20d7vec ˙dot ¨ddot \u20dbdddot "
            "⏞overbrace ˇcheck ˘breve ´acute `grave ˚mathring"
        ),
        "munder": "_underline ¯underline \u0332underline ⏟underbrace",
    }.items()
}
"""Signs above and below that are commands of their own."""
_COMMANDS = (
    "\\overset{",
    *(f"\\{command}{{" for marks in _MARKS.values() for command in marks.values()),
)
_FUNCTIONS = {
    *("sin", "cos", "tan", "cot", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "coth"),
    *("sec", "csc", "max", "min", "log", "ln", "exp", "det", "gcd", "dim", "arg", "inf", "sup"),
    *("lim", "ker", "deg"),
}


def open_formulas(tree: Any, read_part: Callable[[str], Any]) -> None:
    """Put formulas as text in place of the frames in which a tree shows them.

    One that stands alone in its paragraph is a formula of its own (``$$``), as in Word documents.

    Args:
        tree: root of a part; it is changed.
        read_part: gives the bytes of a part of the file by its path, or raises ``KeyError``.
    """
    for frame in list(tree.iter(f"{_DRAW}frame")):
        holder = frame.find(f"{_DRAW}object")
        math = None if holder is None else _math_of(holder, read_part)
        if math is not None and frame.getparent() is not None:
            _put_in_place(frame, latex_of(math))


def open_slide_formulas(tree: Any) -> None:
    """Put formulas as text in place of those of a PowerPoint slide."""
    for formula in list(tree.iter(_SLIDE_FORMULA)):
        mend_formulas(formula)
        texts = (latex_of_office(one) for one in formula.iter(f"{MATH}oMath"))
        paragraph = formula.getparent()
        beside = "".join(text.text or "" for text in paragraph.iter(f"{_SLIDE_TEXT}t"))
        mark = "$" if beside.strip() else "$$"
        run = formula.makeelement(f"{_SLIDE_TEXT}r")
        words = formula.makeelement(f"{_SLIDE_TEXT}t")
        words.text = " ".join(f"{mark}{text}{mark}" for text in texts if text)
        run.append(words)
        replace(formula, [run])


def latex_of(math: Any) -> str:
    """Return a formula's LaTeX; what its author typed where it has nothing that is shown."""
    latex = " ".join(_latex(math).split())
    if latex:
        return latex
    typed = ("".join(part.itertext()) for part in math.iter() if _name(part) == "annotation")
    return " ".join(" ".join(typed).split())


def _math_of(holder: Any, read_part: Callable[[str], Any]) -> Any:
    """Return the root of the formula that an object is, None for another object."""
    import lxml.etree  # noqa: PLC0415 (only in workers)

    etree: Any = lxml.etree
    inside = next((child for child in holder if _name(child) == "math"), None)
    path = holder.get(_HREF, "").removeprefix("./").rstrip("/")
    if inside is not None or not path:
        return inside
    try:
        part = read_part(f"{path}/content.xml")
        if not isinstance(part, bytes) or len(part) > _MAX_FORMULA_BYTES:
            return None
        parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
        root = etree.fromstring(part, parser)
    except (KeyError, ValueError, OSError, etree.XMLSyntaxError):
        return None
    return root if root is not None and _name(root) == "math" else None


def _put_in_place(frame: Any, latex: str) -> None:
    holder, paragraph = frame.getparent(), next(frame.iterancestors(*_PARAGRAPHS), None)
    tail, frame.tail = frame.tail or "", None
    place = holder.index(frame)
    holder.remove(frame)
    beside = "" if paragraph is None else "".join(paragraph.itertext()) + tail
    mark = "$" if beside.strip() else "$$"
    words = frame.makeelement(f"{_TEXT}p" if paragraph is None else f"{_TEXT}span")
    words.text = f"{mark}{latex}{mark}" if latex else ""
    if paragraph is None:  # in a box, as all that stands in a group or on a slide
        words, inside = frame.makeelement(f"{_DRAW}frame"), words
        words.append(frame.makeelement(f"{_DRAW}text-box"))
        words[0].append(inside)
    words.tail = tail
    holder.insert(place, words)


def _latex(element: Any) -> str:
    name = _name(element)
    children = [child for child in element if isinstance(child.tag, str)]
    if name in _TOKENS:
        return _words(name, "".join(element.itertext()))
    if name in _SILENT or not name:
        return ""
    if name == "semantics":
        return _latex(children[0]) if children else ""
    if name == "maction" and children:  # one of several, which a click changes
        selected = element.get("selection", "1")
        place = int(selected) if selected.isdecimal() and len(selected) < 5 else 1
        return _latex(children[min(max(place, 1), len(children)) - 1])
    if name == "mspace":
        return " "
    if name == "msqrt" or name == "menclose" and "radical" in element.get("notation", ""):
        return f"\\sqrt{{{_joined(element)}}}"
    if name == "mtable":
        return _rows([[_latex(cell) for cell in row] for row in children])
    if name == "mfenced":
        inside = element.get("separators", ",")[:1].join(map(_latex, children))
        first, last = element.get("open", "("), element.get("close", ")")
        return f"{latex_of_text(first)}{inside}{latex_of_text(last)}"
    if name == "mmultiscripts" and children:
        return _with_scripts(children)
    form = _FORMS.get((name, len(children)))
    if form is None:
        return _joined(element)
    sign = "".join(children[-1].itertext()).strip()
    parts = [_latex(child).strip() for child in children]
    if command := _MARKS.get(name, {}).get(sign):
        return f"\\{command}{{{parts[0]}}}"
    if name in _WITH_BASE:
        parts[0] = _base(children[0], parts[0], below=name != "msup", above=name not in _BELOW)
    if name == "mfrac" and _NO_LINE.fullmatch(element.get("linethickness", "")):
        return f"\\genfrac{{}}{{}}{{0pt}}{{}}{{{parts[0]}}}{{{parts[1]}}}"
    return form.format(*parts)


def _base(element: Any, latex: str, *, below: bool = True, above: bool = True) -> str:
    """Return what has something below or above it, in braces where that would not be of all."""
    while _name(element) in _ROUND and len(element) == 1:
        element = element[0]
    name = _name(element)
    is_one = (
        len(latex) < 2
        or name in (*_TOKENS, "mfenced")
        or name in _MARKS
        and latex.startswith(_COMMANDS)
        or (name == "msub" and not below)
        or (name == "msup" and not above)
        or name in _ROUND
        and latex[0] + latex[-1] in ("()", "[]")
        and latex.find(latex[-1]) == len(latex) - 1
    )
    return latex if is_one else f"{{{latex}}}"


def _joined(element: Any) -> str:
    """Return what stands in an element, also text in no token, as pages have it."""
    parts = [_words("mtext", element.text or "")]
    for child in element:
        parts += [_latex(child), _words("mtext", child.tail or "")]
    return "".join(parts)


def _rows(rows: list[list[str]]) -> str:
    """Return a matrix, or lines below each other where each has one cell."""
    text = "\\\\".join("&".join(cells) for cells in rows)
    is_matrix = any(len(cells) > 1 for cells in rows)
    return f"\\begin{{matrix}}{text}\\end{{matrix}}" if is_matrix else text


def _with_scripts(children: list[Any]) -> str:
    """Return a base with pairs of what stands below and above, behind it and then before it."""
    names = [_name(child) for child in children]
    at = names.index("mprescripts") if "mprescripts" in names else len(names)

    def pairs(scripts: list[Any]) -> str:
        marks = ("_", "^") * len(scripts)
        texts = [_latex(one).strip() for one in scripts]
        return "".join(f"{m}{{{text}}}" for m, text in zip(marks, texts, strict=False) if text)

    base = _base(children[0], _latex(children[0]).strip())
    before = pairs(children[at + 1 :])
    return f"{'{}' + before if before else ''}{base}{pairs(children[1:at])}"


def _words(name: str, text: str) -> str:
    """Return the text of a token; words have blanks round them, names of functions a sign."""
    text = shown(text)
    if not text:
        return ""
    if text in _FUNCTIONS:
        return f"\\{text} "
    latex = latex_of_text(text)
    return f" {latex} " if name == "mtext" or len(text) > 1 and text.isalpha() else latex


def _name(element: Any) -> str:
    """Return an element's name without its namespace, empty for a comment."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
