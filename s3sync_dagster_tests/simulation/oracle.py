"""What the collections must hold once nothing is left to do, worked out from the bucket alone."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.simulation.ports import REFUSED
from s3sync_dagster_tests.simulation.world import ASKED, World


@dataclass(frozen=True)
class Wanted:
    """One document that has to be there."""

    key: str
    collection: str
    custom_id: str | None
    words: tuple[tuple[str, Any], ...] = ()
    """The user's metadata."""
    prefix: str = ""
    """Of the source's ids."""

    @property
    def document_id(self) -> str:
        return self.prefix + (self.custom_id or hashlib.sha256(self.key.encode()).hexdigest())


@dataclass
class Expectation:
    """All documents, and how each object has to end."""

    documents: list[Wanted] = field(default_factory=list)
    states: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    instead: dict[str, set[tuple[str, str | None]]] = field(default_factory=dict)
    """Other ends that are as good."""
    rivals: dict[tuple[str, str], list[Wanted]] = field(default_factory=dict)
    """Custom ids that several keys claim in one collection: one of them has it."""


def check(world: World) -> None:
    """Raise AssertionError where the world at rest is not as it has to be."""
    for name, before in world.foreign.items():
        now = {key: value for key, value in world.records(name).items() if key in before}
        assert now == before, f"records of others were touched in {name}"
    source = world.source
    rows = {}
    for state in world.catalog.documents.of_source(source.id):
        rows[state.object_key, state.collection_name] = state
    assert world.catalog.batches.live() == []
    assert world.catalog.invocations.live_count(source.id) == 0
    _check_counts(world)
    expected = expect(world)
    _resolve_rivals(world, expected, rows)
    _resolve_ends(world, expected)
    if source.mode is DeleteMode.MIRROR:
        _check_mirror(world, expected, rows)
        _check_states(world, expected)
    else:
        _check_kept(world, expected, rows)


def expect(world: World) -> Expectation:
    """Work out what a bucket asks for."""
    source, objects = world.source, {k: v.decode() for k, v in world.bucket.objects().items()}
    answer = Expectation()
    claims: dict[tuple[str, str], tuple[str, Any]] = {}
    for key in sorted(set(world.sidecars), key=str.encode):
        said, valid = _sidecar(world, key, objects)
        if said is not None:
            place = (said["path"], said.get("target_collection_name") or source.collection_name)
            winner = place not in claims
            claims.setdefault(place, (key, said))
            if key in objects:
                answer.states[key] = (
                    ("skipped", "sidecar") if winner else ("failed", "already_claimed")
                )
        if key in objects and not valid:
            answer.states[key] = ("failed", "invalid_json")
    taken = 0
    for key in sorted(set(objects) - set(world.sidecars), key=str.encode):
        reason = _left_out(world, key, objects[key])
        if reason is None and source.document_limit is not None and taken >= source.document_limit:
            reason = "document_limit"
        if reason is not None:
            answer.states[key] = ("skipped", reason)
            continue
        taken += 1
        wanted = _targets(world, key, claims)
        trouble = _trouble(world, key, objects[key])
        if not wanted:
            # One that was read for an explicit request shows what was found then.
            answer.states[key] = ("skipped", "no_sidecar")
            answer.instead[key] = {trouble} if trouble else set()
            _forgotten_by_listings(world, key, answer)
            continue
        answer.states[key] = trouble or ("indexed", None)
        _forgotten_by_listings(world, key, answer)
        for one in wanted:
            if any(
                name.startswith(f"{one.document_id}-")
                for name in world.foreign.get(one.collection, {})
            ):
                if trouble is None:
                    answer.states[key] = ("failed", "record_ids_taken")
            elif trouble is None:
                answer.documents.append(one)
            if trouble == ("failed", "record_rejected") and (
                one.custom_id or key == world.place.key("foreign.txt")
            ):
                # Whichever is met first.
                answer.instead.setdefault(key, set()).add(("failed", "record_ids_taken"))
    by_id: dict[tuple[str, str], list[Wanted]] = {}
    for one in answer.documents:
        by_id.setdefault((one.collection, one.document_id), []).append(one)
    answer.rivals = {place: ones for place, ones in by_id.items() if len(ones) > 1}
    return answer


