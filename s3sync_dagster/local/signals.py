"""SIGINT and SIGTERM as one Python exception, so that ``finally`` blocks do the cleaning up."""

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` in the main thread at SIGINT and SIGTERM.

    Also where SIGINT was ignored at the start, as a shell does for its background commands:
    children started meanwhile get the default reactions to both.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def no_interruption() -> Iterator[None]:
    """Let a clean-up of limited length finish: further signals wait and are then dropped."""
    before = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
