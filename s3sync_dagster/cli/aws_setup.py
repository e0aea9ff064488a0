"""``s3sync aws-setup``."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import click

from s3sync_dagster.cli.aws_plan import ACCOUNT, REGION, AwsPlan, queue_name_for
from s3sync_dagster.cli.completing import source_names
from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import as_json, opened
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place import parse_place
from s3sync_dagster.model.s3_place import S3_FORM, S3Place

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts


@click.command(
    name="aws-setup",
    epilog=examples(
        "s3sync aws-setup s3://bucket/prefix --account 123456789012 --region eu-central-1",
        "s3sync aws-setup docs --apply",
    ),
)
@click.argument("place", metavar=f"SOURCE|{S3_FORM}", shell_complete=source_names)
@click.option("--queue-name", help="After the bucket when not given.")
@click.option("--account", metavar="ID", help="AWS account of bucket and queue.")
@click.option("--region", help="Of bucket and queue.")
@click.option("--kms-key-arn", metavar="ARN", help="Key with which the objects are encrypted.")
@click.option("--apply", "apply_it", is_flag=True, help="Create queues and notification now.")
@as_json
def aws_setup(
    place: str,
    queue_name: str | None,
    account: str | None,
    region: str | None,
    kms_key_arn: str | None,
    apply_it: bool,
    as_json: bool,
) -> int:
    """Print what AWS needs so that events reach a source.

    Queue, dead-letter queue, the bucket's notification, and a policy with all that s3sync has to
    be allowed. Nothing is changed without --apply, which creates the queues and adds the
    notification to those that the bucket has, with the source's credentials or AWS's default
    chain; the policy is for you to attach.
    """
    with opened(chroma=False, dagster=False) as parts:
        name, bucket = _bucket(parts, place)
        reports = bucket.reports
        plan = AwsPlan(
            bucket=bucket.bucket_name,
            prefix=bucket.path_prefix,
            queue_name=queue_name or queue_name_for(bucket.bucket_name),
            region=region or bucket.region or REGION,
            account=account or ACCOUNT,
            kms_key_arn=kms_key_arn,
            endpoint_url=bucket.endpoint_url,
            tags=bool(bucket.object_tags),
            reports=(reports.bucket_name, reports.path_prefix) if reports is not None else None,
        )
        if apply_it:
            return _apply(parts, name, bucket, plan, as_json=as_json)
    if as_json:
        click.echo(json.dumps(plan.to_json()))
        return 0
    click.echo(plan.script(last=_next_command(name, bucket, plan, plan.queue_url())))
    missing = [word for word in (plan.account, plan.region) if word in (ACCOUNT, REGION)]
    if missing:
        click.echo(
            f"Replace {' and '.join(missing)}, or give --account and --region.",
            err=True,
        )
    return 0


def _bucket(parts: Parts, text: str) -> tuple[str | None, S3Place]:
    """Return the name of the source, None for a place without one, and the bucket."""
    if "://" in text:
        place = parse_place(text)
        if not isinstance(place, S3Place):
            raise InvalidSetting(f"{text!r} is no bucket: write {S3_FORM}.")
        return None, place
    source = parts.catalog.sources.find(text)
    if not isinstance(source.place, S3Place):
        raise InvalidSetting(f"The source {source.name!r} has no bucket at AWS.")
    return source.name, source.place


def _apply(parts: Parts, name: str | None, bucket: S3Place, plan: AwsPlan, *, as_json: bool) -> int:
    from s3sync_dagster.cli.aws_apply import AwsSetup  # noqa: PLC0415  (botocore only where it asks)
    from s3sync_dagster.ports.aws_session import open_session  # noqa: PLC0415

    session = open_session(
        bucket.credentials,
        region=None if plan.region == REGION else plan.region,
        resolve_env=parts.resolve_env,
        resolve_credential=parts.resolve_credential,
    )
    setup = AwsSetup(session, endpoint_url=bucket.endpoint_url)
    plan = setup.completed(plan)
    url = setup.apply(plan)
    if as_json:
        click.echo(json.dumps({**plan.to_json(), "queue_url": url}))
        return 0
    click.echo(f"The bucket's events go to {url}", err=True)
    click.echo("Attach this policy to the user or role of s3sync:", err=True)
    click.echo(json.dumps(plan.reader_policy(), indent=2))
    click.echo(f"Then: {_next_command(name, bucket, plan, url)}", err=True)
    return 0


def _next_command(name: str | None, bucket: S3Place, plan: AwsPlan, url: str) -> str:
    region = f" --region {plan.region}" if plan.source_needs_region(bucket.region, url) else ""
    if name:
        return f"s3sync source edit {name} --queue-url {url}{region}"
    prefix = f" --prefix {shlex.quote(bucket.path_prefix)}" if bucket.path_prefix else ""
    return (
        f"s3sync source create NAME --bucket {bucket.bucket_name}{prefix} --collection COLLECTION "
        f"--queue-url {url}{region}"
    )
