"""A door that stands for a test, with its keeper and what is behind it."""

import threading
import time
from contextlib import contextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from s3sync_dagster.api.access import OPEN_SECONDS
from s3sync_dagster.api.passes import PASS_FILE
from s3sync_dagster.local.door import Door
from s3sync_dagster.local.doorkeeper import Doorkeeper
from s3sync_dagster.local.home import prepare_home
from s3sync_dagster.settings import load_settings


async def hello(scope, receive, send):
    """Answer everything, after all of it was heard."""
    if scope["type"] == "lifespan":
        await Starlette()(scope, receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
    else:
        await Request(scope, receive).body()
        await PlainTextResponse("hello")(scope, receive, send)


@contextmanager
def dagsters_own(folder):
    """Make the application of Dagster's webserver, with no code."""
    from dagster import DagsterInstance
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import EmptyWorkspaceTarget
    from dagster_webserver.app import create_app_from_workspace_process_context

    folder.mkdir()
    with (
        DagsterInstance.local_temp(str(folder)) as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context,
    ):
        yield create_app_from_workspace_process_context(context)


def home_of_doors(folder):
    """Return the settings of a home with a pass."""
    made = load_settings({"S3SYNC_HOME": str(folder), "PATH": ""})
    prepare_home(made, dagster=False)
    (folder / PASS_FILE).write_text("the pass of this stack")
    return made


@contextmanager
def standing(settings, door="dagster", *, app=hello):
    """Let a door stand; once it is gone, all that was to be written down is."""
    keeper = Doorkeeper(settings, door)
    door = keeper.audited(Door(app, keeper=keeper))
    config = uvicorn.Config(door, port=0, log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def made(tokens, *, tenant="default_tenant", role="owner"):
    """Make a token, and wait until every door knows that there are some."""
    token = tokens.create(tenant=tenant, role=role)[1]
    time.sleep(OPEN_SECONDS + 0.1)
    return token
