"""What a question to Dagster changes is named as Dagster would execute it, and in no other word."""

import json
import time

import pytest

from s3sync_dagster.local.mutations import MAX_TOKENS, MOST_NAMES, known_mutations, mutation_of


def named(query=None, *, kind="application/json", query_string=b"", **more):
    body = json.dumps({"query": query, **more}).encode()
    return mutation_of(body, content_type=kind, query_string=query_string)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("mutation Launch { a: launchRun { id } }", "launchRun"),
        ("mutation ($a: A = {b: 1}) { launchRun }", "launchRun"),
        ("#a comment ends here\rmutation{setNuxSeen}", "setNuxSeen"),
        ("mutation{setNuxSeen @skip(if:true) terminateRuns{a}}", "setNuxSeen terminateRuns"),
        ("mutation{__typename deleteRun}", "deleteRun"),
        ("mutation{...F} fragment F on Mutation{deleteRun ...F}", "deleteRun"),
        ("mutation{...on Mutation{...{deleteRun}}}", "deleteRun"),
        ("mutation{ann_was_here setNuxSeen and_so_on}", "unknown setNuxSeen"),
        ("mutation{__typename}", "unknown"),
        ("query Q{version} mutation M{setNuxSeen}", "setNuxSeen"),  # Dagster executes neither
        ("{version}", None),
        ("query mutation{version}", None),
        ("subscription{mutation}", None),
        (None, None),
        ("mutation{", "unread"),
        (3, "unread"),
    ],
)
def test_what_the_executed_operation_asks_for_is_named(query, names):
    assert named(query, variables={"name": "mutation{setNuxSeen}-report.md"}) == names


def test_of_two_operations_the_executed_one_is_named():
    both = "mutation A{setNuxSeen} mutation B{deleteRun} query C{version}"
    assert named(both, operationName="A") == "setNuxSeen"
    assert named(both, operationName="B") == "deleteRun"
    assert named(both, operationName="C") is None
    assert named(both) == "setNuxSeen deleteRun"


def test_what_stands_beside_the_question_counts_for_nothing():
    assert named("mutation{setNuxSeen}", a="mutation{deleteRun}") == "setNuxSeen"
    assert named("{version}", a="mutation{deleteRun}") is None


def test_a_question_is_taken_from_where_dagster_takes_it():
    in_address = {"query_string": b"query={version}&query=mutation%7BsetNuxSeen}"}
    assert named("{version}", kind="APPLICATION/JSON", **in_address) == "setNuxSeen"
    assert named("{version}", **in_address) is None
    plain = {"content_type": "Application/JSON;application/graphql", "query_string": b""}
    assert mutation_of(b"mutation{setNuxSeen}", **plain) == "setNuxSeen"
    hidden = b'{"query":"\\u006dutation{setNuxSeen}","query":"mutation{deleteRun}"}'
    for body in (hidden, hidden.decode().encode("utf-16")):
        assert mutation_of(body, content_type="application/json", query_string=b"") == "deleteRun"


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"[" * 100_000, b"1" * 5000, b'"a"'])
def test_what_cannot_be_read_is_said_to_be_unread(body):
    assert mutation_of(body, content_type="application/json", query_string=b"") == "unread"


def test_of_many_names_some_stand_there_and_how_many_more():
    told = named("mutation{" + " ".join(sorted(known_mutations())) + " and more}")
    names, _, more = told.partition(", ")
    assert names.split() == sorted(known_mutations())[:MOST_NAMES]
    assert more == f"{len(known_mutations()) + 1 - MOST_NAMES} more"


@pytest.mark.parametrize(
    "query",
    [
        "{version}" + "mutation " * 100_000,
        "mutation{" + "a " * MAX_TOKENS + "}",
        "{" * 500_000,
        "mutation{" + "b{" * 9000 + "}" * 9000 + "}",
        "mutation{" + "...on Mutation{" * 9000,
        "#\n" * 400_000 + "{version}",
        'mutation{a(a:"' + "b" * 900_000 + '")}',
        "{version}" + " " * 900_000 + "mutation",
    ],
)
def test_no_question_takes_long_to_read(query):
    known_mutations()
    began = time.thread_time()
    assert named(query) in ("unread", "unknown")
    assert named("{version}", beside=query) is None
    assert time.thread_time() - began < 10
