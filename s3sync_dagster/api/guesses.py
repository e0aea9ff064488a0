"""How many unknown tokens and signatures of one address are answered: they fill no audit log.

Nobody guesses 256 bits, and who tries costs a look-up a guess. Who is known, or signs, is let in
whatever others of the address send: behind a proxy all have one.
"""

import threading
import time
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from s3sync_dagster.api.errors import TooMany

BURST = 20
A_SECOND = 1 / 3
MOST_REMEMBERED = 10_000


@dataclass(slots=True)
class Guesses:
    """Counts tokens and signatures that nobody has, by address. Safe for several threads."""

    _left: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, address: str) -> None:
        """Count what nobody has; raise ``TooMany`` where its address has sent too many."""
        with self._lock:
            network = network_of(address)
            left = self._left_of(network)
            if left >= 1:
                self._left.pop(network, None)
                if len(self._left) >= MOST_REMEMBERED:
                    del self._left[next(iter(self._left))]
                self._left[network] = (left - 1, time.monotonic())
                return
        raise TooMany(
            "Too many unknown API tokens or signatures came from this address; wait a moment.",
            retry_after_seconds=(1 - left) / A_SECOND,
        )

    def _left_of(self, network: str) -> float:
        left, then = self._left.get(network, (float(BURST), 0.0))
        return min(BURST, left + (time.monotonic() - then) * A_SECOND)


def network_of(address: str) -> str:
    """Return the address, of IPv6 the network that one customer has all of."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(int(found) >> 64)
    return str(found)
