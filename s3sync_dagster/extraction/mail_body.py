"""What of a mail's parts is its body, in their order (RFC 2046, 5.1)."""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.errors import MissingHeaderBodySeparatorDefect
from email.message import EmailMessage, Message
from functools import cached_property
from typing import Any, Literal, cast

from s3sync_dagster.extraction.decoding import decode
from s3sync_dagster.extraction.web import plain_text
from s3sync_dagster.model.errors import UnsupportedFile

MESSAGES = ("message/rfc822", "message/global")
"""Parts that are mails of their own."""
_REPORTS = (
    *("message/delivery-status", "message/disposition-notification", "message/feedback-report"),
    *("message/global-delivery-status", "message/global-disposition-notification"),
)
"""Parts in fields, as a header has them: who did not get a mail, and why (RFC 3464, 8098, 5965)."""
_CHARSET = re.compile(r"""<meta\b[^>]{0,200}\bcharset\s*=\s*["']?([\w.:-]{2,40})""", re.IGNORECASE)
_NARROW = ("latin-1", "cp1252", "iso8859-15")
"""By which programs widen bytes to text of one character each."""
_MAX_PARSED = 256 * 1024
"""Characters of a page; of a longer one also words between tags count that are not shown."""
_LAST_LATIN = "\u024f"
_MAX_STUB_WORDS = 50
"""Different ones of a text that only asks for a program that shows pages."""
_WORD, _TAG = re.compile(r"\w+"), re.compile(r"<[^<>]*>")
_BLANK_LINES, _FOLDED = re.compile(r"\n\s*\n"), re.compile(r"\s*\n[ \t]+")


@dataclass(frozen=True)
class _Piece:
    """A part that is read; what is asked of its words is made once, however often it is asked."""

    kind: Literal["plain", "html"]
    text: str

    @cached_property
    def shown(self) -> str:
        if self.kind == "plain":
            return self.text.casefold()
        is_long = len(self.text) > _MAX_PARSED
        text = html.unescape(_TAG.sub(" ", self.text)) if is_long else plain_text(self.text)
        return text.casefold()

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(_WORD.findall(self.shown))

    @cached_property
    def written(self) -> frozenset[str]:
        """Words of the source, such as those of addresses."""
        return frozenset(_WORD.findall(self.text.casefold()))

    @cached_property
    def letters(self) -> frozenset[str]:
        """Those that are not Latin."""
        return frozenset(one for one in set(self.shown) if one > _LAST_LATIN and one.isalpha())


def body_of(message: EmailMessage) -> tuple[str, bytes]:
    """Return the body, all its parts in their order: as plain text, or as HTML where one is."""
    pieces = _pieces(message)
    pages = " ".join(piece.text for piece in pieces if piece.kind == "html")
    if not pages:
        return "\n\n".join(piece.text for piece in pieces), b""
    words = set(_WORD.findall(_TAG.sub(" ", html.unescape(pages))))
    said = [
        piece.text if piece.kind == "html" else _paragraphs(piece.text)
        for piece in pieces
        # Some write the text once more beside the page, and not as its alternative.
        if piece.kind == "html" or not words.issuperset(_WORD.findall(piece.text))
    ]
    return "", "\n".join(said).encode(errors="replace")  # no letter of any charset ends it


def is_attachment(part: EmailMessage) -> bool:
    """Return whether a part is a file of its own, or a mail."""
    if part.get_content_type() in _REPORTS:
        return False
    if part.get_content_disposition() == "attachment" or part.get_filename():
        return True
    return not part.get_content_type().startswith(("text/plain", "text/html", "multipart/"))


def page_for(page: str, text: str) -> str:
    """Return the page that is read in place of a text, empty where the text is.

    That is a page which says most words that the text does not, as where the text only asks for a
    program that shows pages. What the text has of numbers that the page lacks stands before it.
    """
    as_page, as_text = [_Piece("html", page)], [_Piece("plain", text)]
    if not _says_more(as_page, as_text):
        return ""
    return f"{_paragraphs(text)}\n{page}" if _lacks_numbers(as_page, as_text) else page


def _says_more(page: Sequence[_Piece], text: Sequence[_Piece]) -> bool:
    """Return whether most words of a page are not in the text that is to stand for it.

    A page that has few words of a longer text, or none of its letters, is one of which the letters
    were decoded wrongly.
    """
    words, said = _all(one.words for one in page), _all(one.words for one in text)
    if len(words) <= len(said) or len(words - said) <= len(words) / 2:
        return False
    foreign = _all(one.letters for one in text)
    if foreign and foreign.isdisjoint(_all(one.letters for one in page)):
        return False
    return len(said) <= _MAX_STUB_WORDS or len(said & words) >= len(said) / 2


