"""Bytes to text: what is proven first, what is likely second, never a silent guess."""

import codecs
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from s3sync_dagster.extraction.alphabets import best_code_page, foreign_share
from s3sync_dagster.model.errors import UnsupportedFile

SAMPLE_BYTES = 64 * 1024
"""Head on which an encoding is guessed; longer samples cost time and decide nothing."""
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARATIONS = (
    re.compile(rb"""^\s*<\?xml[^>]{1,200}encoding\s*=\s*["']([A-Za-z0-9_:.-]+)"""),
    re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([A-Za-z0-9_:.-]+)""", re.IGNORECASE),
    re.compile(rb"""\A(?:.*\n)?[ \t\f]*#.{0,100}?coding[:=][ \t]*([-\w.]+)"""),
)
_AS_BROWSERS_DO = {"iso-8859-1": "cp1252", "latin1": "cp1252", "gb2312": "gb18030"}
"""What such declarations mean in practice."""
_MULTIBYTE = {
    *("shift_jis", "shift_jis_2004", "shift_jisx0213", "cp932", "euc_jp", "euc_jis_2004"),
    *("euc_jisx0213", "iso2022_jp", "gb18030", "gbk", "gb2312", "hz", "big5", "big5hkscs", "cp950"),
    *("euc_kr", "cp949", "johab", "iso2022_kr"),
}
_EBCDIC = ["cp037", "cp273", "cp424", "cp500", "cp875", "cp1026", "cp1140"]
_NEVER = ["utf_7", "utf_16", "utf_16_le", "utf_16_be", "utf_32", *_EBCDIC]
_MAINFRAME = "cp037"
"""The commonest one; the others have the same letters and digits."""
_MAINFRAME_TEXT = re.compile(r"[A-Za-z0-9 .,:;'\"()/\n\r\x85-]+")
_MIN_BLANKS, _MAX_OTHERS = 0.03, 0.05
"""Shares of an EBCDIC text."""
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b\x1a")) + b"\x7f"
_MAX_CONTROL_SHARE = 0.003
_MIN_SAMPLE_BYTES = 16
"""Below this detectors answer at random."""
_PAIR = re.compile(rb"[\x80-\xff](.)", re.DOTALL)
_MIN_PAIRS = 0.2
_MAX_FOREIGN_SHARE = 0.3
"""Letters of other scripts in a text that may still be a Latin one, wrongly decoded."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text and how it was found."""

    text: str
    encoding: str
    guessed: bool
    """True when nothing in the bytes proves the encoding."""


def decode(content: bytes) -> Decoded:
    """Return the text of a file.

    Order: byte order mark, strict UTF-8, UTF-16 without a mark, what the file declares (XML
    declaration, ``meta charset`` of HTML, coding comment of source code), then a guess. Raises
    ``UnsupportedFile`` (``binary``) for what is no text.
    """
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return _decode_marked(content, len(mark), encoding)
    escaped = _escaped(content)
    if escaped is not None:
        return Decoded(content.decode(escaped), escaped, guessed=True)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    if text is not None and not looks_binary(content):
        return Decoded(text, "utf-8", guessed=False)
    encoding = _wide_without_mark(content)
    if encoding is not None:
        return Decoded(content.decode(encoding), encoding, guessed=True)
    if text is None and _is_ebcdic(content):
        lines = content.decode(_MAINFRAME).replace("\x85", "\n")
        return Decoded(lines, _MAINFRAME, guessed=True)
    if looks_binary(content):
        raise UnsupportedFile("The file is no text and of no kind that is read.", reason="binary")
    return _decode_declared(content) or _guess(content)


def _decode_marked(content: bytes, skip: int, encoding: str) -> Decoded:
    body = memoryview(content)[skip:]
    try:
        return Decoded(codecs.decode(body, encoding), encoding, guessed=False)
    except UnicodeDecodeError:
        # Cut off in the middle of a character, most often; the mark proves the encoding.
        return Decoded(codecs.decode(body, encoding, "replace"), encoding, guessed=True)


def _is_ebcdic(content: bytes) -> bool:
    """Return whether bytes are a mainframe's text: its blanks, its letters, hardly anything else.

    Where records hold packed numbers too, they are no text.
    """
    sample = content[:SAMPLE_BYTES]
    if sample.count(b"\x40") < _MIN_BLANKS * len(sample) or sample.count(b" ") > len(sample) / 100:
        return False
    plain = _MAINFRAME_TEXT.sub("", sample.decode(_MAINFRAME))
    return len(plain) <= _MAX_OTHERS * len(sample)


