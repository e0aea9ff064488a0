"""Columns of a few words: SQLite prepares a statement once where the words stand in it."""

import re

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.tables import documents, invocations, metadata
from s3sync_dagster.catalog.tables.schema import Word
from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.model.invocation import InvocationStatus

PHASE = documents.c.phase
COLUMNS = [
    column
    for table in metadata.tables.values()
    for column in table.c
    if isinstance(column.type, Word)
]


@pytest.mark.parametrize(
    ("comparison", "said"),
    [
        (PHASE == DocumentPhase.CLEAN, "documents.phase = 'clean'"),
        (PHASE != "removing", "documents.phase != 'removing'"),
        (PHASE.in_(["clean", "writing"]), "documents.phase IN ('clean', 'writing')"),
        (documents.alias("one").c.phase == "clean", "one.phase = 'clean'"),
        (
            invocations.c.status.in_((InvocationStatus.PENDING, InvocationStatus.PROCESSING)),
            "invocations.status IN ('pending', 'processing')",
        ),
    ],
)
def test_a_word_stands_in_the_statement(comparison, said):
    compiled = comparison.compile()
    assert (str(compiled), compiled.params) == (said, {})


@pytest.mark.parametrize("value", ["", "else", "clean' OR '1' = '1", "'clean'"])
def test_any_other_value_is_given_beside_it(value):
    for comparison in (PHASE == value, PHASE.in_(["clean", value])):
        compiled = comparison.compile()
        assert value in [one for given in compiled.params.values() for one in (given, *given)]
        assert value == "" or value not in str(compiled)


def test_a_place_for_a_value_stays_one():
    assert str(sa.bindparam("given") == PHASE) == ":given = documents.phase"
    assert str(PHASE == sa.bindparam("given")) == "documents.phase = :given"


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_the_words_are_those_that_the_table_takes(column):
    checks = [
        str(one.sqltext) for one in column.table.constraints if isinstance(one, sa.CheckConstraint)
    ]
    [said] = [one for one in checks if re.fullmatch(rf"{column.name} IN \([^()]*\)", one)]
    assert re.findall("'([a-z]+)'", said) == list(column.type.words)


def test_columns_of_partial_indexes_are_of_words():
    assert {str(one) for one in COLUMNS} == {
        "batches.state",
        "documents.phase",
        "invocations.status",
        "listings.state",
        "objects.outcome",
    }
