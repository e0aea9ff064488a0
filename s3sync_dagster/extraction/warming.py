"""Worker processes that are ready when the first file comes."""

from collections.abc import Iterable

from s3sync_dagster.core.filetypes import kind_of, suffix_of
from s3sync_dagster.engine.ports import WorkerPool
from s3sync_dagster.extraction.engines import Engine, engines_for
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import ExtractionConfig


def warm_up(names: Iterable[str], *, config: ExtractionConfig, pool: WorkerPool) -> None:
    """Have the workers load what files of these names need, while the caller does other things.

    docling alone takes more than a second. Returns at once; nothing is read and nothing fails
    here: a worker that cannot load something says so when a file needs it.
    """
    suffixes = sorted({(kind.reader, suffix_of(name)) for name in names if (kind := kind_of(name))})
    engines = [_engine_of(reader, suffix, config) for reader, suffix in suffixes]
    for engine in dict.fromkeys(engines):
        if engine is not None and engine.program is None:
            # An empty file, whose answer nobody waits for.
            pool.submit(engine.function, b"", name="", config=config, limits=engine.limits(0))


def _engine_of(reader: str, suffix: str, config: ExtractionConfig) -> Engine | None:
    """Return the engine that is asked first; None where the worker has nothing to do."""
    try:
        return engines_for(reader, suffix=suffix, config=config)[0]
    except S3SyncError:  # text, or a file whose own reading will say what is missing
        return None
