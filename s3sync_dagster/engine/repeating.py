"""What is done again and again beside other work."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def repeating(
    call: Callable[[], object], *, every_seconds: float, name: str, patience_seconds: float
) -> Generator[None]:
    """Call from a thread until the block ends; the first call comes after one turn.

    Args:
        call: what is to be done; it raises nothing.
        every_seconds: between two calls.
        name: of the thread.
        patience_seconds: a call that is under way at the end is waited for so long, and then left.
    """
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(every_seconds):
            call()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(patience_seconds)
