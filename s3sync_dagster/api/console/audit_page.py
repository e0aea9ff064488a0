"""The page of the audit log: who did what, when, from where; for owners."""

from datetime import UTC, datetime, time
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from s3sync_dagster.api.audit import list_audit
from s3sync_dagster.api.console.pages import Visitor
from s3sync_dagster.api.console.rendering import PageRoute, page
from s3sync_dagster.api.context import Here
from s3sync_dagster.api.wire import Text
from s3sync_dagster.model.errors import InvalidSetting

router = APIRouter(route_class=PageRoute, include_in_schema=False)

ENTRIES_A_PAGE = 100
Part = Annotated[Text, Query(max_length=200)]
Day = Annotated[Text, Query(max_length=10)]


@router.get("/audit")
def audit_page(
    request: Request,
    visitor: Visitor,
    here: Here,
    who: Part = "",
    what: Part = "",
    since: Day = "",
    until: Day = "",
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> HTMLResponse:
    """Show what was done, the newest first."""
    visitor.caller.require_owner()
    last_day = _day("until", until)
    found = list_audit(
        visitor.caller,
        here,
        since=_day("since", since),
        until=datetime.combine(last_day, time.max, UTC) if last_day is not None else None,
        who=who.strip(),
        what=what.strip(),
        before=before,
        limit=ENTRIES_A_PAGE + 1,
    )
    filters: dict[str, Any] = {"who": who, "what": what, "since": since, "until": until}
    entries, older = found[:ENTRIES_A_PAGE], ""
    if len(found) > ENTRIES_A_PAGE:
        older = "/audit?" + urlencode({**filters, "before": entries[-1].number})
    return page(
        request, visitor, "audit.html", title="Audit", entries=entries, older=older, **filters
    )


def _day(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidSetting(f"{name} is no day such as 2026-01-31.") from None
