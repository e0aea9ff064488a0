"""Two hosts that read one place, each with a data folder and a clock of its own."""

from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.ports.places import Surroundings
from s3sync_dagster_tests.simulation.hosts import SKEWS, ProcessClock
from s3sync_dagster_tests.simulation.places import Whereabouts


class TwoHosts(Whereabouts):
    """A place whose stores keep something on the disk of the host that reads it."""

    environment: dict[str, str] = {}  # noqa: RUF012  (nobody adds to it)

    def __init__(self, clock: Any) -> None:
        self._clocks = (clock, ProcessClock(clock, SKEWS[1]))
        self._root = Path(mkdtemp(prefix="s3sync-world-"))
        self._stores: dict[Any, Any] = {}

    def store_of(self, source: Any, *, far: bool) -> Any:
        """Return what a source reads on this host, or on the other one."""
        asked = (source.id, source.place, far)
        if asked not in self._stores:
            surroundings = Surroundings(
                home=self._root / f"host {far:d}",
                resolve_env=self.environment.get,
                resolve_credential=lambda _: None,  # type: ignore[arg-type,return-value]
                uploads=lambda: open_catalog("sqlite://").uploads,
                guard_for=lambda _source, _url: None,
                clock=self._clocks[far],
            )
            self._stores[asked] = self.opened(source, surroundings)
        return self._stores[asked]

    def opened(self, source: Any, surroundings: Surroundings) -> Any:
        """Return the store of a source on a host."""
        raise AssertionError("each place has its own")

    def snapshots(self, folder: Path, *, far: bool) -> Path | None:
        """Return where a host keeps its listings."""
        return folder / f"host {far:d}"

    def lose_host(self, world: Any, chance: Random) -> None:
        """Let a host lose its data folder."""
        far = chance.random() < 0.5
        world.note(f"host {far:d} loses its data folder")
        for asked, store in self._stores.items():
            if asked[-1] == far:
                store.close()
        rmtree(self._root / f"host {far:d}", ignore_errors=True)

    def close(self) -> None:
        """Remove all of it."""
        for store in self._stores.values():
            store.close()
        rmtree(self._root)