def _forgotten_by_listings(world: World, key: str, answer: Expectation) -> None:
    """A person's wish for the source's own document in vain shows until the next listing."""
    if not world.lists and world.source.auto_sync is AutoSync.METADATA and key == "foreign.txt":
        answer.instead.setdefault(key, set()).add(("failed", "record_ids_taken"))


def _sidecar(world: World, key: str, objects: dict[str, str]) -> tuple[dict[str, Any] | None, bool]:
    """Return what a sidecar asks for, and whether its present bytes can be followed.

    One that cannot be followed leaves in force what it said before, where somebody read that.
    """
    if key not in objects:
        return None, True
    said = _json(objects[key])
    if said is not None:
        return said, True
    stored = [
        state
        for states in world.catalog.work.claims_of(world.source.id, world.keys).values()
        for state in states
        if state.sidecar_key == key
    ]
    if not stored:
        return None, False
    [one] = stored
    said = {"path": one.path, "id": one.custom_id, "metadata": one.metadata}
    if one.target_collection_name:
        said["target_collection_name"] = one.target_collection_name
    known = [_json(content) for content in world.history[key]]
    assert any(
        old is not None
        and {name: value for name, value in old.items() if name != "version"} == said
        for old in known
    ), f"{key} asks for what it never said: {said}"
    return said, False


def _json(text: str) -> dict[str, Any] | None:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _left_out(world: World, key: str, content: str) -> str | None:
    if world.source.exclude_globs and key.startswith(world.place.key("dir/")):
        return "excluded"
    if key.endswith(".zip"):
        return "unsupported_type"
    return "empty_object" if content == "" else None


def _trouble(world: World, key: str, content: str) -> tuple[str, str] | None:
    died = ("failed", "worker_died")
    if content.startswith("BAD"):
        return ("failed", "damaged")
    killed = world.lone_deaths[key] > 2 and _states(world).get(key) == died
    if killed or content.startswith("KILL"):
        return died
    if not paragraphs(content):
        return ("skipped", "empty_text")
    return ("failed", "record_rejected") if REFUSED in content else None


def paragraphs(content: str) -> list[str]:
    return [one for one in content.split("\n\n") if one.strip()]


def _targets(world: World, key: str, claims: dict[tuple[str, str], Any]) -> list[Wanted]:
    source = world.source
    rows = {row.collection_name: row for row in world.catalog.documents.of_key(source.id, key)}
    wanted: dict[str, Wanted] = {}
    own = rows.get(source.collection_name)
    if source.auto_sync is not AutoSync.METADATA or (own is not None and own.owner == "source"):
        wanted[source.collection_name] = Wanted(key, source.collection_name, None)
    asked = rows.get(ASKED)
    if asked is not None:  # explicit requests are not in the bucket: the catalog knows them
        wanted[ASKED] = Wanted(key, ASKED, asked.custom_id, tuple(sorted(asked.metadata.items())))
    for (path, collection), (_, said) in claims.items():
        if path == key:
            wanted[collection] = Wanted(
                key, collection, said["id"], tuple(sorted((said.get("metadata") or {}).items()))
            )
    return [replace(one, prefix=source.id_prefix) for one in wanted.values()]


def _resolve_rivals(world: World, expected: Expectation, rows: dict) -> None:
    """Of several keys that claim one id, the catalog's owner has it; the others have failed."""
    for (collection, document_id), ones in expected.rivals.items():
        owners = [
            one
            for one in ones
            if (row := rows.get((one.key, collection))) is not None
            and row.document_id == document_id
        ]
        if not owners and world.source.mode is not DeleteMode.MIRROR:
            assert _is_kept_from(ones, collection, document_id, rows), (document_id, ones)
        else:
            assert len(owners) == 1, f"{document_id} in {collection} has owners {owners} of {ones}"
        for one in ones:
            if one not in owners:
                expected.documents.remove(one)
                expected.states[one.key] = ("failed", "record_ids_taken")
    while taken := [one for one in expected.documents if _is_kept_by_refused(one, expected, rows)]:
        for one in taken:
            expected.documents.remove(one)
            expected.states[one.key] = ("failed", "record_ids_taken")