def _decode_declared(content: bytes) -> Decoded | None:
    found = next((m for form in _DECLARATIONS if (m := form.search(content[:4096]))), None)
    if found is None:
        return None
    name = found[1].decode("ascii").lower()
    name = _AS_BROWSERS_DO.get(name, name)
    try:
        return Decoded(content.decode(name), name, guessed=False)
    except (LookupError, UnicodeDecodeError, ValueError):
        return None


def is_text(head: bytes) -> bool:
    """Return whether the first bytes of a file are text in any encoding that is known."""
    return head.startswith(tuple(mark for mark, _ in _BOMS)) or not (
        looks_binary(head) and _wide_without_mark(head) is None
    )


def looks_binary(content: bytes) -> bool:
    """Return whether control characters are more than stray ones, at the head or the tail."""
    for sample in (content[:SAMPLE_BYTES], content[-SAMPLE_BYTES:]):
        controls = len(sample) - len(sample.translate(None, _CONTROL))
        if controls > max(1, len(sample) * _MAX_CONTROL_SHARE):
            return True
    return False


def _wide_without_mark(content: bytes) -> str | None:
    """Return UTF-16 or UTF-32 in the byte order that gives plausible text, None for other bytes."""
    if len(content) < 4 or not looks_binary(content):
        return None
    for width, names in ((4, ("utf-32-le", "utf-32-be")), (2, ("utf-16-le", "utf-16-be"))):
        if len(content) % width == 0:
            plausible = [name for name in names if _is_plausible(content, name)]
            if len(plausible) == 1:
                return plausible[0]
    return None


def _escaped(content: bytes) -> str | None:
    """Return the seven-bit East Asian encoding whose escape sequences the text uses."""
    if b"\x1b$" not in content[:SAMPLE_BYTES]:
        return None
    for name in ("iso2022_kr",) if b"\x1b$)C" in content else ("iso2022_jp_2",):
        decoded = _try(content, name)
        if decoded is not None and "\x1b" not in decoded.text:
            return name
    return None


def _is_plausible(content: bytes, encoding: str) -> bool:
    """Return whether nearly all characters of the head are letters, marks or white space."""
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    text = content[:SAMPLE_BYTES].decode(encoding, "ignore")
    strange = sum(
        unicodedata.category(character)[0] == "C" and character not in "\t\n\r\f"
        for character in text
    )
    blocks = Counter(ord(character) >> 8 for character in text)
    # Text stays in a few blocks (CJK in up to eighty of them); random bytes are everywhere.
    common = sum(count for _, count in blocks.most_common(3))
    return strange <= len(text) * 0.002 and common >= len(text) * 0.2


def _guess(content: bytes) -> Decoded:
    sample, cut = _sample(content)
    if len(sample) < _MIN_SAMPLE_BYTES:
        return _try(content, "cp1252") or _last_resort(content)
    found = _detect(sample)
    for shorter in range(1, 4 if cut else 1):  # the cut may have gone through a character
        if found in _MULTIBYTE:
            break
        found = _detect(sample[:-shorter])
    if found in _MULTIBYTE:
        if not _has_pairs(sample):
            found = best_code_page(sample, None)
    elif not (found and foreign_share(sample, found) > _MAX_FOREIGN_SHARE):
        found = best_code_page(sample, found)
    return _try(content, found) or _try(content, "cp1252") or _last_resort(content)


def _has_pairs(sample: bytes) -> bool:
    """Return whether bytes beyond ASCII come in pairs, as in East Asian text.

    Half of Big5's and Shift-JIS's characters end with an ASCII byte; in Latin text single letters
    with accents stand before ASCII ones: ``ä;`` is a character of Johab, too.
    """
    ends = _PAIR.findall(sample)
    return sum(end >= b"\x80" for end in ends) >= _MIN_PAIRS * len(ends)


def _last_resort(content: bytes) -> Decoded:
    return Decoded(content.decode("latin-1"), "iso8859-1", guessed=True)


def _try(content: bytes, encoding: str) -> Decoded | None:
    try:
        return Decoded(content.decode(encoding), encoding, guessed=True)
    except UnicodeDecodeError:
        return None


def _sample(content: bytes) -> tuple[bytes, bool]:
    """Return bytes to guess on, and whether they may end inside a character.

    A long ASCII head says nothing: the sample begins a little before the first other byte.
    """
    first = re.search(rb"[\x80-\xff]", content)
    start = max(0, first.start() - 4096) if first else 0
    start = content.rfind(b"\n", 0, start) + 1 if start else 0
    sample = content[start : start + SAMPLE_BYTES]
    if start + SAMPLE_BYTES >= len(content):
        return sample, False
    end = sample.rfind(b"\n")
    return (sample[: end + 1], False) if end > 0 else (sample, True)


def _detect(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes  # noqa: PLC0415 (most files are UTF-8)

    best = from_bytes(sample, cp_exclusion=_NEVER).best()
    return best.encoding if best else None
