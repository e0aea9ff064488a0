"""Ctrl-C in the middle of things."""

import signal
import subprocess
import sys
import weakref

import pytest

from s3sync_dagster.local.signals import heard_stop, interrupted_later, stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_start_that_a_signal_meets_is_finished_first(number):
    done = []

    def begin():
        with interrupted_later():
            signal.raise_signal(number)
            done.append("started")
        done.append("went on")

    with stop_on_signals(), pytest.raises(KeyboardInterrupt):
        begin()
    assert done == ["started"]


def test_a_process_that_is_started_meanwhile_can_be_interrupted():
    program = "import signal; print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    with stop_on_signals(), interrupted_later():
        told = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert told.strip() == "True"


def test_a_stop_that_lands_in_a_weak_references_callback_is_heard_and_prints_nothing(capfd):
    class Thing:
        pass

    thing = Thing()
    watched = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    with stop_on_signals(), heard_stop(lambda: None, grace_seconds=60) as stop:
        del thing
        assert stop.wait(10)
    assert watched() is None
    assert capfd.readouterr().err == ""
