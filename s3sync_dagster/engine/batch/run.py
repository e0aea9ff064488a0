"""The story of a batch: read, extract, chunk, embed, upsert, delete what is stale."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.parts import Engine, KeyWork
from s3sync_dagster.engine.batch.read import extract_batch
from s3sync_dagster.engine.batch.write import upsert_batch
from s3sync_dagster.model.document import Chunk, Document
from s3sync_dagster.model.errors import EmptyText

__all__ = ["chunk_batch", "extract_batch", "sync_batch", "upsert_batch"]


def sync_batch(engine: Engine, lease: Lease) -> list[KeyWork]:
    """Do a whole batch in this process and end it.

    Raises:
        LeaseLost: another batch took over; nothing more of this one was written.
    """
    works = extract_batch(engine, lease)
    chunk_batch(engine, works)
    upsert_batch(engine, lease, works)
    engine.catalog.batches.finish(lease.token)
    return works


def chunk_batch(engine: Engine, works: Sequence[KeyWork]) -> None:
    """Step two, chunk: have every document that was extracted cut.

    With several threads this returns at once: the first documents are written while the last
    ones are cut, since Chroma alone keeps one core busy.
    """
    waiting = [(work, work.document) for work in works if work.document is not None]
    if engine.threads > 1:
        threads = ThreadPoolExecutor(engine.threads, thread_name_prefix="s3sync-chunk")
        for work, document in waiting:
            work.cutting = threads.submit(_cut, engine, work, document)
        threads.shutdown(wait=False)  # its threads end when all is cut
    else:
        for work, document in waiting:
            work.cutting = Future()
            try:
                work.cutting.set_result(_cut(engine, work, document))
            except Exception as error:  # noqa: BLE001  (raised where the result is taken)
                work.cutting.set_exception(error)
    engine.at("chunked")


def _cut(engine: Engine, work: KeyWork, document: Document) -> list[Chunk]:
    """Return the chunks; but for its ``ms`` the work is the writer's meanwhile."""
    started = engine.clock.monotonic()
    try:
        chunks = engine.chunker(
            document,
            object_key=work.key,
            config=engine.source.chunking,
            limits=engine.embedder.limits,
            pool=engine.pool,
        )
    finally:
        work.ms["chunk"] = round((engine.clock.monotonic() - started) * 1000, 1)
    if not chunks:
        raise EmptyText(f"{work.key!r} was read and holds no text.")
    return chunks
