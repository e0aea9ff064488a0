"""The tools: what each is asked with, and the text that it answers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from s3sync_dagster.agents.budget import cut, line, quoted
from s3sync_dagster.agents.door import Door, Question
from s3sync_dagster.agents.rendering import (
    lines_of,
    place_of,
    show_explained,
    show_hits,
    show_key,
    show_source,
)
from s3sync_dagster.catalog.rights import seen_keys, sees_document
from s3sync_dagster.core.keys import validate_collection_name, validate_object_key
from s3sync_dagster.core.selection import require_inside_prefix
from s3sync_dagster.core.state import DocumentPhase, DocumentState
from s3sync_dagster.explaining import explain_key
from s3sync_dagster.meant import naming_collections
from s3sync_dagster.model.errors import InvalidSetting, NotFound
from s3sync_dagster.model.source import Source
from s3sync_dagster.reading import Piece, read_chunks

SOURCES_PAGE = 50
"""Sources of one answer: each costs two counts of the catalog."""
LARGEST_LINE = 2**31 - 1
Text = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Budget = Annotated[
    int, Field(ge=1000, le=40_000, description="Of the whole answer; what is cut is said.")
]


class _Arguments(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


class Search(_Arguments):
    """What ``search`` is asked."""

    query: Annotated[str, StringConstraints(min_length=1, max_length=4096)] = Field(
        description="The question, in words of a person."
    )
    collection: Text = Field(description="As list_sources names it.")
    database: Text | None = Field(default=None, description="Where several have the collection.")
    limit: Annotated[int, Field(ge=1, le=50)] = Field(default=5, description="Hits at most.")
    ranking: Literal["hybrid", "dense", "words"] = Field(
        default="hybrid", description="Vectors and words together, or one of them."
    )
    where: dict[str, Any] | None = Field(
        default=None,
        description='Chroma\'s metadata filter, such as {"language": "python"} or '
        '{"$and": [{"page": "3"}, {"year": {"$gte": 2020}}]}.',
    )
    neighbours: Annotated[int, Field(ge=0, le=5)] = Field(
        default=0, description="Chunks before and after each hit that come with it."
    )
    group: bool = Field(default=False, description="Hits of one document stand together.")
    max_characters: Budget = 8000


class ReadDocument(_Arguments):
    """What ``read_document`` is asked."""

    key: Text = Field(description="The object's key, as a hit names it.")
    collection: Text | None = Field(default=None, description="Where several have the object.")
    source: Text | None = Field(default=None, description="Where several have the object.")
    start_line: Annotated[int, Field(ge=1, le=LARGEST_LINE)] | None = Field(
        default=None, description="First line of the extracted text."
    )
    end_line: Annotated[int, Field(ge=1, le=LARGEST_LINE)] | None = Field(
        default=None, description="Last line."
    )
    start_chunk: Annotated[int, Field(ge=0, le=LARGEST_LINE)] = Field(
        default=0, description="Where an answer that was cut goes on."
    )
    max_characters: Budget = 12_000


class ListSources(_Arguments):
    """What ``list_sources`` is asked."""

    collection: Text | None = Field(default=None, description="Only those that fill it.")
    after: Text | None = Field(default=None, description="Those behind this source's name.")


class Why(_Arguments):
    """What ``why`` is asked."""

    key: Text = Field(description="The object's key.")
    source: Text | None = Field(default=None, description="Only this source.")


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: ``answer`` gets its own kind of arguments."""

    name: str
    title: str
    description: str
    arguments: type[BaseModel]
    answer: Callable[[Door, Any], str]


def search(door: Door, asked: Search) -> str:
    """Return the best chunks of a collection."""
    validate_collection_name(asked.collection)
    lacks: list[str] = []
    question = Question(
        words=asked.query,
        collection=asked.collection,
        database=asked.database,
        where=asked.where,
        limit=asked.limit,
        ranking=asked.ranking,
        context=asked.neighbours,
        group=asked.group,
    )
    sources = {row.source.id: row.source for row in door.sources()}
    with naming_collections(asked.collection, sources.values()):
        hits = door.search(question, lacks=lacks)
    said = "".join(f"{one}\n" for one in lacks)
    return said + show_hits(hits, sources, most=asked.max_characters - len(said))


