"""Any two writing operations on Postgres, in every order of their statements with two switches.

Nothing raw leaves the catalog, and what holds between any two operations holds after both.
"""

import itertools
import re

import pytest

from s3sync_dagster.catalog.claimed_before import MOVERS
from s3sync_dagster.catalog.deleted_sources import SWEEPER
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster_tests.catalog.interleaving import Played, Stage, open_stage
from s3sync_dagster_tests.catalog.operations import IN_PARTS, NEVER, OPERATIONS, build

RISKY = [
    ("add near", "add nearer"), ("register", "register"), ("finish", "automatic"),
    ("finish", "cancel"), ("commit", "distrust"), ("drop", "request"),
    ("move", "delete"), ("forget keys", "use keys"), ("commit", "count anew"),
]  # fmt: skip


COMPARED = [("commit", "distrust"), ("hand over", "events"), ("end listing", "cancel")]
"""With statements that wait, several transactions, and reads before the lock."""


@pytest.fixture(scope="module")
def stage(postgres_url):
    for one in open_stage(postgres_url):
        build(one.first.catalog)
        one.remember()
        one.ask(f"PREPARE look AS {LOOK}")
        yield one


@pytest.mark.parametrize("pair", RISKY, ids=" beside ".join)
def test_two_operations_of_which_one_had_to_wait(stage, pair):
    play_all(stage, {}, *pair)
    play_all(stage, {}, *pair[::-1])


@pytest.fixture(scope="module")
def serials():
    """What two operations leave one after the other, by their names: of use to both orders."""
    return {}


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("one", OPERATIONS)
def test_each_operation_beside_each_other(stage, serials, one):
    others = [other for other in OPERATIONS if (one, other) not in NEVER]
    played = sum(play_all(stage, serials, one, other) for other in others)
    print(f"{one}: {len(others)} pairs, {played} orders besides the serial ones")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("pair", COMPARED, ids=" beside ".join)
def test_orders_that_are_left_out_leave_what_another_one_does(stage, serials, pair):
    one, other = pair
    seen = [in_turn(stage, serials, one, other)[1]]
    seen.append(errors_swapped(in_turn(stage, serials, other, one)[1]))
    steps = [len(serials[one, other][0].rest), len(serials[other, one][0].rest)]
    for _ in stage.orders(OPERATIONS[one], OPERATIONS[other], serials[one, other][0]):
        seen.append(look(stage))
    for _ in stage.orders(OPERATIONS[other], OPERATIONS[one], serials[other, one][0]):
        seen.append(errors_swapped(look(stage)))
    for first, second in itertools.product(range(steps[0]), range(1, steps[1])):
        stage.play(OPERATIONS[one], OPERATIONS[other], first=first, second=second)
        assert look(stage) in seen, (first, second)
    print(f"{len(seen)} of {steps[0] * (steps[1] - 1)} orders were to be played")


Left = dict[str, list[str]]
Serials = dict[tuple[str, str], tuple[Played, Left]]


def play_all(stage: Stage, serials: Serials, one: str, other: str) -> int:
    """Play two operations in all orders of the one's beginning; returns how many."""
    played, after = in_turn(stage, serials, one, other)
    serial = [after, errors_swapped(in_turn(stage, serials, other, one)[1])]
    number = 0
    for first, second in stage.orders(OPERATIONS[one], OPERATIONS[other], played):
        number += 1
        try:
            left = look(stage)
            if not IN_PARTS & {one, other}:
                assert left in serial, differences(left, serial)
        except AssertionError as error:
            error.add_note(f"{first} steps of {one!r}, {second} of {other!r}, then to their ends")
            raise
    return number


def in_turn(stage: Stage, serials: Serials, one: str, other: str) -> tuple[Played, Left]:
    if (one, other) not in serials:
        played = stage.serial(OPERATIONS[one], OPERATIONS[other])
        try:
            serials[one, other] = played, look(stage)
        except AssertionError as error:
            error.add_note(f"{one!r}, then {other!r}")
            raise
    return serials[one, other]


