"""``s3sync mcp``."""

import click

from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import chroma_url, opened
from s3sync_dagster.local.signals import stop_on_signals
from s3sync_dagster.model.extras import require_extra
from s3sync_dagster.starting import collect_as_usual


@click.command(epilog=examples("s3sync mcp", "s3sync mcp --tenant default_tenant"))
@click.option("--tenant", help="Only sources and collections of this tenant.")
@chroma_url
def mcp(tenant: str | None, chroma_url: str | None) -> int:
    """Let an agent on this machine search and read (MCP over stdio)."""
    require_extra("mcp", what="`s3sync mcp`")
    from s3sync_dagster.agents.door import Door  # noqa: PLC0415
    from s3sync_dagster.agents.server import serve_stdio  # noqa: PLC0415  (what the extra brings)

    with stop_on_signals(), opened(chroma_url, dagster=False) as parts:
        collect_as_usual()
        try:
            serve_stdio(Door(parts=parts, tenant=tenant))
        except KeyboardInterrupt:
            pass  # SIGTERM is how clients end what does not hear that its input was closed
    return 0
