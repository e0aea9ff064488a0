"""What waits for a bucket, a site or a repository: so many of each tenant, on threads of its own.

A place that answers slowly keeps those waiting who asked it, and nobody who signs in or reads.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial, wraps
from math import inf
from typing import Any, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from s3sync_dagster.api.slots import Slots

PER_TENANT = 4
THREADS = 32
"""For those of a tenant that has one there already: its first has a thread in any case, so that
others with places that never answer keep nobody out."""
_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Outside:
    """The room of a server for requests that wait for the outside."""

    slots: Slots = field(
        default_factory=lambda: Slots(
            PER_TENANT, what="requests that wait for a bucket or site", reason="too_many_requests"
        )
    )
    threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(THREADS))
    firsts: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(inf))


def waits_outside(route: Callable[_P, _R]) -> Callable[_P, Awaitable[_R]]:
    """Have a route wait there. It has the parameter ``here``, and ``caller`` or ``visitor``.

    Raises (when it is asked):
        TooMany: its tenant has as many others there as it may.
    """

    @wraps(route)
    async def waiting(*arguments: _P.args, **named: _P.kwargs) -> _R:
        given: dict[str, Any] = dict(named)
        caller = given["caller"] if "caller" in given else given["visitor"].caller
        outside: Outside = given["here"].outside
        with outside.slots.taken(caller.tenant) as others:
            return await to_thread.run_sync(
                partial(route, *arguments, **named),
                limiter=outside.threads if others else outside.firsts,
            )

    return waiting
