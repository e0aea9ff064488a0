"""Step two of a batch, chunk: every document that was extracted is cut."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from s3sync_dagster.core.deed import Deed
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.model.document import Chunk, Document
from s3sync_dagster.model.errors import EmptyText

AHEAD_CHUNKS = 500_000
"""Of a batch, that wait to be written: some hundred megabytes."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A document's chunks, and what cutting it took."""

    chunks: list[Chunk]
    milliseconds: float


class Cuts:
    """The chunks of a batch's documents, cut ahead of who writes them. Safe for several threads.

    Small files may be many chunks: once enough wait, a document is cut when its turn comes.
    """

    def __init__(self, parts: BatchParts, deeds: Sequence[Deed]) -> None:
        self._parts = parts
        self._documents = {
            deed.key: deed.document for deed in deeds if deed.writing and deed.document
        }
        self._uses = {deed.key: len(deed.open_targets) for deed in deeds}
        self._ahead: dict[str, Future[Cut | None]] = {}
        self._held = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._documents)

    def begin(self) -> None:
        """Have the documents cut; with several threads this returns at once."""
        if self._parts.threads > 1:
            threads = ThreadPoolExecutor(self._parts.threads, thread_name_prefix="s3sync-chunk")
            for key in self._documents:
                self._ahead[key] = threads.submit(self._cut_ahead, key)
            threads.shutdown(wait=False)  # its threads end when all is cut
            return
        for key in self._documents:
            self._ahead[key] = Future()
            try:
                self._ahead[key].set_result(self._cut_ahead(key))
            except Exception as error:  # noqa: BLE001  (raised where the result is taken)
                self._ahead[key].set_exception(error)

    def take(self, key: str) -> Cut:
        """Return the chunks of a document, for one of its targets; raises as ``cut_document``."""
        ahead = self._ahead.get(key)
        cut = ahead.result() if ahead is not None else None
        if cut is None:
            return cut_document(self._parts, key, self._documents[key])
        self._uses[key] -= 1
        if self._uses[key] <= 0:  # nobody else asks for them
            del self._ahead[key]
            with self._lock:
                self._held -= len(cut.chunks)
        return cut

    def cancel(self) -> None:
        """Cut nothing more: nobody will ask for what is left."""
        for one in self._ahead.values():
            one.cancel()

    def _cut_ahead(self, key: str) -> Cut | None:
        with self._lock:
            if self._held >= AHEAD_CHUNKS:
                return None
        cut = cut_document(self._parts, key, self._documents[key])
        with self._lock:
            self._held += len(cut.chunks)
        return cut


def cut_batch(parts: BatchParts, deeds: Sequence[Deed]) -> Cuts:
    """Have all documents cut.

    With several threads this returns at once: the first documents are written while the last
    ones are cut, since Chroma alone keeps one core busy.
    """
    cuts = Cuts(parts, deeds)
    cuts.begin()
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
