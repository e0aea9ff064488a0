"""What `doctor` looks at for each source: bucket, rights, queue, model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from s3sync_dagster.cli.checks import Check, checked, clock_check
from s3sync_dagster.cli.dagster_door import dagster_door, why_unseen
from s3sync_dagster.cli.showing import ago, people
from s3sync_dagster.cli.status import forgotten_at
from s3sync_dagster.core.source_identity import refusal
from s3sync_dagster.engine.pages import first_object
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import EmbeddingConfig, Source
from s3sync_dagster.ports.sqs import SqsQueue

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

AWS = "https://s3.amazonaws.com"


def source_checks(parts: Parts) -> Iterator[Check]:
    """Look at every source, at each clock and each model once."""
    sources = [one for one in parts.catalog.sources.all() if not one.place.owned]
    buckets = [one.place for one in sources if isinstance(one.place, S3Place)]
    for endpoint in dict.fromkeys(one.endpoint_url or AWS for one in buckets):
        yield clock_check(endpoint, time.time())
    models = dict.fromkeys(repr(one.embedding) for one in sources)
    for config in [
        next(one.embedding for one in sources if repr(one.embedding) == model) for model in models
    ] or [EmbeddingConfig()]:
        yield checked(f"model {config.kind}", lambda config=config: _model(parts, config))
    yield from _declarations(parts)
    for source in sources:
        yield checked(f"source {source.name}", lambda source=source: _bucket(parts, source))
        if source.place.queue_url:
            yield checked(f"queue of {source.name}", lambda source=source: _queue(parts, source))


def _declarations(parts: Parts) -> Iterator[Check]:
    """Look at what code says of sources: another one, in two ways, or nothing any more."""
    now = time.time()
    for row in parts.catalog.sources.rows():
        source, name = row.source, f"declaration of {row.source.name}"
        refused = parts.catalog.sources.refused(source.id)
        if refused is not None:
            yield Check(name, "broken", people(refusal(source, refused)))
        declaration = parts.catalog.sources.declaration(source.id)
        if (rivalry := declaration and declaration.rivalry(source.name, now)) is not None:
            yield Check(name, "broken", people(rivalry))
        forgotten = forgotten_at(row, declaration, now=now)
        if forgotten is not None:
            yield Check(name, "note", _forgotten(parts, source, forgotten))


def _forgotten(parts: Parts, source: Source, at: float) -> str:
    told = f"code declared it {ago(at)} for the last time, so nothing lists it"
    seen = dagster_door(parts.settings) is not None
    return (
        f"{told}, and its records stay as they are: declare it again, or remove them with "
        f"`s3sync source delete {source.name} --undeclared`"
        f"{'' if seen else f' ({why_unseen(parts.settings)})'}"
    )


def _model(parts: Parts, config: EmbeddingConfig) -> str:
    embedder = parts.embedder_for(config)
    vector = embedder.embed_query("Is anybody there?")
    return f"answers with {len(vector)} numbers"


def _bucket(parts: Parts, source: Source) -> Check | str:
    store = parts.store_for(source)
    place = people(source.place.address())
    found = first_object(store, source.place.path_prefix)
    if found is None:
        return Check(f"source {source.name}", "note", f"{place} may be listed, and is empty")
    store.head(found.key)
    return f"{place} may be listed and read"


def _queue(parts: Parts, source: Source) -> Check | str:
    queue = parts.queue_for(source)
    if not isinstance(queue, SqsQueue):
        return f"{source.place.queue_url}"
    found = queue.attributes()
    number = found.get("ApproximateNumberOfMessages")
    waiting = f"{source.place.queue_url}, about {number} messages wait"
    if "RedrivePolicy" not in found:
        text = f"{waiting}; it has no dead-letter queue for messages that nobody understands"
        return Check(f"queue of {source.name}", "note", f"{text}: s3sync aws-setup {source.name}")
    return waiting
