"""Between extract and chunk: a function of the operator's gets the documents of the batch.

It may change what is cut and searched: translate, redact, put a summary before the text. What it
answers, or does not answer, is never blamed on the bytes: the documents that it was given fail with
a reason, keep the records that they had, and are tried again later.
"""

import pkgutil
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import Any, cast

from s3sync_dagster.core.deed import Deed
from s3sync_dagster.engine.batch.parts import BatchParts, Enrich
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import FixConfiguration

REASON = "enrichment_failed"
DOCUMENTS_IN_ONE_LIMIT = 60
"""A batch of so many has twice the time of an empty one."""


def enriched(parts: BatchParts, deeds: Sequence[Deed]) -> list[Deed]:
    """Return the deeds with the documents that the source's function made of theirs."""
    given = {deed.key: deed.document for deed in deeds if deed.writing and deed.document}
    if parts.enrich is None or not given:
        return list(deeds)
    made = _made(parts, parts.enrich, given)
    if isinstance(made, FixConfiguration):
        return [replace(deed, error=made) if deed.key in given else deed for deed in deeds]
    parts.at("enriched")
    return [_of(parts, deed, made.get(deed.key)) if deed.key in given else deed for deed in deeds]


def _made(
    parts: BatchParts, enrich: Enrich, given: Mapping[str, Document]
) -> Mapping[str, object] | FixConfiguration:
    """Return what the function makes of documents, or why there is nothing.

    It has a thread of its own, which is left behind where it does not end: nothing can stop it,
    but nobody waits for it any longer, and it does not keep the process from ending.
    """
    answer: Future[Mapping[str, object] | FixConfiguration] = Future()

    def call() -> None:
        try:
            answer.set_result(dict(enrich(parts.source, given)))
        except BaseException as error:  # noqa: BLE001  (its text may hold anything, its type does not)
            answer.set_result(failed_by_function(parts, f"ended with a {type(error).__name__}"))

    seconds = parts.enrich_seconds * (1 + len(given) / DOCUMENTS_IN_ONE_LIMIT)
    threading.Thread(target=call, name="s3sync-enrich", daemon=True).start()
    if wait([answer], timeout=seconds).not_done:
        return failed_by_function(
            parts, f"did not end within {seconds:.0f} seconds for {len(given)} documents"
        )
    return answer.result()


def _of(parts: BatchParts, deed: Deed, document: object) -> Deed:
    text: object = document.text if isinstance(document, Document) else None
    if not isinstance(document, Document) or not isinstance(text, str):
        error = failed_by_function(parts, "returned no document for this object")
        return replace(deed, error=error)
    if document == deed.document:
        return deed
    return replace(deed, document=document, given=deed.document)


def failed_by_function(parts: BatchParts, what: str) -> FixConfiguration:
    """Return the error of documents that the source's function left without a usable text."""
    return FixConfiguration(
        f"The function {parts.source.enrich!r} {what}; its records stay as they were.",
        reason=REASON,
    )


def load_function(name: str) -> Enrich:
    """Return the function of a name such as ``package.module:name``.

    Raises:
        FixConfiguration: there is none; what importing it raised is not repeated.
    """
    try:
        found: Any = pkgutil.resolve_name(name)
    except Exception as error:  # noqa: BLE001  (a module may raise whatever it likes)
        raise FixConfiguration(
            f"enrich: {name!r} cannot be loaded ({type(error).__name__}): is its package installed "
            "where runs work?",
            reason="enrichment_missing",
        ) from None
    if not callable(found):
        raise FixConfiguration(f"enrich: {name!r} is no function.", reason="enrichment_missing")
    return cast("Enrich", found)
