"""What an agent reaches: the sources and collections of one tenant, or of one's own machine."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.rights import EVERYTHING, Reader, Rights
from s3sync_dagster.core.state import SourceRow
from s3sync_dagster.engine.hybrid import Ranking
from s3sync_dagster.engine.ports import RecordReader
from s3sync_dagster.meant import no_source
from s3sync_dagster.model.document import Hit
from s3sync_dagster.search import opened, search
from s3sync_dagster.wiring import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A search as an agent asks for it."""

    words: str
    collection: str
    database: str | None
    where: Mapping[str, Any] | None
    limit: int
    ranking: Ranking
    context: int
    group: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """That of one's own machine; the API has one for each caller, with its limits."""

    parts: Parts
    tenant: str | None = None
    """None: of all tenants."""
    reader: Reader = EVERYTHING
    """Whoever uses a door of one's own machine has its data folder, too."""

    def rights(self, tenant: str) -> Rights:
        """Return what may be seen of a tenant's documents."""
        return rights_of(self.parts.catalog, self.reader, tenant=tenant)

    def sources(self) -> list[SourceRow]:
        """Return the sources, oldest first; those that are being deleted are gone."""
        rows = self.parts.catalog.sources.rows(tenant=self.tenant)
        return [row for row in rows if row.deleting is None]

    def source(self, name: str) -> SourceRow:
        """Return the source of a name or id. Raises ``NotFound``, alike for another tenant's."""
        rows = self.sources()
        for row in rows:
            if name in (row.source.name, row.source.id):
                return row
        names = [row.source.name for row in rows]
        filling = [row.source.name for row in rows if row.source.collection_name == name]
        raise no_source(
            name, names, otherwise="list_sources names those there are", filling=filling
        )

    def search(self, question: Question, *, lacks: list[str]) -> list[Hit]:
        """Return hits as ``search.search`` does, which says what it raises."""
        return search(
            self.parts,
            question.words,
            reader=self.reader,
            collection=question.collection,
            tenant=self.tenant,
            database=question.database,
            where=question.where,
            limit=question.limit,
            ranking=question.ranking,
            context=question.context,
            group=question.group,
            lacks=lacks,
        )

    @contextmanager
    def collection(self, name: str, *, tenant: str, database: str) -> Iterator[RecordReader]:
        """Give a collection, to read its records."""
        with opened(
            self.parts,
            name,
            reader=self.reader,
            tenant=tenant,
            database=database,
            ranking="dense",
        ) as searcher:
            yield searcher.collection
