"""Running heads and page numbers: what repeats in the margins of a PDF's pages.

Page numbers are left out. Of a running head the first occurrence stays, unless the body says the
same: no words vanish from a document because they are repeated.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.margins import MARGIN, MarginLine
from s3sync_dagster.extraction.words import in_order

_MAX_CHARACTERS = 120
_MIN_PAGES = 3
_MIN_AGREEMENT = 0.9
_MIN_APART = 0.5
"""Share of a line's pages on which it stands apart."""
_NUMBER = re.compile(r"\d+")
_LETTERS = re.compile(r"[^\W\d_]+")
_PAGE_WORDS = frozenset(
    (
        *(
            "page",
            "pages",
            "pg",
            "p",
            "pp",
            "of",
            "seite",
            "seiten",
            "s",
            "von",
            "página",
            "páginas",
        ),
        *("pagina", "pág", "pag", "de", "di", "da", "du", "sur", "sida", "side", "av", "af"),
        *("pagină", "strona", "str", "z", "ze", "sivu", "oldal", "sayfa", "стр", "страница", "из"),
        *("第", "页", "頁", "共", "ページ", "쪽"),
    )
)
"""What stands beside the number of a page."""
_NO_MARK = re.compile(r"[^\w\s.,|/•·()\[\]<>~*–—-]")
"""What is no ornament of a page's number: signs of money, shares, times and numerals."""
_OF_SO_MANY = re.compile(r"\d\s*/\s*\d|\d[^\d]*[^\W\d_][^\d]*\d")
_IN_CHAPTER = re.compile(r"\d\s*[–—-]\s*\d")
"""Between two numbers; other marks are those of dates and decimals."""
_MANY = 1000
"""From here on a number without a word for pages is a year's or a ticket's, not a page's."""
_OF_PAGE = r"(?P<number>\d{1,5})(?:\s*(?:/|of|von|de|di|sur)\s*\d{1,5})?"
_NAMED = r"(?P<named>pages?|pg\.?|p\.|seite|s\.|página|pagina|pág\.)"
_MARKED = (
    re.compile(rf"(?P<words>.*\w.*?)[\s,(]+[|•·–—-]?\s*{_NAMED}\s*{_OF_PAGE}\)?", re.IGNORECASE),
    re.compile(rf"{_NAMED}\s*{_OF_PAGE}\s*[|•·–—-]\s*(?P<words>.*\w.*)", re.IGNORECASE),
    re.compile(rf"(?P<words>.*\w.*?)\s*[|•·]\s*{_OF_PAGE}", re.IGNORECASE),
    re.compile(rf"{_OF_PAGE}\s*[|•·]\s*(?P<words>.*\w.*)", re.IGNORECASE),
)
"""A running head that says that a number in it is the page's, by its word or by a mark."""
_AT_ENDS = (
    ("last", re.compile(r"(?P<words>.*\D)\s(?P<number>\d{1,5})")),
    ("first", re.compile(r"(?P<number>\d{1,5})\s(?P<words>\D.*)")),
)

_Member = tuple[int, MarginLine]


@dataclass(frozen=True, slots=True)
class Cut:
    """What stays of a line of a page's margin; nothing of most."""

    text: str
    rest: str
    at_top: bool


