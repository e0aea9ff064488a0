"""``s3sync source ...``."""


def test_a_source_is_created_shown_edited_paused_and_deleted(s3sync):
    create = ["source", "create", "docs", "--bucket", "b", "--prefix", "p/", "--collection", "docs"]
    assert s3sync(*create, "--list-interval", "60", "--exclude", "**/*.tmp").code == 0
    shown = s3sync("source", "show", "docs", "--json").json
    assert (shown["list_interval_seconds"], shown["exclude_globs"]) == (60, ["**/*.tmp"])
    assert shown["auto_sync"] == "direct"
    assert s3sync("source", "edit", "docs", "--mode", "append").code == 0
    assert s3sync("source", "show", "docs", "--json").json["mode"] == "append"
    assert s3sync("source", "pause", "docs").code == 0
    [row] = s3sync("source", "list", "--json").json
    assert row["paused"] is True
    assert s3sync("source", "resume", "docs").code == 0
    assert s3sync(*create).code == 1  # it exists
    assert s3sync("source", "delete", "docs", "--keep-records").code == 0
    assert s3sync("source", "list", "--json").json == []
