"""``add-file``: order of parts, limits, what is kept, and whose source it becomes."""

import json
import resource
import socket
import threading
import time
import uuid

import pytest

from s3sync_dagster.core.keys import object_key_sha256
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.place import UploadPlace
from s3sync_dagster_tests.api.server import running_api

MIB = 1024 * 1024


def form(*parts, boundary="XbX"):
    """Return the body of a form; a part is (name, value) or (name, value, filename[, type])."""
    body = b""
    for name, value, *rest in parts:
        disposition = f'form-data; name="{name}"'
        if rest:
            disposition += f'; filename="{rest[0]}"'
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n"
        if len(rest) > 1:
            head += f"Content-Type: {rest[1]}\r\n"
        data = value if isinstance(value, bytes) else value.encode()
        body += head.encode() + b"\r\n" + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


def send(http, *parts, length=None, boundary="XbX", content=None):
    file = next((part for part in parts if len(part) > 2), None)
    if length is None:
        length = len(file[1]) if file else 1
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    if length is not False:
        headers["x-upload-content-length"] = str(length)
    body = content if content is not None else form(*parts, boundary=boundary)
    return http.post("/api/v1/add-file", content=body, headers=headers)


def upload(http, name, data, *, collection, database="default_database", **fields):
    parts = [("database_name", database), ("collection_name", collection)]
    parts += [(key, value) for key, value in fields.items()]
    answer = send(http, *parts, ("file", data, name))
    assert answer.status_code == 201, answer.text
    assert set(answer.json()) == {"invocation_id"}
    return answer.json()["invocation_id"]


@pytest.fixture
def collection():
    return f"uploads-{uuid.uuid4().hex[:8]}"


def source_of(api, invocation_id):
    row = api.parts.catalog.invocations.find(invocation_id)
    return row, api.parts.catalog.sources.find(row.source_id)


def test_a_file_is_kept_and_asked_for(api, http, collection):
    invocation_id = upload(
        http,
        "Bericht ü.md",
        b"# Hello",
        collection=collection,
        custom_id="mine",
        metadata=json.dumps({"a": 1}),
    )
    row, source = source_of(api, invocation_id)
    assert (row.object_key, row.custom_id, row.metadata) == ("Bericht ü.md", "mine", {"a": 1})
    assert row.trigger == Trigger.API
    assert source.place == UploadPlace()
    store = api.parts.store_for(source)
    body = store.read("Bericht ü.md", max_size_bytes=100)
    assert body.content == b"# Hello"
    assert body.content_type == "text/markdown"
    job = http.get(f"/api/v1/invocations/{invocation_id}").json()
    assert job["status"] == "pending"
    assert job["metadata"]["collection_name"] == collection
    assert job["metadata"]["s3"]["object_key"] == "Bericht ü.md"


def test_the_wire_shows_one_source_a_database(fresh_api):
    with fresh_api.client() as http:
        ids = [
            upload(http, "same.md", text, collection=name)
            for name, text in (("first", b"one"), ("second", b"two"), ("first", b"three"))
        ]
        sources = http.get("/api/v1/sources").json()
        assert [set(source) & {"s3", "file_upload"} for source in sources] == [{"file_upload"}]
        [shown] = sources
        assert shown["file_upload"] == {}
        assert shown["database_name"] == "default_database"
        listed = http.get("/api/v1/sources?source_type=file_upload").json()
        assert [source["id"] for source in listed] == [shown["id"]]
        assert http.get("/api/v1/sources?source_type=s3").json() == []
        jobs = http.get(f"/api/v1/invocations?source_id={shown['id']}&order_by=ASC").json()
        assert [job["id"] for job in jobs] == ids
        assert {job["source_id"] for job in jobs} == {shown["id"]}
        url = f"/api/v1/sources/{shown['id']}/invocations"
        newest = http.post(f"{url}/latest-by-keys", json={"object_keys": ["same.md", "x"]}).json()
        assert {key: job["id"] for key, job in newest.items()} == {"same.md": ids[2]}
        # A file of the same name in another collection is another file, with the same record id.
        contents = {}
        for row in fresh_api.parts.catalog.sources.rows():
            source = row.source
            store = fresh_api.parts.store_for(source)
            contents[source.collection_name] = store.read("same.md", max_size_bytes=9).content
        assert contents == {"first": b"three", "second": b"two"}
        again = http.post(url, json={"object_key": "same.md", "target_collection_name": "second"})
        assert again.status_code == 201
        unknown = http.post(url, json={"object_key": "never.md"})
        assert (unknown.status_code, unknown.json()["error"]) == (404, "object_gone")
        assert http.delete(f"/api/v1/sources/{shown['id']}").status_code == 204
        assert http.get("/api/v1/sources").json() == []
        states = [row.deleting for row in fresh_api.parts.catalog.sources.rows()]
        assert states == ["keep", "keep"]


