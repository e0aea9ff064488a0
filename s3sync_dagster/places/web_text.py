"""What a crawl reads of a page and of a sitemap, by patterns whose time is linear.

A crawl parses in its own process what strangers wrote: RE2 builds no tree, follows no entity and
takes no more time than the text is long. What text a page has is read later, in a worker.
"""

# google-re2 has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from html import unescape
from itertools import chain
from typing import Any

MAX_LINKS = 3000
"""Of one page: those that come first."""
ALL_ROBOTS, OUR_NAME = ROBOTS = ("robots", "s3sync")
MAX_SITEMAP_ENTRIES = 50_000
"""As the protocol of sitemaps has it."""
_TOKEN = (
    r"(?is)<!--(?:-?>)?|--!?>|<(/?(?:script|style|template))\b|"
    r"<(a|area|base|link|frame|iframe|meta)[\s/]"
)
"""Each is found in one pass: what is hidden is left out by whoever walks over them. Each is short:
what never ends would be looked through to the end of the page for whatever is found behind it."""
_QUOTE_OR_END = re.compile(r"""=\s*(["'])|>""", re.ASCII)
"""A ``>`` in quotes behind a ``=`` is one of the value."""
_SHORT = 1000
"""Characters of a tag up to which it is remembered where it leads to."""
_ATTRIBUTE = r"""(?is)([^\s"'>/=]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))"""
_FIELD = (
    r"(?is)<(?:(\w+):)?(url|sitemap|loc|lastmod)\b[^<>]*>\s*"
    r"(?:<!\[CDATA\[((?:[^\]<]|\][^\]<])*)|([^<]*))"
)
"""The prefix tells a page's ``loc`` from that of an extension, such as ``image:loc``."""
_TEMPLATE_ENDS = "</template"
_SLICE = 1024**2
"""Characters of a sitemap that are looked through at once: a pattern copies what it is given."""
_SAME_TAGS = 2048
"""Of which is remembered where they lead to: pages of a site share their menus."""
_REFRESH = re.compile(r"\s*\d{1,4}\s*[;,]\s*url\s*=\s*['\"]?([^'\"]+)", re.IGNORECASE)
_CHARSETS = re.compile(
    r"utf-?8|utf-?16(?:-?[lb]e)?|us-ascii|iso-?8859-?\d{1,2}|latin-?1|windows-?\d{3,4}|cp\d{3,4}|"
    r"koi8-[ru]|mac(?:intosh|roman)|gbk|gb2312|gb18030|big5(?:-hkscs)?|euc-(?:jp|kr)|"
    r"shift[_-]jis|iso-2022-jp|tis-620"
)
_META_CHARSET = re.compile(
    rb"""<meta\s[^>]{0,200}?charset\s*=\s*["']?([a-z0-9_-]+)""", re.IGNORECASE
)
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""With which a text begins that says itself how it is written."""
_AS_BROWSERS_DO = {"iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLinks:
    """Where a page leads to, as it says it."""

    links: tuple[str, ...]
    base: str | None = None
    """Of its links, where it is not the page itself."""
    canonical: str | None = None
    """Address under which the page wants to be known."""
    robots: tuple[tuple[str, str], ...] = ()
    """What it tells robots, by their name: ``robots`` for all of them, ``s3sync`` for us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SitemapEntry:
    """A page, or another sitemap."""

    address: str
    changed: str | None
    """Date of its last change, as it is written."""
    nested: bool


def links_of(page: str) -> PageLinks:
    """Return the links of an HTML page, those of comments, scripts and templates left out."""
    links: list[str] = []
    base = canonical = None
    robots: list[tuple[str, str]] = []
    for tag, inside in _shown_tags(page):
        read = _link_of if len(inside) <= _SHORT else _link_of.__wrapped__
        kind, target = read(tag.lower(), inside)
        if kind == "base":
            base = base or target
        elif kind == "canonical":
            canonical = canonical or target
        elif kind in ROBOTS:
            robots.append((kind, target or ""))
        elif kind == "link" and target is not None and len(links) < MAX_LINKS:
            links.append(target)
    return PageLinks(
        links=tuple(dict.fromkeys(links)), base=base, canonical=canonical, robots=tuple(robots)
    )


def is_unindexed(told: Iterable[tuple[str, str]]) -> bool:
    """Return whether we are told not to index a page; what is for us by name counts alone.

    Args:
        told: words with commas, by the name of the robot that they are for.
    """
    by_name: dict[str, set[str]] = {}
    for name, words in told:
        by_name.setdefault(name, set()).update(one.strip().lower() for one in words.split(","))
    ours = by_name.get(OUR_NAME, by_name.get(ALL_ROBOTS, set[str]()))
    return not ours.isdisjoint(("noindex", "none"))


def robots_of_header(value: str) -> Iterator[tuple[str, str]]:
    """Yield what a header ``X-Robots-Tag`` tells, by the name of the robot, or that of all."""
    for line in value.splitlines():
        name = ALL_ROBOTS
        for word in line.split(","):
            before, colon, after = word.partition(":")
            before = before.strip().lower()
            if colon and not before.startswith(("max-", "unavailable_after")):
                name, word = before, after
            yield name, word


