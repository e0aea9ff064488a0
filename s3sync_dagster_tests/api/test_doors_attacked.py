"""What the calls of other products show after changes of the bucket."""

import uuid

import pytest

from s3sync_dagster_tests.api.indexing import listed_and_worked
from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.waiting import wait_for
from s3sync_dagster_tests.api.test_coco import as_theirs, datasource
from s3sync_dagster_tests.api.test_supermemory import bucket_of, CONNECTIONS


@pytest.fixture(scope="module")
def there(tmp_path_factory, chroma_server, aws_endpoint):
    home = tmp_path_factory.mktemp("both")
    environ = {"S3SYNC_API_COCO": "on", "S3SYNC_API_SUPERMEMORY": "on"}
    with running_api(home, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api:
        api.owner = api.token()
        yield api


def test_probe(there):
    with as_theirs(there) as http, there.client(there.owner) as own:
        body = datasource(there)
        body["sync"] = {"enabled": False}
        body["connector"]["config"]["extensions"] = []
        bucket = body["connector"]["config"]["bucket"]
        there.aws.put(bucket, "in/folder/", b"")
        name = http.post("/datasource/", json=body).json()["_id"]
        print(http.get(f"/datasource/{name}").json())
        listed_and_worked(there, own, name)
        told = http.get("/document/_search", params={"datasource": name, "size": 100}).json()["hits"]
        print(told["total"], [one["_source"]["title"] for one in told["hits"]])
        there.aws.delete(bucket, "in/c.txt")
        listed_and_worked(there, own, name)
        told = http.get("/document/_search", params={"datasource": name, "size": 100}).json()["hits"]
        print(told["total"], [one["_source"]["title"] for one in told["hits"]])
        print(own.post(f"{CONNECTIONS}/s3/documents", json={}).json())
        print(own.get(f"{CONNECTIONS}/{name}").json())
        print(own.get(f"{CONNECTIONS}/{name}/sync-runs").json())
        # paused
        print(http.post("/datasource/", json={**datasource(there), "enabled": False}).json())
        for q in ({"from": 10000, "size": 10000}, {"from": 10001}, {"size": -1}, {"size": "x"}, {"size": 0}):
            r = http.get("/datasource/_search", params=q); print(q, r.status_code, r.text[:200])
            r = http.get("/document/_search", params={"datasource": name, **q}); print(q, r.status_code, r.text[:200])
        for limit in (0, -1, 1, 10**6, 2**31, 2**63, 10**30, "5", 5.0, True):
            r = own.post(f"{CONNECTIONS}/s3", json={"metadata": bucket_of(there), "documentLimit": limit})
            print(limit, r.status_code, r.text[:200])
        for tags in ([], [""], ["a" * 500], ["a/b"], ["ä"], ["a\nb"], ["a\0b"], ["x"] * 30, [str(n) for n in range(200)], "x"):
            r = own.post(f"{CONNECTIONS}/s3", json={"metadata": bucket_of(there), "containerTags": tags})
            print(str(tags)[:30], r.status_code, r.text[:200])