def read_document(door: Door, asked: ReadDocument) -> str:
    """Return a document's text as the collection has it."""
    if asked.start_line and asked.end_line and asked.start_line > asked.end_line:
        raise InvalidSetting("end_line lies before start_line")
    source, document = _document(door, asked)
    key = cut(show_key(document.object_key), asked.max_characters // 4)
    head = (
        f"{key} (source {source.name}, collection "
        f"{document.collection_name}, etag {document.etag}, {document.count} chunks)\n"
    )
    link = source.place.link(document.object_key) or ""
    if 0 < len(link) < asked.max_characters // 2 - len(head):  # half of one leads nowhere
        head += f"link: {link}\n"
    if document.phase is not DocumentPhase.CLEAN:
        head += "It is being written at this moment: parts may be of two versions.\n"
    with door.collection(
        document.collection_name, tenant=document.tenant, database=document.database_name
    ) as collection:
        pieces = read_chunks(
            collection,
            document.document_id,
            document.count,
            start_chunk=asked.start_chunk,
            start_line=asked.start_line,
            end_line=asked.end_line,
        )
        shown = show_pieces(head, pieces, most=asked.max_characters)
    return shown or f"{head}No text there: the document has {document.count} chunks."


def show_pieces(head: str, pieces: Iterable[Piece], *, most: int) -> str:
    """Return chunks under a head, at most ``most`` characters of both; empty: there are none."""
    shown, size = [head], len(head)
    for piece in pieces:
        text = _piece(piece)
        size += len(text) + 1
        end = f"\nCut here: go on with start_chunk={piece.number}."
        room = most - len(end) - 2  # a line's end, and a digit more in the number of the next
        if size <= room:
            shown.append(text)
        elif len(shown) > 1:
            return "\n".join([*shown, end])
        else:  # the first one alone is too large
            note = f"\nChunk {piece.number} is cut: a larger max_characters shows all of it, "
            note += f"start_chunk={piece.number + 1} what follows."
            return f"{head}\n{cut(text, max(0, most - len(head) - len(note) - 1))}{note}"
    return "\n".join(shown) if len(shown) > 1 else ""


def list_sources(door: Door, asked: ListSources) -> str:
    """Return sources with their collections and states."""
    rows = sorted(door.sources(), key=lambda row: row.source.name)
    rows = [row for row in rows if asked.collection in (None, row.source.collection_name)]
    rows = [row for row in rows if asked.after is None or row.source.name > asked.after]
    catalog = door.parts.catalog
    shown = [
        show_source(
            row,
            catalog.views.counts(row.source.id, fingerprint=row.source.fingerprint()),
            catalog.listings.latest(row.source.id),
            catalog.listings.blocked(row.source.id),
        )
        for row in rows[:SOURCES_PAGE]
    ]
    if len(rows) > SOURCES_PAGE:
        last = rows[SOURCES_PAGE - 1].source.name
        shown.append(f"{len(rows) - SOURCES_PAGE} more: go on with after={last!r}.")
    return "\n".join(shown) or "There are no such sources."


def why(door: Door, asked: Why) -> str:
    """Return what sources do with an object and what became of it."""
    if asked.source is not None:
        sources = [door.source(asked.source).source]
    else:
        sources = [row.source for row in door.sources()]
        sources = [one for one in sources if asked.key.startswith(one.place.path_prefix)]
        if len(sources) > SOURCES_PAGE:  # not those first that never heard of it
            sources.sort(key=lambda one: not _knows(door, one, asked.key))
    answers = [
        show_explained(
            source,
            asked.key,
            explain_key(door.parts.catalog, source, asked.key, rights=door.rights(source.tenant)),
        )
        for source in sources[:SOURCES_PAGE]
    ]
    if not answers:
        raise NotFound(f"No source takes {line(asked.key)!r}: it lies under none of their prefixes")
    if len(sources) > SOURCES_PAGE:
        answers.append(f"{len(sources) - SOURCES_PAGE} more sources: name one.")
    return "\n".join(answers)


TOOLS = (
    Tool(
        "search",
        "Search a collection",
        "Find the passages of a collection that answer a question, by meaning and words together. "
        "Each hit names its object, lines or page, and why it was found.",
        Search,
        search,
    ),
    Tool(
        "read_document",
        "Read a document",
        "Read a document, or some of its lines, as it was indexed: extracted text with the place "
        "of each part.",
        ReadDocument,
        read_document,
    ),
    Tool(
        "list_sources",
        "List sources and collections",
        "List the sources, the collections that they fill, and how far each is: objects indexed, "
        "pending, skipped, failed.",
        ListSources,
        list_sources,
    ),
    Tool(
        "why",
        "Explain what became of an object",
        "Explain why an object is in a collection or not: which rule takes or leaves it, and what "
        "the last attempt met.",
        Why,
        why,
    ),
)


def _knows(door: Door, source: Source, key: str) -> bool:
    """Tell whether a source has heard of a key, as far as who asks may know."""
    catalog = door.parts.catalog
    if catalog.work.object(source.id, key) is None:
        return False
    return key in seen_keys(catalog, door.rights(source.tenant), source, [key])


def _document(door: Door, asked: ReadDocument) -> tuple[Source, DocumentState]:
    """Return the one document that is meant."""
    validate_object_key(asked.key, field="key")
    if asked.source is not None:
        sources = [door.source(asked.source).source]
        require_inside_prefix(sources[0], asked.key)
    else:
        sources = [row.source for row in door.sources()]
        sources = [one for one in sources if asked.key.startswith(one.place.path_prefix)]
    found = [
        (source, document)
        for source in sources
        for document in door.parts.catalog.documents.of_key(source.id, asked.key)
        if document.phase is not DocumentPhase.REMOVING
        and sees_document(door.rights(source.tenant), source, document)
        and document.count
        and asked.collection in (None, document.collection_name)
    ]
    if not found:
        raise NotFound(
            f"No source has indexed {line(asked.key)!r}; the tool why says what became of it",
            reason="object_not_indexed",
        )
    if len(found) > 1:
        names = sorted({f"{source.name} in {one.collection_name}" for source, one in found})
        raise InvalidSetting(
            f"Several documents are of {line(asked.key)!r}: name source and collection of one of "
            f"{', '.join(names[:10])}"
        )
    return found[0]


def _piece(piece: Piece) -> str:
    place = place_of(piece.hit).removeprefix(show_key(str(piece.hit.metadata.get("document_key"))))
    if piece.start_line is not None:
        whole = lines_of(piece.hit.metadata)
        place = place.replace(whole, f"lines {piece.start_line}-{piece.end_line}", 1)
    return f"-- chunk {piece.number}{place}\n{quoted(piece.text)}"
