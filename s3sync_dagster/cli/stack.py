"""``s3sync up`` and ``s3sync demo``."""

import sys

import click

from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import chroma_url, settings_for
from s3sync_dagster.local.home import prepare_home
from s3sync_dagster.local.signals import stop_on_signals
from s3sync_dagster.model.extras import require_extra
from s3sync_dagster.settings import load_settings
from s3sync_dagster.starting import collect_as_usual


@click.command(epilog=examples("s3sync up", "s3sync up --dagster-port 3000 --api-port 8080 --open"))
@chroma_url
@click.option("--dagster-port", type=int, default=0, help="0: any free port.")
@click.option("--api-port", type=int, default=0, help="0: any free port.")
@click.option("--open", "open_it", is_flag=True, help="Open the console in the browser.")
def up(chroma_url: str | None, dagster_port: int, api_port: int, open_it: bool) -> int:
    """Run Chroma, Dagster, the API and the console until Ctrl-C."""
    from s3sync_dagster.local.stack import Stack  # noqa: PLC0415  (heavy, as the next)
    from s3sync_dagster.wiring import open_parts  # noqa: PLC0415

    require_extra("stack", what="`s3sync up`")
    settings = settings_for(chroma_url)
    with stop_on_signals():
        prepare_home(settings, dagster=False)  # the stack does that beside other things
        parts = open_parts(settings)
        stack = Stack(
            settings,
            dagster_port=dagster_port,
            api_port=api_port,
            sources_version=parts.catalog.sources.version,
            report=lambda line: print(line, file=sys.stderr, flush=True),  # noqa: T201
        )
        try:
            with stack:
                found = stack.addresses
                if found is not None:
                    click.echo(f"Dagster UI  {found.dagster}")
                    click.echo(f"Chroma      {found.chroma}")
                    if found.api:
                        click.echo(f"Console     {found.api}/")
                        click.echo(f"API         {found.api}")
                        if open_it:
                            click.launch(f"{found.api}/")
                sys.stdout.flush()
                collect_as_usual()
                stack.watch()
        except KeyboardInterrupt:
            pass  # Ctrl-C and SIGTERM are how `up` ends
        finally:
            parts.close()
    return 0


@click.command(epilog=examples("s3sync demo"))
def demo() -> int:
    """Show the whole story on sample files.

    A bucket, Chroma and Dagster on this machine, in a folder of their own; all is stopped at the
    end.
    """
    from s3sync_dagster.local.demo import run_demo  # noqa: PLC0415

    require_extra("demo", what="`s3sync demo`")
    run_demo(load_settings())
    return 0
