"""Documents on their way out for another one under another id, which may never come."""

from collections.abc import Sequence
from dataclasses import replace

from s3sync_dagster.core.document_targets import word_on
from s3sync_dagster.core.facts import KeyFacts
from s3sync_dagster.core.state import BESIDE, DocumentPhase, DocumentState, stood_last
from s3sync_dagster.core.targets import told_documents
from s3sync_dagster.model.source import DeleteMode, Source


def still_gives_way(document: DocumentState, known: Sequence[DocumentState]) -> bool:
    """Return whether a document was on its way out for another one that was never written whole.

    The only evidence against it was that this one would come.
    """
    return document.etag is not None and any(
        one.never_whole and one.collection_name == document.collection_name for one in known
    )


def outlives(document: DocumentState, known: Sequence[DocumentState], etag: str | None) -> bool:
    """Return whether a text has to stay that only records told of, beside another document.

    A restored catalog had forgotten it, and has the other one as it was at the time of its backup:
    of that there may be no record any more. It goes once the other is whole, of the bytes that the
    object has or of its own. ``catalog.unclean`` asks the same of many.

    Args:
        document: any document.
        known: all of its object.
        etag: of the object by now; None: it is gone, or nobody knows.
    """
    if document.owner != BESIDE or document.phase is not DocumentPhase.REMOVING:
        return False
    return not any(
        one.phase is DocumentPhase.CLEAN
        and one.collection_name == document.collection_name
        and (not document.etag or one.etag in (document.etag, etag))
        for one in known
    )


def standing_again(item: KeyFacts, source: Source) -> KeyFacts:
    """Return the facts with documents as standing that gave way to what nobody asks for any more.

    In the modes that keep texts: had the other been written, its text would stay. In any mode what
    somebody said of it holds still. The newest of a collection stands; ``catalog.given_way`` says
    so of its row once the other's is gone.
    """
    asked, _ = told_documents(item, source)
    last = {
        one.collection_name: one
        for one in sorted(item.documents, key=stood_last)
        if one.phase is DocumentPhase.REMOVING and still_gives_way(one, item.documents)
    }
    stand = {
        one.id
        for name, one in last.items()
        if (name not in asked or asked[name].custom_id == one.custom_id)
        and (source.mode is not DeleteMode.MIRROR or word_on(one) is not None)
    }
    if not stand:
        return item
    return replace(
        item,
        documents=tuple(
            replace(one, phase=DocumentPhase.WRITING) if one.id in stand else one
            for one in item.documents
        ),
    )
