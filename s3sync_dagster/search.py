"""Search a collection by words of a person: by vectors and words together, or by one of them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.filters import require_filter
from s3sync_dagster.core.keys import validate_collection_name
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.engine.hybrid import Ranking, Searcher, require_ranking
from s3sync_dagster.engine.neighbours import by_document, with_neighbours
from s3sync_dagster.engine.ports import CollectionPort, Embedder
from s3sync_dagster.engine.readable import Readable
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.errors import (
    Conflict,
    EmbeddingMismatch,
    InvalidSetting,
    NotFound,
    Unavailable,
)
from s3sync_dagster.model.source import EmbeddingConfig, Source
from s3sync_dagster.ports.word_file import DAMAGED
from s3sync_dagster.ports.word_forms import MAX_WORDS, words_of
from s3sync_dagster.ports.word_index import FtsWordIndex
from s3sync_dagster.ports.word_readers import ReaderWords
from s3sync_dagster.wiring import Parts
from s3sync_dagster.word_following import word_index


def search(
    parts: Parts,
    words: str,
    *,
    reader: Reader,
    collection: str,
    tenant: str | None = None,
    database: str | None = None,
    where: Mapping[str, Any] | None = None,
    limit: int = 5,
    ranking: Ranking = "hybrid",
    context: int = 0,
    group: bool = False,
    embedding: EmbeddingConfig | None = None,
    lacks: list[str] | None = None,
) -> list[Hit]:
    """Return the best chunks of a collection, best first.

    Args:
        parts: of this process.
        words: the question.
        reader: who asks: what is kept from them is neither found nor stands around a hit.
        collection: its name.
        tenant: None: that of the sources which fill the collection.
        database: None: likewise.
        where: Chroma's metadata filter.
        limit: hits at most; chunks of equal text are one hit.
        ranking: what orders the hits: vectors and words (BM25) together, or one of them.
        context: chunks before and after each hit that come with it.
        group: hits of one document stand together, where the best of them stands.
        embedding: None: that of the sources, else the first known one that fits the collection.
        lacks: gains sentences for people on what was not looked at, if anything.

    Raises:
        NotFound: there is no such collection.
        EmbeddingMismatch: no known model made its vectors.
        InvalidSetting: the name alone is ambiguous, ``where`` is no filter, ``words`` no text, or
            ``ranking`` none.
        Unavailable: the word index cannot be written, which a dense ranking does without.
        MissingEngine: a reranker is named and not at hand; only a hybrid ranking needs it.
    """
    require_filter(where)
    require_words(words)

    not_looked_at: list[str] = []

    def ask() -> list[Hit]:
        not_looked_at.clear()
        with opened(
            parts,
            collection,
            reader=reader,
            tenant=tenant,
            database=database,
            ranking=ranking,
            embedding=embedding,
        ) as searcher:
            hits = searcher.search(
                words, ranking=ranking, limit=limit, where=where, lacks=not_looked_at
            )
            asked = len(words_of(words)) if ranking != "dense" else 0
            if asked > MAX_WORDS:
                not_looked_at.append(
                    f"The question has {asked:,} words: by words, the first {MAX_WORDS} were "
                    "looked up."
                )
            index = searcher.index
            follows = isinstance(index, FtsWordIndex | ReaderWords)
            if len(hits) < limit and follows and index.wake():
                raise _Rested
            return with_neighbours(searcher.collection, hits, context) if context else hits

    try:
        hits = ask()
    except _Rested:
        hits = ask()  # what is gone may have stood before what is there
    except Unavailable as error:
        if error.reason != DAMAGED:
            raise
        hits = ask()  # damage that only this question met: the index is made anew
    if lacks is not None:
        lacks += not_looked_at
    return by_document(hits) if group else hits


def require_words(words: str) -> None:
    """Refuse a question that asks for nothing, or that no model and no index can read.

    Raises:
        InvalidSetting: it is blank, or holds half of a surrogate pair or a NUL character.
    """
    if not words.strip():
        raise InvalidSetting("the question is blank: say what to search for")
    try:
        words.encode()
    except UnicodeEncodeError:
        raise InvalidSetting("the question holds half of a surrogate pair") from None
    if "\0" in words:
        raise InvalidSetting("the question holds a NUL character")


class _Rested(Exception):
    """A question found less than it asked for in an index that was not looked after just now."""


@contextmanager
def opened(
    parts: Parts,
    collection: str,
    *,
    reader: Reader,
    tenant: str | None = None,
    database: str | None = None,
    ranking: Ranking = "hybrid",
    embedding: EmbeddingConfig | None = None,
) -> Iterator[Searcher]:
    """Give what searches a collection; its word index is in step with it, as ``search`` says.

    The one place where rights are put between a collection and who reads it: no door has another
    way to a collection's texts.
    """
    require_ranking(ranking)
    _require_possible(collection)
    known = parts.catalog.sources.all(tenant=tenant)  # another's are no affair of this question
    tenant, database = _place(parts, collection, known, tenant=tenant, database=database)
    place = (collection, tenant, database)
    _require_chroma(parts, [one for one in known if _collection_of(one) == place])
    port, embedder = _open(parts, collection, tenant=tenant, database=database, embedding=embedding)
    rights = rights_of(parts.catalog, reader, tenant=tenant)
    readable = port if reader.groups is None else Readable(port, rights)
    if ranking == "dense":
        yield Searcher(readable, embedder, rights=rights)
        return
    with word_index(parts, port, tenant=tenant, database=database) as index:
        reranker = parts.reranker if ranking == "hybrid" else None
        # Also where no source that is known restricts: another one's records may stand there.
        words = index if reader.groups is None else index.seen_by(rights)
        yield Searcher(readable, embedder, words, reranker, rights)


def _require_possible(collection: str) -> None:
    """Refuse a name that no collection can have: it becomes a part of Chroma's address."""
    try:
        validate_collection_name(collection)
    except InvalidSetting:
        raise NotFound(
            f"there is no collection {collection[:150]!r}: Chroma takes no such name"
        ) from None


