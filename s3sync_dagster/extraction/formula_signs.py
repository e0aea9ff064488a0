r"""Signs and words of formulas as LaTeX: signs as commands, words as they are searched.

docling's table is the source for mathematical signs and letters. What it writes for the letters of
words (``\"o``), for units and quotation marks (``\textdegree``) no search finds, and braces it
escapes twice or leaves open.
"""

import re
import unicodedata
from functools import cache, lru_cache
from typing import Any

_KEPT = 4096
"""Texts, and signs, which formulas repeat."""
_OWN = {sign: f"\\{sign}" for sign in "{}#$%&_"} | {"<": " < ", ">": " > ", "~": "\\sim "}
_OWN |= {"\\": "\\backslash ", "√": "\\surd ", "∛": "\\sqrt[3]", "∜": "\\sqrt[4]", "‖": "\\Vert "}
_OWN |= {"÷": " \\div ", "·": " \\cdot ", "¬": "\\neg ", "…": "\\ldots "}
_OWN |= {"←": " \\leftarrow ", "→": " \\rightarrow ", "↑": " \\uparrow ", "↓": " \\downarrow "}
_PRIMES = "′″‴⁗"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015"
_FIRST_SIGN = "\u2100"
"""From here on letters and signs of Unicode are of formulas, and before it the Greek ones."""
_SCRIPTS = "\u2e80"  # of East Asia, from here to the letters for mathematics
_FIRST_MATH_LETTER = "\U0001d400"
_ITALIC = re.compile("[\U0001d434-\U0001d467\U0001d6e2-\U0001d71b\u210e\u212a\u212b]")
"""As single letters of a formula are shown anyway, and letters that are others by their rule."""
_WORD = re.compile(r"[^\W\d_]{2,}")
_INVISIBLE = dict.fromkeys(map(ord, "\u2061\u2062\u2063\u2064\u200b\u2060\u00ad"))


def shown(text: str) -> str:
    """Return text without signs that nobody sees, one blank for several, letters in one form."""
    return " ".join(unicodedata.normalize("NFC", text.translate(_INVISIBLE)).split())


@lru_cache(maxsize=_KEPT)
def latex_of_text(text: str) -> str:
    """Return characters as LaTeX; the letters of a word stay, also Greek ones."""
    plain = _ITALIC.sub(lambda letter: unicodedata.normalize("NFKC", letter[0]), text)
    words = {at for word in _WORD.finditer(plain) for at in range(*word.span())}
    return "".join(
        char if at in words and char < _FIRST_SIGN else _sign(char) for at, char in enumerate(plain)
    )


@lru_cache(maxsize=_KEPT)
def _sign(char: str) -> str:
    if char in _OWN:
        return _OWN[char]
    if char in _DASHES:
        return "-"
    if char.isascii() or not _is_of_formulas(char):
        return char
    latex = _by_docling(char)
    if "\\text" in latex:
        return char
    latex = " ".join(latex.split())
    missing = "}" * (latex.count("{") - latex.count("}"))
    if not latex.startswith("\\"):
        return latex + missing
    beside = " " if unicodedata.category(char) == "Sm" else ""
    return f"{beside}{latex}{missing} "


def _is_of_formulas(char: str) -> bool:
    if char in _PRIMES or unicodedata.category(char) == "Sm":
        return True
    if char < _FIRST_SIGN:
        return "GREEK" in unicodedata.name(char, "") and not unicodedata.decomposition(char)
    return char < _SCRIPTS or char >= _FIRST_MATH_LETTER


def latex_of_office(formula: Any) -> str:
    """Return a formula in the markup of Office as docling does, but with these signs and words."""
    return str(_converter()(formula)).strip()


def _by_docling(char: str) -> str:
    return _encoder().process_unicode(char)


@cache
def _encoder() -> Any:
    import lxml.etree  # noqa: PLC0415 (only in workers)

    make: Any = lxml.etree
    return _converter()(make.Element("empty"))


@cache
def _converter() -> Any:
    from docling.backend.docx.latex.omml import OMML_NS, oMath2Latex

    class Converter(oMath2Latex):
        def do_r(self, elm: Any) -> str:
            return latex_of_text(elm.findtext(f"{OMML_NS}t") or "")

        tag2meth = oMath2Latex.tag2meth | {"r": do_r}

    return Converter
