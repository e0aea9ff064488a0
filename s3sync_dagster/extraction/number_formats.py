"""Numbers of sheets as people see them: per cent, currencies, rounded."""

import re
from collections.abc import Callable, Mapping, Sequence

Show = Callable[[float], str]
"""Makes the text of a number."""
Cells = dict[tuple[int, int], Show | str]
"""By row and column from 0: how a number is shown, or an error such as ``#DIV/0!``."""
_BUILT_IN = {1: "0", 2: "0.00", 4: "#,##0.00", 3: "#,##0", 9: "0%", 10: "0.00%", 11: "0.00E+00"}
_BUILT_IN |= {37: "#,##0", 38: "#,##0", 39: "#,##0.00", 40: "#,##0.00"}
"""Formats that files name by number (ECMA-376, 18.8.30), but dates and those of a locale."""
_QUOTED = re.compile(r'"([^"]*)"|\\(.)|\[\$([^\]-]*)[^\]]*\]|\[[^\]]*\]|_.|\*.')
_DIGITS = re.compile(r"[#0?][#0?,]*(?:\.([0#?]*))?")
_DATE = re.compile(r"[ymdhsYMDHS]|General|E[+-]|/|@", re.IGNORECASE)


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

    Only the part for positive numbers counts; a negative one has a minus before it.
    """
    first = code.split(";")[0]
    literals: list[str] = []

    def keep(found: re.Match[str]) -> str:
        literals.append(found[1] or found[2] or found[3] or "")
        return "\x00"

    bare = _QUOTED.sub(keep, first)
    digits = _DIGITS.search(bare)
    if digits is None or _DATE.search(bare):
        return None
    before, after = bare[: digits.start()], bare[digits.end() :]
    if _DIGITS.search(after) or not set(before + after) <= set("\x00%$€£¥() -+"):
        return None
    texts = iter(literals)
    prefix = re.sub("\x00", lambda _: next(texts), before).strip("()").lstrip()
    suffix = re.sub("\x00", lambda _: next(texts), after).strip("()").rstrip()
    decimals = len(digits[1] or "")
    comma = "," if "," in digits[0] else ""
    factor = 100 if "%" in before + after else 1

    def show(value: float) -> str:
        text = f"{abs(value) * factor:{comma}.{decimals}f}"
        shown = f"{'-' if value < 0 else ''}{prefix}{text}{suffix}"
        is_whole = abs(float(text.replace(",", "")) / factor - abs(value)) <= abs(value) * 1e-9
        return shown if is_whole else f"{shown} ({value!r})"

    return show
