"""A document that is there, as what is asked for: as it is, as it is to be, as its sidecar says."""

from dataclasses import replace

from s3sync_dagster.core.facts import KeyFacts
from s3sync_dagster.core.sidecar_owners import KEPT_OWNER, owner_of
from s3sync_dagster.core.state import RECOVERED, UNTOLD, DocumentState, Target
from s3sync_dagster.model.source import Source


def as_it_is(document: DocumentState) -> Target:
    """Return a document as the one that is asked for."""
    return Target(
        collection_name=document.collection_name,
        custom_id=document.custom_id,
        metadata=document.metadata,
        owner=document.owner,
        vouched=document.vouched,
        recovered=document.withheld == RECOVERED,
    )


def as_its_sidecar_says(document: DocumentState, item: KeyFacts, source: Source) -> Target:
    """Return a document that nobody asks for, with what the sidecar that made it says by now.

    It asks for another one, elsewhere, and says who may read the object all the same.
    """
    for one in item.sidecars:
        if document.owner in (owner_of(one), KEPT_OWNER + one.sidecar_key):
            return replace(
                as_it_is(document),
                metadata=one.metadata,  # type: ignore[arg-type]  (checked by core.sidecar)
                vouched=not source.place.owned,
            )
    return as_it_is(document)


def as_it_is_to_be(document: DocumentState) -> Target:
    """Return a document as its owner has asked for it last, be it written or not."""
    if document.said is None:
        return as_it_is(document)
    return Target(
        collection_name=document.collection_name,
        custom_id=document.said.custom_id,
        metadata=document.said.metadata,
        owner="request",
    )


def word_on(document: DocumentState) -> Target | None:
    """Return what was said of a document that neither bucket nor settings say; None: nothing."""
    told = as_it_is_to_be(document)
    asked = told.owner == "request" or (told.owner == "source" and not told.vouched)
    return told if asked else None


def said_of_readers(document: DocumentState) -> str | None:
    """Return ``withheld`` of its records: who may read them by now, ``core.closing`` compares."""
    if document.withheld is None or document.withheld == RECOVERED:
        return document.withheld
    return document.withheld.removeprefix(UNTOLD) or None
