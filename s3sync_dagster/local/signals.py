"""SIGINT and SIGTERM as one Python exception, so that ``finally`` blocks do the cleaning up."""

import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator


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
def heard_stop(then: Callable[[], object], *, grace_seconds: float) -> Iterator[threading.Event]:
    """Give an event that SIGINT and SIGTERM set, whatever handlers a library has in place.

    Dagster takes both signals while it executes a run, and the run ends as any other. ``then`` is
    called in another thread when the block has not ended ``grace_seconds`` after the signal.

    What a handler raises may land where Python only prints it and goes on, as in a callback of a
    weak reference: it is heard here all the same, and a traceback would say nothing more.

    Outside of the main thread, where Python lets nobody hear signals, the event is never set.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    ours, pythons = socket.socketpair()
    pythons.setblocking(False)

    def listen() -> None:
        while number := ours.recv(1):
            if number[0] in (signal.SIGINT, signal.SIGTERM):
                stop.set()
                ours.settimeout(grace_seconds)
                try:
                    while ours.recv(1):
                        pass  # pressed again: it is on its way
                except TimeoutError:
                    then()
                return

    thread = threading.Thread(target=listen, name="s3sync-signals", daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(pythons.fileno(), warn_on_full_buffer=False)
    told = sys.unraisablehook

    def tell(what: "sys.UnraisableHookArgs") -> None:
        if issubclass(what.exc_type, Exception):
            told(what)

    sys.unraisablehook = tell
    try:
        yield stop
    finally:
        sys.unraisablehook = told
        signal.set_wakeup_fd(before)
        pythons.close()
        thread.join()
        ours.close()


@contextlib.contextmanager
def interrupted_later() -> Iterator[None]:
    """Let a start of a process finish before a signal ends this one.

    ``Popen`` waits for the new process's first step; interrupted there, nobody knows of it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals interrupt the main thread alone
        return
    heard: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: heard.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if heard:
            signal.raise_signal(heard[0])


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
