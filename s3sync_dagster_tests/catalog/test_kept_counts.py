"""Counts that the database keeps are those that a count of all rows finds, whatever was done."""

from contextlib import closing

import sqlalchemy as sa

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.kept_counts import document_counts, object_counts
from s3sync_dagster.catalog.tables import documents, objects
from s3sync_dagster_tests.catalog.counting import counted, kept
from s3sync_dagster_tests.catalog.scenes import list_all, ref, source
from s3sync_dagster_tests.catalog.test_schema import bring_to

REASONS = [
    (None, None, None),
    (None, "indexed", None),
    ("too_large", "indexed", None),
    ("too_large", "failed", "parse_failed"),
    ("sidecar", "failed", "sidecar_invalid"),
    (None, "skipped", "empty"),
    ("sidecar", None, None),
]


def fill(catalog, src, *, keys=21):
    """Rows of every kind, by plain statements."""
    rows = []
    for place in range(keys):
        skip, outcome, reason = REASONS[place % len(REASONS)]
        rows.append(
            {
                "source_id": src.id,
                "object_key": f"k{place:02d}",
                "etag": "e",
                "size": 1,
                "partition_key": f"k{place:02d}",
                "seen_at": 0.0,
                "gone": place % 5 == 4,
                "skip_reason": skip,
                "outcome": outcome,
                "reason": reason,
            }
        )
    papers = [
        {
            "source_id": src.id,
            "object_key": f"k{place:02d}",
            "document_id": f"{src.id}{place}",
            "tenant": "t",
            "database_name": "d",
            "collection_name": "c",
            "metadata": {},
            "owner": "",
            "phase": phase,
            "digests": b"",
            "metadata_keys": [],
            "etag": "e",
            "fingerprint": f"f{place % 2}",
            "chunks": place,
            "high_water": place,
            "text_bytes": 10 * place,
            "indexed_at": float(place),
        }
        for place, phase in enumerate(["clean", "clean", "clean", "removing", "writing"])
    ]
    with catalog.database.write() as tx:
        tx.execute(objects.insert(), rows)
        tx.execute(documents.insert(), papers)


def test_what_is_kept_is_what_a_count_finds_after_each_kind_of_change(catalog):
    docs, other = source(), source("other", path_prefix="other/", collection_name="ddd")
    for src in (docs, other):
        catalog.sources.add(src)
        fill(catalog, src)
    assert kept(catalog) == counted(catalog)
    assert kept(catalog)[0], "something is counted"
    mine = objects.c.source_id == docs.id
    changes = [
        objects.update().where(mine).values(outcome="indexed", reason=None),
        objects.update().where(mine, objects.c.object_key < "k05").values(gone=True),
        objects.update().where(mine).values(etag="other"),  # nothing that is counted
        objects.update().where(objects.c.object_key > "k10").values(skip_reason=None),
        documents.update().where(documents.c.phase == "writing").values(phase="removing"),
        documents.update().values(chunks=3, high_water=3, text_bytes=7),
        documents.update().values(fingerprint="f2"),
        documents.delete().where(documents.c.phase == "removing"),
        objects.delete().where(mine, objects.c.object_key > "k12"),
    ]
    for change in changes:
        with catalog.database.write() as tx:
            assert tx.execute(change).rowcount
        assert kept(catalog) == counted(catalog), change
    list_all(catalog, other, [ref("k01"), ref("k99")])  # inserts that turn out to be updates
    assert kept(catalog) == counted(catalog)


def test_what_is_rolled_back_was_not_counted(catalog):
    docs = source()
    catalog.sources.add(docs)
    fill(catalog, docs)
    before = kept(catalog)
    with catalog.database.write() as tx:
        tx.execute(objects.delete())
        tx.rollback()
    assert kept(catalog) == before == counted(catalog)


