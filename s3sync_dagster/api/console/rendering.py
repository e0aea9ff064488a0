"""Templates, and routes that answer with pages, also when something is wrong."""

from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from s3sync_dagster.api.console import wording
from s3sync_dagster.api.console.bands import band_address
from s3sync_dagster.api.console.session import Session, Sessions
from s3sync_dagster.api.errors import Unauthorized, describe, status_of
from s3sync_dagster.model.errors import S3SyncError

FOLDER = Path(__file__).parent
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
        "path": lambda text: quote(str(text), safe=""),
    }
    environment.globals |= {"highlight": wording.highlight, "band_address": band_address}
    return environment


TEMPLATES = _environment()


def sessions_of(request: Request) -> Sessions:
    """Return the sealer of cookies of this server."""
    return request.app.state.sessions


def page(
    request: Request, session: Session, template: str, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """Return a page with its forms signed."""
    text = TEMPLATES.get_template(template).render(
        session=session, form_token=session.form_token, here=request.url.path, **values
    )
    response = HTMLResponse(text, status_code=status)
    sessions_of(request).keep_form(request, response, session.form_seed)
    return response


def plain_page(
    request: Request, template: str, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """Return a page that anybody may see: signing in, and what went wrong."""
    seed, form_token = sessions_of(request).fresh_seed(request)
    text = TEMPLATES.get_template(template).render(
        session=None, form_token=form_token, here=request.url.path, **values
    )
    response = HTMLResponse(text, status_code=status)
    sessions_of(request).keep_form(request, response, seed)
    return response


class PageRoute(APIRoute):
    """A route whose errors are pages; who is not signed in is sent to do so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route."""
        handle = super().get_route_handler()

        async def with_pages(request: Request) -> Response:
            try:
                return await handle(request)
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