def _is_kept_by_refused(wanted: Wanted, expected: Expectation, rows: dict) -> bool:
    """Return whether a key that lost its own id keeps the wanted one from before."""
    return any(
        key != wanted.key
        and (where, row.document_id) == (wanted.collection, wanted.document_id)
        and expected.states.get(key) == ("failed", "record_ids_taken")
        for (key, where), row in rows.items()
    )


def _is_kept_from(ones: list[Wanted], collection: str, document_id: str, rows: dict) -> bool:
    """Return whether documents that the mode keeps have the id, or stand where theirs would go."""
    whole = {place for place, row in rows.items() if row.phase is DocumentPhase.CLEAN}
    held = any(
        where == collection and rows[key, where].document_id == document_id for key, where in whole
    )
    return held or all((one.key, collection) in whole for one in ones)


def records_of(world: World, wanted: Wanted, content: str) -> dict[str, Any]:
    """Return id -> (text, metadata) of a document's records."""
    etag = world.place.etag_of(content)
    _, said = world.records(wanted.collection).get(f"{wanted.document_id}-0", ("", {}))
    version = world.place.version_of(wanted.key, etag, str(said.get("version_key")))
    texts = paragraphs(content)
    records = {}
    for place, text in enumerate(texts):
        told: dict[str, Any] = {
            **world.source.metadata,
            **dict(wanted.words),
            "document_key": wanted.key,
            "document_key_sha256": hashlib.sha256(wanted.key.encode()).hexdigest(),
            "version_key": version,
            "version_key_sha256": hashlib.sha256(version.encode()).hexdigest(),
            "s3sync_source": world.source.id,
            "s3sync_bucket": world.source.place.identity().bucket_name,
            "s3sync_etag": etag,
            "s3sync_chunk": place,
            "chunk_strategy": "lines",
            "start_line": place + 1,
            "end_line": place + 1,
            "start_col": 1,
            "end_col": 1,
        }
        if wanted.custom_id is not None:
            told["custom_id"] = wanted.custom_id
        if place == 0:
            told["s3sync_chunk_count"] = len(texts)
        records[f"{wanted.document_id}-{place}"] = (text, told)
    return records


def _check_mirror(world: World, expected: Expectation, rows: dict) -> None:
    objects = {k: v.decode() for k, v in world.bucket.objects().items()}
    refused = {key for key, state in expected.states.items() if state[1] == "record_ids_taken"}
    # What was asked of an object whose bytes give no text waits for others, without records.
    waits = {key for key, state in expected.states.items() if state[0] != "indexed"} & set(objects)
    rows = {
        place: row
        for place, row in rows.items()
        if place[0] not in waits or row.high_water or row.phase is not DocumentPhase.WRITING
    }
    unexplained = {place for place in rows if place[0] not in refused}
    there = {name for _, _, name in world.collections._collections}
    for collection in sorted(there | {one.collection for one in expected.documents}):
        actual = world.records(collection)
        wanted: dict[str, Any] = dict(world.foreign.get(collection, {}))
        for one in expected.documents:
            if one.collection == collection:
                wanted |= records_of(world, one, objects[one.key])
                unexplained.discard((one.key, collection))
        # A key that lost its id to another keeps what it had before.
        for (key, where), row in rows.items():
            if key in refused and where == collection:
                for place in range(row.high_water):
                    actual.pop(f"{row.document_id}-{place}", None)
                    wanted.pop(f"{row.document_id}-{place}", None)
        if world.held_back:
            actual = {
                name: record
                for name, record in actual.items()
                if name in wanted or not _is_held_back(world, record, objects, collection)
            }
        same(actual, wanted, collection)
    assert not unexplained, f"documents without a reason: {unexplained}"
    for (key, collection), row in rows.items():
        assert row.phase is DocumentPhase.CLEAN or key in refused, (key, collection, row)


