"""Step two of a batch, chunk: every document that was extracted is cut."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from s3sync_dagster.core.deed import Deed
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.model.document import Chunk, Document
from s3sync_dagster.model.errors import EmptyText

AHEAD_CHUNKS = 100_000
"""Of a batch, that wait to be written: nothing more is cut ahead then."""
CUT_AT_ONCE = 500_000
"""Characters in documents that are cut at the same time: no text has more chunks than characters.
A longer one is cut with no other beside it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A document's chunks, and what cutting it took."""

    chunks: list[Chunk]
    milliseconds: float


class Cuts:
    """The chunks of a batch's documents, cut ahead of who writes them. Safe for several threads.

    Small files may be many chunks: once enough wait, a document is cut when its turn comes. How
    many it is nobody knows before, and it counts as its characters until then.
    """

    def __init__(self, parts: BatchParts, deeds: Sequence[Deed]) -> None:
        self._parts = parts
        self._documents = {
            deed.key: deed.document for deed in deeds if deed.writing and deed.document
        }
        self._uses = {deed.key: len(deed.open_targets) for deed in deeds}
        self._ahead: dict[str, Future[Cut | None]] = {}
        self._held = 0
        self._under_way = 0
        self._turns = 0
        self._ended = False
        self._room = threading.Condition()

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
            return self._cut_in_turn(key)
        self._uses[key] -= 1
        if self._uses[key] <= 0:  # nobody else asks for them
            del self._ahead[key]
            with self._room:
                self._held -= len(cut.chunks)
        return cut

    def cancel(self) -> None:
        """Cut nothing more: nobody will ask for what is left."""
        with self._room:
            self._ended = True
            self._room.notify_all()
        for one in self._ahead.values():
            one.cancel()

    def _cut_ahead(self, key: str) -> Cut | None:
        size = len(self._documents[key].text)
        with self._room:
            # Only for what is being cut, which ends by itself. What is held goes when it is
            # written, and that may wait for this very document.
            self._room.wait_for(lambda: not self._more_ahead() or self._fits(size))
            if not self._more_ahead():
                return None
            self._under_way += size
        return self._cut(key, size, held=True)

    def _cut_in_turn(self, key: str) -> Cut:
        size = len(self._documents[key].text)
        with self._room:
            self._turns += 1  # who writes goes before what is cut ahead
            self._room.wait_for(lambda: self._has_room(size))
            self._turns -= 1
            self._under_way += size
        return self._cut(key, size, held=False)

    def _more_ahead(self) -> bool:
        return self._held < AHEAD_CHUNKS and not self._ended

    def _fits(self, size: int) -> bool:
        return not self._turns and self._has_room(size)

    def _has_room(self, size: int) -> bool:
        return not self._under_way or self._under_way + size <= CUT_AT_ONCE

    def _cut(self, key: str, size: int, *, held: bool) -> Cut:
        chunks = 0
        try:
            cut = cut_document(self._parts, key, self._documents[key])
            chunks = len(cut.chunks) if held else 0
            return cut
        finally:
            with self._room:
                self._under_way -= size
                self._held += chunks
                self._room.notify_all()


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
