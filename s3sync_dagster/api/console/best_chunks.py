"""Which chunks of one object answer a question best, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from s3sync_dagster.api.access import Caller
from s3sync_dagster.api.context import Context
from s3sync_dagster.api.manage_wire import HitShown, SearchPayload
from s3sync_dagster.api.searching import find
from s3sync_dagster.core.records import sha256_hex
from s3sync_dagster.core.state import DocumentState
from s3sync_dagster.engine.hybrid import shown_words
from s3sync_dagster.model.errors import S3SyncError

SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best chunks of a document for a question, best first."""

    reasons: Mapping[int, str] = field(default_factory=dict[int, str])
    """Number of a chunk -> why it is one of them: ``meaning 0.655, words 7.1``."""
    problem: str = ""
    """Why nothing was asked."""


def best_of(here: Context, document: DocumentState, question: str, caller: Caller) -> Best:
    """Search one document, as the search page does a collection: what the caller may see."""
    if not question.strip():
        return Best()
    try:
        payload = SearchPayload(
            query=question,
            database_name=document.database_name,
            collection_name=document.collection_name,
            limit=SHOWN,
            where={
                "$and": [
                    {"s3sync_source": document.source_id},
                    {"document_key_sha256": sha256_hex(document.object_key)},
                ]
            },
        )
        hits = find(here, payload, caller).hits
    except ValidationError as error:
        return Best(problem=error.errors(include_url=False, include_input=False)[0]["msg"])
    except S3SyncError as error:
        return Best(problem=error.message)
    reasons: dict[int, str] = {}
    for hit in hits:
        for one in (hit, *hit.copies):  # equal texts are one hit
            number = one.id.removeprefix(f"{document.document_id}-")
            if one.document_id == document.document_id and number.isdecimal():
                reasons[int(number)] = _reason(hit)
    return Best(reasons=reasons)


def _reason(hit: HitShown) -> str:
    """Return what ranks a hit, but its score: among other hits it has another one."""
    told = [] if hit.reranked is None else [f"reranked {hit.reranked:.3f}"]
    told += [] if hit.dense is None else [f"meaning {hit.dense:.3f}"]
    told += [] if hit.words is None else [f"words {shown_words(hit.words)}"]
    return ", ".join(told)
