"""Templates, and routes that answer with pages, also when something is wrong."""

import re
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import FormData

from s3sync_dagster.api.console import wording
from s3sync_dagster.api.console.bands import band_address
from s3sync_dagster.api.console.session import Session, Sessions
from s3sync_dagster.api.errors import Unauthorized, describe, status_of
from s3sync_dagster.api.routing import read_aside
from s3sync_dagster.api.threads import TenantRoute
from s3sync_dagster.engine.hybrid import shown_words
from s3sync_dagster.model.errors import InvalidSetting, S3SyncError

FOLDER = Path(__file__).parent
URLENCODED = "application/x-www-form-urlencoded"
MAX_FIELDS = 200
NO_PAGE = "There is no page at this address: it may be mistyped, or what it showed is gone."


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": wording.number,
        "counted": wording.counted,
        "size": wording.size,
        "duration": wording.duration,
        "ago": wording.ago,
        "marked": wording.marked,
        "shown_words": shown_words,
        "path": lambda text: quote(str(text), safe=""),
    }
    environment.globals |= {"highlight": wording.highlight, "band_address": band_address}
    return environment


TEMPLATES = _environment()
_TURNING = re.compile(r"<textarea\b.*?</textarea>|<[^>]*>|[\u202a-\u202e\u2066-\u2069]", re.DOTALL)


def rendered(template: str, **values: Any) -> str:
    """Return a page in whose text nothing turns the direction of what people read.

    Names may hold such characters, and look like other names; what forms send stays as it is.
    """
    text = TEMPLATES.get_template(template).render(**values)
    return _TURNING.sub(
        lambda found: found[0] if found[0][0] == "<" else ascii(found[0])[1:-1], text
    )


def sessions_of(request: Request) -> Sessions:
    """Return the sealer of cookies of this server."""
    return request.app.state.sessions


def page(
    request: Request, session: Session, template: str, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """Return a page with its forms signed."""
    text = rendered(
        template, session=session, form_token=session.form_token, here=request.url.path, **values
    )
    response = HTMLResponse(text, status_code=status)
    sessions_of(request).keep_form(request, response, session.form_seed)
    return response


def plain_page(
    request: Request, template: str, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """Return a page that anybody may see: signing in, and what went wrong."""
    seed, form_token = sessions_of(request).fresh_seed(request)
    text = rendered(template, session=None, form_token=form_token, here=request.url.path, **values)
    response = HTMLResponse(text, status_code=status)
    sessions_of(request).keep_form(request, response, seed)
    return response


class FormRequest(Request):
    """A request whose form is that of a page: urlencoded, of few fields, and read at once.

    Starlette's own reader goes from field to field in Python while everybody waits.
    """

    async def form(self, **_limits: Any) -> FormData:  # type: ignore[override]
        """Return the form. Raises ``InvalidSetting`` for one that no page of ours has."""
        if self._form is None:
            kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
            body = (await self.body()).decode("latin-1") if kind == URLENCODED else ""
            read = partial(parse_qsl, body, keep_blank_values=True, max_num_fields=MAX_FIELDS)
            try:
                fields = await read_aside(read, size=len(body))
            except ValueError:
                raise InvalidSetting(f"A form has at most {MAX_FIELDS} fields.") from None
            self._form = FormData(dict(fields))
        return self._form


class PageRoute(TenantRoute):
    """A route whose errors are pages; who is not signed in is sent to do so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route."""
        handle = super().get_route_handler()

        async def with_pages(request: Request) -> Response:
            try:
                return await handle(FormRequest(request.scope, request.receive))
            except Unauthorized:
                where = request.url.path
                if request.url.query:
                    where += f"?{request.url.query}"
                return RedirectResponse(f"/login?next={quote(where, safe='')}", status_code=303)
            except RequestValidationError as error:
                if any(one["loc"][:1] == ("path",) for one in error.errors()):
                    return problem_page(request, 404, "not_found", NO_PAGE)
                return problem_page(request, 400, "invalid_request", describe(error.errors()))
            except S3SyncError as error:
                status = status_of(error, path=request.url.path)
                return problem_page(request, status, error.reason, error.message)

        return with_pages


def problem_page(request: Request, status: int, reason: str, message: str) -> HTMLResponse:
    """Return a page that says what is wrong."""
    values: Mapping[str, Any] = {"reason": reason, "message": message, "code": status}
    return plain_page(request, "problem.html", status=status, **values)
