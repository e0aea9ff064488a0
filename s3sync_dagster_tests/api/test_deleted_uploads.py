"""Which uploads a deletion means: those of a database or of one collection, and all or none."""

import re

from s3sync_dagster_tests.api.test_add_file import source_of, upload
from s3sync_dagster_tests.waiting import wait_for


def uploaded_to(api, http, *names):
    """Upload a file to each collection; returns the id of each one's source."""
    for name in names:
        upload(http, "a.md", b"only here", collection=name)
    rows = api.parts.catalog.sources.rows()
    return {row.source.collection_name: row.source.id for row in rows}


def going(api):
    rows = api.parts.catalog.sources.rows()
    return {row.source.collection_name for row in rows if row.deleting is not None}


def test_an_id_that_the_wire_does_not_show_means_the_uploads_to_one_collection(fresh_api):
    with fresh_api.client() as http:
        ids = uploaded_to(fresh_api, http, "first", "second", "third")
        jobs = http.get("/api/v1/invocations", params={"source_id": ids["second"]}).json()
        assert [job["metadata"]["collection_name"] for job in jobs] == ["second"]
        place = f"/api/v1/sources/{ids['second']}"
        asked = http.post(f"{place}/invocations", json={"object_key": "a.md"}).json()
        _, source = source_of(fresh_api, asked["invocation_id"])
        assert source.collection_name == "second"
        assert http.delete(f"{place}?delete_records=true").status_code == 204
        assert going(fresh_api) == {"second"}
        rows = {row.source.id: row.source for row in fresh_api.parts.catalog.sources.rows()}
        kept = fresh_api.parts.store_for(rows[ids["first"]]).read("a.md", max_size_bytes=100)
        assert kept.content == b"only here"


def test_all_uploads_of_a_database_are_deleted_or_none_and_each_is_written_down(fresh_api):
    with fresh_api.client(fresh_api.token()) as http:
        ids = uploaded_to(fresh_api, http, "first", "second", "third")
        place, hidden = f"/api/v1/sources/{ids['first']}", f"/s3sync/v1/sources/{ids['third']}"
        assert http.patch(hidden, json={"reader_keys": ["team"]}).status_code == 200
        refused = http.delete(place)
        assert (refused.status_code, refused.json()["error"]) == (409, "readers_would_be_lost")
        assert going(fresh_api) == set()
        assert http.delete(f"{place}?delete_records=true").status_code == 204
        assert going(fresh_api) == {"first", "second", "third"}

        def deletes():
            rows = fresh_api.parts.catalog.audit.rows(what="DELETE")
            return sorted((one.outcome, one.subject) for _, one in rows)

        named = sorted(f"source_id={each}" for each in ids.values())
        assert wait_for(deletes, lambda rows: len(rows) == 4) == [
            *(("204", name) for name in named),
            ("409", f"source_id={ids['first']}"),
        ]


def test_the_next_source_of_uploads_is_shown_where_the_console_deletes_the_shown_one(fresh_api):
    with fresh_api.client() as http:
        ids = uploaded_to(fresh_api, http, "first", "second")
        place = f"/sources/{ids['first']}/delete"
        page = http.get(place).text
        assert "uploaded to first of default_database go" in page
        assert "uploads to other collections stay" in page
        token = re.search('name="form_token" value="([0-9a-f]+)"', page)[1]
        name = fresh_api.parts.catalog.sources.find(ids["first"]).name
        form = {"form_token": token, "name": name, "delete_records": "1"}
        assert http.post(place, data=form).status_code == 303
        assert going(fresh_api) == {"first"}
        assert [one["id"] for one in http.get("/api/v1/sources").json()] == [ids["second"]]
        jobs = http.get("/api/v1/invocations", params={"source_id": ids["second"]}).json()
        assert [job["source_id"] for job in jobs] == [ids["second"]]
        invocation_id = upload(http, "b.md", b"x", collection="third")
        job = http.get(f"/api/v1/invocations/{invocation_id}").json()
        assert job["source_id"] == ids["second"]
        fresh_api.parts.catalog.documents.drop_source(ids["first"])
        upload(http, "a.md", b"anew", collection="first")
        assert [one["id"] for one in http.get("/api/v1/sources").json()] == [ids["second"]]
        assert http.delete(f"/api/v1/sources/{ids['second']}").status_code == 204
        assert http.get("/api/v1/sources").json() == []