def find_running_heads(
    pages: Sequence[Sequence[MarginLine]],
) -> list[dict[MarginLine, str]]:
    """Return for each page its running heads with their words, and its page numbers with none.

    A running head stands apart from the body on three pages in the same words. Page numbers count
    with the pages, alone or beside a word for them, or in a running head that tells them so: by
    a mark, by standing before its words and after them, or beside other words on other pages. Lines
    that only look alike ("Record 12", "Record 13") are neither.
    """
    alike: dict[object, list[_Member]] = defaultdict(list)
    marked: dict[tuple[str, bool], list[_Member]] = defaultdict(list)
    numbered: dict[tuple[int, bool], list[tuple[str, str, _Member]]] = defaultdict(list)
    for page, line in ((page, line) for page, lines in enumerate(pages) for line in lines):
        if line.pieces or len(line.text) > _MAX_CHARACTERS:
            continue
        if is_page_number(line.text):
            alike[_NUMBER.sub("#", line.text), line.at_top].append((page, line))
            continue
        alike[in_order(line.text), line.at_top].append((page, line))
        if not _NUMBER.search(line.text):
            continue
        if words := _beside_page_number(line.text, page):
            marked[words, line.at_top].append((page, line))
        for place, form in _AT_ENDS:
            if found := form.fullmatch(line.text):
                offset = int(found["number"]) - page
                member = (place, in_order(found["words"]), (page, line))
                numbered[offset, line.at_top].append(member)
    heads: list[dict[MarginLine, str]] = [{} for _ in pages]
    for members in alike.values():
        is_number = is_page_number(members[0][1].text) and _are_page_numbers(members, len(pages))
        if is_number or _are_heads(members):
            for page, line in members:
                heads[page][line] = "" if is_number else in_order(line.text)
    for (words, _), members in marked.items():
        if _are_heads(members) and _count_with_pages(members):
            for page, line in members:
                heads[page][line] = words
    for (offset, _), found in numbered.items():
        members = [member for _, _, member in found]
        different = len({words for _, words, _ in found})
        is_proven = 1 < different < len(found) and offset <= 1  # else each is a section of its own
        is_proven = is_proven or len({place for place, _, _ in found}) > 1
        if is_proven and _are_heads(members, pages=_MIN_PAGES + 1):
            for _, words, (page, line) in found:
                heads[page].setdefault(line, words)
    return heads


def apart_twice(pages: Sequence[Sequence[MarginLine]]) -> set[MarginLine]:
    """Return the lines that stand apart on two pages or more: no headings, if no running heads."""
    counted = Counter(line for lines in pages for line in set(lines) if line.is_apart)
    return {line for line, count in counted.items() if count > 1}


def is_page_number(text: str) -> bool:
    """Return whether a line may be the number of a page, with words and marks for it alone.

    Two numbers are a page's of so many, or in its chapter; three are a date's or a telephone's.
    """
    words, numbers = _LETTERS.findall(text), _NUMBER.findall(text)
    if not words and not numbers:
        return True
    if _NO_MARK.search(text) or len(numbers) not in (1, 2):
        return False
    if len(numbers) == 2 and not _is_of_so_many(text, *(int(number[:9]) for number in numbers)):
        return False
    return all(word.casefold() in _PAGE_WORDS for word in words)


def _is_of_so_many(text: str, first: int, second: int) -> bool:
    if _OF_SO_MANY.search(text):
        return first <= second
    return _IN_CHAPTER.search(text) is not None and first != second - 1  # else pages from and to


def later_ones(
    heads: Sequence[Mapping[MarginLine, str]], said: Mapping[int, str]
) -> list[set[MarginLine]]:
    """Return for each page which of its heads are left out: all but the first of the same words.

    Not even that stays where the body has its words in a row. ``said`` is the text of pages without
    any heads; what is read of the others may be replaced yet, so they prove nothing and keep all.
    """
    words = {text for page in said for text in heads[page].values() if text}
    texts = [f" {in_order(text)} " for text in said.values()] if words else []
    known = {"", *(text for text in words if any(f" {text} " in body for body in texts))}
    left: list[set[MarginLine]] = [set() for _ in heads]
    for page in sorted(said):
        left[page] = {line for line, text in heads[page].items() if text in known}
        known.update(heads[page].values())
    return left


