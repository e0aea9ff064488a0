"""``s3sync token ...``: who may use the HTTP API."""

import json
from dataclasses import asdict

import click

from s3sync_dagster.catalog.tokens import ROLES, ApiToken, Role
from s3sync_dagster.cli.groups import Group, examples
from s3sync_dagster.cli.options import as_json, opened
from s3sync_dagster.cli.showing import columns, people


@click.group(cls=Group, epilog=examples("s3sync token list"))
def token() -> None:
    """Tokens of the HTTP API, each for one tenant and one role."""


@token.command(
    epilog=examples(
        "s3sync token create --tenant default_tenant --role owner",
        "s3sync token create --tenant default_tenant --role member --group sales",
    )
)
@click.option("--tenant", required=True, help="Tenant of Chroma whose sources it may see.")
@click.option("--role", type=click.Choice(ROLES), required=True, help="Only owners change sources.")
@click.option("--name", default="", help="For people who have several.")
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="GROUP",
    help="Whose documents a member reads where a source says who may (--reader-key).",
)
def create(tenant: str, role: Role, name: str, groups: tuple[str, ...]) -> int:
    """Make a token and print it: this once, only its hash is kept."""
    with opened(chroma=False, dagster=False) as parts:
        made, secret = parts.catalog.tokens.create(
            tenant=tenant, role=role, name=name, groups=groups
        )
    click.echo(f"token {made.id} of tenant {people(tenant)}, role {role}", err=True)
    click.echo(secret)
    return 0


@token.command(name="list", epilog=examples("s3sync token list"))
@as_json
def list_tokens(as_json: bool) -> int:
    """List all tokens, the revoked ones too."""
    with opened(chroma=False, dagster=False) as parts:
        rows = parts.catalog.tokens.rows()
    if as_json:
        click.echo(json.dumps([_values(row) for row in rows]))
        return 0
    table = [
        (
            str(row.id),
            f"{row.hint}...",
            people(row.tenant),
            row.role,
            f"{row.created_at:%Y-%m-%d}",
            f"revoked {row.revoked_at:%Y-%m-%d}" if row.revoked_at else "valid",
            people(row.name),
            people(", ".join(row.groups)),
        )
        for row in rows
    ]
    for line in columns(
        ("id", "token", "tenant", "role", "made", "state", "name", "groups"), table
    ):
        click.echo(line)
    if not rows:
        click.echo("No tokens: the API answers on this machine only.", err=True)
    return 0


@token.command(epilog=examples("s3sync token revoke 3"))
@click.argument("token_id", metavar="ID", type=int)
def revoke(token_id: int) -> int:
    """End the token ID of `token list`."""
    with opened(chroma=False, dagster=False) as parts:
        ended = parts.catalog.tokens.revoke(token_id)
    click.echo(f"token {ended.id} ({ended.hint}...) is revoked", err=True)
    return 0


def _values(row: ApiToken) -> dict[str, object]:
    return {
        **asdict(row),
        "created_at": row.created_at.isoformat(),
        "revoked_at": row.revoked_at.isoformat() if row.revoked_at else None,
    }
