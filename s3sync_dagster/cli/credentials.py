"""``s3sync credential ...``: AWS keys in the catalog, encrypted."""

import json
import sys

import click

from s3sync_dagster.catalog.cipher import begin_rotation, finish_rotation, open_cipher
from s3sync_dagster.catalog.credentials import AwsKeys
from s3sync_dagster.cli.groups import Group, examples
from s3sync_dagster.cli.options import as_json, opened
from s3sync_dagster.cli.showing import columns, people
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.settings import Settings


@click.group(cls=Group, epilog=examples("s3sync credential list"))
def credential() -> None:
    """AWS keys that the catalog keeps encrypted.

    Sources name their number.
    """


@credential.command(
    epilog=examples(
        "s3sync credential create",
        "s3sync credential create --access-key-id-env RED_ID --secret-access-key-env RED_SECRET",
    )
)
@click.option("--tenant", default="default_tenant", show_default=True)
@click.option(
    "--access-key-id-env",
    metavar="NAME",
    default="AWS_ACCESS_KEY_ID",
    show_default=True,
    help="Variable with the key id.",
)
@click.option(
    "--secret-access-key-env",
    metavar="NAME",
    default="AWS_SECRET_ACCESS_KEY",
    show_default=True,
    help="Variable with the secret key.",
)
@click.option("--session-token-env", metavar="NAME", help="Only for temporary keys.")
def create(
    tenant: str,
    access_key_id_env: str,
    secret_access_key_env: str,
    session_token_env: str | None,
) -> int:
    """Store a key pair and print its number, for `source create --credential`.

    The keys come from environment variables, or are asked for at a terminal: on the command line
    other users of the machine could see them.
    """
    named = (access_key_id_env, secret_access_key_env)
    with opened(chroma=False, dagster=False) as parts:
        settings = parts.settings
        keys = AwsKeys(
            access_key_id=_secret(settings, access_key_id_env, "Access key id"),
            secret_access_key=_secret(settings, secret_access_key_env, "Secret access key"),
            session_token=settings.variable(session_token_env) if session_token_env else None,
        )
        made = parts.catalog.credentials.add(keys, tenant=tenant, cipher=open_cipher(settings))
    # Whoever wanted to be asked, for another secret than AWS's, sees that nobody asked.
    taken = [name for name in named if settings.environment.get(name)]
    source = f", from {' and '.join(taken)}" if taken else ""
    click.echo(f"credential {made.id} ({made.hint}) of tenant {people(tenant)}{source}", err=True)
    click.echo(made.id)
    return 0


@credential.command(name="list", epilog=examples("s3sync credential list"))
@as_json
def list_credentials(as_json: bool) -> int:
    """List all stored credentials; the keys themselves are never shown."""
    with opened(chroma=False, dagster=False) as parts:
        rows = parts.catalog.credentials.rows()
        users: dict[int, list[str]] = {}
        for source in parts.catalog.sources.all():
            for number in source.place.credential_ids:
                users.setdefault(number, []).append(source.name)
    if as_json:
        values = [
            {
                "id": row.id,
                "tenant": row.tenant,
                "hint": row.hint,
                "created_at": row.created_at.isoformat(),
                "sources": users.get(row.id, []),
            }
            for row in rows
        ]
        click.echo(json.dumps(values))
        return 0
    table = [
        (
            str(row.id),
            people(row.tenant),
            row.hint,
            f"{row.created_at:%Y-%m-%d}",
            ", ".join(users.get(row.id, ["-"])),
        )
        for row in rows
    ]
    for line in columns(("id", "tenant", "key", "made", "used by"), table):
        click.echo(line)
    return 0


@credential.command(epilog=examples("s3sync credential delete 2"))
@click.argument("credential_id", metavar="ID", type=int)
def delete(credential_id: int) -> int:
    """Forget the credential ID; refused while a source uses it."""
    with opened(chroma=False, dagster=False) as parts:
        parts.catalog.credentials.delete(credential_id)
    click.echo(f"credential {credential_id} is forgotten", err=True)
    return 0


@credential.command(epilog=examples("s3sync credential rotate"))
def rotate() -> int:
    """Encrypt all credentials with a new key.

    A key file of this data folder is replaced, the one before stays beside it as `.old`. A key of
    the environment is changed by hand first: set S3SYNC_ENCRYPTION_KEY to the new one and
    S3SYNC_ENCRYPTION_KEY_OLD to the one before.
    """
    with opened(chroma=False, dagster=False) as parts:
        cipher = begin_rotation(parts.settings)
        number = parts.catalog.credentials.rotate(cipher)
        finish_rotation(parts.settings)
    click.echo(f"{number} credentials are encrypted with the new key", err=True)
    return 0


def _secret(settings: Settings, variable: str, prompt: str) -> str:
    value = settings.environment.get(variable, "")
    if value.strip():
        return value
    if value or not sys.stdin.isatty():
        what = "is blank" if value else "is not set"
        raise InvalidSetting(f"The environment variable {variable!r} {what}.")
    return click.prompt(prompt, hide_input=True, err=True)