def test_record_ids_derive_from_the_name(api, http, collection):
    from s3sync_dagster.core.keys import document_id

    row, source = source_of(api, upload(http, "a.md", b"x", collection=collection))
    wanted = object_key_sha256("a.md")
    assert document_id(row.object_key, custom_id=None, id_prefix=source.id_prefix) == wanted


def test_settings_of_the_first_upload_hold(api, http, collection):
    chunking = json.dumps({"type": "lines", "max_lines": 5})
    embedding = json.dumps({"dense": {"model": "wordllama-l2-supercat-256"}, "sparse": None})
    settings = {"chunking": chunking, "embedding": embedding}
    _, source = source_of(api, upload(http, "a.md", b"x", collection=collection, **settings))
    assert source.chunking.type == "lines"
    assert source.embedding.kind == "static"
    upload(http, "b.md", b"x", collection=collection)
    upload(http, "c.md", b"x", collection=collection, **settings)
    place = [("database_name", "default_database"), ("collection_name", collection)]
    other = json.dumps({"type": "tree_sitter"})
    answer = send(http, *place, ("chunking", other), ("file", b"x", "d.md"))
    assert (answer.status_code, answer.json()["error"]) == (400, "upload_settings_differ")


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([("file", b"x", "a.md"), ("database_name", "d"), ("collection_name", "ccc")], "before"),
        ([("database_name", "default_database"), ("file", b"x", "a.md")], "before"),
        ([("collection_name", "ccc"), ("file", b"x", "a.md")], "before"),
        ([("database_name", "default_database"), ("collection_name", "ccc")], "no part 'file'"),
        ([("surprise", "x")], "surprise"),
        ([("database_name", "x" * 3000)], "2048"),
        ([("database_name", b"\xff")], "UTF-8"),
        ([("database_name", "a"), ("database_name", "b")], "twice"),
        ([("metadata", "x" * 16_385)], "16384"),
    ],
)
def test_the_order_and_the_names_of_parts(http, parts, says):
    answer = send(http, *parts)
    assert answer.status_code == 400
    assert says in answer.json()["message"]


@pytest.mark.parametrize(
    ("extra", "file", "says"),
    [
        ([("collection_name", "x")], ("file", b"x", "a.md"), "collection_name"),
        ([("custom_id", "x" * 121)], ("file", b"x", "a.md"), "120"),
        ([("metadata", "[]")], ("file", b"x", "a.md"), "JSON object"),
        ([("metadata", "{")], ("file", b"x", "a.md"), "strict JSON"),
        ([("metadata", '{"chroma_x": 1}')], ("file", b"x", "a.md"), "chroma_x"),
        ([("metadata", '{"a": {"b": 1}}')], ("file", b"x", "a.md"), "dict"),
        ([("chunking", '{"type": "words"}')], ("file", b"x", "a.md"), "chunking"),
        ([("embedding", '{"dense": {}}')], ("file", b"x", "a.md"), "dense.model"),
        ([("content_type", "x" * 513)], ("file", b"x", "a.md"), "512"),
        ([], ("file", b"", "a.md"), "empty"),
        ([], ("file", b"x", ""), "filename"),
        ([], ("file", b"x", "a.zip"), "archive"),
        ([], ("file", b"x", "a.md.meta.json"), "meta.json"),
        ([], ("file", b"x", "a" * 1025), "1024"),
    ],
)
def test_a_refusal_names_the_part_and_the_rule(http, extra, file, says):
    parts = dict([("database_name", "default_database"), ("collection_name", "ccc"), *extra])
    answer = send(http, *parts.items(), file, length=1)
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["message"]


