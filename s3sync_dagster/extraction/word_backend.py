"""docling's reader of Word documents, which asks the same of a style or a paragraph once.

docling looks into every paragraph for pictures, boxes, equations, remarks and code, and for its
styles' parents anew, mostly by XPaths that are compiled each time: 4 CPU-seconds for 4,000
paragraphs. Here paragraphs that have none of these skip the search, and what depends on a style or
a list's level alone is kept. Nothing is read otherwise: what is skipped would have found nothing.

Imports docling as it is loaded: only for the forker of workers.
"""

import io
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

from docling.backend.msword_backend import (  # noqa: TID253
    MsWordDocumentBackend,
    _format_enum_counter,
)
from docx.text.run import Run
from PIL import Image

from s3sync_dagster.extraction.formula_signs import latex_of_office

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_VML = "{urn:schemas-microsoft-com:vml}"
_SHAPE = "{http://schemas.microsoft.com/office/word/2010/wordprocessingShape}"
_WRAP = "{urn:schemas-microsoft-com:office:word}wrap"
_VALUE = f"{_WORD}val"
_PARAGRAPH, _RUN, _FONTS = f"{_WORD}p", f"{_WORD}r", f"{_WORD}rFonts"
_RUN_MARKS, _PARAGRAPH_MARKS = f"{_WORD}rPr", f"{_WORD}pPr"
_DRAWN = (
    *(f"{_WORD}drawing", f"{_WORD}txbxContent", f"{_VML}imagedata", f"{_VML}textbox", _WRAP),
    *(f"{_DRAWING}blip", f"{_DRAWING}bodyPr", f"{_DRAWING}txBody", f"{_SHAPE}txbx"),
)
"""What docling looks for in a paragraph besides its text."""
_EQUATION = "{*}oMath"
_REMARKS = tuple(
    f"{_WORD}{name}" for name in ("commentRangeStart", "commentRangeEnd", "commentReference")
)
_NUMBERING = f"{_WORD}pPr/{_WORD}numPr"
_BESIDE_RUNS = {
    *(_PARAGRAPH_MARKS, f"{_WORD}bookmarkStart", f"{_WORD}bookmarkEnd", f"{_WORD}proofErr"),
    *_REMARKS,
}
_TEXTS = {f"{_WORD}{name}" for name in ("br", "cr", "noBreakHyphen", "ptab", "t", "tab")}
_MAX_COLUMNS, _MAX_CELLS = 63, 50_000
"""Columns that Word allows, and cells up to which a table of another program may have more."""
_LEVELS = 9
"""Of a list in Word."""
_PLACE, _WORDS_OF_MARK = re.compile(r"%([1-9])"), re.compile(r"[^\s.:]")
_BESIDE_TEXT = {"AlternateContent", "drawing", "object", "pict", "pPr", "rPr", "tcPr"}
_IN_RUNS = {*_TEXTS, _RUN_MARKS, f"{_WORD}lastRenderedPageBreak", f"{_WORD}softHyphen"}
_WHITE = ((255, 255),) * 3


def _picture() -> bytes:
    """Return a picture that is none of those that docling takes for empty space."""
    out = io.BytesIO()
    Image.new("L", (8, 8)).save(out, "PNG")
    return out.getvalue()


_STAND_IN = _picture()