def _is_held_back(world: World, record: Any, objects: dict[str, str], collection: str) -> bool:
    """Return whether nobody may say that a record is over: what a backup does not know made it.

    Its object has failed, or has these bytes: in a collection of which the source has all objects
    it is whole anew. Or a sidecar cannot be followed: it may ask for that.
    """
    key = record[1].get("document_key")
    if key not in objects:
        return False
    source, (state, reason) = world.source, _states(world)[key]
    now = record[1].get("s3sync_etag") == world.place.etag_of(objects[key])
    all_there = source.auto_sync is not AutoSync.METADATA and collection == source.collection_name
    unread = not all(_sidecar(world, name, objects)[1] for name in world.sidecars)
    asked = unread and (state == "indexed" or reason == "no_sidecar")
    return (now and not all_there) or asked or state == "failed"


def _check_kept(world: World, expected: Expectation, rows: dict) -> None:
    """In modes that keep records each document is one version of its object, whole."""
    append = world.source.mode is DeleteMode.APPEND
    objects = {k: v.decode() for k, v in world.bucket.objects().items()}
    holders = {(it[1], row.document_id): it[0] for it, row in rows.items() if not row.begun_only}
    # Where a document that the mode keeps has the id, what there was before stays as it was.
    free = [
        one
        for one in expected.documents
        if holders.get((one.collection, one.document_id), one.key) == one.key
    ]
    for one in free:
        row = rows.get((one.key, one.collection))
        assert row is not None, f"{one} is missing"
        if not append:
            records = world.records(one.collection)
            there = {
                f"{row.document_id}-{n}": records.get(f"{row.document_id}-{n}")
                for n in range(row.high_water)
            }
            assert there == records_of(world, one, objects[one.key])
    for (key, collection), row in rows.items():
        # A text that append mode has kept beside a write in vain waits for the next check.
        kept = append and row.etag and row.fingerprint is None
        if row.phase is not DocumentPhase.CLEAN and not kept:
            assert (key, collection) not in {(one.key, one.collection) for one in free}, row
            continue
        records = world.records(collection)
        count = row.count
        if kept:  # by its records alone
            _, first = records[f"{row.document_id}-0"]
            count = first["s3sync_chunk_count"]
        texts = [records[f"{row.document_id}-{place}"][0] for place in range(count)]
        versions = [paragraphs(content) for content in world.history[key]]
        assert texts in versions, f"{key} in {collection} is no version of its object"


def _check_states(world: World, expected: Expectation) -> None:
    same(_states(world), expected.states, "states")


def _resolve_ends(world: World, expected: Expectation) -> None:
    """Where two ends are as good, expect the one that came."""
    actual = _states(world)
    for key, states in expected.instead.items():
        if (end := actual.get(key)) in states:
            expected.states[key] = end


def _states(world: World) -> dict[str, tuple[str, str | None]]:
    late = _told_late(world)
    return {
        row.object_key: (row.state, row.reason)
        for row in world.catalog.views.object_rows(world.source.id, limit=1000)
        if row.object_key not in late
    }


def _told_late(world: World) -> set[str]:
    """Return keys that are left out and whose object is gone: nobody looks before a listing."""
    if world.lists:
        return set()
    rows = world.catalog.views.object_rows(world.source.id, state="skipped", limit=1000)
    left_out = {row.object_key for row in rows if row.reason == "unsupported_type"}
    return left_out - world.bucket.objects().keys()


def _check_counts(world: World) -> None:
    counts = world.catalog.views.counts(world.source.id)
    parts = Counter({"indexed": counts.indexed, "pending": counts.pending})
    parts["processing"] = counts.processing
    total = sum(parts.values()) + sum(counts.skipped.values()) + sum(counts.failed.values())
    there = {*world.bucket.objects(), *_told_late(world)}
    assert total == counts.objects == len(there), f"{counts}"
    if world.lists:
        listing = world.catalog.listings.latest(world.source.id)
        assert listing is not None
        assert listing.listed == counts.objects
    assert counts.pending == counts.processing == 0


def same(actual: dict[str, Any], wanted: dict[str, Any], what: str) -> None:
    lines = [
        f"{what} {name}: is {actual.get(name)}, should be {wanted.get(name)}"
        for name in sorted({*actual, *wanted})
        if actual.get(name) != wanted.get(name)
    ]
    assert not lines, "\n".join(lines)
