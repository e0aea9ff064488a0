"""Numbers of sheets as people see them: per cent, currencies, rounded, filled with zeros."""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import NamedTuple

Show = Callable[[float], str]
"""Makes the text of a number."""
Cells = dict[tuple[int, int], Show | str]
"""By row and column from 0: how a number is shown, or an error such as ``#DIV/0!``."""
Range = tuple[tuple[int, int], tuple[int, int]]
"""First and last row and column of cells, from 0."""
_BUILT_IN = {1: "0", 2: "0.00", 4: "#,##0.00", 3: "#,##0", 9: "0%", 10: "0.00%", 11: "0.00E+00"}
_BUILT_IN |= {37: "#,##0", 38: "#,##0", 39: "#,##0.00", 40: "#,##0.00", 46: "[h]:mm:ss"}
"""Formats that files name by number (ECMA-376, 18.8.30), but dates and those of a locale."""
_PART = re.compile(r'(?:"[^"]*"|\\.|[^;])+', re.DOTALL)
_CONDITION = re.compile(r"\[(<=|>=|<>|<|>|=)(-?\d+(?:\.\d+)?)\]")
_HOLDS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_HOLDS |= {"=": operator.eq, "<>": operator.ne}
_QUOTED = re.compile(r'"([^"]*)"|\\(.)|\[\$([^\]-]*)[^\]]*\]|\[[^\]]*\]|_.|\*.')
_DIGITS = re.compile(r"[#0?](?:.*[#0?])?,*", re.DOTALL)
_NUMBER = re.compile(r"([#0?][#0?,]*)(?:\.([#0?]*))?(,*)")
_PATTERN = re.compile("[#0?\x00() +-]+")
"""Digits with something between them: of telephones, of numbers that are names."""
_BESIDE = re.compile("[\x00%$€£¥() +-]*")
_GENERAL = re.compile(r"([\x00$€£¥() +-]*)General([\x00$€£¥() +-]*)", re.IGNORECASE)
_DATE = re.compile(r"[ymdhsYMDHS]|General|E[+-]|/|@", re.IGNORECASE)
_ELAPSED = re.compile(r"\[(?:h+\](?::mm?(?::ss?)?)?|m+\](?::ss?)?|s+\])", re.IGNORECASE)
"""Hours, minutes or seconds that are counted beyond the end of a day, an hour, a minute."""
_SECONDS = {"h": 3600, "m": 60, "s": 1}
_MAX_CODE = 255
"""Characters; programs take no longer ones."""
_NO_MORE = Decimal("1e-9")
"""Share of a number below which what is not shown says nothing."""
_WIDE = Context(prec=2000)
"""Enough for any number with all digits of such a code."""


class Shown(NamedTuple):
    """What a sheet shows besides the values of its cells."""

    cells: Cells
    merged: list[Range] | None = None
    """Cells that are one; None where the reader of values knows them."""
    notes: Sequence[str] = ()
    """Comments and links with their cells."""
    boxes: Sequence[str] = ()
    """Words of what is drawn on the sheet."""


def shows_of(codes: Mapping[int, str], styles: Sequence[int]) -> dict[int, Show]:
    """Return the formats by the number of a cell's style, where they show more than the value.

    Args:
        codes: format codes of the file by their number, beside those that all files have.
        styles: the number of each style's format code.
    """
    known = {**_BUILT_IN, **codes}
    shows = {number: number_format(known.get(number, "")) for number in set(styles)}
    return {
        style: show for style, number in enumerate(styles) if (show := shows[number]) is not None
    }


def number_format(code: str) -> Show | None:
    """Return how a format code shows a number, None for dates and what is not known.

    The part for positive numbers counts, or the one whose condition holds; a negative number has a
    minus before it. A part for negative ones or zero counts where it has words of its own, such as
    ``CR`` and ``DR``. A duration is given in days. Halves are rounded up, as programs do.
    """
    parts = [] if code.startswith(";") or len(code) > _MAX_CODE else _PART.findall(code)
    if parts and _ELAPSED.fullmatch(parts[0]):
        return _elapsed(parts[0])
    conditions = [_CONDITION.search(part) for part in parts[:3]]
    if not any(conditions):
        return _by_sign(parts[:3] if ";;" not in code else parts[:1]) if parts else None
    shows = [_format(part) or plain_number for part in parts[:3]]

    def show(value: float) -> str:
        for condition, show in zip(conditions, shows, strict=True):
            if condition is None or _HOLDS[condition[1]](value, float(condition[2])):
                return show(value)
        return plain_number(value)

    return show


