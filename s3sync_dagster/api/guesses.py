"""How many unknown tokens and signatures of one address are answered: they fill no audit log.

Nobody guesses 256 bits, and who tries costs a look-up a guess. Who is known, or signs, is let in
whatever others of the address send: behind a proxy all have one.
"""

import threading
import time
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from s3sync_dagster.api.errors import TooMany

BURST = 20
A_SECOND = 1 / 3
MOST_REMEMBERED = 10_000
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(slots=True, kw_only=True)
class Allowance:
    """So many at once of each name, and so many a second from then on. Safe for several threads."""

    burst: float
    a_second: float
    _left: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, name: str) -> float:
        """Take one: returns 0.0, or after how many seconds there is one again."""
        now = time.monotonic()
        with self._lock:
            left, then = self._left.get(name, (self.burst, now))
            left = min(self.burst, left + (now - then) * self.a_second)
            if left < 1:
                return (1 - left) / self.a_second
            self._left.pop(name, None)
            if len(self._left) >= MOST_REMEMBERED:
                del self._left[next(iter(self._left))]
            self._left[name] = (left - 1, now)
            return 0.0


@dataclass(frozen=True, slots=True)
class Guesses:
    """Counts tokens and signatures that nobody has, by address."""

    _allowance: Allowance = field(default_factory=lambda: Allowance(burst=BURST, a_second=A_SECOND))

    def count(self, address: str) -> None:
        """Count what nobody has; raise ``TooMany`` where its address has sent too many."""
        pause = self._allowance.take(network_of(address))
        if pause:
            raise TooMany(
                "Too many unknown API tokens or signatures came from this address; wait a moment.",
                retry_after_seconds=pause,
            )


def network_of(address: str) -> str:
    """Return the address, of IPv6 the network that one customer has all of.

    Whom a NAT64 lets in has an address of IPv4: all of these are one network of IPv6.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found in _NAT64:
        return str(IPv4Address(int(found) & 0xFFFFFFFF))
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(int(found) >> 64)
    return str(found)