class WordBackend(MsWordDocumentBackend):
    """Reads as docling does, but that no shape is drawn: docling starts LibreOffice for each."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._of_style: dict[tuple[str, Any], Any] = {}
        self._levels: dict[tuple[int, int], Any] = {}
        self._own_marks: dict[int, bool] = {}
        self._formats: dict[Any, Any] = {}
        self._first_of: dict[str, int] = {}
        self._begun: set[tuple[int, int]] = set()
        self._lists: dict[int, tuple[str, dict[int, int]]] = {}
        super().__init__(*args, **kwargs)
        self.docx_to_pdf_converter = print  # never called: each shape has its place, as if drawn
        self.docx_to_pdf_converter_init = True

    def _handle_tables(self, element: Any, doc: Any) -> Any:
        _widen_grid(element)
        return super()._handle_tables(element, doc)

    def _walk_linear(self, body: Iterable[Any], doc: Any) -> tuple[Any, list[Any]]:
        refs: list[Any] = []
        for is_plain, elements in groupby(body, _is_plain):
            if is_plain:
                for element in elements:
                    refs.extend(self._handle_text_elements(element, doc))
            else:
                refs.extend(super()._walk_linear(elements, doc)[1])  # type: ignore[arg-type]
        return doc, refs

    def _delete_deferred_empty_paragraphs(self, doc: Any) -> None:
        """Leave empty paragraphs, which Markdown has none of: finding each takes linear time."""
        del doc

    def _extract_comment_ranges(self) -> None:
        if next(self.docx_obj.element.iter(*_REMARKS), None) is not None:
            super()._extract_comment_ranges()

    def _get_image_from_relationship(self, *args: Any, **kwargs: Any) -> bytes | None:
        """Return a stand-in for a picture: docling writes each as a PNG twice, for nobody."""
        image = super()._get_image_from_relationship(*args, **kwargs)
        return _STAND_IN if image and _is_drawn(image) else image

    def _convert_elements_via_docx(self, *args: Any, **kwargs: Any) -> Image.Image:
        """Return a stand-in for what LibreOffice would draw of a second copy of the document."""
        del args, kwargs
        return Image.open(io.BytesIO(_STAND_IN))

    def _iter_paragraph_content(self, paragraph: Any) -> list[Any]:
        element = paragraph._p
        runs = [child for child in element if child.tag not in _BESIDE_RUNS]
        if not all(
            run.tag == _RUN and _IN_RUNS.issuperset(child.tag for child in run) for run in runs
        ):
            return super()._iter_paragraph_content(paragraph)
        chain = self._get_style_chain(paragraph.style)
        # The same marks and styles make the same formatting.
        inherited = (
            _marks(element.find(f"{_PARAGRAPH_MARKS}/{_RUN_MARKS}")),
            chain[0].element if chain else None,
        )
        content: list[Any] = []
        for run in runs:
            key = (_marks(run.find(_RUN_MARKS)), inherited)
            if key not in self._formats:
                known = self._get_format_from_run(Run(run, paragraph), paragraph, chain)
                self._formats[key] = known
            text = "".join([str(child) for child in run if child.tag in _TEXTS])
            content.append((text, self._formats[key], None))
        return content

    def _handle_equations_in_text(self, element: Any, text: Any) -> Any:
        """Return a text with its equations, which docling drops where it finds other words."""
        if next(element.iter(_EQUATION), None) is None:
            return text, []
        pieces = [*_pieces(element)]
        marked = [self.equation_bookends.format(EQ=one) if is_eq else one for is_eq, one in pieces]
        equations = [one for one, (is_eq, _) in zip(marked, pieces, strict=True) if is_eq]
        return ("".join(marked), equations) if equations else (text, [])

    def _get_comment_ids_for_element(self, element: Any) -> set[str]:
        if next(element.iter(*_REMARKS), None) is None:
            return set()
        return super()._get_comment_ids_for_element(element)

    def _get_level_element(self, numid: int, ilvl: int) -> Any:
        key = (numid, ilvl)
        if key not in self._levels:
            self._levels[key] = super()._get_level_element(numid, ilvl)
        return self._levels[key]

    def _build_enum_marker(self, numid: int, ilvl: int) -> str:
        """Return an item's mark; docling makes ``1.1.`` of one in brackets, as ``(1)``."""
        own = self._get_level_element(numid, ilvl)
        in_digits = own is not None and own.find(f"{_WORD}isLgl") is not None
        if in_digits or any(mark in self._mark_of(numid, ilvl) for mark in "()[]"):
            return self._counted_mark(numid, ilvl)
        return super()._build_enum_marker(numid, ilvl)

    def _add_heading(
        self,
        doc: Any,
        curr_level: int | None,
        text: str,
        is_numbered_style: bool = False,
        numid: int | None = None,
        ilevel: int | None = None,
    ) -> Any:
        """Add a heading with its number as it is shown, which docling counts in digits from 1."""
        if is_numbered_style and numid is not None and self._has_own_marks(numid):
            level = ilevel or 0
            counted = self._counted_as(numid, level)
            self._get_list_counter(counted, level)
            self.started_numids |= {numid, counted}
            text = f"{self._counted_mark(counted, level)} {text}"
            return super()._add_heading(doc, curr_level, text)
        if numid and not is_numbered_style and self._is_counted_in_silence(numid, ilevel or 0):
            self._get_list_counter(self._counted_as(numid, ilevel or 0), ilevel or 0)
        return super()._add_heading(doc, curr_level, text, is_numbered_style, numid, ilevel)

    def _is_counted_in_silence(self, numid: int, ilvl: int) -> bool:
        """Return whether a level shows no number, and those below it begin anew all the same."""
        return self._get_level_num_fmt(numid, ilvl) == "none" and self._has_own_marks(numid)

    def _get_start_value(self, numid: int, ilvl: int) -> int:
        return self._list_of(numid)[1].get(ilvl) or super()._get_start_value(numid, ilvl)

    def _counted_as(self, numid: int, level: int) -> int:
        """Return by which number of a list its headings are counted, where several share it.

        They go on counting (ECMA-376, part 1, 17.9.15), also where one begins at a number of its
        own, which it does once.
        """
        of, starts = self._list_of(numid)
        counted = self._first_of.setdefault(of, numid)
        if level in starts and (numid, level) not in self._begun:
            self._begun.add((numid, level))
            self.list_counters[counted, level] = starts[level] - 1
        return counted

    def _list_of(self, numid: int) -> tuple[str, dict[int, int]]:
        """Return what defines a list, and where its levels begin anew."""
        if numid not in self._lists:
            of, starts = f"itself {numid}", dict[int, int]()
            package: Any = self.docx_obj.part.package
            for part in (one for one in package.parts if "numbering" in one.partname):
                number = part.element.find(f"{_WORD}num[@{_WORD}numId='{numid}']")
                shared = None if number is None else number.find(f"{_WORD}abstractNumId")
                if number is not None and shared is not None:
                    of = shared.get(_VALUE, of)
                    for level in number.iterfind(f"{_WORD}lvlOverride"):
                        start = level.find(f"{_WORD}startOverride")
                        if (
                            _is_count(start)
                            and (place := level.get(f"{_WORD}ilvl", "")).isdecimal()
                        ):
                            starts[int(place)] = int(start.get(_VALUE))
            self._lists[numid] = of, starts
        return self._lists[numid]

    def _has_own_marks(self, numid: int) -> bool:
        """Return whether numbers of a list have words, letters or brackets, or begin elsewhere."""
        if numid not in self._own_marks:
            self._own_marks[numid] = any(
                _WORDS_OF_MARK.search(_PLACE.sub("", self._mark_of(numid, level)))
                or self._get_level_num_fmt(numid, level) not in (None, "decimal", "none", "bullet")
                or self._get_start_value(numid, level) > 1
                for level in range(_LEVELS)
                if _PLACE.search(self._mark_of(numid, level))
            )
        return self._own_marks[numid]

    def _mark_of(self, numid: int, ilvl: int) -> str:
        """Return how a level of a list is marked, such as ``Article %1``."""
        level = self._get_level_element(numid, ilvl)
        mark = None if level is None else level.find(f"{_WORD}lvlText")
        return "" if mark is None else mark.get(f"{_WORD}val") or ""

    def _counted_mark(self, numid: int, ilvl: int) -> str:
        own = self._get_level_element(numid, ilvl)
        in_digits = own is not None and own.find(f"{_WORD}isLgl") is not None

        def count(place: re.Match[str]) -> str:
            level = int(place[1]) - 1
            number = self.list_counters.get((numid, level)) or self._get_start_value(numid, level)
            form = self._get_level_num_fmt(numid, level)
            return _format_enum_counter(number, None if in_digits and level < ilvl else form)

        return _PLACE.sub(count, self._mark_of(numid, ilvl)).strip()

    def _get_numId_and_ilvl(self, paragraph: Any) -> Any:  # noqa: N802 (docling's)
        if paragraph._p.find(_NUMBERING) is not None:
            return super()._get_numId_and_ilvl(paragraph)
        return self._once(super()._get_numId_and_ilvl, paragraph.style, paragraph)

    def _get_label_and_level(self, paragraph: Any) -> Any:
        style = paragraph.style
        if style is None or self._is_code_by_font(paragraph, style):
            return super()._get_label_and_level(paragraph)
        return self._once(super()._get_label_and_level, style, paragraph)

    def _is_code_by_font(self, paragraph: Any, style: Any) -> bool:
        fonts = (found.get(f"{_WORD}ascii") or "" for found in paragraph._p.iter(_FONTS))
        if not any(font.strip().lower() in self._MONOSPACE_FONTS for font in fonts):
            inherited = self._once(super()._effective_style_font, style, style)
            if inherited not in self._MONOSPACE_FONTS:
                return False
        return super()._is_code_by_font(paragraph, style)

    def _once(self, ask: Callable[..., Any], style: Any, argument: Any) -> Any:
        """Return an answer that depends on a style alone."""
        key = (ask.__name__, None if style is None else style.element)
        if key not in self._of_style:
            self._of_style[key] = ask(argument)
        return self._of_style[key]