def cuts_of(lines: Sequence[MarginLine], left_out: Collection[MarginLine]) -> list[Cut]:
    """Return what is cut off a page that leaves some of its margins' lines out."""
    cuts = [Cut(line.text, "", line.at_top) for line in left_out]
    texts = {(cut.text, cut.at_top) for cut in cuts}
    for line in lines:
        rest = " ".join(piece for piece in line.pieces if (piece, line.at_top) not in texts)
        if line.pieces and rest != line.text:
            cuts.append(Cut(line.text, rest, line.at_top))
    return sorted(cuts, key=lambda cut: len(cut.text), reverse=True)


def without_heads(blocks: list[Block], cuts: Sequence[Cut], *, height: float) -> list[Block]:
    """Return a page's blocks without its running heads, also where they were glued to body text.

    One that is a block of its own is not glued to another: that has the same words, or number.
    """
    alone = {block.text for block in blocks}
    glued = [cut for cut in cuts if cut.text not in alone]
    kept: list[Block] = []
    for block in blocks:
        text = block.text
        if block.kind in ("paragraph", "heading"):
            top = block.top < height * MARGIN
            bottom = block.top + block.height > height * (1 - MARGIN)
            of_block = [cut for cut in cuts if cut.text == text] or glued
            text = _cut(text, [cut for cut in of_block if (top if cut.at_top else bottom)])
        if text or not block.text:
            kept.append(block if text == block.text else replace(block, text=text))
    return kept


def _cut(text: str, cuts: list[Cut]) -> str:
    waiting = list(cuts)
    while text:
        for cut in waiting:
            if text == cut.text:
                return cut.rest
            if cut.at_top and text.startswith(cut.text + " "):
                text = f"{cut.rest} {text[len(cut.text) + 1 :]}".strip()
            elif not cut.at_top and text.endswith(" " + cut.text):
                text = f"{text[: -len(cut.text) - 1]} {cut.rest}".strip()
            else:
                continue
            waiting.remove(cut)
            break
        else:
            break
    return text


def _beside_page_number(text: str, page: int) -> str:
    """Return the words of a running head that tells which number is its page's, else nothing.

    A mark alone tells it of numbers that a file's own pages may have.
    """
    found = next(filter(None, (form.fullmatch(text) for form in _MARKED)), None)
    if found is None:
        return ""
    is_named = "named" in found.groupdict()
    return in_order(found["words"]) if is_named or int(found["number"]) <= page + 1 else ""


def _are_heads(members: list[_Member], *, pages: int = _MIN_PAGES) -> bool:
    all_pages = {page for page, _ in members}
    apart = {page for page, line in members if line.is_apart}
    return len(all_pages) >= pages and len(apart) >= _MIN_APART * len(all_pages)


def _are_page_numbers(members: list[_Member], pages: int) -> bool:
    if not _count_with_pages(members):
        return False
    if any(_may_be_none(page, line.text) for page, line in members):
        return False
    if all(str(page + 1) in _NUMBER.findall(line.text) for page, line in members):
        return _are_heads(members, pages=min(_MIN_PAGES, max(2, pages)))
    return _are_heads(members)


def _may_be_none(page: int, text: str) -> bool:
    """Return whether a number without a word for pages is too large for one."""
    largest = max(int(number[:9]) for number in _NUMBER.findall(text))
    return largest >= _MANY and largest > page + 1 and not _LETTERS.search(text)


def _count_with_pages(members: list[_Member]) -> bool:
    """Return whether a number counts with the pages, and others do or are the same on all."""
    numbers = [
        (page, [int(number[:9]) for number in _NUMBER.findall(line.text)]) for page, line in members
    ]
    if len({len(found) for _, found in numbers}) > 1:
        return False
    does_count = False
    enough = len(members) * _MIN_AGREEMENT
    for place in range(len(numbers[0][1])):
        values = [(page, found[place]) for page, found in numbers]
        same = Counter(value for _, value in values).most_common(1)[0][1]
        counting = Counter(value - page for page, value in values).most_common(1)[0][1]
        if max(same, counting) < enough:
            return False
        does_count = does_count or counting >= enough
    return does_count
