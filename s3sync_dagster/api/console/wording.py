"""How pages say numbers, times and texts."""

import re
import time
from datetime import UTC, datetime

from markupsafe import Markup, escape

_CODE = re.compile(r"`([^`]+)`")
_WORD = re.compile(r"\w{2,}")
MAX_HIGHLIGHTS = 40


def marked(text: str) -> Markup:
    """Return a text of the documents with what stands between backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def number(value: float) -> str:
    """Return a number with its thousands apart."""
    return f"{value:,.0f}"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 object`` or ``1,200 objects``."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def size(count: int) -> str:
    """Return bytes as people say them."""
    if count < 0:
        return "unknown"
    if count < 1000:
        return f"{count} bytes"
    for unit in ("kB", "MB"):
        count_of_unit = count / 1000 if unit == "kB" else count / 1_000_000
        if count_of_unit < 1000:
            return f"{count_of_unit:.1f} {unit}"
    return f"{count / 1_000_000_000:.1f} GB"


def duration(seconds: float) -> str:
    """Return a stretch of time in its two largest units."""
    seconds = max(0, round(seconds))
    parts: list[str] = []
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
    return " ".join(parts[:2]) or "a moment"


def ago(moment: datetime | float | None) -> Markup:
    """Return a time as its distance from now, with the exact time for machines and hovering."""
    if moment is None:
        return Markup("never")
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment, UTC)
    distance = time.time() - moment.timestamp()
    exact = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    text = f"{duration(distance)} ago" if distance >= 0 else f"in {duration(-distance)}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(), exact, text
    )


def highlight(text: str, query: str) -> Markup:
    """Return a text with the words of a query marked."""
    words = sorted(set(_WORD.findall(query.lower())), key=len, reverse=True)[:MAX_HIGHLIGHTS]
    if not words:
        return escape(text)
    pattern = re.compile("|".join(re.escape(word) for word in words), re.IGNORECASE)
    pieces: list[Markup] = []
    end = 0
    for match in pattern.finditer(text):
        pieces.append(escape(text[end : match.start()]))
        pieces.append(Markup("<mark>{}</mark>").format(match.group(0)))
        end = match.end()
    pieces.append(escape(text[end:]))
    return Markup("").join(pieces)
