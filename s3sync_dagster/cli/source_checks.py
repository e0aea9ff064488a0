"""What `doctor` looks at for each source: bucket, rights, queue, model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from s3sync_dagster.cli.checks import Check, checked, clock_check
from s3sync_dagster.cli.showing import people
from s3sync_dagster.core.source_identity import refusal
from s3sync_dagster.engine.pages import first_object
from s3sync_dagster.model.place import S3Place
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
    for source in parts.catalog.sources.all():
        refused = parts.catalog.sources.refused(source.id)
        if refused is not None:
            text = people(refusal(source, refused))
            yield Check(f"declaration of {source.name}", "broken", text)
    for source in sources:
        yield checked(f"source {source.name}", lambda source=source: _bucket(parts, source))
        if source.place.queue_url:
            yield checked(f"queue of {source.name}", lambda source=source: _queue(parts, source))


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
