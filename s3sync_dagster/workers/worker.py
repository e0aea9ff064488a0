"""One child as its forker sees it: the call it serves, what it may use, how it ended."""

import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from s3sync_dagster.workers import folders, linux, processes, wire
from s3sync_dagster.workers.groups import Group

CALLS = 500
GROWTH_BYTES = 96 * 1024**2
"""A child that has served so many calls, or kept so much memory after one, serves no more."""
_LAST_SECONDS = 60.0
"""So long a child that serves no more may take to hand over its last reply."""
_LOOK_SECONDS = 1.0
"""Between two looks into a worker's folder."""
_STOP_SECONDS = 0.25
"""So long a worker stands still at most while it is looked at: one that does not, hides."""
_PAUSE_SECONDS = 0.001
_DEATHS_BY_REFUSED_MEMORY = tuple(
    -number for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGILL, signal.SIGTRAP)
)


@dataclass(slots=True)
class Call:
    """A call at work."""

    link: socket.socket
    """Kept open only to see that the caller has hung up."""
    verdict: socket.socket
    header: wire.Header
    ends_at: float = field(init=False)
    peak_bytes: int = 0
    abandoned: bool = False

    def __post_init__(self) -> None:
        self.ends_at = time.monotonic() + self.header.limits.seconds

    def close(self) -> None:
        """Close what the forker has of it."""
        self.link.close()
        self.verdict.close()


