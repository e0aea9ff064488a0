"""What the programs of this package do first."""

import gc

IMPORTED_OBJECTS = 50_000
"""New ones after which Python looks for garbage, in place of 700."""
SPARED_LOOKS = 8
"""A start makes up to 300,000 objects. What has made more is at work."""
_USUAL = 700
"""Python's own."""
_M_ARENA_MAX = -8
"""mallopt(3), of glibc."""


def spare_collections() -> None:
    """Have Python's collector look seldom, and the first times at nothing; then as usual.

    What a program imports stays: to look for garbage among it costs a short command a fifth of
    its CPU. Whatever there is when a spared look is due counts as what stays.
    """
    gc.set_threshold(IMPORTED_OBJECTS)
    gc.callbacks.append(_Spared())


class _Spared:
    """Puts what there is out of the collector's reach just before it looks, a few times."""

    def __init__(self) -> None:
        self._left = SPARED_LOOKS

    def __call__(self, phase: str, _info: dict[str, int]) -> None:
        if phase != "start":
            return
        gc.freeze()
        self._left -= 1
        if not self._left:
            collect_as_usual()


def collect_as_usual() -> None:
    """Have it look as often as ever, for what comes from now on: a program begins its work.

    Else cycles of that work would wait for long: a first sync took a seventh more memory. Where
    collections were not spared, in a process of somebody else, nothing happens.
    """
    if gc.get_threshold()[0] == IMPORTED_OBJECTS:
        gc.callbacks[:] = [one for one in gc.callbacks if not isinstance(one, _Spared)]
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
