"""What the programs of this package do first."""

import gc

IMPORTED_OBJECTS = 50_000


def spare_collections() -> None:
    """Have Python's collector look every 50,000 new objects, not every 700.

    What a program imports stays: to look for garbage among it costs a short command a seventh of
    its CPU. Cycles wait a little longer, which are few here.
    """
    gc.set_threshold(IMPORTED_OBJECTS)
