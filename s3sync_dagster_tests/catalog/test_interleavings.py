"""Any two writing operations on Postgres, in every order of their statements with two switches.

Nothing raw leaves the catalog, and what holds between any two operations holds after both.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.catalog.deleted_sources import SWEEPER
from s3sync_dagster.core.facts import SidecarChange, SidecarState
from s3sync_dagster.core.page import PageCommit
from s3sync_dagster.core.state import DepartureCursor
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.catalog.interleaving import Stage, open_stage
from s3sync_dagster_tests.catalog.scenes import done, index, index_all, list_all, ref, source
from s3sync_dagster_tests.sources import changed

SRC = source()
OTHER = source("other", path_prefix="docs/", id_prefix="o")
NEAR = source("near", path_prefix="docs/near/", id_prefix="n", collection_name="near")
NEARER = source("nearer", path_prefix="docs/near/er/", id_prefix="n", collection_name="near")
DECLARED = source("declared", collection_name="declared")
BEFORE = source("before", path_prefix="before/", collection_name="before")
ELSEWHERE = changed(SRC, bucket_name="elsewhere")
"""What code declares the source to be, until a person moves it."""
KEYS = ["a", "b", "c", "d"]


@dataclass
class Scene:
    """Names of what the scene has."""

    running: str
    """Token of a running batch that has read and claimed ``c``."""
    reserved: str
    """Token of a reserved batch with ``d``."""
    waiting: str
    """Id of an automatic invocation of ``c`` that came meanwhile."""
    commit: Any
    """What the running batch would commit."""
    listing: Any
    """The running listing."""
    blocked: Any


SCENE: Scene = None  # type: ignore[assignment]  (set by the stage)


def build(catalog: Catalog) -> Scene:
    """Make the scene: ``a`` and ``b`` indexed, ``c`` at work and asked for, ``d`` reserved.

    The source stands in the place of another one, and its code has it elsewhere.
    """
    catalog.sources.add(SRC, origin="python")
    catalog.sources.add(OTHER)
    catalog.sources.add(BEFORE)
    index_all(catalog, BEFORE, ["before/x"])
    catalog.work.partitions_added(BEFORE.id, ["before/x"], added=True)
    with catalog.database.write() as tx:
        moved = sa.text("UPDATE sources SET moved_to = :to, origin = 'moved' WHERE id = :id")
        tx.execute(moved, {"to": SRC.id, "id": BEFORE.id})
    index_all(catalog, SRC, ["a", "b"])
    catalog.invocations.request_automatic(SRC.id, ["c"], trigger=Trigger.EVENT)
    running = catalog.batches.reserve(SRC.id, take=Take(), owner="w", run_id="r")
    catalog.batches.begin(running.token, ["c"])
    commit = index(catalog, SRC, running.token, "c")[1]
    catalog.invocations.request_automatic(SRC.id, ["d"], trigger=Trigger.LISTING)
    reserved = catalog.batches.reserve(SRC.id, take=Take())
    catalog.invocations.request_automatic(SRC.id, ["c"], trigger=Trigger.EVENT)
    waiting = catalog.invocations.latest_by_keys(SRC.id, ["c"])["c"].id
    blocked = list_all(catalog, OTHER, [ref("docs/x")])
    listing = catalog.listings.begin(SRC.id, owner="me")
    catalog.sources.register(ELSEWHERE)
    return Scene(running.token, reserved.token, waiting, commit, listing, blocked)


Operation = Callable[[Catalog], Any]
OPERATIONS: dict[str, Operation] = {
    "add near": lambda c: c.sources.add(NEAR),
    "add nearer": lambda c: c.sources.add(NEARER),
    "register": lambda c: c.sources.register(DECLARED),
    "update": lambda c: c.sources.update(SRC.with_changes(metadata={"x": "y"})),
    "move": lambda c: c.moves.begin(SRC.name),
    "hand over": lambda c: c.moves.hand_over(BEFORE.id, SRC),
    "declare as before": lambda c: c.sources.register(SRC),
    "pause": lambda c: c.sources.set_paused(SRC.id, paused=True),
    "delete": lambda c: c.sources.mark_deleting(SRC.id, keep_records=False),
    "drop": lambda c: c.documents.drop_source(SRC.id),
    "request": lambda c: c.invocations.request(SRC, ["a", "c"], trigger=Trigger.API),
    "automatic": lambda c: c.invocations.request_automatic(
        SRC.id, ["d", "c", "b", "a"], trigger=Trigger.SIDECAR
    ),
    "cancel": lambda c: c.invocations.cancel(SCENE.waiting),
    "retry": lambda c: c.invocations.retry_failed(SRC),
    "events": lambda c: c.work.record_events(
        SRC.id, upserts=[(ref("c", "e2"), None)], sync=["c"], remove=["b", "d"], sequencers={}
    ),
    "told": lambda c: c.work.record_objects(SRC.id, [(ref("d", "e3"), None), (ref("a"), None)]),
    "sidecars": lambda c: c.work.apply_sidecars(
        SCENE.running, SRC.id, [SidecarChange(sidecar_key="s.meta.json", before=None, now=SIDECAR)]
    ),
    "partitions": lambda c: c.work.partitions_added(SRC.id, ["b", "a"], added=True),
    "answered": lambda c: c.work.ask_again_where_answered(SRC.id),
    "page": lambda c: c.listings.commit_page(
        SCENE.listing,
        PageCommit(
            asked=SCENE.listing.number, cursor=None, listed=3, missing=["a"],
            upserts=[(ref("c", "e2"), None), (ref("d"), None)], invoke=["d", "c"],
            differing=frozenset({"c"}),
        ),
        owner="me",
    ),
    "begin listing": lambda c: c.listings.begin(SRC.id, owner="other", fresh=True),
    "depart": lambda c: c.listings.depart(
        SCENE.listing, owner="me", cursor=DepartureCursor(), removes=True
    ),
    "end listing": lambda c: c.listings.end(SCENE.listing, owner="me"),
    "approve": lambda c: c.listings.approve(SRC.id),
    "reserve": lambda c: c.batches.reserve(SRC.id, take=Take(max_live=9), owner="v", run_id="s"),
    "lease": lambda c: c.batches.lease_keys(SRC.id, ["c", "b"], owner="v", run_id="s"),
    "start": lambda c: c.batches.start(SCENE.reserved, owner="v", run_id="s"),
    "renew": lambda c: c.batches.renew(SCENE.running),
    "begin": lambda c: c.batches.begin(SCENE.running, ["c"]),
    "give back": lambda c: c.batches.give_back(SCENE.running, ["c"]),
    "finish": lambda c: c.batches.finish(SCENE.running),
    "release": lambda c: c.batches.release(SCENE.running, died=True),
    "take back": lambda c: c.batches.take_back(SCENE.reserved),
    "claim": lambda c: index(c, SRC, SCENE.running, "e"),
    "removal": lambda c: c.documents.claim_removal(
        SCENE.running, SRC.id, c.documents.of_key(SRC.id, "a")
    ),
    "told by heads": lambda c: c.documents.claim_told_by_heads(
        SCENE.running, SRC.id, c.documents.of_key(SRC.id, "b")
    ),
    "commit": lambda c: c.documents.commit(
        SCENE.running, SRC, written=[SCENE.commit], outcomes=[done("c")]
    ),
    "distrust": lambda c: c.documents.distrust(c.documents.of_source(SRC.id)),
    "distrust all": lambda c: c.documents.distrust_all(SRC.id),
    "unclean": lambda c: c.documents.enqueue_unclean(SRC.id),
    "prune": lambda c: c.invocations.prune(older_than_seconds=-1),
}  # fmt: skip
SIDECAR = SidecarState(
    sidecar_key="s.meta.json", path="a", custom_id="x", target_collection_name=None, metadata={},
    etag="e",
)  # fmt: skip
IN_PARTS = {"drop", "approve", "retry", "prune", "hand over"}
"""Operations of several transactions, each of which is whole: others may come between them."""
NEVER = {("hand over", "drop"), ("drop", "hand over")}
"""Who deletes a source has dropped before that in whose place it stands."""

RISKY = [
    ("add near", "add nearer"), ("register", "register"), ("finish", "automatic"),
    ("finish", "cancel"), ("commit", "distrust"), ("drop", "request"),
    ("move", "delete"),
]  # fmt: skip


@pytest.fixture(scope="module")
def stage(postgres_url):
    global SCENE
    for one in open_stage(postgres_url):
        SCENE = build(one.first.catalog)
        one.remember()
        yield one


@pytest.mark.parametrize("pair", RISKY, ids=" beside ".join)
def test_two_operations_of_which_one_had_to_wait(stage, pair):
    play_all(stage, *pair)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("one", OPERATIONS)
def test_each_operation_beside_each_other(stage, one):
    for other in OPERATIONS:
        if (one, other) not in NEVER:
            play_all(stage, one, other)


def play_all(stage: Stage, one: str, other: str) -> None:
    steps = stage.alone(OPERATIONS[one]), stage.alone(OPERATIONS[other])
    serial = []
    for swapped, (first, second) in enumerate(((one, other), (other, one))):
        stage.play(OPERATIONS[first], OPERATIONS[second], first=1000, second=0)
        serial.append(what_is_left(stage, swapped=bool(swapped)))
    for first, second in itertools.product(range(1, steps[0] + 1), range(1, steps[1] + 1)):
        stage.play(OPERATIONS[one], OPERATIONS[other], first=first, second=second)
        try:
            check(stage)
            if not IN_PARTS & {one, other}:
                left = what_is_left(stage)
                assert left in serial, differences(left, serial)
        except AssertionError as error:
            error.add_note(f"{first} steps of {one!r}, {second} of {other!r}, then to their ends")
            raise


LEFT = {
    "sources": "name, paused, deleting, unanswered_at, config ->> 'metadata'",
    "objects": "source_id, object_key, etag, gone, outcome, missed_listing_id > 0",
    "documents": "source_id, object_key, phase, etag, high_water, batch_token IS NULL",
    "invocations": "source_id, object_key, kind, trigger, status, priority, deaths, reason",
    "batches": "source_id, state, size, priority",
    "listings": "source_id, state, gone, cursor, owner",
    "sidecars": "source_id, sidecar_key",
}


def what_is_left(stage: Stage, *, swapped: bool = False) -> dict[str, list[str]]:
    """Return what two operations have left, without what each run has of its own."""
    left = {
        table: sorted(str(tuple(row)) for row in ask(stage, f"SELECT {columns} FROM {table}"))
        for table, columns in LEFT.items()
    }
    actors = (stage.second, stage.first) if swapped else (stage.first, stage.second)
    return {**left, "errors": [getattr(actor.error, "reason", "") for actor in actors]}


def differences(left: dict[str, list[str]], serial: list[dict[str, list[str]]]) -> str:
    """Return what is neither as after the one and the other, nor as after the other and the one."""
    lines = ["as if neither came after the other:"]
    for table, rows in left.items():
        if any(rows != one[table] for one in serial):
            lines += [f"{table}: is {rows}", *(f"  serially {one[table]}" for one in serial)]
    return "\n".join(lines)


def ask(stage: Stage, text: str) -> list[sa.Row[Any]]:
    return list(stage.watcher.execute(sa.text(text)))


def check(stage: Stage) -> None:
    """Raise AssertionError where two operations have left what none of them may leave."""
    for actor in (stage.first, stage.second):
        if actor.error is not None:
            assert isinstance(actor.error, S3SyncError), repr(actor.error)
            assert actor.error.reason != "catalog_unavailable", repr(actor.error.__cause__)
    for what, query in MUST_BE_EMPTY.items():
        assert ask(stage, query) == [], what


MUST_BE_EMPTY = {
    "keys of a batch that has ended": "SELECT i.object_key FROM invocations i "
    "LEFT JOIN batches b ON b.token = i.batch_token AND b.state IN ('reserved', 'running') "
    "WHERE i.status = 'processing' AND b.token IS NULL",
    "documents of a batch that has ended": "SELECT d.object_key FROM documents d "
    "LEFT JOIN batches b ON b.token = d.batch_token AND b.state = 'running' "
    f"WHERE d.batch_token <> '{SWEEPER}' AND b.token IS NULL",
    "work for a source that is no more": "SELECT source_id, status FROM invocations "
    "WHERE status IN ('pending', 'processing') AND source_id NOT IN (SELECT id FROM sources)",
    "sources that overlap": "SELECT a.name, b.name FROM sources a JOIN sources b ON a.id < b.id "
    "AND a.bucket_name = b.bucket_name AND a.collection_name = b.collection_name "
    "AND a.config ->> 'id_prefix' IS NOT DISTINCT FROM b.config ->> 'id_prefix'",
    **{
        f"{table} of a source that is no more": f"SELECT source_id FROM {table} "
        "WHERE source_id NOT IN (SELECT id FROM sources)"
        for table in ("objects", "sidecars", "batches", "listings")
    },
}
