"""Documents that are kept from readers: nobody knows that their records say who may read by now.

Of a source that says who may read, a document is open where that is known: its records were
written for what its key is asked to have, or a look finds them to say the same. What cannot be
written (an archived object, append mode, bytes or tags that cannot be read) would go on saying what
was once: it is for nobody with groups until it is written, or what is asked for is what it says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from s3sync_dagster.core.carried import names_readers
from s3sync_dagster.core.decision import Decision
from s3sync_dagster.core.deed import Deed
from s3sync_dagster.core.document_targets import as_it_is, as_its_sidecar_says, said_of_readers
from s3sync_dagster.core.facts import KeyFacts
from s3sync_dagster.core.path_metadata import with_path_metadata
from s3sync_dagster.core.requests import is_request
from s3sync_dagster.core.sidecar_owners import KEPT_OWNER, owner_of, sidecar_claims
from s3sync_dagster.core.state import DocumentPhase, DocumentState, Said, Target
from s3sync_dagster.core.targets import told_documents
from s3sync_dagster.core.vouching import in_doubt, names_any, readers
from s3sync_dagster.model.document import Metadata
from s3sync_dagster.model.errors import FixInput
from s3sync_dagster.model.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Ids of documents."""

    closed: tuple[int, ...] = ()
    """Kept from readers with groups from now on."""
    opened: tuple[int, ...] = ()
    """Not any more: they say what is asked for."""
    said: Mapping[int, Said | None] = field(default_factory=dict[int, Said | None])
    """What owners' requests that end with this asked of documents and could not write; None: what
    is there already."""
    begun: tuple[Target, ...] = ()
    """What they asked for where there is no document yet."""
    waited: frozenset[str] = frozenset()
    """Collections of those of which nobody asks but who had asked before the catalog was put back:
    they may have been done, and records that it does not know say what was said after that."""


def closing_of(deed: Deed, source: Source, *, fingerprint: str) -> Closing:
    """Return whose documents are closed and opened as a key ends.

    Those of sources before a moved one are closed as its own are: what is said of an object holds
    of all its texts, and the successor may not be written for long.

    Of an object that is gone, or that the guard keeps, nobody tells any more but owners: what they
    say of nothing stays as it is.

    Args:
        deed: what was done.
        source: the batch's.
        fingerprint: the source's.
    """
    end = deed.end
    if not source.reader_keys:
        return Closing()
    closed, opened = list[int](), list[int]()
    said = dict[int, Said | None]()
    # What a member asks says nothing of who may read until it is written, nor what was refused.
    heard = tuple(
        one
        for one in end.facts.invocations
        if not is_request(one) or (one.vouched and end.asked.get(one.id, "") not in deed.refused)
    )
    wanted, by_request = told_documents(replace(end.facts, invocations=heard), source)
    # What waited in a backup is no newer than what records say: ``told_documents`` has both then.
    owners = {name for name in by_request.values() if wanted[name].vouched} - deed.written.keys()
    held = {one.id for one in deed.held}  # in whose rows stands what was asked
    untold = end.verdict == "gone" or end.held_back
    for one in end.facts.documents:
        if one.collection_name in deed.written or (untold and one.collection_name not in owners):
            continue
        leaves = one.phase is DocumentPhase.REMOVING  # and may be there for long, or stand again
        asked = wanted.get(one.collection_name)
        target = asked or as_its_sidecar_says(one, end.facts, source)
        if not _says(one, target, deed, source, fingerprint=fingerprint):
            closed += [one.id] if one.high_water else []  # else there is nothing to be read
        elif one.untold and not leaves:
            opened.append(one.id)
        if one.collection_name in owners and one.id not in held and not leaves:
            said[one.id] = _said(target, one)
    for one in end.facts.before:  # which may stand for years: archived, or kept
        name = _asked_instead(one, wanted, end.facts, source)
        if not one.high_water or (untold and name not in owners):
            continue
        target = wanted[name] if name else as_its_sidecar_says(one, end.facts, source)
        if not _says(one, target, deed, source, fingerprint=fingerprint):
            closed.append(one.id)
    known = [one for one in end.facts.documents if one.phase is not DocumentPhase.REMOVING]
    there = {one.collection_name for one in (*known, *deed.held)}
    begun = [
        wanted[name]
        for name in sorted(owners - there if end.verdict != "gone" else ())
        if names_any(wanted[name].metadata, source.reader_keys)
    ]
    since = {by_request[one.id] for one in heard if one.id in by_request and not one.restored}
    return Closing(
        closed=tuple(closed),
        opened=tuple(opened),
        said=said,
        begun=tuple(begun),
        waited=frozenset(owners - since),
    )


def _asked_instead(
    before: DocumentState, wanted: Mapping[str, Target], facts: KeyFacts, source: Source
) -> str | None:
    """Return the collection for which is asked what a document of a source before was asked for.

    None: nobody asks for it any more.
    """
    if before.owner in ("source", "request"):
        asks = [before.collection_name, source.collection_name]
    else:
        claims = sidecar_claims(facts.sidecars, source)
        asks = [before.collection_name] + [
            collection
            for collection, one in claims.items()
            if before.owner in (owner_of(one), KEPT_OWNER + one.sidecar_key)
        ]
    return next((name for name in asks if name in wanted), None)


def _said(target: Target, document: DocumentState) -> Said | None:
    """Return what is asked of a document beyond its row; the last word takes back those before."""
    if replace(as_it_is(document), owner=target.owner) == target:
        return None
    return Said(custom_id=target.custom_id, metadata=target.metadata)


def _says(
    document: DocumentState, target: Target, deed: Deed, source: Source, *, fingerprint: str
) -> bool:
    """Return whether a document's records are known to name the readers that are asked for."""
    if document.phase is DocumentPhase.WRITING or in_doubt(
        replace(document, withheld=said_of_readers(document)), source.reader_keys
    ):
        return False
    if document.untold and document.fingerprint != fingerprint:
        return False  # what source and path said when it was written is kept nowhere
    carried: Metadata = document.carried
    if names_readers(source):
        if deed.looked is None or not looked_at_again(deed.end, source):
            return False
        carried = deed.looked
    own, keys = with_path_metadata(source, deed.key), source.reader_keys
    said = readers({**own, **document.carried}, as_it_is(document), keys=keys)
    return said == readers({**own, **carried}, target, keys=keys)


def looked_at_again(end: Decision, source: Source) -> bool:
    """Return whether somebody looks again what the object of a key that ends so carries.

    Without an interval events alone tell of it, whatever the object is. With one listings look,
    which leave alone what its bytes or the settings end for good.
    """
    if not source.place.metadata_interval_seconds:
        return True
    if end.verdict == "fail":
        return not isinstance(end.error, FixInput)
    return end.verdict in ("unchanged", "write") or end.reason == "archived"