def _lacks_numbers(page: Sequence[_Piece], text: Sequence[_Piece]) -> bool:
    """Return whether a text says numbers that its page has nowhere, not in an address either."""
    numbers = {word for one in text for word in one.words if any(map(str.isdigit, word))}
    return bool(numbers) and not numbers <= _all(one.written for one in page)


def _all(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    several = [*sets]
    return several[0] if len(several) == 1 else frozenset[str]().union(*several)


def by_its_charset(page: str, text: str) -> str:
    """Return a page that was decoded by another charset than it names as it should be.

    Only where more words of the text that is to stand for it are in it then.
    """
    found = _CHARSET.search(page)
    best, said = page, set(_WORD.findall(text.casefold()))
    for charset in _NARROW if found else ():
        try:
            other = page.encode(charset).decode(found[1] if found else "", "replace")
        except (LookupError, ValueError):
            continue
        best = max(best, other, key=lambda one: len(said & set(_WORD.findall(one.casefold()))))
    return best


def decoded(part: Message) -> str:
    """Return the text of a part, empty for what is none."""
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    charset = part.get_content_charset()
    if charset:
        try:
            return content.decode(charset)
        except (LookupError, ValueError):
            charset = None
    try:
        return decode(content).text
    except UnsupportedFile:
        return ""


def _pieces(part: EmailMessage) -> list[_Piece]:
    """Return what is to be read of a body, one after the other; nothing of messages inside."""
    if part.get_content_type() in _REPORTS:
        fields = _fields(part)
        return [_Piece("plain", fields)] if fields else []
    if part.get_content_type() in MESSAGES or is_attachment(part):
        return []
    if not part.is_multipart():
        text = decoded(part)
        is_page = part.get_content_subtype() == "html"
        return [_Piece("html" if is_page else "plain", text)] if text.strip() else []
    inner = [_pieces(one) for one in cast("list[EmailMessage]", part.get_payload())]
    if part.get_content_subtype() == "alternative":
        return _one_way([pieces for pieces in inner if pieces])
    return [piece for pieces in inner for piece in pieces]


def _one_way(ways: Sequence[list[_Piece]]) -> list[_Piece]:
    """Return one of alternatives: the plain text, unless a page says more."""
    plain = next((way for way in ways if all(piece.kind == "plain" for piece in way)), None)
    page = next((way for way in ways if any(piece.kind == "html" for piece in way)), None)
    if plain is None or page is None:
        return plain or page or []
    if not _says_more(page, plain):
        return plain
    return [*plain, *page] if _lacks_numbers(page, plain) else page


def _fields(report: Message) -> str:
    """Return the fields of a report as lines, with a blank one between those of each address."""
    payload: Any = report.get_payload()
    if isinstance(payload, list):  # as Python's parser takes it apart, before it is decoded
        whole = Message()
        whole["Content-Transfer-Encoding"] = str(report.get("Content-Transfer-Encoding", "8bit"))
        whole.set_payload("\n\n".join(map(_source, cast("list[Message]", payload))))
        report = whole
    text = _FOLDED.sub(" ", decoded(report))
    groups = ("\n".join(map(_one_blank, group.split("\n"))) for group in _BLANK_LINES.split(text))
    return "\n\n".join(filter(None, map(str.strip, groups)))


def _source(group: Message) -> str:
    """Return fields as the mail has them; some stand behind a line that does not belong there."""
    rest = group.get_payload(decode=True)  # the bytes that there are, with no letter replaced
    lines = [f"{name}: {value}" for name, value in group.raw_items()]
    no_blank_line = any(isinstance(one, MissingHeaderBodySeparatorDefect) for one in group.defects)
    between = "\n" if lines and no_blank_line else "\n\n"
    more = rest.decode("ascii", "surrogateescape") if isinstance(rest, bytes) else ""
    return "\n".join(lines) + between + more


def _one_blank(line: str) -> str:
    return " ".join(line.split())


def _paragraphs(text: str) -> str:
    """Return plain text as HTML, with its lines and paragraphs."""
    lines = (html.escape(one).replace("\n", "<br>") for one in _BLANK_LINES.split(text.strip()))
    return "".join(f"<p>{one}</p>" for one in lines)
