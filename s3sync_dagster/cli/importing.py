"""``s3sync import``: sources of Chroma Sync, Supermemory and Coco become ours."""

from __future__ import annotations

import hashlib
import re
import uuid
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import islice, takewhile
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.imported import Planned, show_planned
from s3sync_dagster.cli.options import as_json, opened
from s3sync_dagster.cli.source_options import embedding, embedding_config
from s3sync_dagster.core.keys import MAX_SOURCE_NAME_LENGTH, RESERVED_SOURCE_NAMES
from s3sync_dagster.core.source_identity import identity_changes, overlap
from s3sync_dagster.core.source_rules import validate_source
from s3sync_dagster.model.errors import InvalidSetting, S3SyncError
from s3sync_dagster.model.place import CredentialsConfig
from s3sync_dagster.model.place_types import place_classes
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import EmbeddingConfig, Source
from s3sync_dagster.moving.reading import read_configuration
from s3sync_dagster.moving.wanted import KeyPair, NotWanted, Wanted, holds_a_secret
from s3sync_dagster.source_settings import settings_of

if TYPE_CHECKING:
    import sqlalchemy as sa

    from s3sync_dagster.wiring import Parts

MAX_FILE_BYTES = 16 * 1024 * 1024
_UNSAFE = re.compile(r"[^A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choices:
    """What a person said for all of a file."""

    credential: int | None
    database: str | None
    embedding: EmbeddingConfig | None


class _Known:
    """Sources that are there or will be: a file may have thousands, each looked at beside few."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._number = 0
        self._at: defaultdict[tuple[str, ...], list[tuple[int, Source]]] = defaultdict(list)
        """By place, target and prefix."""
        self._prefixes: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        """By place and target: the prefixes of the sources there, in order."""
        self._secrets: dict[str, str] = {}
        """Names of variables that hold a secret, with the source that says so."""

    def add(self, source: Source) -> None:
        """Take one in."""
        self.names.add(source.name)
        self._number += 1
        where, prefix = _where(source), source.place.identity().path_prefix
        if (*where, prefix) not in self._at:
            insort(self._prefixes[where], prefix)
        self._at[(*where, prefix)].append((self._number, source))
        for name in _secret_variables(source):
            self._secrets.setdefault(name, source.name)

    def beside(self, source: Source) -> Sequence[Source]:
        """Return all that one may overlap, in their order, however their server is spelt."""
        where, prefix = _where(source), source.place.identity().path_prefix
        there = self._prefixes.get(where, [])
        nested = {prefix[:length] for length in range(len(prefix) + 1)}  # one in the other
        nested.update(takewhile(_begins(prefix), islice(there, bisect_left(there, prefix), None)))
        found = [pair for one in nested for pair in self._at.get((*where, one), ())]
        return [one for _, one in sorted(found, key=itemgetter(0))]

    def require_no_secret_as_id(self, keys: KeyPair | None) -> None:
        """Refuse with ``InvalidSetting`` what would be sent in the clear and is a secret."""
        variables = keys.variables if keys is not None else None
        if variables is not None and variables[0] in self._secrets:
            raise holds_a_secret(variables[0], f"of source {self._secrets[variables[0]]!r}")


def _where(source: Source) -> tuple[str, ...]:
    place = source.place.identity()
    target = (source.tenant, source.database_name, source.collection_name)
    return (place.place_type, place.bucket_name, *target)


def _begins(prefix: str) -> Callable[[str], bool]:
    return lambda text: text.startswith(prefix)


def _secret_variables(source: Source) -> Iterator[str]:
    for part in (
        source.embedding,
        source.extraction,
        source.place,
        getattr(source.place, "credentials", None),
    ):
        for one in fields(part) if is_dataclass(part) else ():
            value = getattr(part, one.name)
            if one.name.endswith("_env") and one.name != "access_key_id_env" and value:
                yield value


@click.command(
    name="import",
    epilog=examples(
        "s3sync import sources.json --dry-run", "s3sync import datasources.json --credential 2"
    ),
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Show what would be made; nothing is changed.")
@click.option(
    "--credential",
    type=click.IntRange(1),
    metavar="ID",
    help="Of `s3sync credential create`: for buckets whose keys the file does not have.",
)
@click.option("--database", metavar="NAME", help="Of Chroma, for all; not the file's.")
@embedding("Model for all, not the file's.")
@as_json
def import_sources(
    file: Path,
    dry_run: bool,
    credential: int | None,
    database: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Make sources of a FILE of Chroma Sync, Supermemory or Coco: the JSON that they show.

    A source that is there stays as it is, so a second import changes nothing. Keys in the file are
    kept encrypted, as `s3sync credential create` does; those written as ${NAME} stay in their
    variables. The command ends with 1 where an entry was refused.
    """
    choices = _Choices(
        credential=credential, database=database, embedding=embedding_config(options)
    )
    entries = read_configuration(_content(file))
    with opened(chroma=False, dagster=False) as parts:
        if credential is not None:
            parts.catalog.credentials.info(credential)
        rows = parts.catalog.sources.rows()
        known = _Known()
        for row in rows:
            known.add(row.source)
        going = {row.source.id for row in rows if row.deleting is not None}
        planned: list[Planned] = []
        for one in entries:
            found = _plan(parts, one, choices, known=known, going=going)
            if not dry_run and found.state == "new":
                found = _made(parts, found)
            if found.state == "new" and found.source is not None:
                known.add(found.source)
            planned.append(found)
    show_planned(planned, dry_run=dry_run, as_json=as_json)
    return 1 if any(one.state == "refused" for one in planned) else 0


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened_file:
            content = opened_file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        told = f"The file {str(file)!r} cannot be read ({error.strerror})."
        raise InvalidSetting(told) from None
    if len(content) > MAX_FILE_BYTES:
        raise InvalidSetting(f"The file has more than {MAX_FILE_BYTES} bytes.")
    return content


def _plan(
    parts: Parts,
    entry: Wanted | NotWanted,
    choices: _Choices,
    *,
    known: _Known,
    going: Collection[str],
) -> Planned:
    if isinstance(entry, NotWanted):
        return Planned(label=entry.label, state="refused", notes=[entry.why])
    try:
        source = _source_of(parts, entry, choices)
        known.require_no_secret_as_id(entry.keys)
        for other in known.beside(source):
            same = _spelt_as(other, source, parts.catalog.sources.server_of)
            if overlap(same, other):
                if other.id in going:
                    raise InvalidSetting(
                        f"The source {other.name!r} in its place is still being deleted: import "
                        "again when it is gone."
                    )
                if not identity_changes(other, same).keys() - {"id_prefix"}:
                    return Planned(label=entry.label, state="there", source=other)
                raise InvalidSetting(
                    f"It overlaps the source {other.name!r}, which fills the same collection."
                )
        source = _with_models(parts, source, entry, choices)
        source = source.with_changes(name=_name_of(entry.name, source, known.names))
        validate_source(source)
    except S3SyncError as error:
        return Planned(label=entry.label, state="refused", notes=[error.message])
    notes = list(entry.left_out)
    if isinstance(source.place, S3Place) and entry.keys is None and choices.credential is None:
        notes.append("keys: the file has none, so AWS's default chain is asked (or --credential)")
    return Planned(
        label=entry.label,
        state="new",
        source=source,
        keys=entry.keys,
        paused=entry.paused,
        notes=notes,
    )


def _spelt_as(other: Source, source: Source, server_of: Callable[[Source], str]) -> Source:
    """Return a source with its server as another one names it, where both ask the same one."""
    mine, theirs = source.place, other.place
    if not isinstance(mine, S3Place) or not isinstance(theirs, S3Place):
        return source
    if mine.bucket_name != theirs.bucket_name or mine.endpoint_url == theirs.endpoint_url:
        return source
    if server_of(source) != server_of(other):  # which takes long to tell
        return source
    return source.with_changes(place=replace(mine, endpoint_url=theirs.endpoint_url))


def _source_of(parts: Parts, entry: Wanted, choices: _Choices) -> Source:
    """Return the source of an entry. Raises ``InvalidSetting``."""
    kind = place_classes()[entry.type]
    # Names within a group, such as an embedding, are other ones of the same words.
    table = {one.wire_name: one for one in settings_of(kind) if one.group is None}
    given = {name: value for name, value in entry.fields.items() if value is not None}
    required = [one for one in table.values() if one.path.startswith("place.") and one.required]
    for one in required:
        one.check(given.get(one.wire_name))
    place = kind(**{one.word: given[one.wire_name] for one in required})
    settings = parts.settings
    source = Source(
        id=str(uuid.uuid4()),
        name="imported",
        place=place,
        collection_name=given.get("collection_name") or place.collection(),
        tenant=settings.chroma_tenant or "default_tenant",
        database_name=choices.database
        or entry.database
        or settings.chroma_database
        or "default_database",
        list_interval_seconds=0,
    )
    for name, value in given.items():
        source = table[name].put(source, value)
    variables = entry.keys.variables if entry.keys is not None else None
    if variables is not None:
        found = CredentialsConfig(
            access_key_id_env=variables[0], secret_access_key_env=variables[1]
        )
    else:
        own = choices.credential if entry.keys is None else None
        found = CredentialsConfig(credential_id=own)
    if isinstance(source.place, S3Place):
        source = source.with_changes(place=replace(source.place, credentials=found))
    source.place.check()
    return source


def _with_models(parts: Parts, source: Source, entry: Wanted, choices: _Choices) -> Source:
    """Return the source with its models and chunking. Raises ``InvalidSetting``."""
    from pydantic import ValidationError  # noqa: PLC0415

    # Payloads of the Sync API, which the file may be an answer of.
    from s3sync_dagster.api.models import ModelChoice  # noqa: PLC0415
    from s3sync_dagster.api.wire_settings import with_chunking  # noqa: PLC0415
    from s3sync_dagster.api.wire_source import Chunking, Embedding  # noqa: PLC0415

    try:
        chunking = None if entry.chunking is None else Chunking.model_validate(entry.chunking)
        asked = None if entry.embedding is None else Embedding.model_validate(entry.embedding)
    except ValidationError:
        raise InvalidSetting("embedding or chunking is not as the Sync API has it.") from None
    models = choices.embedding or ModelChoice.of(parts.settings).configured(asked)
    return with_chunking(source, chunking).with_changes(embedding=models)


def _name_of(stem: str, source: Source, taken: Collection[str]) -> str:
    """Return a free name, the same one each time that this entry is read."""
    plain = _UNSAFE.sub("_", stem).strip("_")[: MAX_SOURCE_NAME_LENGTH - 9] or "source"
    if plain not in taken and plain not in RESERVED_SOURCE_NAMES | {"imported"}:
        return plain
    place = (*source.place.identity(), source.tenant, source.database_name, source.collection_name)
    return f"{plain}_{hashlib.sha256(repr(place).encode()).hexdigest()[:8]}"


def _made(parts: Parts, planned: Planned) -> Planned:
    """Make a source that was planned; a refusal by the catalog is one of this entry alone."""
    from s3sync_dagster.catalog.cipher import open_cipher  # noqa: PLC0415
    from s3sync_dagster.catalog.credentials import AwsKeys  # noqa: PLC0415

    source, keys = planned.source, planned.keys
    assert source is not None
    try:
        cipher = None if keys is None or keys.variables else open_cipher(parts.settings)

        def completed(source: Source, tx: sa.Connection) -> Source:
            if keys is None or cipher is None:
                return source
            assert isinstance(source.place, S3Place)
            stored = parts.catalog.credentials.add(
                AwsKeys(access_key_id=keys.access_key_id, secret_access_key=keys.secret_access_key),
                tenant=source.tenant,
                cipher=cipher,
                within=tx,
            )
            found = CredentialsConfig(credential_id=stored.id)
            return source.with_changes(place=replace(source.place, credentials=found))

        source = parts.catalog.sources.add(source, completed=completed, paused=planned.paused)
    except S3SyncError as error:
        return replace(planned, state="refused", source=None, notes=[error.message])
    return replace(planned, source=source)