def test_rows_of_before_are_counted_by_the_migration_and_an_older_program_keeps_the_counts(
    empty_url,
):
    bring_to(empty_url, "0025")
    with closing(open_catalog(empty_url, migrate=False)) as catalog:
        with catalog.database.write() as tx:
            tx.execute(
                sa.text(
                    "INSERT INTO objects (source_id, object_key, partition_key, etag, size, "
                    "seen_at) VALUES ('s', 'a', 'a', 'e', 1, 0), ('s', 'b', 'b', 'e', 1, 0)"
                )
            )
        catalog.database.migrate()
        assert kept(catalog) == counted(catalog)
        assert kept(catalog)[0] == {("s", False, "", "", ""): (2,)}
        with catalog.database.write() as tx:  # as any program does it that knows of no counts
            tx.execute(sa.text("UPDATE objects SET outcome = 'failed' WHERE object_key = 'a'"))
            tx.execute(sa.text("DELETE FROM objects WHERE object_key = 'b'"))
        assert kept(catalog)[0] == {("s", False, "", "failed", ""): (1,)}
        assert kept(catalog) == counted(catalog)


def test_nothing_is_left_in_the_counts_of_what_is_no_more(catalog):
    docs = source()
    catalog.sources.add(docs)
    fill(catalog, docs)
    with catalog.database.write() as tx:
        tx.execute(objects.delete())
        tx.execute(documents.delete())
        for table in (object_counts, document_counts):
            assert tx.execute(sa.select(table)).all() == []


def test_counts_that_a_stranger_changed_are_found_and_counted_anew(catalog):
    docs = source()
    catalog.sources.add(docs)
    fill(catalog, docs)
    assert catalog.kept_counts.sound()
    assert not catalog.kept_counts.mend()
    for lie in (
        object_counts.update().values(number=object_counts.c.number + 1),
        document_counts.update().values(chunks=0),
        object_counts.delete(),
    ):
        with catalog.database.write() as tx:
            tx.execute(lie)
        assert not catalog.kept_counts.sound()
        assert catalog.kept_counts.mend()
        assert kept(catalog) == counted(catalog)


def test_no_count_and_no_page_looks_at_each_row_of_a_source(tmp_path):
    """SQLite takes a partial index only as the statement is written: its plans tell whether."""
    with closing(open_catalog(f"sqlite:///{tmp_path}/catalog.db")) as catalog:
        docs = source()
        catalog.sources.add(docs)
        views, history = catalog.views, catalog.history
        used = {
            "ix_invocations_live (source_id=?": [
                lambda: views.counts(docs.id, fingerprint="f"),
                lambda: history.oldest_pending([docs.id]),
                lambda: catalog.invocations.live_count(docs.id),
                lambda: catalog.hours.note(docs.id, views.counts(docs.id)),
                lambda: views.object_rows(docs.id, state="pending"),
            ],
            "ix_invocations_live (source_id=? AND object_key=?)": [
                lambda: views.object_rows(docs.id),
                lambda: views.object_rows(docs.id, state="indexed"),
            ],
            "ix_objects_not_indexed (source_id=?": [
                lambda: views.object_rows(docs.id, state="failed", reason="parse_failed"),
                lambda: views.object_rows(docs.id, state="skipped", after="k"),
                lambda: views.object_rows(docs.id, state="pending"),
            ],
            "ix_invocations_batch": [lambda: views.object_rows(docs.id, state="processing")],
            "ix_documents_written (source_id=?)": [lambda: history.last_indexed([docs.id])],
            "ix_objects_gone": [catalog.work.untidy_sources],
        }
        for index, questions in used.items():
            for place, question in enumerate(questions):
                plan = plans(catalog, question)
                assert index in plan, (index, place, plan)
                assert "SCAN objects\n" not in plan, plan
                for all_there_ever_was in ("ix_invocations_key", "ix_invocations_source_created"):
                    assert f"{all_there_ever_was} (source_id=?)" not in plan, (index, place, plan)


def plans(catalog, question) -> str:
    """Return how SQLite finds what a question asks for."""
    asked = []
    engine = catalog.database.engine

    def keep(_connection, _cursor, statement, parameters, _context, _many):
        if statement.startswith(("SELECT", "WITH")):
            asked.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", keep)
    question()
    sa.event.remove(engine, "before_cursor_execute", keep)
    with catalog.database.read() as tx:
        return "\n".join(
            row[-1]
            for text, values in asked
            for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
        )
