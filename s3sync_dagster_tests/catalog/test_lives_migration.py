"""Lives that 0039 and 0040 had noted are known still."""

from contextlib import closing

import sqlalchemy as sa

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.core.lives import Life, Lives
from s3sync_dagster_tests.catalog.scenes import source
from s3sync_dagster_tests.catalog.test_schema import bring_to, columns, take_back

ROWS = """
INSERT INTO deleted_sources (id, keeps_records, deleted_at, was) VALUES
  ('gone', false, 7.0, '{"places": [["t", "d", "one"], ["t", "d", "two"]],
                         "bucket_name": "b", "path_prefix": "ü/"}'),
  ('kept', true, 8.0, '{"places": [["t", "d", "one"]], "bucket_name": "b", "path_prefix": ""}'),
  ('unknown', false, 9.0, NULL),
  ('kept long ago', true, 1.0, NULL);
INSERT INTO earlier_places (source_id, ended_at, were) VALUES
  ('gone', 5.0, '[{"places": [["t", "d", "old"]], "bucket_name": "b1", "path_prefix": ""},
                  {"places": [["t", "d", "one"]], "bucket_name": "b2", "path_prefix": ""}]'),
  ('kept long ago', 2.0, '[{"places": [["t", "d", "x"]], "bucket_name": "b", "path_prefix": ""}]'),
  ('again', 6.0, '[{"places": [["t", "d", "one"]], "bucket_name": "b", "path_prefix": ""}]')
"""
ONE = {("t", "d", "one")}


def upgraded(url):
    bring_to(url, "head")
    return closing(open_catalog(url))


def test_the_lives_of_before_are_carried_over(empty_url):
    bring_to(empty_url, "0040")
    with closing(Database(empty_url)) as database, database.write() as tx:
        for statement in ROWS.split(";\n"):
            tx.execute(sa.text(statement.replace(":", "\\:")))
    with upgraded(empty_url) as catalog:
        again = source().with_changes(id="again")
        with catalog.database.write() as tx:
            before = tx.execute(sa.text("SELECT source_id, ended_at FROM lives ORDER BY id")).all()
        assert catalog.sources.register(again).id != "again"
        assert before == [
            ("gone", 5.0), ("gone", 5.0), ("kept long ago", 2.0), ("again", 6.0),
            ("gone", 7.0), ("kept", 8.0),
        ]  # fmt: skip
        assert catalog.documents.ended() == {
            "gone": Lives(
                ended=[
                    Life(places={("t", "d", "old")}, bucket_name="b1", path_prefix=""),
                    Life(places=ONE, bucket_name="b2", path_prefix=""),
                    Life(places=ONE | {("t", "d", "two")}, bucket_name="b", path_prefix="ü/"),
                ]
            ),
            "kept": Lives(ended=[Life(places=ONE, bucket_name="b", path_prefix="", kept=True)]),
            "again": Lives(ended=[Life(places=ONE, bucket_name="b", path_prefix="")]),
        }
        assert catalog.rebuilding.kept_owners() == {"kept", "kept long ago"}
    take_back(empty_url, "0040")
    assert ("deleted_sources", "was") in columns(empty_url)
    with upgraded(empty_url) as catalog:
        assert catalog.documents.ended() == {}
        assert catalog.rebuilding.kept_owners() == {"kept", "kept long ago"}
