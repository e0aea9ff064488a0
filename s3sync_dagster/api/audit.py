"""``/s3sync/v1/audit``: what the people of a tenant did, for its owners."""

from datetime import UTC, datetime
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from s3sync_dagster.api.access import OwnerCaller
from s3sync_dagster.api.context import Here
from s3sync_dagster.api.openapi import errors
from s3sync_dagster.api.routing import StrictRoute
from s3sync_dagster.api.wire import Text

router = APIRouter(prefix="/s3sync/v1/audit", tags=["Audit"], route_class=StrictRoute)

MAX_PAGE = 1000


class AuditShown(BaseModel):
    """One thing that somebody did or tried to do."""

    number: int = Field(description="Counts up; `before` takes it.")
    at: datetime
    who: str
    role: str
    door: str
    address: str | None
    action: str
    subject: str
    outcome: str = Field(description="Status of the answer; of refusals, how many more there were.")


@router.get("", operation_id="list_audit", responses=errors(400, 401, 403, 429, 500, 503))
def list_audit(
    caller: OwnerCaller,
    here: Here,
    since: Annotated[datetime | None, Query(description="No older ones.")] = None,
    until: Annotated[datetime | None, Query(description="No newer ones.")] = None,
    who: Annotated[Text, Query(max_length=200, description="Stands in who did it.")] = "",
    what: Annotated[
        Text, Query(max_length=200, description="Stands in what was done, to what, or its outcome.")
    ] = "",
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
) -> list[AuditShown]:
    """List what was done in the tenant, the newest first.

    Owners of trusted tenants see besides what is of no tenant: commands, and unknown tokens.
    """
    rows = here.catalog.audit.rows(
        tenant=caller.tenant,
        of_nobody=here.operates(caller),
        since=seconds_of(since, 0.0),
        until=seconds_of(until, None),
        who=who,
        what=what,
        before=before,
        limit=limit,
    )
    return [
        AuditShown(
            number=number,
            at=datetime.fromtimestamp(entry.at, UTC),
            who=entry.who,
            role=entry.role,
            door=entry.door,
            address=entry.address,
            action=entry.action,
            subject=entry.subject,
            outcome=entry.outcome,
        )
        for number, entry in rows
    ]


_Default = TypeVar("_Default", float, None)


def seconds_of(moment: datetime | None, default: _Default) -> float | _Default:
    """Return a time in seconds since 1970; one without a zone is UTC."""
    if moment is None:
        return default
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