def _by_sign(parts: Sequence[str]) -> Show | None:
    positive = _format(parts[0])
    others = [_in_words(part, parts[0]) for part in parts[1:]]
    if positive is None or not any(others):
        return positive
    negative, zero = [*others, None][:2]

    def show(value: float) -> str:
        by_words = negative if value < 0 else zero if value == 0 else None
        return positive(value) if by_words is None else by_words(value)

    return show


def _in_words(part: str, positive: str) -> Show | None:
    """Return how a part shows a number whose sign it tells by itself, None where it tells none."""
    words = _words_of(part)
    if words == _words_of(positive) and "+" not in positive:
        return None
    known = _format(part)
    if known is not None:
        return lambda value: known(abs(value))
    return (lambda value: f"{words} ({plain_number(value)})") if words else None


def _words_of(part: str) -> str:
    found = ("".join(one[:3]) for one in _QUOTED.findall(part))
    return "".join(one for one in found if any(map(str.isalpha, one))).strip()


def plain_number(value: float) -> str:
    """Return a number with all its digits, a whole one without a point."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _format(part: str) -> Show | None:
    literals: list[str] = []

    def keep(found: re.Match[str]) -> str:
        literals.append(found[1] or found[2] or found[3] or "")
        return "\x00"

    bare = _QUOTED.sub(keep, part.replace("\x00", ""))
    if general := _GENERAL.fullmatch(bare):
        texts = iter(literals)
        prefix, suffix = (re.sub("\x00", lambda _: next(texts), one) for one in general.groups())
        return _with_words(prefix.lstrip(), suffix.rstrip())
    digits = _DIGITS.search(bare)
    if digits is None or _DATE.search(bare):
        return None
    before, after = bare[: digits.start()], bare[digits.end() :]
    number = _NUMBER.fullmatch(digits[0])
    if not _BESIDE.fullmatch(before + after) or not (number or _PATTERN.fullmatch(digits[0])):
        return None
    texts = iter(literals)
    prefix = re.sub("\x00", lambda _: next(texts), before).lstrip()
    pattern = [next(texts) if mark == "\x00" else mark for mark in digits[0]]
    suffix = re.sub("\x00", lambda _: next(texts), after).rstrip()
    is_place = [mark in "#0?" for mark in digits[0]]
    whole = number[1].rstrip(",") if number else ""
    decimals = (number[2] or "") if number else ""
    kept = decimals.rfind("0") + 1
    thousands = len(number[1]) - len(whole) + len(number[3]) if number else 0
    shift = 2 * (before + after).count("%") - 3 * thousands
    zeros = max(1, whole.count("0"))
    width, comma = (zeros + (zeros - 1) // 3, ",") if "," in whole else (zeros, "")

    def show(value: float) -> str:
        if not math.isfinite(value):
            return repr(value)
        exact = abs(Decimal(f"{value:.15g}")).scaleb(shift)  # programs round 15 digits, not bits
        rounded = exact.quantize(Decimal(1).scaleb(-len(decimals)), ROUND_HALF_UP, _WIDE)
        left, _, right = f"{rounded:f}".partition(".")
        if number:
            right = right[:kept] + right[kept:].rstrip("0")
            text = f"{int(left):0{width}{comma}}" + (f".{right}" if right else "")
        else:
            text = _filled(pattern, is_place, left)
        shown = f"{'-' if value < 0 else ''}{prefix}{text}{suffix}"
        is_whole = abs(rounded - exact) <= exact * _NO_MORE
        return shown if is_whole else f"{shown} ({plain_number(value)})"

    return show


def _with_words(prefix: str, suffix: str) -> Show | None:
    """Return how a number is shown with all its digits between words, None without any."""
    if not prefix and not suffix:
        return None
    return lambda value: f"{'-' if value < 0 else ''}{prefix}{plain_number(abs(value))}{suffix}"


def _filled(pattern: Sequence[str], is_place: Sequence[bool], digits: str) -> str:
    """Return a pattern with digits in its places from the right; the first takes what is left."""
    left = [*digits.lstrip("0")]
    first = is_place.index(True)
    out: list[str] = []
    for place in range(len(pattern) - 1, -1, -1):
        if not is_place[place]:
            out.append(pattern[place])
        elif place == first and left:
            out.append("".join(left))
        elif left:
            out.append(left.pop())
        elif pattern[place] == "0":
            out.append("0")
    return "".join(reversed(out))


def _elapsed(part: str) -> Show:
    units = part.lower().strip("[").replace("]", "").split(":")

    def show(value: float) -> str:
        if not math.isfinite(value * 86400):
            return repr(value)
        seconds = rest = round(abs(value) * 86400)
        shown: list[str] = []
        for unit in units:
            count, rest = divmod(rest, _SECONDS[unit[0]])
            shown.append(f"{count:0{len(unit)}}")
        text = ("-" if value < 0 else "") + ":".join(shown)
        exact = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return f"{text} ({exact})" if rest else text

    return show
