"""robots.txt (RFC 9309): who may read what of a site, how fast, and where its sitemaps are.

Our own reading of it, since the kept libraries turn a stranger's ``*`` into patterns that
backtrack; RE2 takes time in line with the address.
"""

# google-re2 has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

AGENT = "s3sync"
"""The word by which a robots.txt speaks to this program."""
MAX_BYTES = 512 * 1024
"""That are read; the standard asks for 500 KiB at least."""
MAX_RULES = 2000
MAX_RULE_CHARACTERS = 500
MAX_SITEMAPS = 100
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
MAX_DELAY_SECONDS = 30.0
"""A longer delay between two pages counts as this one: listings have to move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Robots:
    """What a site asks of this program."""

    rules: tuple[tuple[Any, int, bool], ...] = field(default=(), repr=False)
    """Pattern, its length, and whether it allows."""
    delay_seconds: float = 0.0
    sitemaps: tuple[str, ...] = ()

    def allows(self, address: str) -> bool:
        """Return whether a page may be read: the longest rule decides, and allowing wins a tie."""
        parts = urlsplit(address)
        path = _escaped(parts.path + (f"?{parts.query}" if parts.query else ""))
        hits = [(length, allow) for rule, length, allow in self.rules if rule.match(path)]
        return max(hits)[1] if hits else True


def parse_robots(text: str) -> Robots:
    """Return what a robots.txt says; what cannot be understood says nothing."""
    groups: dict[str, list[tuple[str, str]]] = {}
    names: set[str] = set()
    open_group = False
    sitemaps: list[str] = []
    for line in text.lstrip("\ufeff").splitlines():
        word, colon, value = line.partition("#")[0].partition(":")
        word, value = word.strip().lower(), value.strip()
        if not colon:
            continue
        if word == "user-agent":
            names = names if open_group else set()
            open_group = True
            agent = value.partition("/")[0].strip().lower()  # with a version behind it, as well
            if agent in (AGENT, "*"):  # nobody else's rules are kept, however many they are
                names.add(agent)
                groups.setdefault(agent, [])
        elif word == "sitemap":
            sitemaps += [value] if len(sitemaps) < MAX_SITEMAPS else []
        elif word in ("allow", "disallow", "crawl-delay"):
            open_group = False
            for name in names:
                if len(groups[name]) < MAX_RULES:
                    groups[name].append((word, value))
    ours = groups.get(AGENT, groups.get("*", []))
    rules = [
        (_rule(value), len(value), word == "allow")
        for word, value in ours
        if word != "crawl-delay" and value and len(value) <= MAX_RULE_CHARACTERS
    ]
    delays = [_seconds(value) for word, value in ours if word == "crawl-delay"]
    return Robots(
        rules=tuple(rules), delay_seconds=max(delays, default=0.0), sitemaps=tuple(sitemaps)
    )


def _seconds(text: str) -> float:
    try:
        return min(max(float(text), 0.0), MAX_DELAY_SECONDS)
    except ValueError:
        return 0.0


def _escaped(text: str) -> str:
    """Return a path with escapes as RFC 9309 compares them: those of plain letters undone."""
    whole = quote(text, safe="/%:@!$&'()*+,;=~?-._")
    return _ESCAPE.sub(lambda found: _plain(found[1]), whole)


def _plain(digits: str) -> str:
    letter = chr(int(digits, 16))
    plain = letter.isascii() and (letter.isalnum() or letter in "-._~")
    return letter if plain else f"%{digits.upper()}"


def _rule(text: str) -> Any:
    import re2  # noqa: PLC0415  (15 ms that only crawls pay)

    ends = text.endswith("$")
    pieces = _escaped(text.removesuffix("$")).split("*")
    pattern = ".*".join(re2.escape(piece) for piece in pieces if piece or len(pieces) > 1)
    return re2.compile(f"{pattern}$" if ends else pattern)
