"""The story of a batch: read, extract, chunk, embed, upsert, delete what is stale."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from s3sync_dagster.core.engine import Engine, KeyWork
from s3sync_dagster.core.lease import Lease
from s3sync_dagster.core.reading import extract_batch
from s3sync_dagster.core.writing import upsert_batch
from s3sync_dagster.model.errors import EmptyText, S3SyncError

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
    """Step two, chunk: cut every document that was extracted."""
    waiting = [work for work in works if work.document is not None]
    if engine.threads > 1:
        with ThreadPoolExecutor(max_workers=engine.threads) as threads:
            list(threads.map(partial(_chunk_one, engine), waiting))
    else:
        for work in waiting:
            _chunk_one(engine, work)
    engine.at("chunked")


def _chunk_one(engine: Engine, work: KeyWork) -> None:
    if work.document is None:
        return
    started = engine.clock.monotonic()
    try:
        work.chunks = engine.chunker(
            work.document,
            object_key=work.key,
            config=engine.source.chunking,
            limits=engine.embedder.limits,
            pool=engine.pool,
        )
        if not work.chunks:
            raise EmptyText(f"{work.key!r} was read and holds no text.")
    except S3SyncError as error:
        work.fail(error)
    work.ms["chunk"] = round((engine.clock.monotonic() - started) * 1000, 1)
