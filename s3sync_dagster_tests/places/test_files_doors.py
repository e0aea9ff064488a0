"""File stores at the command line and in the API: a folder that `http.server` shows."""

import os
import threading
import uuid
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

SOURCES = "/api/v1/sources"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def served(folder):
    """Serve a folder as ``python -m http.server`` does."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"index+http://127.0.0.1:{server.server_port}/docs"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def put(folder, name, text, *, age):
    path = folder / "docs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (path.stat().st_mtime - age,) * 2)


def test_the_command_line_keeps_a_collection_in_step(s3sync, chroma_server, tmp_path):
    put(tmp_path, "tides one.md", "# Tides\n\nThe buoy drifts in a storm.", age=900)
    put(tmp_path, "sub/moon.md", "# Moon", age=900)
    collection = f"c-{uuid.uuid4().hex[:12]}"
    with served(tmp_path) as url:
        sync = ("sync", url, "-c", collection, "--json")
        first = s3sync(*sync, "--embedding", "hash")
        assert (first.code, first.json["indexed"]) == (0, 2), first.err
        again = s3sync(*sync)
        assert (again.code, again.json["indexed"], again.json["updated"]) == (0, 0, 0), again.err
        put(tmp_path, "tides one.md", "# Tides\n\nThe buoy drifts in a swell.", age=600)
        (tmp_path / "docs" / "sub" / "moon.md").unlink()
        changed = s3sync(*sync, "--approve-deletes")
        assert (changed.json["updated"], changed.json["removed"]) == (1, 1), changed.err
        assert "swell" in s3sync("query", "buoy", "--collection", collection).out
    away = s3sync(*sync)
    assert away.code == 1
    assert "could not be read" in away.err
    assert "swell" in s3sync("query", "buoy", "--collection", collection).out


def test_the_api_makes_and_shows_it_for_who_is_trusted(http, tmp_path):
    put(tmp_path, "a.md", "# Holidays", age=900)

    def payload(url):
        return {
            "files": {"store_url": url, "collection_name": f"c-{uuid.uuid4().hex[:12]}"},
            "database_name": "default_database",
            "embedding": {"dense": {"model": "s3sync-hash"}},
        }

    with served(tmp_path) as url:
        made = http.post(SOURCES, json=payload(url))
        assert made.status_code == 201, made.text
        shown = http.get(f"{SOURCES}/{made.json()['source_id']}").json()
        assert shown["files"]["store_url"] == url
        missing = http.post(SOURCES, json=payload(f"{url}/missing"))
        assert missing.json()["error"] == "folder_missing"
    other = http.post(SOURCES, json=payload("fsspec+memory://docs"))
    assert (other.status_code, other.json()["error"]) == (400, "store_not_allowed")
    secret = {**payload(url)}
    secret["files"]["token_env"] = "S3SYNC_API_TOKEN"
    assert http.post(SOURCES, json=secret).status_code == 400