def _widen_grid(table: Any) -> None:
    """Give a table's grid all columns that its rows have: cells beyond it are left out."""
    widths = [_width(row) for row in table.iterchildren(f"{_WORD}tr", f"{_WORD}sdt")]
    allowed = max(_MAX_COLUMNS, _MAX_CELLS // max(len(widths), 1))
    grid = table.find(f"{_WORD}tblGrid")
    if grid is None:
        grid = table.makeelement(f"{_WORD}tblGrid")
        marks = table.find(f"{_WORD}tblPr")
        table.insert(0 if marks is None else table.index(marks) + 1, grid)
    for _ in range(min(max(widths, default=0), allowed) - len(grid)):
        grid.append(grid.makeelement(f"{_WORD}gridCol"))


def _width(row: Any) -> int:
    """Return how many columns a row has, those that it leaves out at its beginning included."""
    cells = [
        *row.iterchildren(f"{_WORD}tc"),
        *row.iterfind(f"{_WORD}sdt/{_WORD}sdtContent/{_WORD}tc"),
    ]
    spans = [*(cell.find(f"{_WORD}tcPr/{_WORD}gridSpan") for cell in cells)]
    before = row.find(f"{_WORD}trPr/{_WORD}gridBefore")
    wider = [int(span.get(f"{_WORD}val")) - 1 for span in spans if _is_count(span)]
    return len(cells) + sum(wider) + (int(before.get(f"{_WORD}val")) if _is_count(before) else 0)


def _is_count(element: Any) -> bool:
    value = "" if element is None else element.get(f"{_WORD}val", "")
    return value.isascii() and value.isdigit() and len(value) < 4


def _pieces(element: Any) -> Iterator[tuple[bool, str]]:
    """Yield texts and equations of a paragraph or a cell, without those of boxes in it."""
    for child in element:
        name = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else ""
        if child.tag in _TEXTS:
            yield False, str(child)
        elif name == "oMath":
            if latex := latex_of_office(child):
                yield True, latex
        elif name not in _BESIDE_TEXT:
            yield from _pieces(child)
            if child.tag == _PARAGRAPH and child.getnext() is not None:
                yield False, "\n"


def _is_plain(element: Any) -> bool:
    """Return whether an element is a paragraph in which nothing is drawn."""
    return element.tag == _PARAGRAPH and next(element.iter(*_DRAWN), None) is None


def _is_drawn(image: bytes) -> bool:
    """Return whether a picture is surely one that docling shows: neither empty nor unreadable."""
    try:
        with Image.open(io.BytesIO(image)) as opened:
            if opened.width * opened.height <= MsWordDocumentBackend.SPACER_IMAGE_AREA_THRESHOLD:
                return False
            opened.thumbnail((64, 64), Image.Resampling.NEAREST)
            extrema = opened.getextrema()
            if opened.mode == "RGBA":
                return extrema[-1] != (0, 0)
            return opened.mode == "L" or opened.mode == "RGB" and extrema != _WHITE
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False  # docling says what it makes of it


def _marks(properties: Any) -> Any:
    if properties is None:
        return None
    return tuple((mark.tag, *mark.items()) for mark in properties.iter())
