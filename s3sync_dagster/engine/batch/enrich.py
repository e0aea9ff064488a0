"""Between extract and chunk: a function of the operator's gets the documents of the batch.

It may change what is cut and searched: translate, redact, put a summary before the text. Where it
fails, nothing of what is indexed is lost: the documents that it was given fail with a reason, keep
the records that they had, and are tried again later.
"""

import pkgutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from s3sync_dagster.core.deed import Deed
from s3sync_dagster.engine.batch.parts import BatchParts, Enrich
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import FixConfiguration

REASON = "enrichment_failed"


def enriched(parts: BatchParts, deeds: Sequence[Deed]) -> list[Deed]:
    """Return the deeds with the documents that the source's function made of theirs."""
    given = {deed.key: deed.document for deed in deeds if deed.writing and deed.document}
    if parts.enrich is None or not given:
        return list(deeds)
    try:
        made = dict(parts.enrich(parts.source, given))
    except Exception as error:  # noqa: BLE001  (its text may hold anything, its type does not)
        failed = _failed(parts, f"ended with a {type(error).__name__}")
        return [replace(deed, error=failed) if deed.key in given else deed for deed in deeds]
    parts.at("enriched")
    return [_of(parts, deed, made.get(deed.key)) if deed.key in given else deed for deed in deeds]


def _of(parts: BatchParts, deed: Deed, document: object) -> Deed:
    if isinstance(document, Document):
        return replace(deed, document=document)
    return replace(deed, error=_failed(parts, "returned no document for this object"))


def _failed(parts: BatchParts, what: str) -> FixConfiguration:
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
