"""What the programs of this package do first."""

import gc

IMPORTED_OBJECTS = 50_000
_USUAL = 700
"""Python's own."""
_M_ARENA_MAX = -8
"""mallopt(3), of glibc."""


def spare_collections() -> None:
    """Have Python's collector look every 50,000 new objects, not every 700.

    What a program imports stays: to look for garbage among it costs a short command a seventh of
    its CPU.
    """
    gc.set_threshold(IMPORTED_OBJECTS)


def collect_as_usual() -> None:
    """Have it look as often as ever, for what comes from now on: a program begins its work.

    Else cycles of that work would wait for long: a first sync took a seventh more memory. Where
    collections were not spared, in a process of somebody else, nothing happens.
    """
    if gc.get_threshold()[0] == IMPORTED_OBJECTS:
        gc.freeze()
        gc.set_threshold(_USUAL)


def share_one_heap() -> None:
    """Have the threads of this process allocate from one heap, where the C library is glibc.

    It gives each thread one of its own, up to eight a core. What one thread reads, the next cuts
    and a third writes, then leaves holes in all of them: a first sync took a third more memory at
    its peak, and no less CPU, since Python lets one thread work at a time.
    """
    import ctypes  # noqa: PLC0415  (for what works on documents alone)

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
