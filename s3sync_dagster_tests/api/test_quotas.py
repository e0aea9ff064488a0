"""What a tenant may have in all, at two servers at once, on SQLite and Postgres."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.tables import upload_bytes
from s3sync_dagster_tests.api.indexing import work
from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.api.test_add_file import send
from s3sync_dagster_tests.api.test_operation import Process

LIMITS = {
    "S3SYNC_API_TRUSTED_TENANTS": "none",
    "S3SYNC_API_UPLOAD_BYTES_PER_TENANT": "100",
    "S3SYNC_OBJECTS_PER_TENANT": "2",
}


@pytest.fixture
def limits():
    """Return the quotas of a test; one that is about bytes alone has more room for objects."""
    return LIMITS


@pytest.fixture
def environ(catalog_url, limits):
    return {**limits, "S3SYNC_DATABASE_URL": catalog_url}


@pytest.fixture
def api(tmp_path, chroma_server, aws_endpoint, environ):
    home = tmp_path / "home"
    with running_api(home, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api:
        yield api


@pytest.fixture
def clients(api, chroma_server, aws_endpoint, environ):
    """Clients of two servers over one catalog and one data folder, who know nothing of each other.

    Both in this process: a process of its own takes three CPU-seconds to start.
    """
    home = api.parts.settings.home
    with (
        running_api(home, chroma=chroma_server, aws=aws_endpoint, environ=environ) as other,
        api.client() as one,
        other.client() as two,
    ):
        yield [one, two]


@pytest.fixture
def of_two_processes(api, chroma_server, environ):
    other = Process(api.parts.settings.home, chroma_server, **environ)
    try:
        other.wait()
        url = f"http://127.0.0.1:{other.port}"
        with api.client() as one, httpx.Client(base_url=url, timeout=30) as two:
            yield [one, two]
    finally:
        other.stop()


def upload(http, size, *, collection="uploads", name="a.md"):
    return send(
        http,
        ("database_name", "default_database"),
        ("collection_name", collection),
        ("file", b"x" * size, name),
    )


def kept(api):
    """Return how many bytes lie in the catalog, also those that no file names."""
    with api.parts.catalog.database.read() as tx:
        return sum(len(data) for data in tx.execute(sa.select(upload_bytes.c.data)).scalars())


def send_four_of_which_two_fit(send_one, *, refused):
    """Send what four numbers say, at once; return the answers."""
    start = threading.Barrier(4)

    def wait_and_send(number):
        start.wait(60)
        return send_one(number)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(wait_and_send, range(4)))
    assert sorted(one.status_code for one in answers) == [201, 201, 429, 429]
    answer = next(one for one in answers if one.status_code == 429)
    assert answer.json()["error"] == refused
    assert int(answer.headers["retry-after"]) >= 1
    return answers


@pytest.mark.parametrize("limits", [{**LIMITS, "S3SYNC_OBJECTS_PER_TENANT": "50"}])
def test_uploads_that_come_at_once_never_pass_the_bytes_of_their_tenant(api, of_two_processes):
    send_four_of_which_two_fit(
        # Collections of their own, so that neither file nor list of files is shared.
        lambda number: upload(of_two_processes[number % 2], 40, collection=f"uploads-{number}"),
        refused="too_many_upload_bytes",
    )
    assert kept(api) == 80


def test_uploads_that_come_at_once_never_pass_the_objects_of_their_tenant(api, of_two_processes):
    def send_one(number):  # none of them is an object before a worker has read it
        return upload(
            of_two_processes[number % 2], 1, collection=f"uploads-{number % 2}", name=f"{number}"
        )

    answers = send_four_of_which_two_fit(send_one, refused="too_many_objects")
    assert kept(api) == 2
    again = next(number for number, one in enumerate(answers) if one.status_code == 201)
    # A file that is there may be replaced.
    same = upload(of_two_processes[0], 2, collection=f"uploads-{again % 2}", name=f"{again}")
    assert same.status_code == 201


def test_a_file_that_is_replaced_makes_room_and_one_beyond_all_of_it_is_refused(api, clients):
    assert upload(clients[0], 90).status_code == 201
    assert upload(clients[1], 100).status_code == 201
    assert upload(clients[0], 1, name="b.md").json()["error"] == "too_many_upload_bytes"
    alone = upload(clients[1], 101)
    assert (alone.status_code, alone.json()["error"]) == (400, "file_too_large")
    assert kept(api) == 100
    assert upload(clients[0], 10).status_code == 201
    assert upload(clients[1], 90, name="b.md").status_code == 201


def test_a_new_file_beyond_the_objects_of_a_tenant_is_refused_and_a_known_one_is_not(api, clients):
    for name in ("a.md", "b.md"):
        assert upload(clients[0], 10, name=name).status_code == 201
    [row] = api.parts.catalog.sources.rows()
    store = api.parts.store_for(row.source)
    told = [(store.head(name), None) for name in ("a.md", "b.md")]
    api.parts.catalog.work.record_objects(row.source.id, told)
    refused = upload(clients[1], 10, name="c.md")
    assert (refused.status_code, refused.json()["error"]) == (429, "too_many_objects")
    assert upload(clients[1], 11, name="a.md").status_code == 201


def test_an_upload_that_is_refused_for_its_quota_leaves_no_source(api, clients):
    beyond = upload(clients[0], 101, collection="alone")
    assert (beyond.status_code, beyond.json()["error"]) == (400, "file_too_large")
    assert api.parts.catalog.sources.rows() == []
    assert upload(clients[0], 60).status_code == 201
    for size, error in ((41, "too_many_upload_bytes"), (1, None), (1, "too_many_objects")):
        answer = upload(clients[1], size, collection=f"{error or 'second'}")
        assert answer.status_code == (429 if error else 201)
        assert answer.json().get("error") == error
    made = {row.source.collection_name for row in api.parts.catalog.sources.rows()}
    assert made == {"uploads", "second"}


def test_records_that_outlive_their_source_make_no_room_for_others(api, clients):
    """Whoever deletes sources and leaves their records would else fill Chroma without an end."""
    http, name = clients[0], f"kept-{uuid.uuid4().hex[:8]}"
    assert upload(http, 10, name="a.md", collection=name).status_code == 201
    [row] = api.parts.catalog.sources.rows()
    work(api, row.source.id)
    url = f"/api/v1/sources/{row.source.id}"
    refused = http.delete(url)
    assert (refused.status_code, refused.json()["error"]) == (409, "records_would_not_count")
    assert "delete_records=true" in refused.json()["message"]
    again = upload(http, 10, name="b.md", collection=name)
    assert again.status_code == 201
    assert http.delete(url, params={"delete_records": True}).status_code == 204


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_what_has_no_records_goes_without_more_words(api, clients):
    assert upload(clients[0], 10).status_code == 201
    [row] = api.parts.catalog.sources.rows()
    assert clients[0].delete(f"/api/v1/sources/{row.source.id}").status_code == 204


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("limits", [{**LIMITS, "S3SYNC_API_TRUSTED_TENANTS": "default_tenant"}])
def test_whose_objects_are_not_counted_may_leave_records(api, clients):
    assert upload(clients[0], 10, collection=f"kept-{uuid.uuid4().hex[:8]}").status_code == 201
    [row] = api.parts.catalog.sources.rows()
    work(api, row.source.id)
    assert api.parts.catalog.documents.of_key(row.source.id, "a.md")
    assert clients[0].delete(f"/api/v1/sources/{row.source.id}").status_code == 204
