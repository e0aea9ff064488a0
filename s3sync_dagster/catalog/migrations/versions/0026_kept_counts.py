"""Counts of objects and documents are kept by the database, in the transaction that changes rows.

Triggers keep them, so that no statement of this program or of an older one can forget to. Objects that
are not indexed get an index of their own, since people look for those. ``ix_invocations_live`` is made
anew: of two indexes that seem as good SQLite takes the newer one, and the other has all history.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

KINDS = {
    "objects": (("gone", "skip_reason", "outcome", "reason"), {"number": "1"}),
    "documents": (
        ("phase", "fingerprint"),
        {"number": "1", "chunks": "chunks", "text_bytes": "text_bytes"},
    ),
}
"""Of each table what its rows are counted by, and what is added up."""


def upgrade() -> None:
    text = {"nullable": False, "server_default": ""}
    number = {"nullable": False, "server_default": "0"}
    op.create_table(
        "object_counts",
        sa.Column("source_id", sa.Text(), primary_key=True),
        sa.Column("gone", sa.Boolean(), primary_key=True),
        *[sa.Column(name, sa.Text(), primary_key=True, **text) for name in KINDS["objects"][0][1:]],
        sa.Column("number", sa.BigInteger(), **number),
    )
    op.create_table(
        "document_counts",
        sa.Column("source_id", sa.Text(), primary_key=True),
        *[sa.Column(name, sa.Text(), primary_key=True, **text) for name in KINDS["documents"][0]],
        *[sa.Column(name, sa.BigInteger(), **number) for name in KINDS["documents"][1]],
    )
    sqlite = op.get_bind().dialect.name == "sqlite"
    if not sqlite:  # nobody changes a row between the triggers and the first count
        op.execute("LOCK TABLE objects, documents IN SHARE ROW EXCLUSIVE MODE")
    for table, (kinds, sums) in KINDS.items():
        for statement in (_sqlite if sqlite else _postgres)(table, kinds, sums):
            op.execute(statement)
        keys, names = _keys(kinds), ", ".join(["source_id", *kinds, *sums])
        added = ", ".join(f"SUM({value})" for value in sums.values())
        op.execute(
            f"INSERT INTO {table[:-1]}_counts ({names}) "
            f"SELECT {', '.join(keys)}, {added} FROM {table} GROUP BY {', '.join(keys)}"
        )
    not_indexed = sa.text("outcome IS NULL OR outcome <> 'indexed'")
    op.create_index(
        "ix_objects_not_indexed",
        "objects",
        ["source_id", "object_key"],
        sqlite_where=not_indexed,
        postgresql_where=not_indexed,
    )
    op.create_index("ix_documents_written", "documents", ["source_id", "indexed_at"])
    live = sa.text("status IN ('pending', 'processing')")
    op.drop_index("ix_invocations_live", table_name="invocations")
    op.create_index(
        "ix_invocations_live",
        "invocations",
        ["source_id", "object_key"],
        sqlite_where=live,
        postgresql_where=live,
    )


def downgrade() -> None:
    op.drop_index("ix_documents_written", table_name="documents")
    op.drop_index("ix_objects_not_indexed", table_name="objects")
    for table in KINDS:
        if op.get_bind().dialect.name == "sqlite":
            for when in ("insert", "update", "delete"):
                op.execute(f"DROP TRIGGER {table}_counted_{when}")
        else:
            for when in ("insert", "update", "delete"):
                op.execute(f"DROP TRIGGER {table}_counted_{when} ON {table}")
            op.execute(f"DROP FUNCTION {table}_counted()")
        op.drop_table(f"{table[:-1]}_counts")


def _keys(kinds: Sequence[str], row: str = "") -> list[str]:
    """Return what a row is counted by; nothing is told apart as an empty text."""
    plain = ("gone", "phase")
    return [
        f"{row}source_id",
        *[f"{row}{one}" if one in plain else f"COALESCE({row}{one}, '')" for one in kinds],
    ]


def _sqlite(table: str, kinds: Sequence[str], sums: dict[str, str]) -> list[str]:
    counts, columns = f"{table[:-1]}_counts", ["source_id", *kinds]

    def add(row: str, sign: str) -> str:
        values = [sign + (value if value == "1" else f"{row}.{value}") for value in sums.values()]
        keys = _keys(kinds, f"{row}.")
        here = " AND ".join(f"{name} = {key}" for name, key in zip(columns, keys, strict=True))
        added = ", ".join(f"{name} = {name} + excluded.{name}" for name in sums)
        return (
            f"INSERT INTO {counts} ({', '.join([*columns, *sums])}) "
            f"VALUES ({', '.join([*keys, *values])}) "
            f"ON CONFLICT ({', '.join(columns)}) DO UPDATE SET {added};"
        ) + (f" DELETE FROM {counts} WHERE {here} AND number = 0;" if sign else "")

    counted = [*columns, *(value for value in sums.values() if value != "1")]
    differs = " OR ".join(f"OLD.{one} IS NOT NEW.{one}" for one in counted)
    changes = {
        "INSERT": ("", add("NEW", "")),
        "DELETE": ("", add("OLD", "-")),
        "UPDATE": (f"WHEN {differs}", add("OLD", "-") + " " + add("NEW", "")),
    }
    return [
        f"CREATE TRIGGER {table}_counted_{what.lower()} AFTER {what}"
        f"{' OF ' + ', '.join(counted) if what == 'UPDATE' else ''} ON {table} {when} "
        f"BEGIN {deed} END"
        for what, (when, deed) in changes.items()
    ]


def _postgres(table: str, kinds: Sequence[str], sums: dict[str, str]) -> list[str]:
    counts, columns = f"{table[:-1]}_counts", ["source_id", *kinds]

    def told(rows: str, sign: str) -> str:
        values = [f"{sign}{value} AS {name}" for name, value in sums.items()]
        keys = [f"{key} AS {name}" for key, name in zip(_keys(kinds), columns, strict=True)]
        return f"SELECT {', '.join([*keys, *values])} FROM {rows}"

    def add(what: str) -> str:
        # In one order: who counts for the same sources at once waits, and never each for the other.
        changed = " OR ".join(f"SUM({name}) <> 0" for name in sums)
        return (
            f"INSERT INTO {counts} ({', '.join([*columns, *sums])}) "
            f"SELECT {', '.join(columns)}, {', '.join(f'SUM({name})' for name in sums)} "
            f"FROM ({what}) AS told GROUP BY {', '.join(columns)} HAVING {changed} "
            f"ORDER BY {', '.join(columns)} ON CONFLICT ({', '.join(columns)}) DO UPDATE SET "
            + ", ".join(f"{name} = {counts}.{name} + excluded.{name}" for name in sums)
            + ";"
        )

    after, before = told("after_it", ""), told("before_it", "-")
    function = (
        f"CREATE FUNCTION {table}_counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP = 'INSERT' THEN {add(after)} "
        f"ELSIF TG_OP = 'DELETE' THEN {add(before)} "
        f"ELSE {add(f'{after} UNION ALL {before}')} END IF; "
        f"IF TG_OP <> 'INSERT' THEN DELETE FROM {counts} WHERE number = 0 "
        f"AND source_id IN (SELECT source_id FROM before_it); END IF; "
        "RETURN NULL; END $$"
    )
    seen = {
        "INSERT": "NEW TABLE AS after_it",
        "DELETE": "OLD TABLE AS before_it",
        "UPDATE": "OLD TABLE AS before_it NEW TABLE AS after_it",
    }
    return [
        function,
        *[
            f"CREATE TRIGGER {table}_counted_{what.lower()} AFTER {what} ON {table} "
            f"REFERENCING {rows} FOR EACH STATEMENT EXECUTE FUNCTION {table}_counted()"
            for what, rows in seen.items()
        ],
    ]
