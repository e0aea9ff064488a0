"""Hits, documents and sources as short text for a model: what it is, where it stands, a link."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from s3sync_dagster.agents.budget import QUOTE, cut, line, quoted, shares
from s3sync_dagster.catalog.views import SourceCounts
from s3sync_dagster.core.state import ListingRow, SourceRow
from s3sync_dagster.engine.hybrid import reasons_of
from s3sync_dagster.explaining import Explained
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.source import Source
from s3sync_dagster.reasons import way_out

COPIES = 3
"""Other places of the same text that are named."""
METADATA_CHARACTERS = 300
"""Of a user's own metadata on a hit."""
ERROR_CHARACTERS = 500
LEAST_CHARACTERS = 80
"""Of a text that is cut: less of it tells nothing."""
_OURS = frozenset(
    (
        "chunk_strategy",
        "custom_id",
        "document_key",
        "document_key_sha256",
        "end_col",
        "end_line",
        "heading_path",
        "language",
        "page",
        "start_col",
        "start_line",
        "symbol",
        "version_key",
        "version_key_sha256",
    )
)
"""Metadata that is shown otherwise, or tells an agent nothing."""


def show_hits(hits: Sequence[Hit], sources: Mapping[str, Source], *, most: int) -> str:
    """Return hits with their texts, each cut to its share of ``most`` characters.

    Neighbours have what the texts of the hits leave.
    """
    if not hits:
        return "No hits. Other words, another collection or no filter may find something."
    heads = [_head(place, hit, sources) for place, hit in enumerate(hits, 1)]
    texts = [quoted(hit.document) for hit in hits]
    note = " (cut; read_document has the rest)"
    begin = f"{len(hits)} hits, best first: scores order them, dense says how much one fits. "
    begin += "Lines with '| ' are text of documents.\n"
    left = most - len(begin) - sum(len(head) + len(note) + 3 for head in heads)
    dropped = 0
    while len(heads) > 1 and left < LEAST_CHARACTERS * len(heads):  # better fewer hits than no text
        left += len(heads.pop()) + len(note) + 3
        texts.pop()
        dropped += 1
    if dropped:
        begin = f"{len(heads)} of {begin}"
        left -= 12
    brief = left < LEAST_CHARACTERS
    if brief:  # a key and its copies may be longer than the whole answer
        left += len(heads[0])
        heads = [_brief_head(hits[0], most=most // 2)]
        left -= len(heads[0])
    parts = [begin]
    own = shares([len(text) for text in texts], left)  # what stands around a hit is not the hit
    around = [_around(hit, sys.maxsize) for hit, _ in zip(hits, heads, strict=False)]
    rest = shares([len(one) for one in around], left - sum(own))
    for hit, head, text, share, neighbours, room in zip(
        hits, heads, texts, own, around, rest, strict=False
    ):
        shown = cut(text, share) + _around(hit, room)
        is_cut = brief or len(shown) < len(text + neighbours)
        parts.append(f"{head}{note if is_cut else ''}\n{shown}\n")
    return "\n".join(parts)[:most]


def show_key(key: str) -> str:
    """Return an object's key as a tool takes it; as JSON where it has what no line may hold."""
    return key if key.isprintable() else json.dumps(key)


def show_source(
    row: SourceRow, counts: SourceCounts, listing: ListingRow | None, blocked: ListingRow | None
) -> str:
    """Return a source's collection, its objects by state, its newest listing and what waits."""
    source = row.source
    states = [f"{counts.objects} objects", f"{counts.indexed} indexed"]
    states += [
        f"{number} {word}"
        for word, number in (
            ("pending", counts.pending),
            ("processing", counts.processing),
            ("skipped", sum(counts.skipped.values())),
            ("outdated", counts.outdated),
        )
        if number
    ]
    if counts.failed:
        reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(counts.failed.items()))
        states.append(f"{sum(counts.failed.values())} failed ({reasons})")
    paused = ", paused" if row.paused else ""
    shown = (
        f"{source.name}: {line(source.place.address())} -> collection {source.collection_name}"
        f" (database {source.database_name}, tenant {source.tenant}){paused}\n"
        f"  {', '.join(states)}; {counts.documents} documents in {counts.chunks} chunks; "
        f"model {source.embedding.kind}"
    )
    if listing is not None and listing.state in ("failed", "blocked", "running"):
        shown += f"\n  newest listing: {listing.state}"
    if blocked is not None:
        shown += (
            f"\n  {blocked.gone} removals of listing {blocked.id} wait for an approval by a person"
        )
    return shown


def show_explained(source: Source, key: str, found: Explained) -> str:
    """Return why a source takes an object or not, and what became of it."""
    row = found.row
    reason = f" ({row.reason})" if row and row.reason else ""
    chunks = f", {row.chunks} chunks" if row and row.chunks else ""
    lines = [f"{source.name}: {found.state}{reason}{chunks}"]
    lines += [f"  {line(sentence)}" for sentence in found.decision]
    if row and row.error:
        lines.append(f"  {cut(line(row.error), ERROR_CHARACTERS)}")
    if advice := way_out(row.reason if row else None):
        lines.append(f"  What to do: {advice}")
    link = source.place.link(key)
    if row and link:
        lines.append(f"  link: {link}")
    return "\n".join(lines)


def place_of(hit: Hit) -> str:
    """Return key, lines, page and enclosing headings or symbol of a chunk."""
    data = hit.metadata
    place = show_key(str(data.get("document_key", hit.id)))
    if data.get("start_line") is not None:
        place += f" {lines_of(data)}"
    if page := data.get("page"):
        place += f", page {line(str(page))}"
    if inside := data.get("symbol") or data.get("heading_path"):
        place += f" [{cut(line(str(inside)), METADATA_CHARACTERS)}]"
    return place


def lines_of(data: Mapping[str, Any]) -> str:
    """Return a chunk's lines. Whoever writes records of their own may put anything there."""
    return line(f"lines {data.get('start_line')}-{data.get('end_line')}")


def _head(place: int, hit: Hit, sources: Mapping[str, Source]) -> str:
    shown = f"{place}. {place_of(hit)}\n   score {hit.score:.3f} ({reasons_of(hit)})"
    source = sources.get(str(hit.metadata.get("s3sync_source", "")))
    if source is not None:
        shown += f"; source {source.name}"
        link = source.place.link(str(hit.metadata.get("document_key", "")))
        shown += f"\n   link: {link}" if link else ""
    own = {
        name: value
        for name, value in hit.metadata.items()
        if name not in _OURS and not name.startswith("s3sync_")
    }
    if own:
        values = line(json.dumps(own, ensure_ascii=False))  # JSON keeps U+2028 and the like
        shown += f"\n   metadata: {cut(values, METADATA_CHARACTERS)}"
    if hit.copies:
        more = len(hit.copies) - COPIES
        names = "; ".join(place_of(one) for one in hit.copies[:COPIES])
        shown += f"\n   the same text: {names}{f'; and {more} more' if more > 0 else ''}"
    return shown


def _brief_head(hit: Hit, *, most: int) -> str:
    """Return as much as fits of where the first hit stands, and its scores."""
    return f"{cut(f'1. {place_of(hit)}', most)}\n   score {hit.score:.3f} ({reasons_of(hit)})"


def _around(hit: Hit, most: int) -> str:
    """Return as much of a hit's neighbours as fits, the nearest first, in the document's order."""
    near = [(-far, "before", one) for far, one in enumerate(reversed(hit.before), 1)]
    near += [(far, "after", one) for far, one in enumerate(hit.after, 1)]
    shown: dict[int, str] = {}
    for place, side, one in sorted(near, key=lambda some: abs(some[0])):
        lines = f", {lines_of(one.metadata)}" if one.metadata.get("start_line") is not None else ""
        mark = f"\n-- {side} it{lines}:\n"
        text = quoted(one.document)
        room = most - len(mark)
        if len(text) <= room:
            shown[place] = mark + text
            most -= len(shown[place])
            continue
        if room >= LEAST_CHARACTERS:  # what is next to the hit: of a text before it, the end
            kept = cut(text, room) if place > 0 else QUOTE + text[len(QUOTE) - room :]
            shown[place] = mark + kept
        break
    return "".join(text for _, text in sorted(shown.items()))
