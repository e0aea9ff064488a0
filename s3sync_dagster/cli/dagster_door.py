"""Which Dagster the commands look at: the data folder's stack, else the one that is named."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from s3sync_dagster.api.passes import pass_headers
from s3sync_dagster.local.stack_state import running_stack, stack_starts
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.settings import Settings

if TYPE_CHECKING:
    from s3sync_dagster.ports.dagster_runs import DagsterRuns

URL = "S3SYNC_DAGSTER_URL"
LOCATION = "S3SYNC_DAGSTER_LOCATION"
NONE_SEEN = (
    f"no `s3sync up` runs on this data folder; a Dagster of your own is seen where {URL} names "
    f"its webserver, and {LOCATION} its code location"
)

WAIT_SECONDS = 5.0
STARTS = "the stack of this data folder is just starting"


@dataclass(frozen=True, slots=True)
class DagsterDoor:
    """A webserver that the commands ask."""

    url: str
    named: bool
    """True for the one of ``S3SYNC_DAGSTER_URL``, False for that of ``s3sync up`` here."""
    settings: Settings

    @property
    def location(self) -> str:
        """The code location whose definitions index the sources."""
        from s3sync_dagster.ports.dagster_runs import (  # noqa: PLC0415  (mostly not needed)
            LOCATION as USUAL,
        )

        return self.settings.environment.get(LOCATION) or USUAL

    def open(self, *, timeout_seconds: float) -> "DagsterRuns":
        """Return its GraphQL."""
        from s3sync_dagster.ports.dagster_runs import DagsterRuns  # noqa: PLC0415

        return DagsterRuns(
            self.url,
            location=self.location,
            timeout_seconds=timeout_seconds,
            headers=pass_headers(self.settings),
        )

    def silence(self) -> str | None:
        """Return why nothing is known of a Dagster that is named; None: it answers.

        One of ``s3sync up`` may just start or stop, and its supervisor looks after it.
        """
        if not self.named:
            return None
        try:
            with self.open(timeout_seconds=WAIT_SECONDS) as dagster:
                dagster.locations()
        except S3SyncError as error:
            return f"{error.message.rstrip('.')}: start it, or correct {URL}"
        return None


def dagster_door(settings: Settings) -> DagsterDoor | None:
    """Return the Dagster that works on this catalog, as far as can be told from here."""
    stack = running_stack(settings)
    if stack is not None:
        return DagsterDoor(stack.dagster, named=False, settings=settings)
    url = settings.environment.get(URL, "").rstrip("/")
    return DagsterDoor(url, named=True, settings=settings) if url else None


def why_unseen(settings: Settings) -> str:
    """Return why ``dagster_door`` sees none."""
    return STARTS if stack_starts(settings) else NONE_SEEN
