"""What the demo does with the system: a source, a look at its objects, queries, three changes."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files

from s3sync_dagster.engine.ports import CollectionPort
from s3sync_dagster.local.aws import REGION, LocalAws
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source
from s3sync_dagster.settings import Settings
from s3sync_dagster.wiring import Parts, open_parts

BUCKET = "company-files"
PREFIX = "company/"
QUEUE = "company-events"
SOURCE = "company"
COLLECTION = "company"
LIST_INTERVAL_SECONDS = 30
"""Events tell of changes at once; the listing is there for those that get lost."""

CHANGED = PREFIX + "handbook/expenses.md"
DELETED = PREFIX + "product/releases/changelog.txt"
ADDED = PREFIX + "handbook/bicycles & scooters.md"
_CHANGE = "\n## Child care on business trips\n\nBaby sitters are paid up to 15 euros an hour.\n"
_NEW = (
    "# Bicycles and scooters\n\nThe company leases a bicycle for everyone who wants one. It costs "
    "24 euros a month, which\nare taken from the salary before tax. Repairs are included.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectLine:
    """One object as people want to see it."""

    key: str
    state: str
    """``indexed``, ``pending``, ``processing``, ``skipped`` or ``failed``."""
    chunks: int
    reason: str


@dataclass(frozen=True, slots=True)
class Company:
    """The demo's bucket, source and collection."""

    parts: Parts
    aws: LocalAws
    source: Source

    def objects(self) -> list[ObjectLine]:
        """Return what the catalog says of each object of the bucket, in key order."""
        rows = self.parts.catalog.views.object_rows(self.source.id, limit=1000)
        return [
            ObjectLine(
                key=row.object_key,
                state=row.state,
                chunks=row.chunks,
                reason=row.reason or "",
            )
            for row in rows
        ]

    def query(self, words: str) -> Hit | None:
        """Return the best chunk for some words, None while there is no collection."""
        hits = self._collection().query(self._vector(words), limit=1)
        return hits[0] if hits else None

    def records_of(self, key: str) -> list[Hit]:
        """Return the records that the collection has of one object."""
        where = {"document_key": key}
        return self._collection().query(self._vector(key), limit=100, where=where)

    def change_three(self) -> dict[str, str]:
        """Overwrite one object, delete one, add one; return the new etags of what is left."""
        s3 = self.aws.client("s3")
        body = s3.get_object(Bucket=BUCKET, Key=CHANGED)["Body"].read() + _CHANGE.encode()
        changed = s3.put_object(Bucket=BUCKET, Key=CHANGED, Body=body)["ETag"].strip('"')
        s3.delete_object(Bucket=BUCKET, Key=DELETED)
        added = s3.put_object(Bucket=BUCKET, Key=ADDED, Body=_NEW.encode())["ETag"].strip('"')
        return {CHANGED: changed, ADDED: added}

    def followed(self, etags: dict[str, str]) -> bool:
        """Say whether the collection has exactly the new versions, and nothing of the deleted."""
        versions = {
            key: {hit.metadata.get("s3sync_etag") for hit in self.records_of(key)} for key in etags
        }
        settled = all(line.state not in ("pending", "processing") for line in self.objects())
        arrived = all(versions[key] == {etag} for key, etag in etags.items())
        return arrived and settled and not self.records_of(DELETED)

    def retry(self) -> None:
        """Ask again for what failed in a demo that did not end, such as for want of a model."""
        self.parts.catalog.invocations.retry_failed(self.source)

    def pause(self) -> None:
        """Let sensors leave the source alone: its bucket ends with the demo."""
        self.parts.catalog.sources.set_paused(self.source.id, paused=True)

    def _collection(self) -> CollectionPort:
        return self.parts.collections.open(
            COLLECTION,
            tenant=self.source.tenant,
            database=self.source.database_name,
            embedder=self.parts.embedder_for(self.source.embedding),
            create=False,
        )

    def _vector(self, words: str) -> object:
        return self.parts.embedder_for(self.source.embedding).embed_query(words)


def fill_bucket(aws: LocalAws) -> tuple[list[str], str]:
    """Upload the samples; return their keys and the address of the queue of events.

    The queue comes last, as with a bucket that has been there for long: the listing discovers
    what is in it, the queue tells of what changes from now on.
    """
    aws.make_bucket(BUCKET)
    with as_file(files("s3sync_dagster.local") / "samples") as folder:
        keys = aws.upload(BUCKET, PREFIX, folder)
    return keys, aws.make_queue_of(BUCKET, QUEUE)


@contextmanager
def open_company(settings: Settings, aws: LocalAws, queue_url: str) -> Iterator[Company]:
    """Declare the source in the catalog (or find that of an interrupted demo) and open it."""
    parts = open_parts(settings)
    try:
        yield Company(parts, aws, _declare(parts, aws, queue_url))
    finally:
        parts.close()


def _declare(parts: Parts, aws: LocalAws, queue_url: str) -> Source:
    sources = parts.catalog.sources
    try:
        known = sources.find(SOURCE)
    except NotFound:
        return sources.add(
            Source(
                id=str(uuid.uuid4()),
                name=SOURCE,
                place=S3Place(
                    bucket_name=BUCKET,
                    path_prefix=PREFIX,
                    region=REGION,
                    endpoint_url=aws.url,
                    queue_url=queue_url,
                ),
                collection_name=COLLECTION,
                list_interval_seconds=LIST_INTERVAL_SECONDS,
            )
        )
    here = known.with_changes(
        place=known.place.with_changes(endpoint_url=aws.url, queue_url=queue_url)
    )
    if here != known:
        sources.update(here)
    sources.set_paused(here.id, paused=False)
    return here
