"""The writing operations of the catalog, and one scene in which each has something to do."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.catalog.cipher import Cipher
from s3sync_dagster.catalog.credentials import AwsKeys
from s3sync_dagster.catalog.recovered import store_recovered
from s3sync_dagster.core.closing import Closing
from s3sync_dagster.core.facts import SidecarChange, SidecarState
from s3sync_dagster.core.page import PageCommit
from s3sync_dagster.core.state import (
    CheckCursor,
    DepartureCursor,
    KnownCollection,
    ListedReport,
    UploadedFile,
)
from s3sync_dagster.engine.rebuilding import RecoveredDocument
from s3sync_dagster.model.invocation import Result, Trigger
from s3sync_dagster.model.place import CredentialsConfig
from s3sync_dagster_tests.catalog.interleaving import Operation
from s3sync_dagster_tests.catalog.scenes import done, index, index_all, list_all, ref, source
from s3sync_dagster_tests.sources import changed

SRC = source(reader_keys=("team",), object_tags=("team",), queue_url="http://127.0.0.1:9/1/changes")
OTHER = source("other", path_prefix="docs/", id_prefix="o")
NEAR = source("near", path_prefix="docs/near/", id_prefix="n", collection_name="near")
NEARER = source("nearer", path_prefix="docs/near/er/", id_prefix="n", collection_name="near")
DECLARED = source("declared", collection_name="declared")
BEFORE = source("before", path_prefix="before/", collection_name="before")
GONE = source("gone", path_prefix="gone/", collection_name="gone")
ELSEWHERE = changed(SRC, bucket_name="elsewhere")
"""What code declares the source to be, until a person moves it."""
MET = KnownCollection(
    tenant=SRC.tenant, database_name=SRC.database_name, collection_name=SRC.collection_name,
    collection_id="1",
)  # fmt: skip
ANEW = KnownCollection(
    tenant=SRC.tenant, database_name=SRC.database_name, collection_name=SRC.collection_name,
    collection_id="2",
)  # fmt: skip
CIPHER = Cipher([Fernet.generate_key().decode()])
KEYS = AwsKeys(access_key_id="AKIA0", secret_access_key="of a test")


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
    whole: Any
    """An invocation of all of the source that waits for the next listing."""
    file: UploadedFile
    """Bytes that were uploaded and are no file yet."""
    credential: int
    """A stored key pair that no source uses."""


SCENE: Scene = None  # type: ignore[assignment]  (set by ``build``)


def build(catalog: Catalog) -> None:
    """Make the scene: ``a`` and ``b`` indexed, ``c`` at work and asked for, ``d`` reserved.

    And ``f`` has failed. The source stands in the place of another one, and its code has it
    elsewhere. Of a source that is deleted a late worker has left a document.
    """
    global SCENE
    catalog.sources.add(SRC, origin="python")
    catalog.sources.add(OTHER)
    catalog.sources.add(BEFORE)
    index_all(catalog, BEFORE, ["before/x"])
    catalog.partitions.place(BEFORE.id, ["before/x"])
    catalog.partitions.added(BEFORE.id, ["before/x"], shard=1)
    with catalog.database.write() as tx:
        moved = sa.text("UPDATE sources SET moved_to = :to, origin = 'moved' WHERE id = :id")
        tx.execute(moved, {"to": SRC.id, "id": BEFORE.id})
    leave_behind(catalog)
    index_some(catalog)
    catalog.collections.meet(SRC.id, MET)
    catalog.invocations.request_automatic(SRC.id, ["c"], trigger=Trigger.EVENT)
    running = catalog.batches.reserve(SRC.id, take=Take(), owner="w", run_id="r")
    catalog.batches.begin(running.token, ["c"])
    commit = index(catalog, SRC, running.token, "c")[1]
    catalog.invocations.request_automatic(SRC.id, ["d"], trigger=Trigger.LISTING)
    reserved = catalog.batches.reserve(SRC.id, take=Take())
    catalog.invocations.request_automatic(SRC.id, ["c"], trigger=Trigger.EVENT)
    waiting = catalog.invocations.latest_by_keys(SRC.id, ["c"])["c"].id
    list_all(catalog, OTHER, [ref("docs/x")])
    catalog.wholes.insert(SRC, ref={"sha": "1" * 40})
    listing = catalog.listings.begin(SRC.id, owner="me")
    whole = catalog.wholes.find(catalog.wholes.insert(SRC, ref={}), tenant=SRC.tenant)
    catalog.sources.register(ELSEWHERE)
    catalog.uploads.put(SRC.id, file_of(catalog, "v"))
    catalog.uploads.write_bytes([b"left by a crash"])
    with catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE upload_bytes SET written_at = 0 WHERE length(data) > 3"))
    stored = catalog.credentials.add(KEYS, tenant=SRC.tenant, cipher=CIPHER)
    SCENE = Scene(
        running.token, reserved.token, waiting, commit, listing, whole, file_of(catalog, "u"),
        stored.id,
    )  # fmt: skip


def leave_behind(catalog: Catalog) -> None:
    catalog.sources.add(GONE)
    index_all(catalog, GONE, ["gone/x"])
    left = catalog.documents.of_source(GONE.id)
    catalog.sources.mark_deleting(GONE.id, keep_records=False)
    catalog.documents.drop_source(GONE.id)
    catalog.documents.distrust(left)


def index_some(catalog: Catalog) -> None:
    list_all(catalog, SRC, [ref(key) for key in "abf"])
    batch = catalog.batches.reserve(SRC.id, take=Take(), owner="me", run_id="r")
    commits = [index(catalog, SRC, batch.token, key)[1] for key in "ab"]
    failed = done(
        "f", result=Result.FAILED, outcome="failed", reason="store_timeout",
        retry_class="transient", next_at=0.0,
    )  # fmt: skip
    outcomes = [done("a"), done("b"), failed]
    catalog.documents.commit(batch.token, SRC, written=commits, outcomes=outcomes)
    catalog.batches.finish(batch.token)


def file_of(catalog: Catalog, key: str) -> UploadedFile:
    body = catalog.uploads.write_bytes([b"abc"])
    return UploadedFile(key=key, etag="e", size=3, modified_at=0.0, body=body)


def ids_of(catalog: Catalog, key: str) -> tuple[int, ...]:
    return tuple(one.id for one in catalog.documents.of_key(SRC.id, key))


def leave(catalog: Catalog) -> None:
    """Let what the source before has left go, as a move does."""
    left = catalog.moves.claim_leaving(SRC, BEFORE)
    ids = [one.id for one in left or ()]
    catalog.moves.forget_left(BEFORE.id, ids, gone=ids)


def use_keys(catalog: Catalog) -> None:
    """Give the source keys that came inline, as the API does."""

    def stored(given, tx):
        info = catalog.credentials.add(KEYS, tenant=given.tenant, cipher=CIPHER, within=tx)
        return changed(given, credentials=CredentialsConfig(credential_id=info.id))

    catalog.sources.update(SRC, completed=stored)


OPERATIONS: dict[str, Operation] = {
    "add near": lambda c: c.sources.add(NEAR),
    "add nearer": lambda c: c.sources.add(NEARER),
    "register": lambda c: c.sources.register(DECLARED),
    "update": lambda c: c.sources.update(SRC.with_changes(metadata={"x": "y"})),
    "use keys": use_keys,
    "forget keys": lambda c: c.credentials.delete(SCENE.credential),
    "move": lambda c: c.moves.begin(SRC.name),
    "hand over": lambda c: c.moves.hand_over(BEFORE.id, SRC),
    "hand requests": lambda c: c.moves.hand_requests(BEFORE.id, SRC),
    "leave": leave,
    "declare as before": lambda c: c.sources.register(SRC),
    "pause": lambda c: c.sources.set_paused(SRC.id, paused=True),
    "ask for listing": lambda c: c.sources.ask_for_listing(SRC.id),
    "turn": lambda c: c.sources.due_for_listing(SRC.id, interval_seconds=60),
    "delete": lambda c: c.sources.mark_deleting(SRC.id, keep_records=False),
    "drop": lambda c: c.documents.drop_source(SRC.id),
    "request": lambda c: c.invocations.request(SRC, ["a", "c"], trigger=Trigger.API),
    "automatic": lambda c: c.invocations.request_automatic(
        SRC.id, ["d", "c", "b", "a"], trigger=Trigger.SIDECAR
    ),
    "cancel": lambda c: c.invocations.cancel(SCENE.waiting),
    "retry": lambda c: c.invocations.retry_failed(SRC),
    "ask for all": lambda c: c.wholes.insert(SRC, ref={"branch": "main"}),
    "cancel all": lambda c: c.wholes.cancel(SCENE.whole),
    "show wholes": lambda c: c.wholes.rows(
        tenant=SRC.tenant, source_ids=None, database_name=None, source_type=None
    ),
    "events": lambda c: c.work.record_events(
        SRC.id, upserts=[(ref("c", "e2"), None)], sync=["c"], remove=["b", "d"], sequencers={}
    ),
    "told": lambda c: c.work.record_objects(SRC.id, [(ref("d", "e3"), None), (ref("a"), None)]),
    "left out": lambda c: c.work.record_objects(SRC.id, [(ref("a"), "too_large")]),
    "sidecars": lambda c: c.work.apply_sidecars(
        SCENE.running, SRC.id, [SidecarChange(sidecar_key="s.meta.json", before=None, now=SIDECAR)]
    ),
    "place": lambda c: c.partitions.place(SRC.id, ["d", "b", "a", "before/x"]),
    "partitions": lambda c: c.partitions.added(SRC.id, ["b", "a"], shard=1),
    "partitions going": lambda c: c.partitions.dropping(SRC.id, ["b", "a", "before/x"]),
    "partitions gone": lambda c: c.partitions.dropped(SRC.id, ["b", "a", "before/x"]),
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
    "begin listing again": lambda c: c.listings.begin(SRC.id, owner="me", fresh=True),
    "depart": lambda c: c.listings.depart(
        SCENE.listing, owner="me", cursor=DepartureCursor(), removes=True
    ),
    "end listing": lambda c: c.listings.end(SCENE.listing, owner="me"),
    "fail listing": lambda c: c.listings.fail(SCENE.listing, owner="me", error="no bucket"),
    "end dead listing": lambda c: c.listings.end_dead(SRC.id, owner="me"),
    "pause listing": lambda c: c.listings.pause(SCENE.listing, owner="me"),
    "meet commit": lambda c: c.listings.meet(SCENE.listing, commit="2" * 40),
    "approve": lambda c: (
        (shown := c.listings.blocked(SRC.id)) and c.listings.approve(SRC.id, shown.id)
    ),
    "note report": lambda c: c.reports.note(SCENE.listing, REPORT, owner="me"),
    "amend report": lambda c: c.reports.amend(SCENE.listing, owner="me", unasked=1),
    "retry due": lambda c: c.reports.retry_due(SRC.id),
    "reserve": lambda c: c.batches.reserve(SRC.id, take=Take(max_live=9), owner="v", run_id="s"),
    "lease": lambda c: c.batches.lease_keys(SRC.id, ["c", "b"], owner="v", run_id="s"),
    "yielded": lambda c: c.batches.yielded(SCENE.reserved),
    "prolong": lambda c: c.batches.prolong(SCENE.reserved),
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
    "count heads": lambda c: c.documents.count_told_by_heads(SRC.id, keys=1, going=1),
    "commit": lambda c: c.documents.commit(
        SCENE.running, SRC, written=[SCENE.commit], outcomes=[done("c")]
    ),
    "commit closing": lambda c: c.documents.commit(
        SCENE.running,
        SRC,
        outcomes=[done("c", outcome="skipped", closing=Closing(closed=ids_of(c, "c")))],
    ),
    "distrust": lambda c: c.documents.distrust(c.documents.of_source(SRC.id)),
    "distrust all": lambda c: c.documents.distrust_all(SRC.id),
    "meet": lambda c: c.collections.meet(SRC.id, ANEW),
    "forget collection": lambda c: c.collections.forget_unused(SRC.id, MET),
    "checked": lambda c: c.collections.checked(SRC.id, MET, CheckCursor(document=1), at=1.0),
    "trust again": lambda c: c.collections.trust_again(SRC.id, MET, c.documents.of_source(SRC.id)),
    "recover": lambda c: store_recovered(
        c.database, SRC, FOUND, collection_name=SRC.collection_name, collection_id="1"
    ),
    "unclean": lambda c: c.documents.enqueue_unclean(SRC.id),
    "freed": lambda c: c.documents.ask_for_freed(),
    "sweep": lambda c: c.documents.forget_swept([one.id for one in c.documents.left_behind()]),
    "note hours": lambda c: c.hours.note(SRC.id, c.views.counts(SRC.id)),
    "embedded": lambda c: c.hours.embedded(SRC.id, 5),
    "count anew": lambda c: c.kept_counts.mend(),
    "upload": lambda c: c.uploads.put(SRC.id, SCENE.file),
    "delete upload": lambda c: c.uploads.delete(SRC.id, "v"),
    "brought": lambda c: c.uploads.brought(SRC.id),
    "prune": lambda c: c.invocations.prune(older_than_seconds=-1),
    "prune batches": lambda c: c.batches.prune(older_than_seconds=-1),
    "prune hours": lambda c: c.hours.prune(older_than_seconds=-7200),
    "prune uploads": lambda c: c.uploads.prune(older_than_seconds=60),
}  # fmt: skip
SIDECAR = SidecarState(
    sidecar_key="s.meta.json", path="a", custom_id="x", target_collection_name=None, metadata={},
    etag="e",
)  # fmt: skip
REPORT = ListedReport(place="reports", name="2026-11-23T01-00Z", created_at=0.0)
FOUND = [
    RecoveredDocument(
        document_id=name, object_key=name, custom_id=None, etag="e", metadata={"team": "x"},
        high_water=1,
    )
    for name in ("g", "a")
]  # fmt: skip
IN_PARTS = {
    "drop", "approve", "retry", "prune", "hand over", "leave", "show wholes", "meet", "trust again",
    "sweep", "note hours", "upload", "delete upload", "prune batches", "prune uploads", "freed",
    "distrust", "removal", "told by heads", "commit closing",
}  # fmt: skip
"""Operations of several transactions, each of which is whole: others may come between them."""
NEVER = {("hand over", "drop"), ("drop", "hand over")}
"""Who deletes a source has dropped before that in whose place it stands."""