WHOSE = "COALESCE((SELECT name FROM sources s WHERE s.id = source_id), source_id)"
LEFT = {
    "sources": "name, paused, deleting, unanswered_at, config ->> 'metadata'",
    "objects": f"{WHOSE}, object_key, etag, gone, outcome, missed_listing_id > 0",
    "documents": f"{WHOSE}, object_key, phase, etag, high_water, batch_token IS NULL, withheld, "
    "collection_id",
    "invocations": f"{WHOSE}, object_key, kind, trigger, status, priority, deaths, reason",
    "batches": f"{WHOSE}, state, size, priority, yielded_at IS NULL",
    "listings": f"{WHOSE}, state, gone, cursor, owner, report",
    "sidecars": f"{WHOSE}, sidecar_key",
    "wholes": f"{WHOSE}, ref, status, error",
    "collections": f"{WHOSE}, collection_name, collection_id, checked_document",
    "hours": f"{WHOSE}, texts",
    "upload_files": f"{WHOSE}, object_key",
}
NO_SOURCE = "source_id NOT IN (SELECT id FROM sources)"
KINDS = "source_id, gone, COALESCE(skip_reason, ''), COALESCE(outcome, ''), COALESCE(reason, '')"
PAPERS = "source_id, phase, COALESCE(fingerprint, '')"
COUNTED = {
    "object_counts": f"SELECT {KINDS}, COUNT(*) FROM objects GROUP BY 1, 2, 3, 4, 5",
    "document_counts": f"SELECT {PAPERS}, COUNT(*), SUM(chunks), SUM(text_bytes) FROM documents "
    "GROUP BY 1, 2, 3",
}
MUST_BE_EMPTY = {
    "keys of a batch that has ended": "SELECT i.object_key FROM invocations i "
    "LEFT JOIN batches b ON b.token = i.batch_token AND b.state IN ('reserved', 'running') "
    "WHERE i.status = 'processing' AND b.token IS NULL",
    "documents of a batch that has ended": "SELECT d.object_key FROM documents d "
    "LEFT JOIN batches b ON b.token = d.batch_token AND b.state = 'running' "
    f"WHERE d.batch_token NOT IN {(SWEEPER, *MOVERS)} AND b.token IS NULL",
    "work for a source that is no more": "SELECT source_id, status FROM invocations "
    f"WHERE status IN ('pending', 'processing') AND {NO_SOURCE}",
    "sources that overlap": "SELECT a.name, b.name FROM sources a JOIN sources b ON a.id < b.id "
    "AND a.bucket_name = b.bucket_name AND a.collection_name = b.collection_name "
    "AND a.config ->> 'id_prefix' IS NOT DISTINCT FROM b.config ->> 'id_prefix'",
    "keys that a source uses and nobody has": "SELECT name FROM sources "
    "WHERE config #>> '{place,credentials,credential_id}' "
    "NOT IN (SELECT id::text FROM credentials UNION SELECT '')",
    "files without their bytes": "SELECT object_key FROM upload_files f WHERE size <> "
    "(SELECT COALESCE(SUM(LENGTH(data)), 0) FROM upload_bytes b WHERE b.body = f.body)",
    "documents that nobody takes away": f"SELECT object_key FROM documents WHERE {NO_SOURCE} "
    "AND (phase <> 'removing' OR source_id NOT IN (SELECT id FROM deleted_sources))",
    **{
        f"{table} of a source that is no more": f"SELECT source_id FROM {table} WHERE {NO_SOURCE}"
        for table in (
            "objects", "sidecars", "batches", "listings", "collections", "hours", "wholes",
            "upload_files",
        )
    },
    **{
        f"{table} that are not what a count says": f"({count} EXCEPT SELECT * FROM {table}) "
        f"UNION ALL (SELECT * FROM {table} EXCEPT {count})"
        for table, count in COUNTED.items()
    },
}  # fmt: skip
LOOK = " UNION ALL ".join(
    [
        *(f"SELECT '{what}', found::text FROM ({query}) found"
          for what, query in MUST_BE_EMPTY.items()),
        *(f"SELECT '{table}', ROW({columns})::text FROM {table}"
          for table, columns in LEFT.items()),
    ]
)  # fmt: skip


GIVEN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Of a source that a run makes: it has another one in each, and in its name once it is moved."""


def look(stage: Stage) -> Left:
    """Return what two operations have left, without what each run has of its own.

    Raises:
        AssertionError: they have left what none of them may leave.
    """
    for actor in (stage.first, stage.second):
        if actor.error is not None:
            assert isinstance(actor.error, S3SyncError), repr(actor.error)
            assert actor.error.reason != "catalog_unavailable", repr(actor.error.__cause__)
    rows: Left = {what: [] for what in [*LEFT, *MUST_BE_EMPTY]}
    for what, row in stage.ask("EXECUTE look"):
        rows[what].append(GIVEN_ID.sub("given", row))
    for what in MUST_BE_EMPTY:
        assert rows.pop(what) == [], what
    left = {table: sorted(found) for table, found in rows.items()}
    errors = [getattr(actor.error, "reason", "") for actor in (stage.first, stage.second)]
    return {**left, "errors": errors}


def errors_swapped(left: Left) -> Left:
    return {**left, "errors": left["errors"][::-1]}


def differences(left: Left, serial: list[Left]) -> str:
    """Return what is neither as after the one and the other, nor as after the other and the one."""
    lines = ["as if neither came after the other:"]
    for table, rows in left.items():
        if any(rows != one[table] for one in serial):
            lines += [f"{table}: is {rows}", *(f"  serially {one[table]}" for one in serial)]
    return "\n".join(lines)
