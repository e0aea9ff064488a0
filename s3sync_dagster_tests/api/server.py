"""A real API server in a thread: uvicorn on a free port over a real catalog and a real Chroma."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from cryptography.fernet import Fernet

from s3sync_dagster.api.access import Access
from s3sync_dagster.api.app import create_app
from s3sync_dagster.api.context import Context
from s3sync_dagster.api.dispatching import Dispatch
from s3sync_dagster.api.options import read_options
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import Parts, open_parts
from s3sync_dagster_tests.conftest_aws import AwsEndpoint
from s3sync_dagster_tests.fresh_catalogs import fill


@dataclass(kw_only=True)
class Api:
    """A running server with what tests ask of it."""

    url: str
    parts: Parts
    aws: AwsEndpoint
    dispatched: list[set[str]]
    access: Access
    context: Context

    def client(self, token: str | None = None, **headers: str) -> httpx.Client:
        """Return a client; the caller closes it or lets the test end."""
        own = {"x-chroma-token": token} if token else {}
        return httpx.Client(base_url=self.url, headers={**own, **headers}, timeout=30)

    def token(self, *, tenant: str = "default_tenant", role: str = "owner") -> str:
        """Make a token, and wait until the server asks for one."""
        first = not self.parts.catalog.tokens.configured()
        made = self.parts.catalog.tokens.create(tenant=tenant, role=role)[1]  # type: ignore[arg-type]
        while first and self.access.fresh():
            time.sleep(0.05)
        return made

    def s3(self, bucket: str, **fields: Any) -> dict[str, Any]:
        """Return the body that creates a source of the test's own S3."""
        return {
            "s3": {
                "bucket_name": bucket,
                "region": self.aws.region,
                "collection_name": f"c-{bucket}",
                "aws_access_key_id": self.aws.access_key_id,
                "aws_secret_access_key": self.aws.secret_access_key,
                "endpoint_url": self.aws.url,
                "addressing_style": "path",
                **fields,
            },
            "database_name": "default_database",
        }


@contextmanager
def running_api(
    home: Path,
    *,
    chroma: str,
    aws: AwsEndpoint,
    environ: Mapping[str, str] | None = None,
    loopback: bool = True,
    dispatch: Dispatch | None = None,
    tracer: Any = None,
) -> Iterator[Api]:
    """Serve until the block ends."""
    settings = load_settings(
        {
            "S3SYNC_HOME": str(home),
            "S3SYNC_CHROMA_URL": chroma,
            "S3SYNC_ENCRYPTION_KEY": Fernet.generate_key().decode(),
            "S3SYNC_API_DISPATCH_SECONDS": "0.05",
            "S3SYNC_GIT_PROTOCOLS": "http",  # that of the tests' own server: nothing goes out
            **(environ or {}),
        }
    )
    home.mkdir(parents=True, exist_ok=True)
    fill(settings.database_url)
    parts = open_parts(settings)
    dispatched: list[set[str]] = []

    def remember(source_ids: Any) -> None:
        dispatched.append(set(source_ids))
        if dispatch is not None:
            dispatch(source_ids)

    app = create_app(
        parts, read_options(settings, loopback=loopback), dispatch=remember, tracer=tracer
    )
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the API did not start"
        assert thread.is_alive(), "the API ended at its start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Api(
            url=f"http://127.0.0.1:{port}",
            parts=parts,
            aws=aws,
            dispatched=dispatched,
            access=app.state.access,
            context=app.state.context,
        )
    finally:
        server.should_exit = True
        thread.join(20)
        parts.close()
        assert not thread.is_alive(), "the API did not stop"