def test_a_database_that_does_not_exist(http):
    answer = send(
        http, ("database_name", "nope"), ("collection_name", "ccc"), ("file", b"x", "a.md")
    )
    assert (answer.status_code, answer.json()["error"]) == (404, "database_not_found")


@pytest.mark.parametrize("length", [False, "", "0", "-1", "x", "209715201", "1" * 30])
def test_the_length_header(http, length):
    parts = [("database_name", "default_database"), ("collection_name", "ccc")]
    answer = send(http, *parts, ("file", b"x", "a.md"), length=length)
    assert answer.status_code == 400
    assert "x-upload-content-length" in answer.json()["message"]


def test_more_bytes_than_declared(api, http, collection):
    place = [("database_name", "default_database"), ("collection_name", collection)]
    answer = send(http, *place, ("file", b"12345", "a.md"), length=4)
    assert (answer.status_code, answer.json()["error"]) == (400, "file_too_large")
    incoming = api.parts.settings.home / "uploads" / "incoming"
    assert list(incoming.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"--XbX", b"garbage", form(("file", b"x", "a.md"))[:-6], b"--XbX\r\nx: y\r\n\r\n"],
)
def test_what_is_no_form(http, content):
    answer = send(http, content=content)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "message"}


def test_a_body_that_is_not_multipart(http):
    for kind in ("application/json", "multipart/form-data", "multipart/form-data; boundary="):
        headers = {"content-type": kind, "x-upload-content-length": "1"}
        answer = http.post("/api/v1/add-file", content=b"{}", headers=headers)
        assert answer.status_code == 400
        assert "multipart" in answer.json()["message"]


