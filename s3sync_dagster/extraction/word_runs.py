"""What docling's reader passes by in the paragraphs of Word documents, made runs of text.

* Text that was inserted with tracked changes, and that of fields and content controls, is in an
  element round its runs, which docling looks into in some places and not in cells of tables.
* Text that is given in two ways, as emoji are, is passed by in both.
* Signs, what a form's list and boxes say, and words drawn as WordArt are no text.
"""

from itertools import islice
from typing import Any

from s3sync_dagster.extraction.office_shapes import replace
from s3sync_dagster.extraction.word_formulas import MATH
from s3sync_dagster.extraction.word_symbols import PRIVATE, sign_of, with_signs

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_VML = "{urn:schemas-microsoft-com:vml}"
_WORD_2010 = "{http://schemas.microsoft.com/office/word/2010/wordml}"
_MARKUP = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_DRAWN = tuple(f"{_WORD}{name}" for name in ("drawing", "object", "pict", "txbxContent"))
_ROUND_RUNS = tuple(f"{_WORD}{name}" for name in ("ins", "smartTag", "fldSimple", "sdt"))
_HOLDERS = {f"{_WORD}{name}" for name in ("p", "hyperlink", "sdtContent", *("ins", "fldSimple"))}
_RUN, _TEXT, _VALUE = f"{_WORD}r", f"{_WORD}t", f"{_WORD}val"
_CHECKED, _UNCHECKED = "☒", "☐"
_SAID = (_TEXT, f"{_WORD}sym", f"{MATH}t")
_MAX_RUNS_OF_FIELD = 12
_OFF = ("0", "false", "off", "f")


def open_runs(root: Any) -> None:
    """Make runs of text of what is shown and no run; changes the tree of a part."""
    for element in reversed([*root.iter(*_ROUND_RUNS)]):  # one may stand in another
        inside = element
        if element.tag == f"{_WORD}sdt":
            inside = element.find(f"{_WORD}sdtContent")
        if inside is not None and _is_round_runs(element, inside):
            replace(element, [child for child in inside if not _is_marks(child)])
    for ways in [*root.iter(f"{_MARKUP}AlternateContent")]:
        _choose(ways)
    for sign in [*root.iter(f"{_WORD}sym")]:
        place = sign.get(f"{_WORD}char", "")
        font = sign.get(f"{_WORD}font", "")
        shown = sign_of(font, int(place, 16)) if _is_hexadecimal(place) else ""
        sign.getparent().replace(sign, _text_of(sign, shown))
    for text in root.iter(_TEXT):
        if text.text and PRIVATE.search(text.text):
            text.text = with_signs(text.text, _font_of(text))
    for data in [*root.iter(f"{_WORD}ffData")]:
        if not _has_result(data):
            _put_in_run(data, _said(data))
    for path in [*root.iter(f"{_VML}textpath")]:
        if path.get("on", "t").lower() not in _OFF:
            _put_in_run(path, path.get("string", ""))


def _is_round_runs(element: Any, inside: Any) -> bool:
    """Return whether an element of a paragraph stands round runs, and is not a box to check."""
    parent = element.getparent()
    if parent is None or parent.tag not in _HOLDERS or len(inside) == 0:
        return False
    blocks = (f"{_WORD}p", f"{_WORD}tbl", f"{_WORD}tc", f"{_WORD}tr")
    if any(child.tag in blocks for child in inside):
        return False
    if element.find(f"{_WORD}sdtPr/{_WORD_2010}checkbox") is None:
        return True
    return next(element.iterancestors(f"{_WORD}tc"), None) is not None  # no box for docling there


def _choose(ways: Any) -> None:
    """Put the first way in which a text is given that has words in place of all: emoji have two."""
    if next(ways.iter(*_DRAWN), None) is not None:
        return  # docling chooses
    said = (
        way for way in ways if any(one.text or one.get(f"{_WORD}char") for one in way.iter(*_SAID))
    )
    replace(ways, list(next(said, [])))


def _is_marks(element: Any) -> bool:
    return element.tag in (f"{_WORD}smartTagPr", f"{_WORD}fldData")


def _is_hexadecimal(place: str) -> bool:
    return 0 < len(place) <= 6 and all(digit in "0123456789abcdefABCDEF" for digit in place)


def _font_of(text: Any) -> str:
    fonts = text.getparent().find(f"{_WORD}rPr/{_WORD}rFonts")
    return "" if fonts is None else fonts.get(f"{_WORD}ascii", "")


def _said(data: Any) -> str:
    """Return what a form's list or box has chosen; what is typed into a field is text."""
    chosen = data.find(f"{_WORD}ddList")
    if chosen is not None:
        entries = [entry.get(_VALUE, "") for entry in chosen.findall(f"{_WORD}listEntry")]
        number = _number(chosen, "result", default=_number(chosen, "default", default=0))
        return entries[number] if number < len(entries) else ""
    box = data.find(f"{_WORD}checkBox")
    if box is None:
        return ""
    marks = (box.find(f"{_WORD}{name}") for name in ("checked", "default"))
    mark = next((one for one in marks if one is not None), None)
    is_off = mark is None or mark.get(_VALUE, "1").lower() in _OFF
    return _UNCHECKED if is_off else _CHECKED


def _has_result(data: Any) -> bool:
    """Return whether a field's choice stands behind it as text too, as some programs write it."""
    run = next(data.iterancestors(_RUN), None)
    near = () if run is None else islice(run.itersiblings(_RUN), _MAX_RUNS_OF_FIELD)
    for following in near:
        mark = following.find(f"{_WORD}fldChar")
        if mark is not None and mark.get(f"{_WORD}fldCharType") == "end":
            return False
        if any(text.text and text.text.strip() for text in following.iter(_TEXT)):
            return True
    return False


def _number(element: Any, name: str, *, default: int) -> int:
    found = element.find(f"{_WORD}{name}")
    value = "" if found is None else found.get(_VALUE, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 6 else default


def _put_in_run(element: Any, words: str) -> None:
    """Put words at the end of the run that an element stands in."""
    run = next(element.iterancestors(_RUN), None)
    if run is not None and words.strip():
        run.append(_text_of(run, words))


def _text_of(beside: Any, words: str) -> Any:
    text = beside.makeelement(_TEXT, {"{http://www.w3.org/XML/1998/namespace}space": "preserve"})
    text.text = words
    return text