@dataclass(slots=True)
class Worker:
    """A child, at work or waiting."""

    pid: int
    folder: str
    """For its temporary files."""
    caller: str
    """Whose calls it serves: those of different callers never meet in one process."""
    group: Group | None = None
    control: socket.socket | None = None
    """Hands it further calls; None where it serves one."""
    call: Call | None = None
    served: int = 0
    idle_since: float | None = None
    retired_at: float | None = None
    killed: str | None = None
    exit_code: int = 0
    born_bytes: int = 0
    bound_bytes: int = 0
    """Of memory, for its last call: one that was taken over says that it is done before it is."""
    _looked_at: float = 0.0
    _ended: frozenset[int] = frozenset()
    """Of its processes, those that had ended by the last look."""

    def begin(self, call: Call) -> None:
        """Remember what it works on."""
        self.call, self.idle_since = call, None
        self.bound_bytes = call.header.limits.memory_bytes
        if self.group is not None:
            self.group.bound(self.bound_bytes)

    def hand(self, call: Call, header: bytes) -> bool:
        """Give it a call; returns whether it was there to take it."""
        assert self.control is not None
        try:
            socket.send_fds(self.control, [header], [call.link.fileno()])
        except OSError:
            return False
        self.begin(call)
        return True

    def heard(self) -> bool:
        """Return whether it said that its call is done: it does before its caller has the reply."""
        assert self.control is not None
        try:
            return self.control.recv(1, socket.MSG_DONTWAIT) == wire.DONE
        except OSError:
            return False

    def finish(self) -> None:
        """Close a call that was answered; whoever is not as before serves no other."""
        assert self.call is not None
        _say(self.call, None, 0)
        self.call.close()
        self.call = None
        self.served += 1
        self.idle_since = time.monotonic()
        if not self.is_clean():
            self.retire()

    def retire(self) -> None:
        """Let it end as soon as its last reply is sent."""
        if self.control is not None and self.retired_at is None:
            self.retired_at = time.monotonic()
            self.control.shutdown(socket.SHUT_WR)

    def is_clean(self) -> bool:
        """Return whether nothing of the last call is left: memory, programs, files."""
        used = processes.resident_bytes(self.pid)
        self.born_bytes = self.born_bytes or used
        return (
            self.served < CALLS
            and used <= self.born_bytes + GROWTH_BYTES
            and not processes.children_of(self.pid)
            and not linux.orphans_of(self.pid)
            and not os.listdir(self.folder)  # noqa: PTH208 (after each call: a name is enough)
        )

    def abandon(self) -> None:
        """Enter that the caller has hung up."""
        assert self.call is not None
        self.call.abandoned = True
        self.kill("abandoned")

    def watch(self, now: float) -> None:
        """Kill it where its call takes too long or too much memory."""
        if self.killed is not None:
            return
        if self.retired_at is not None and now > self.retired_at + _LAST_SECONDS:
            self.kill("retired")
        if self.call is not None and now > self.call.ends_at:
            self.kill("timeout")
            return
        files = now > self._looked_at + _LOOK_SECONDS
        if files:
            self._looked_at = now
        whole, why = self._look(files=files)
        if why is None and not whole:
            why = self._look_while_it_stands(files=files)
        if why is not None:
            self.kill(why)

    def _look(self, *, files: bool) -> tuple[bool, str | None]:
        """Return whether all was seen that there is, and why it has to end.

        Args:
            files: look at what it writes as well.
        """
        look = processes.Look(ended_before=self._ended)
        family = processes.trees_of(self.pid, *linux.orphans_of(self.pid), look=look)
        used = processes.memory_of(family, look=look)
        if self.call is not None:
            self.call.peak_bytes = max(self.call.peak_bytes, used)
        too_large = self.bound_bytes and used > self.bound_bytes
        why = None
        if too_large or processes.are_many(family) or processes.has_many_watches(family, look=look):
            why = "out_of_memory"
        elif files and self._writes_too_much(family, look):
            why = "too_much_written"
        self._ended = frozenset(look.ended)
        return look.is_whole, why

    def _look_while_it_stands(self, *, files: bool) -> str | None:
        """Return why it has to end, if it has, seen while nothing of it runs.

        Whoever moves what he holds from process to process, name to name or number to number is
        never there when his turn comes. All of a worker is in one process group, which it cannot
        leave. Whose program ended while it was looked at stands still for a moment and goes on.
        """
        ends_at = time.monotonic() + _STOP_SECONDS
        whole, why = False, None
        _signal_group(self.pid, signal.SIGSTOP)
        try:
            while why is None and not whole:
                if time.monotonic() > ends_at:
                    return "out_of_memory"
                time.sleep(_PAUSE_SECONDS)  # those on other processors stop a moment later
                whole, why = self._look(files=files)
        finally:
            _signal_group(self.pid, signal.SIGCONT)
        return why

    def _writes_too_much(self, family: Sequence[processes.Process], look: processes.Look) -> bool:
        nameless = folders.nameless_bytes(family, self.folder, look=look)
        return folders.is_overfull(self.folder, most_bytes=folders.MOST_BYTES - nameless, look=look)

    def kill(self, why: str) -> None:
        """End it and what it started."""
        self.killed = self.killed or why
        self._kill_all()

    def reap(self) -> bool:
        """Return whether it has ended; what it started and left is killed with it."""
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return False
        self._kill_all()  # before the pid is free for others
        _, status = os.waitpid(self.pid, 0)
        self.exit_code = os.waitstatus_to_exitcode(status)
        return True

    def _kill_all(self) -> None:
        _signal_group(self.pid, signal.SIGKILL)
        if self.group is not None:
            self.group.kill()

    def bury(self) -> None:
        """Tell the caller how it ended; its folder and its group are left to its forker."""
        if self.call is not None:
            _say(self.call, self._reason(self.call), self.exit_code)
        self.close()

    def end(self) -> None:
        """Kill it and wait for it."""
        self.kill("abandoned")
        os.waitpid(self.pid, 0)

    def close(self) -> None:
        """Close its sockets."""
        if self.call is not None:
            self.call.close()
        if self.control is not None:
            self.control.close()

    def _reason(self, call: Call) -> str | None:
        # Native code rarely survives a refused allocation; a small process died of something else.
        large = call.peak_bytes > call.header.limits.memory_bytes / 2
        refused = large and self.exit_code in _DEATHS_BY_REFUSED_MEMORY
        reason = self.killed
        if reason is None and self.exit_code == -signal.SIGXCPU:
            reason = "timeout"
        elif reason is None and (refused or (self.group is not None and self.group.ran_out())):
            reason = "out_of_memory"
        # What was read here before may have had its part in it: it is asked again, alone.
        if self.served and reason in (None, "out_of_memory", "gone"):
            return wire.AGAIN
        return reason


def _signal_group(pid: int, which: signal.Signals) -> None:
    # The group does not exist before the child's first statement: then the process alone.
    for send in (os.killpg, os.kill):
        try:
            send(pid, which)
        except (ProcessLookupError, PermissionError):
            continue


def _say(call: Call, reason: str | None, exit_code: int) -> None:
    """Tell the caller how the child ended."""
    try:
        call.verdict.sendall(json.dumps({"reason": reason, "exit": exit_code}).encode())
    except OSError:
        return  # the caller is gone
