"""A queue in memory: the queue of fast tests, on a clock that the test moves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from s3sync_dagster.core.events import Message
from s3sync_dagster.engine.ports import QueueRules

Seconds = Callable[[], float]
"""Gives the time; only differences count."""


@dataclass(slots=True)
class _Kept:
    message_id: str
    body: str
    visible_at: float
    receives: int = 0
    handle: str = ""
    """Of the latest receive; older ones no longer delete (as in SQS, more or less)."""


@dataclass(slots=True, kw_only=True)
class MemoryQueue:
    """``engine.ports.Queue`` with at-least-once delivery, visibility and redrive."""

    now: Seconds
    visibility_seconds: float = 30.0
    max_receive_count: int | None = None
    """After so many receives a message goes to ``dead_letters``."""
    dead_letters: "MemoryQueue | None" = None
    undeletable: set[str] = field(default_factory=set[str])
    """Message ids whose deletion fails, as a batch may in part."""
    _kept: list[_Kept] = field(default_factory=list[_Kept])
    _sent: int = 0

    def send(self, body: str, *, delay_seconds: float = 0.0) -> str:
        """Put a message in and return its id."""
        self._sent += 1
        now = self.now()
        message_id = f"m{self._sent}"
        self._kept.append(_Kept(message_id, body, now + delay_seconds))
        return message_id

    def receive(self, *, limit: int = 10, wait_seconds: int = 1) -> list[Message]:
        """Return up to ``limit`` visible messages, oldest first; never waits."""
        now = self.now()
        received: list[Message] = []
        for kept in list(self._kept):
            if len(received) == max(1, min(limit, 10)):
                break
            if kept.visible_at > now or self._moved_to_dead_letters(kept):
                continue
            kept.receives += 1
            kept.visible_at = now + self.visibility_seconds
            kept.handle = f"{kept.message_id}/{kept.receives}"
            received.append(
                Message(
                    message_id=kept.message_id,
                    receipt_handle=kept.handle,
                    body=kept.body,
                    receive_count=kept.receives,
                )
            )
        return received

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Delete messages; return those that stay: undeletable, or received again meanwhile."""
        left: list[Message] = []
        by_id = {kept.message_id: kept for kept in self._kept}
        for message in messages:
            kept = by_id.get(message.message_id)
            if kept is None:
                continue  # deleted before: SQS says yes to that too
            stale = kept.handle != message.receipt_handle
            if stale or message.message_id in self.undeletable:
                left.append(message)
            else:
                self._kept.remove(kept)
                del by_id[message.message_id]
        return left

    def extend(self, messages: Sequence[Message], *, seconds: int) -> None:
        """Keep messages invisible for ``seconds`` from now, 0 to give them back.

        Expired handles are left alone.
        """
        now = self.now()
        handles = {message.receipt_handle for message in messages}
        for kept in self._kept:
            if kept.handle in handles and kept.visible_at > now:
                kept.visible_at = now + seconds

    def rules(self) -> QueueRules:
        """Return how the queue is set up."""
        return QueueRules(
            visibility_seconds=int(self.visibility_seconds),
            dead_letters=self.max_receive_count is not None,
        )

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def bodies(self) -> list[str]:
        """Return all messages that are not deleted, visible or not."""
        return [kept.body for kept in self._kept]

    def _moved_to_dead_letters(self, kept: _Kept) -> bool:
        if self.max_receive_count is None or kept.receives < self.max_receive_count:
            return False
        self._kept.remove(kept)
        if self.dead_letters is not None:
            self.dead_letters.send(kept.body)
        return True