@lru_cache(maxsize=_SAME_TAGS)
def _link_of(tag: str, inside: str) -> tuple[str, str | None]:
    """Return what a tag is for the page (empty: nothing), and where it leads to."""
    given: dict[str, str] = {}
    for name, double, single, bare in _pattern(_ATTRIBUTE).findall(inside):  # the first counts
        given.setdefault(name.lower(), unescape(double or single or bare))
    relation = given.get("rel", "").lower().split()
    target = given.get("src" if "frame" in tag else "href")
    if tag == "meta":
        refresh = given.get("http-equiv", "").lower() == "refresh"
        found = _REFRESH.match(given.get("content", "")) if refresh else None
        target = found[1] if found else None
        if (name := given.get("name", "").strip().lower()) in ROBOTS:
            return name, given.get("content", "")
    if target is None:
        return "", None
    if tag == "base":
        return "base", target
    if "canonical" in relation:
        return "canonical", target
    return ("link" if _is_followed(tag, relation) else ""), target


def _is_followed(tag: str, relation: list[str]) -> bool:
    return "nofollow" not in relation and (tag != "link" or bool({"next", "prev"} & set(relation)))


def sitemap_entries(text: str) -> Iterator[SitemapEntry]:
    """Yield what a sitemap names: one of XML, or a plain list of addresses."""
    if "<" not in text[:1000]:
        for line in text.splitlines()[:MAX_SITEMAP_ENTRIES]:
            if line.strip():
                yield SitemapEntry(address=line.strip(), changed=None, nested=False)
        return
    number, nested, fields, of_entry = 0, False, dict[str, str](), ""
    slices = _slices(_without_comments(text))
    for found in chain.from_iterable(map(_pattern(_FIELD).finditer, slices)):
        prefix, tag, marked, plain = found.groups("")
        word = tag.lower()
        if word in ("loc", "lastmod"):
            if prefix == of_entry:
                fields.setdefault(word, (marked or plain).strip())
            continue
        of_entry = prefix
        yield from _entry(fields, nested=nested)
        number, nested, fields = number + 1, word == "sitemap", {}
        if number > MAX_SITEMAP_ENTRIES:
            return
    yield from _entry(fields, nested=nested)


def _slices(text: str) -> Iterator[str]:
    """Yield a text in parts, none of which ends in a tag or in what stands behind one."""
    begins = 0
    while len(text) - begins > _SLICE:
        ends = text.rfind("<", begins + 1, begins + _SLICE)
        while ends > begins and text.startswith("<!", ends):
            ends = text.rfind("<", begins + 1, ends)
        if ends <= begins:
            ends = begins + _SLICE
        yield text[begins:ends]
        begins = ends
    yield text[begins:]


def _without_comments(text: str) -> str:
    """Return a text with an end of what stands before it in place of each comment."""
    parts: list[str] = []
    after = 0
    while (begins := text.find("<!--", after)) >= 0:
        ends = text.find("-->", begins + 4)
        if ends < 0:  # nor does any that begins behind it
            break
        parts.append(text[after:begins])
        after = ends + 3
    return "<!>".join([*parts, text[after:]])


def _entry(fields: dict[str, str], *, nested: bool) -> Iterator[SitemapEntry]:
    address = unescape(fields.get("loc", ""))
    if address:
        changed = fields.get("lastmod", "")[:40] or None
        yield SitemapEntry(address=address, changed=changed, nested=nested)


def _shown_tags(page: str) -> Iterator[tuple[str, str]]:
    """Yield the tags of a page and what stands in them, but those that browsers do not show."""
    ends: str | None = None
    read, last = 0, page.rfind(">")
    for found in _pattern(_TOKEN).finditer(page):
        begins, after = found.span()
        if begins < read:  # in a tag
            continue
        if found.group(2):
            # Comments, scripts and styles have no tags in them: what looks like one has no end.
            if after > last or ends not in (None, _TEMPLATE_ENDS):  # nor does any tag behind it end
                continue
            read = _end_of_tag(page, after, last) + 1
            if ends is None:
                yield found.group(2), page[after : read - 1]
            continue
        token = found.group(0).lower()
        if ends is not None:
            ends = None if token.replace("!", "") == ends else ends
        elif token.startswith("<!--"):
            ends = "-->" if token == "<!--" else None  # `<!-->` is a whole comment
        elif found.group(1) and not token.startswith("</"):
            ends = f"</{token[1:]}"


def _end_of_tag(page: str, begins: int, last: int) -> int:
    """Return where a tag's ``>`` is; that at ``last`` is the page's last."""
    at = begins
    while at <= last and (found := _QUOTE_OR_END.search(page, at)) is not None:
        quote = found[1]
        if quote is None:
            return found.start()
        closes = page.find(quote, found.end(), last)
        if closes < 0:  # no quote, then: the value ends with the tag
            return page.index(">", found.end())
        at = closes + 1
    return page.index(">", begins)


def decoded(body: bytes, charset: str | None) -> str | None:
    """Return a text by the charset that its answer names; None where that is none, or wrong.

    A byte order mark counts before it, as in browsers: a server names one charset for all files.
    """
    for mark, marked in _MARKS.items():
        if body.startswith(mark):
            return body.decode(marked, "replace")
    name = (charset or "").strip("\"' ").lower()
    if not _CHARSETS.fullmatch(name):
        return None
    try:
        return body.decode(_AS_BROWSERS_DO.get(name, name))
    except (LookupError, UnicodeDecodeError):
        return None


def roughly_decoded(body: bytes, charset: str | None) -> str:
    """Return a text whose addresses are right, whatever its letters are."""
    found = decoded(body, charset or _charset_inside(body))
    return body.decode("utf-8", "replace") if found is None else found


def _charset_inside(body: bytes) -> str | None:
    """Return the charset that an HTML page names in itself, where browsers look for it."""
    found = _META_CHARSET.search(body, 0, 1024)
    return None if found is None else found[1].decode()


@cache
def _pattern(text: str) -> Any:
    import re2  # noqa: PLC0415  (15 ms that only crawls pay)

    return re2.compile(text)
