"""Step two of a batch, chunk: every document that was extracted is cut."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from s3sync_dagster.core.deed import Deed
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.model.document import Chunk, Document
from s3sync_dagster.model.errors import EmptyText


@dataclass(frozen=True, slots=True)
class Cut:
    """A document's chunks, and what cutting it took."""

    chunks: list[Chunk]
    milliseconds: float


Cuts = Mapping[str, Future[Cut]]
"""Object key -> its chunks to come."""


def cut_batch(parts: BatchParts, deeds: Sequence[Deed]) -> Cuts:
    """Have all documents cut.

    With several threads this returns at once: the first documents are written while the last
    ones are cut, since Chroma alone keeps one core busy.
    """
    waiting = [(deed, deed.document) for deed in deeds if deed.writing and deed.document]
    cuts: dict[str, Future[Cut]] = {}
    if parts.threads > 1:
        threads = ThreadPoolExecutor(parts.threads, thread_name_prefix="s3sync-chunk")
        for deed, document in waiting:
            cuts[deed.key] = threads.submit(cut_document, parts, deed.key, document)
        threads.shutdown(wait=False)  # its threads end when all is cut
    else:
        for deed, document in waiting:
            cuts[deed.key] = Future()
            try:
                cuts[deed.key].set_result(cut_document(parts, deed.key, document))
            except Exception as error:  # noqa: BLE001  (raised where the result is taken)
                cuts[deed.key].set_exception(error)
    parts.at("chunked")
    return cuts


def cut_document(parts: BatchParts, key: str, document: Document) -> Cut:
    """Return the chunks of a document.

    Raises:
        EmptyText: there are none.
        S3SyncError: it cannot be cut.
    """
    started = parts.clock.monotonic()
    chunks = parts.chunker(
        document,
        object_key=key,
        config=parts.source.chunking,
        limits=parts.embedder.limits,
        pool=parts.pool,
    )
    if not chunks:
        raise EmptyText(f"{key!r} was read and holds no text.")
    return Cut(chunks, round((parts.clock.monotonic() - started) * 1000, 1))
