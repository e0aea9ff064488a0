"""How fast API tokens may be guessed: so slowly that the database does not notice.

Nobody guesses 256 bits; who tries costs a look-up a guess, and fills the audit log. Tokens that
were known lately are looked up whatever others of their address send: behind a proxy all have one.
"""

import hashlib
import threading
import time
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from s3sync_dagster.api.errors import TooMany

BURST = 20
A_SECOND = 1 / 3
KNOWN_SECONDS = 24 * 3600.0
MOST_REMEMBERED = 10_000


@dataclass(slots=True)
class Guesses:
    """Counts tokens that nobody has, by address. Safe for several threads."""

    _left: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    _known: dict[bytes, float] = field(default_factory=dict[bytes, float])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def require_turn(self, token: str, address: str) -> None:
        """Raise ``TooMany`` for a token of an address that has guessed too often."""
        with self._lock:
            if time.monotonic() < self._known.get(_digest(token), 0.0):
                return
            left = self._left_of(_network(address))
        if left < 1:
            raise TooMany(
                "Too many unknown API tokens came from this address; wait a moment.",
                retry_after_seconds=(1 - left) / A_SECOND,
            )

    def note(self, token: str, address: str, *, known: bool) -> None:
        """Note what was found out of a token."""
        now = time.monotonic()
        with self._lock:
            if known:
                if len(self._known) >= MOST_REMEMBERED:
                    self._known.clear()
                self._known[_digest(token)] = now + KNOWN_SECONDS
                return
            self._known.pop(_digest(token), None)
            network = _network(address)
            left = max(self._left_of(network) - 1, 0.0)
            if len(self._left) >= MOST_REMEMBERED:
                del self._left[next(iter(self._left))]
            self._left.pop(network, None)
            self._left[network] = (left, now)

    def _left_of(self, network: str) -> float:
        left, then = self._left.get(network, (float(BURST), 0.0))
        return min(BURST, left + (time.monotonic() - then) * A_SECOND)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def _network(address: str) -> str:
    """Return the address, of IPv6 what one customer has all of."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(int(found) >> 64) if isinstance(found, IPv6Address) else str(found)
