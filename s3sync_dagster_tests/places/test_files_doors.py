"""File stores at the command line: a folder that `http.server` shows."""

import os
import uuid

from s3sync_dagster_tests.places.file_servers import served


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
