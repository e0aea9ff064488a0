"""The settings of a source as options of ``source create`` and ``source edit``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import click

from s3sync_dagster.cli.options import MODES
from s3sync_dagster.core.record_limits import validate_user_metadata
from s3sync_dagster.model.errors import InvalidSetting, RecordRejected
from s3sync_dagster.model.source import AutoSync, DeleteMode, Source

NATURAL = click.IntRange(min=0)
POSITIVE = click.IntRange(min=1)


@dataclass(frozen=True, slots=True)
class Setting:
    """One option and the field of ``Source`` that it sets."""

    flag: str
    target: str
    """With a dot for a field of a nested configuration."""
    help: str
    kind: Any = str
    """Type of the value as click has it; ``list`` for what may be given several times."""
    metavar: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def name(self) -> str:
        """Name of the parameter that click hands over."""
        return self.flag.split("/")[0].lstrip("-").replace("-", "_")


SETTINGS = (
    Setting("--region", "region", "Found by itself where possible."),
    Setting("--addressing-style", "addressing_style", "Of bucket names in URLs.",
            click.Choice(["auto", "path", "virtual"])),
    Setting("--queue-url", "queue_url", "SQS queue with the bucket's events.", metavar="URL"),
    Setting("--auto-sync", "auto_sync", "Who starts work; direct when not given.",
            click.Choice(["none", "direct", "metadata"])),
    Setting("--list-interval", "list_interval_seconds", "0: never listed; 300 when not given.",
            NATURAL, "SECONDS"),
    Setting("--mode", "mode", "Of changed and deleted objects; mirror when not given.", MODES),
    Setting("--include", "include_globs", "Only keys that match one of these.", list, "GLOB"),
    Setting("--exclude", "exclude_globs", "No keys that match one of these.", list, "GLOB"),
    Setting("--extension", "extensions", "Only keys that end so.", list, ".EXT"),
    Setting("--max-size-bytes", "max_size_bytes", "Larger objects are skipped.", POSITIVE),
    Setting("--document-limit", "document_limit", "Only so many, the first in key order.",
            POSITIVE),
    Setting("--metadata", "metadata", "Added to each record.", metavar="JSON"),
    Setting("--chunking", "chunking.type", "How documents are cut; tree_sitter when not given.",
            click.Choice(["tree_sitter", "lines"])),
    Setting("--max-chunk-bytes", "chunking.max_size_bytes", "Follows the model when not given.",
            click.IntRange(1, 16384)),
    Setting("--chunk-context/--no-chunk-context", "chunking.context",
            "Embed path and headings before the text.", bool),
    Setting("--ocr/--no-ocr", "extraction.ocr", "Read scans and pictures.", bool),
    Setting("--ocr-languages", "extraction.ocr_languages", "Tesseract's form.", metavar="eng+deu"),
    Setting("--on-config-change", "on_config_change", "What happens to outdated documents.",
            click.Choice(["keep", "reindex"])),
    Setting("--profile", "credentials.profile", "AWS profile."),
    Setting("--credential", "credentials.credential_id", "Of `s3sync credential create`.",
            POSITIVE, "ID"),
    Setting("--access-key-id-env", "credentials.access_key_id_env", "Variable with the key id.",
            metavar="NAME"),
    Setting("--secret-access-key-env", "credentials.secret_access_key_env",
            "Variable with the secret key.", metavar="NAME"),
    Setting("--session-token-env", "credentials.session_token_env",
            "Variable with the session token.", metavar="NAME"),
    Setting("--role-arn", "credentials.role_arn", "Role that is assumed.", metavar="ARN"),
    Setting("--external-id", "credentials.external_id", "That the role asks for."),
    Setting("--requester-pays/--no-requester-pays", "requester_pays", "Pay for the requests.",
            bool),
    Setting("--expected-bucket-owner", "expected_bucket_owner", "AWS account; else refused.",
            metavar="ACCOUNT"),
)  # fmt: skip

_ENUMS = {"auto_sync": AutoSync, "mode": DeleteMode}


def settings_options(function: Any) -> Any:
    """Give a command all options of a source's settings."""
    for setting in reversed(SETTINGS):
        several = setting.kind is list
        function = click.option(
            setting.flag,
            type=None if several or setting.kind is bool else setting.kind,
            multiple=several,
            default=None,
            metavar=setting.metavar,
            help=setting.help,
        )(function)
    return function


def with_settings(source: Source, options: Mapping[str, Any]) -> Source:
    """Return the source with the given options; an empty text takes a setting away.

    Raises:
        InvalidSetting: metadata that is none.
    """
    for setting in SETTINGS:
        value = options.get(setting.name)
        if value is None or value == ():
            continue
        if setting.kind is list:
            value = tuple(one for one in value if one)
        elif setting.target == "metadata":
            value = parse_metadata(value) if value else {}
        elif setting.target in _ENUMS:
            value = _ENUMS[setting.target](value)
        elif value == "":
            value = None
        source = _set(source, setting.target, value)
    return source


def parse_metadata(text: str) -> dict[str, Any]:
    """Return the metadata that a JSON text holds. Raises ``InvalidSetting``."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InvalidSetting('--metadata is no JSON object, such as \'{"team": "red"}\'.')
    try:
        validate_user_metadata(value)
    except RecordRejected as error:
        raise InvalidSetting(f"--metadata: {error.message}") from error
    return value


def _set(source: Source, path: str, value: Any) -> Source:
    outer, _, inner = path.partition(".")
    if inner:
        value = replace(getattr(source, outer), **{inner: value})
    return source.with_changes(**{outer: value})
