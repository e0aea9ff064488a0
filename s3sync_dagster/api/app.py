"""The application: routers, guards and error handlers around the parts of a process."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from threading import Thread
from typing import cast

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from s3sync_dagster import __version__
from s3sync_dagster.api import (
    add_file,
    audit,
    coco,
    credentials,
    downloads,
    errors,
    health,
    invocations,
    manage,
    metrics,
    objects,
    openapi,
    searching,
    sources,
    supermemory,
    webhooks,
    work,
)
from s3sync_dagster.api.access import Access
from s3sync_dagster.api.agents import open_room
from s3sync_dagster.api.auditing import Auditing, AuditWriter
from s3sync_dagster.api.backfills import Backfills
from s3sync_dagster.api.console import (
    access_page,
    actions,
    audit_page,
    lists,
    pages,
    source_form,
    source_history,
)
from s3sync_dagster.api.console.rendering import NO_PAGE, problem_page
from s3sync_dagster.api.console.session import Sessions
from s3sync_dagster.api.context import Context
from s3sync_dagster.api.cursors import Cursors
from s3sync_dagster.api.dispatching import Dispatch, Dispatching
from s3sync_dagster.api.finished import FinishedCollections
from s3sync_dagster.api.gathering import Gathering
from s3sync_dagster.api.guards import BodyLimits, OneToken, SecurityHeaders
from s3sync_dagster.api.health_checks import CHECK_SECONDS, Check, Health
from s3sync_dagster.api.metrics import Traffic
from s3sync_dagster.api.options import ApiOptions
from s3sync_dagster.api.outside import Outside
from s3sync_dagster.api.passes import pass_headers
from s3sync_dagster.api.request_log import RequestLog
from s3sync_dagster.api.routing import LARGE_BODIES_PER_TENANT
from s3sync_dagster.api.slots import Slots
from s3sync_dagster.api.tracing import Tracer, Tracing
from s3sync_dagster.api.waiting import Waiting
from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.kept_requests import waiting_requests
from s3sync_dagster.catalog.schema import require_known
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.ports.chroma import ChromaCollections
from s3sync_dagster.ports.dagster_runs import DagsterRuns
from s3sync_dagster.ports.places import UPLOADS
from s3sync_dagster.ports.uploads import bring_uploads
from s3sync_dagster.wiring import Parts

_log = logging.getLogger(__name__)

BEYOND = (manage, work, objects, searching, credentials, audit)
"""Rooms of ``/s3sync/v1``, which the contract does not know."""


def create_app(
    parts: Parts,
    options: ApiOptions | None = None,
    *,
    dispatch: Dispatch | None = None,
    tracer: Tracer | None = None,
) -> FastAPI:
    """Return the API over the parts, which stay the caller's to close.

    Args:
        parts: catalog, Chroma and buckets.
        options: limits and trust.
        dispatch: gets the ids of sources with new invocations, from a thread of the server;
            None: the dispatch sensor finds them by itself.
        tracer: gets a span for each request.
    """
    options = options or ApiOptions()
    registry = CollectorRegistry()
    traffic = Traffic(registry)
    writer = AuditWriter(parts.catalog)
    dispatching = Dispatching(dispatch, gather_seconds=options.dispatch_seconds)
    context = Context(
        parts=parts,
        options=options,
        dispatching=dispatching,
        backfills=Backfills(parts, listed=dispatching.wake),
        gathering=Gathering(parts.catalog),
        waiting=Waiting(
            most=options.waiting_per_tenant,
            count=partial(
                waiting_requests, parts.catalog.database, most=options.waiting_per_tenant
            ),
        ),
        finished=FinishedCollections(
            lambda name, tenant, database: context.chroma.directory.find(name, tenant, database)
        ),
        health=Health(_checks(parts, options)),
        slots=Slots(options.uploads_per_tenant, what="uploads", reason="too_many_uploads"),
        searches=Slots(options.searches_per_tenant, what="searches", reason="too_many_searches"),
        downloads=Slots(
            downloads.PER_TENANT,
            what="downloads",
            reason="too_many_requests",
            in_all=downloads.IN_ALL,
        ),
        outside=Outside(),
        deliveries=Slots(2, what="large deliveries", reason="too_many_requests", in_all=8),
        large_bodies=Slots(
            LARGE_BODIES_PER_TENANT, what="large bodies", reason="too_many_requests"
        ),
        cursors=Cursors(parts.settings),
        registry=registry,
    )

    agents = open_room(context) if options.agents else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        context.dispatching.start()
        context.gathering.start()
        writer.start()
        Thread(target=_bring_uploads, args=(parts,), name="s3sync-uploads", daemon=True).start()
        async with agents.running() if agents is not None else nullcontext():
            yield
        context.gathering.stop()
        writer.stop()
        context.backfills.stop()
        context.dispatching.stop()
        context.finished.close()
        context.health.close()

    app = FastAPI(
        title=openapi.TITLE,
        summary=openapi.SUMMARY,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        separate_input_output_schemas=False,
    )
    app.state.context = context
    app.state.access = Access(parts.catalog, options)
    app.state.sessions = Sessions(parts.settings)
    app.state.error_page = lambda request, status, word: problem_page(
        request, status, word, NO_PAGE
    )
    console = (pages, lists, audit_page, access_page, source_form, source_history, actions)
    for room in (sources, invocations, add_file, health, metrics, *BEYOND, *console):
        app.include_router(room.router)
    app.include_router(webhooks.router, include_in_schema=False)
    if options.supermemory:
        app.include_router(supermemory.router, include_in_schema=False)
    if options.coco:
        app.include_router(coco.router, include_in_schema=False)
    if agents is not None:
        app.router.routes.append(agents.route())
    app.openapi = partial(openapi.describe, app)  # type: ignore[method-assign]
    errors.install(app)
    app.add_middleware(BodyLimits, options=options)
    app.add_middleware(OneToken)
    app.add_middleware(SecurityHeaders, options=options)
    if tracer is not None:
        app.add_middleware(Tracing, tracer=tracer)
    app.add_middleware(Auditing, writer=writer, sso=options.single_sign_on)
    app.add_middleware(RequestLog, traffic=traffic)
    return app


def _bring_uploads(parts: Parts) -> None:
    """Bring uploads into the catalog that an older version kept in this data folder."""
    try:
        brought = bring_uploads(parts.settings.home / UPLOADS, parts.surroundings.uploads)
    except (S3SyncError, OSError) as error:
        _log.error("uploads stay in the data folder: %s", getattr(error, "message", "unreadable"))
    else:
        if brought:
            _log.info("the uploads of %d sources were brought into the catalog", brought)


def _checks(parts: Parts, options: ApiOptions) -> dict[str, Check]:
    checks: dict[str, Check] = {
        "catalog": lambda: _check_catalog(parts.catalog),
        "chroma": lambda: cast("ChromaCollections", parts.collections).heartbeat(),
    }
    if options.dagster_url is not None:
        dagster = DagsterRuns(
            options.dagster_url,
            location=options.dagster_location,
            timeout_seconds=CHECK_SECONDS,
            headers=pass_headers(parts.settings),
        )
        checks["dagster"] = lambda: _ignore(dagster.location())
    return checks


def _check_catalog(catalog: Catalog) -> None:
    """Ask it something, and whether a newer program has made it its own meanwhile."""
    catalog.tokens.configured()
    require_known(catalog.database, catalog.database.current_revision())


def _ignore(_answer: object) -> None:
    """Take an answer that only had to come."""
