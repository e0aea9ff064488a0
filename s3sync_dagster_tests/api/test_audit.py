"""Who changed what over the API and the console."""

import time
import uuid

from s3sync_dagster_tests.api.test_doors import create


def entries(http, *, wanted):
    """Return what the log has once so much is there: it is written beside the answers."""
    ends_at = time.monotonic() + 20
    while len(found := http.get("/s3sync/v1/audit").json()) < wanted:
        assert time.monotonic() < ends_at, found
        time.sleep(0.05)
    return found


def test_changes_are_written_down_with_who_what_when_from_where_and_what_came_of_it(fresh_api):
    owner = fresh_api.token()
    with fresh_api.client(owner) as http:
        before = time.time()
        source_id = create(fresh_api, http).json()["source_id"]
        nobody = uuid.uuid4()
        assert http.delete(f"/api/v1/sources/{nobody}").status_code == 404
        http.get("/api/v1/sources")
        http.post("/s3sync/v1/search", json={"collection_name": "some-docs", "query": "x"})
        keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "canary-secret"}
        assert http.post("/s3sync/v1/credentials", json=keys).status_code == 201
        assert http.post(f"/s3sync/v1/sources/{source_id}/pause").status_code == 200
        found = entries(http, wanted=4)
        told = [(one["action"], one["subject"], one["outcome"]) for one in reversed(found)]
        assert told == [
            ("POST /api/v1/sources", "", "201"),
            ("DELETE /api/v1/sources/{source_id}", f"source_id={nobody}", "404"),
            ("POST /s3sync/v1/credentials", "", "201"),
            ("POST /s3sync/v1/sources/{source_id}/pause", f"source_id={source_id}", "200"),
        ]
        for one in found:
            assert (one["who"], one["role"], one["door"]) == ("token 1", "owner", "api")
            assert one["address"] == "127.0.0.1"
        rows = fresh_api.parts.catalog.audit.rows()
        assert all(before - 1 <= one.at <= time.time() + 1 for _, one in rows)
        assert "canary-secret" not in str(rows)
        assert owner not in str(rows)


def test_owners_see_their_tenant_s_and_members_nothing(fresh_api):
    tokens = {
        name: fresh_api.token(tenant=name, role=role)
        for name, role in (("mine", "owner"), ("theirs", "owner"))
    }
    member = fresh_api.token(tenant="mine", role="member")
    with fresh_api.client(member) as http:
        assert http.get("/s3sync/v1/audit").status_code == 403
        refused = http.post(f"/s3sync/v1/sources/{uuid.uuid4()}/pause")
        assert refused.status_code == 403
    with fresh_api.client(tokens["mine"]) as http:
        [one] = entries(http, wanted=1)
        assert (one["who"], one["role"], one["outcome"]) == ("token 3", "member", "403")
    with fresh_api.client(tokens["theirs"]) as http:
        assert http.get("/s3sync/v1/audit").json() == []


def test_buttons_of_the_console_are_written_down_as_such(fresh_api):
    with fresh_api.client() as http:
        source_id = create(fresh_api, http).json()["source_id"]
        page = http.get(f"/sources/{source_id}").text
        form_token = page.partition('name="form_token" value="')[2].partition('"')[0]
        done = http.post(f"/sources/{source_id}/pause", data={"form_token": form_token})
        assert done.status_code == 303, done.text
        newest = entries(http, wanted=2)[0]
        assert (newest["door"], newest["who"]) == ("console", "anybody")
        assert newest["action"] == "POST /sources/{source_id}/pause"