def _collection_of(source: Source) -> tuple[str, str, str]:
    return source.collection_name, source.tenant, source.database_name


def _place(
    parts: Parts,
    collection: str,
    known: Iterable[Source],
    *,
    tenant: str | None,
    database: str | None,
) -> tuple[str, str]:
    def places_of(sources: Iterable[Source]) -> set[tuple[str, str]]:
        return {
            (one.tenant, one.database_name)
            for one in sources
            if one.collection_name == collection
            and tenant in (None, one.tenant)
            and database in (None, one.database_name)
        }

    # One that was moved makes no name ambiguous.
    places = places_of(known) or places_of(parts.catalog.sources.all(tenant=tenant, moved=True))
    if len(places) > 1:
        shown = ", ".join(f"{name!r} of {owner!r}" for owner, name in sorted(places))
        raise InvalidSetting(
            f"Several databases have a collection {collection!r} ({shown}): name the database and "
            "the tenant."
        )
    if places:
        return places.pop()
    settings = parts.settings
    return (
        tenant or settings.chroma_tenant or "default_tenant",
        database or settings.chroma_database or "default_database",
    )


def _require_chroma(parts: Parts, sources: Iterable[Source]) -> None:
    """Refuse a collection whose sources all fill one of that name in another Chroma."""
    refused: Conflict | None = None
    for source in sources:
        try:
            parts.require_chroma_of(source)
        except Conflict as error:
            refused = refused or error
        else:
            return
    if refused is not None:
        raise refused


def _open(
    parts: Parts,
    collection: str,
    *,
    tenant: str,
    database: str,
    embedding: EmbeddingConfig | None,
) -> tuple[CollectionPort, Embedder]:
    """Open the collection with the first embedder that fits what it says of itself."""
    mismatches: list[EmbeddingMismatch] = []
    for config in [embedding] if embedding is not None else _candidates(parts, collection):
        embedder = parts.embedder_for(config)
        try:
            port = parts.collections.open(
                collection, tenant=tenant, database=database, embedder=embedder, reads=True
            )
        except EmbeddingMismatch as error:
            mismatches.append(error)
        else:
            return port, embedder
    raise mismatches[0]


def _candidates(parts: Parts, collection: str) -> list[EmbeddingConfig]:
    def unlike(source: Source) -> bool:
        return source.collection_name != collection

    known = parts.catalog.sources.all(moved=True)
    found: list[EmbeddingConfig] = []
    for config in (
        *[source.embedding for source in sorted(known, key=unlike)],
        EmbeddingConfig(),
    ):
        if config not in found:
            found.append(config)
    return found
