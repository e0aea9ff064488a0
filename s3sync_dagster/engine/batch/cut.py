"""Step two of a batch, chunk: every document that was extracted is cut."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from s3sync_dagster.core.deed import Deed
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.batch.room import memory_of_chunks
from s3sync_dagster.model.document import Chunk, Document
from s3sync_dagster.model.errors import EmptyText

CUT_BYTES = 512
"""Of memory, for a character while its text is cut: of some texts each is a chunk, which nobody
knows before."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A document's chunks, and what cutting it took."""

    chunks: list[Chunk]
    milliseconds: float
    held_bytes: int = 0
    """Of memory, where they were cut ahead and wait."""


class Cuts:
    """The chunks of a batch's documents, cut ahead of who writes them. Safe for several threads.

    What has room is cut ahead, everything else when its turn comes: who writes makes room.
    """

    def __init__(self, parts: BatchParts, deeds: Sequence[Deed]) -> None:
        self._parts, self._room = parts, parts.room
        self._documents = {
            deed.key: deed.document for deed in deeds if deed.writing and deed.document
        }
        self._uses = {deed.key: len(deed.open_targets) for deed in deeds}
        self._ahead: dict[str, Future[Cut | None]] = {}
        self._ended = False

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
            self._room.give_back(cut.held_bytes)
        return cut

    def cancel(self) -> None:
        """Cut nothing more: nobody will ask for what is left."""
        with self._room.changed:
            self._ended = True
            self._room.changed.notify_all()
        for one in self._ahead.values():
            one.cancel()

    def _cut_ahead(self, key: str) -> Cut | None:
        size = CUT_BYTES * len(self._documents[key].text)
        if not self._room.begin_ahead(size, unless=lambda: self._ended):
            return None
        return self._cut(key, size, held=True)

    def _cut_in_turn(self, key: str) -> Cut:
        size = CUT_BYTES * len(self._documents[key].text)
        self._room.begin(size)
        return self._cut(key, size, held=False)

    def _cut(self, key: str, size: int, *, held: bool) -> Cut:
        kept = 0
        try:
            cut = cut_document(self._parts, key, self._documents[key])
            kept = memory_of_chunks(cut.chunks) if held else 0
            return replace(cut, held_bytes=kept)
        finally:
            with self._room.changed:
                self._room.end(size, kept=0 if self._ended else kept)


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