@pytest.mark.parametrize(
    ("name", "field", "part", "expected"),
    [
        ("a.md", "text/x-own", "text/plain", "text/x-own"),
        ("a.md", "", "text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("a.md", "", "application/octet-stream", "text/markdown"),
        ("noname", "", "application/octet-stream", None),
    ],
)
def test_where_the_content_type_comes_from(api, http, collection, name, field, part, expected):
    place = [("database_name", "default_database"), ("collection_name", collection)]
    if field:
        place.append(("content_type", field))
    answer = send(http, *place, ("file", b"x", name, part))
    _, source = source_of(api, answer.json()["invocation_id"])
    assert api.parts.store_for(source).read(name, max_size_bytes=9).content_type == expected


def test_any_client_s_form_is_understood(api, http, collection):
    answer = http.post(
        "/api/v1/add-file",
        data={"database_name": "default_database", "collection_name": collection},
        files={"file": ('ünï "q".txt', b"data", "text/plain")},
        headers={"x-upload-content-length": "4"},
    )
    assert answer.status_code == 201, answer.text


def test_200_mib_pass_through_without_being_held(api, http, collection):
    piece = b"line of text\n" * 5041
    piece += b"x" * (65536 - len(piece))
    count = 200 * MIB // len(piece)
    head = form(
        ("database_name", "default_database"), ("collection_name", collection)
    ).removesuffix(b"--XbX--\r\n")
    head += b'--XbX\r\nContent-Disposition: form-data; name="file"; filename="big.txt"\r\n\r\n'

    def body():
        yield head
        for _ in range(count):
            yield piece
        yield b"\r\n--XbX--\r\n"

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = send(http, content=body(), length=200 * MIB)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert answer.status_code == 201, answer.text
    assert (after - before) * 1024 < 60 * MIB
    _, source = source_of(api, answer.json()["invocation_id"])
    assert api.parts.store_for(source).head("big.txt").size == 200 * MIB
    spooled = api.parts.store_for(source).read("big.txt", max_size_bytes=200 * MIB).content
    assert spooled.stat().st_size == 200 * MIB
    spooled.unlink()
    assert api.parts.store_for(source).head("big.txt").size == 200 * MIB
    api.parts.store_for(source).clear()


def _wait_for_bytes(home):
    """Wait until a file has begun to come in."""
    incoming = home / "uploads" / "incoming"
    deadline = time.monotonic() + 10
    while not (incoming.is_dir() and list(incoming.iterdir())):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return incoming


def test_uploads_in_flight_are_counted(tmp_path, chroma_server, aws_endpoint):
    environ = {"S3SYNC_API_UPLOADS_PER_TENANT": "1"}
    place = [("database_name", "default_database"), ("collection_name", "ccc")]
    with running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api:
        begun, go_on = threading.Event(), threading.Event()
        whole = form(*place, ("file", b"slow", "slow.md"))

        def slowly():
            yield whole[:-12]
            begun.set()
            go_on.wait(20)
            yield whole[-12:]

        answers = []

        def upload_slowly():
            with api.client() as http:
                answers.append(send(http, content=slowly(), length=4))

        thread = threading.Thread(target=upload_slowly)
        thread.start()
        assert begun.wait(10)
        _wait_for_bytes(tmp_path)
        with api.client() as http:
            refused = send(http, *place, ("file", b"x", "a.md"))
            assert (refused.status_code, refused.json()["error"]) == (429, "too_many_uploads")
            assert int(refused.headers["retry-after"]) >= 1
            large = send(http, *place, ("file", b"x" * 3 * MIB, "large.md"))
            assert large.status_code == 429  # and it is heard, although the body was not taken
            go_on.set()
            thread.join(20)
            assert [answer.status_code for answer in answers] == [201]
            assert send(http, *place, ("file", b"x", "a.md")).status_code == 201


def test_a_client_that_leaves_frees_its_slot_and_leaves_nothing(
    tmp_path, chroma_server, aws_endpoint
):
    environ = {"S3SYNC_API_UPLOADS_PER_TENANT": "1"}
    place = [("database_name", "default_database"), ("collection_name", "ccc")]
    with running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api:
        host, port = api.url.removeprefix("http://").split(":")
        whole = form(*place, ("file", b"x" * 1000, "a.md"))
        with socket.create_connection((host, int(port)), timeout=10) as line:
            line.sendall(
                b"POST /api/v1/add-file HTTP/1.1\r\nhost: localhost\r\n"
                b"content-type: multipart/form-data; boundary=XbX\r\n"
                b"x-upload-content-length: 1000\r\n"
                b"content-length: %d\r\n\r\n" % len(whole)
            )
            line.sendall(whole[:-500])
            incoming = _wait_for_bytes(tmp_path)
        deadline = time.monotonic() + 10
        with api.client() as http:
            while send(http, *place, ("file", b"x", "a.md")).status_code != 201:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert list(incoming.iterdir()) == []


def test_members_may_upload_and_strangers_see_nothing(fresh_api):
    member = fresh_api.token(role="member")
    with fresh_api.client(member) as http:
        upload(http, "a.md", b"x", collection="ccc")
    with fresh_api.client() as http:
        place = [("database_name", "default_database"), ("collection_name", "ccc")]
        assert send(http, *place, ("file", b"x", "a.md")).status_code == 401
    with fresh_api.client(fresh_api.token(tenant="stranger")) as http:
        answer = send(http, *place, ("file", b"x", "a.md"))
        assert (answer.status_code, answer.json()["error"]) == (404, "database_not_found")
