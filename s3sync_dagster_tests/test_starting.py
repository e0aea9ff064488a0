"""What the programs of this package do first."""

import ctypes
import gc
import subprocess
import sys
import weakref

import pytest

from s3sync_dagster.starting import (
    IMPORTED_OBJECTS,
    SPARED_LOOKS,
    collect_as_usual,
    spare_collections,
)

HEAPS = """
import ctypes, sys, threading
from s3sync_dagster.starting import share_one_heap
if sys.argv[2] == "shared":
    share_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
together = threading.Barrier(4)
def work():
    together.wait()
    libc.malloc(ctypes.c_size_t(5000))
    together.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
[one.start() for one in threads]
[one.join() for one in threads]
out = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, out)
libc.fclose(out)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="glibc's own")
@pytest.mark.parametrize("way", ["shared", "each its own"])
def test_threads_that_share_a_heap_make_no_other(tmp_path, way):
    told = tmp_path / "heaps.xml"
    subprocess.run([sys.executable, "-c", HEAPS, told, way], check=True)
    heaps = told.read_text().count("<heap nr=")
    assert heaps == 1 if way == "shared" else heaps > 1


class Cycle:
    """Is freed by the collector alone."""

    def __init__(self):
        self.itself = self


@pytest.fixture
def collector():
    before, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.callbacks[:] = callbacks
    gc.set_threshold(*before)
    gc.unfreeze()


def test_work_collects_as_usual_what_a_start_was_spared(collector):
    spare_collections()
    assert gc.get_threshold()[0] == IMPORTED_OBJECTS
    collect_as_usual()
    assert gc.get_threshold()[0] == 700
    assert gc.get_freeze_count() > 0


def test_a_start_is_never_searched_for_garbage_and_a_program_that_goes_on_is(collector):
    gc.collect()
    spare_collections()
    kept, searched = [], []
    gc.callbacks.append(lambda phase, told: phase == "stop" and searched.append(len(kept)))
    gone = weakref.ref(Cycle())
    while gc.get_threshold()[0] == IMPORTED_OBJECTS:
        kept.append([])
    assert len(searched) == SPARED_LOOKS
    assert gone() is not None, "what a start leaves behind was searched"
    later = weakref.ref(Cycle())
    gc.collect()
    assert gone() is not None
    assert later() is None, "what comes later is searched"


def test_the_collector_of_somebody_elses_process_stays_as_it_is(collector):
    gc.set_threshold(1234, 5, 6)
    frozen = gc.get_freeze_count()
    collect_as_usual()
    assert gc.get_threshold() == (1234, 5, 6)
    assert gc.get_freeze_count() == frozen
