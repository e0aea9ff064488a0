import base64
import re
from pathlib import Path

import pytest

import s3sync_dagster
from s3sync_dagster.local.home import prepare_home
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.settings import export_settings, load_settings, read_encryption_key

PACKAGE = Path(s3sync_dagster.__file__).parent
KEY = base64.urlsafe_b64encode(b"k" * 32).decode()


def test_defaults_follow_the_home(tmp_path):
    settings = load_settings({"S3SYNC_HOME": str(tmp_path / "data")})
    assert settings.home == tmp_path / "data"
    assert settings.dagster_home == tmp_path / "data" / "dagster"
    assert settings.database_url == f"sqlite:///{tmp_path}/data/catalog.db"
    assert settings.chroma_url is None


def test_without_a_home_data_lives_in_the_users_folder():
    assert load_settings({}).home == Path.home() / ".s3sync"


def test_an_empty_variable_counts_as_not_set(tmp_path):
    empty = {"S3SYNC_HOME": str(tmp_path), "S3SYNC_CHROMA_URL": "", "DAGSTER_HOME": ""}
    assert load_settings(empty) == load_settings({"S3SYNC_HOME": str(tmp_path)})


def test_all_variables_are_read(tmp_path):
    settings = load_settings(
        {
            "S3SYNC_HOME": str(tmp_path),
            "DAGSTER_HOME": str(tmp_path / "d"),
            "S3SYNC_DATABASE_URL": "postgresql+psycopg2://u:p@db/catalog",
            "S3SYNC_CHROMA_URL": "http://127.0.0.1:8000/",
            "S3SYNC_CHROMA_HEADERS": '{"Authorization": "Bearer x"}',
            "S3SYNC_EMBEDDING_WORKERS": "3",
            "S3SYNC_CHECKED_RECORDS_PER_DAY": "0",
            "S3SYNC_OBJECTS_PER_TENANT": "9",
            "S3SYNC_RUNS_PER_TENANT": "4",
            "S3SYNC_RUNS_PER_SOURCE": "8",
            "S3SYNC_PARTITIONS_PER_ASSET": "5000",
            "S3SYNC_EMBEDDING_PRICES": '{"qwen": 0.02, "minilm": 1}',
            "S3SYNC_MODEL_DIR": str(tmp_path / "model"),
            "S3SYNC_ENCRYPTION_KEY": KEY,
            "CHROMA_API_KEY": "ck-1",
            "CHROMA_TENANT": "t",
            "CHROMA_DATABASE": "db",
            "CHROMA_EMBED_URL": "https://embed.example",
        }
    )
    assert settings.dagster_home == tmp_path / "d"
    assert settings.database_url == "postgresql+psycopg2://u:p@db/catalog"
    assert settings.chroma_url == "http://127.0.0.1:8000"
    assert settings.chroma_headers == {"Authorization": "Bearer x"}
    assert "Bearer" not in repr(settings)
    assert settings.embedding_workers == 3
    quotas = (settings.objects_per_tenant, settings.runs_per_tenant, settings.runs_per_source)
    assert quotas == (9, 4, 8)
    assert settings.partitions_per_asset == 5000
    assert load_settings({}).partitions_per_asset == 100_000
    named = [EmbeddingConfig(kind="openai", model=name) for name in ("qwen", "other")]
    prices = [settings.price_of(one) for one in (*named, EmbeddingConfig())]
    assert prices == [0.02, None, 1.0]
    assert settings.model_dir == tmp_path / "model"
    assert (settings.chroma_api_key, settings.chroma_tenant) == ("ck-1", "t")
    assert (settings.chroma_database, settings.chroma_embed_url) == ("db", "https://embed.example")
    assert read_encryption_key(settings) == KEY


@pytest.mark.parametrize("value", ["{not json", '["a"]', '{"a": 1}'])
def test_headers_that_are_none_are_refused_without_being_shown(value):
    with pytest.raises(InvalidSetting, match="S3SYNC_CHROMA_HEADERS") as refused:
        load_settings({"S3SYNC_CHROMA_HEADERS": value})
    assert value not in str(refused.value)


@pytest.mark.parametrize("value", ["{", "[1]", '{"a": "x"}', '{"a": -1}', '{"a": NaN}'])
def test_prices_that_are_none_are_refused(value):
    with pytest.raises(InvalidSetting, match="S3SYNC_EMBEDDING_PRICES"):
        load_settings({"S3SYNC_EMBEDDING_PRICES": value})


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "1000"])
def test_a_number_of_workers_is_one(value):
    with pytest.raises(InvalidSetting, match="S3SYNC_EMBEDDING_WORKERS"):
        load_settings({"S3SYNC_EMBEDDING_WORKERS": value})


def test_no_secret_in_repr(tmp_path):
    settings = load_settings(
        {
            "S3SYNC_HOME": str(tmp_path),
            "S3SYNC_DATABASE_URL": "postgresql://u:hunter2@db/c",
            "S3SYNC_ENCRYPTION_KEY": KEY,
            "CHROMA_API_KEY": "ck-hunter2",
            "AWS_SECRET_ACCESS_KEY": "aws-hunter2",
        }
    )
    assert "hunter2" not in repr(settings)
    assert KEY not in repr(settings)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://host", "http:///x", "http://host:secret/", "http://[half"]
)
def test_a_url_that_is_none_is_named_by_its_variable_and_not_repeated(url, tmp_path):
    with pytest.raises(InvalidSetting, match="S3SYNC_CHROMA_URL") as caught:
        load_settings({"S3SYNC_HOME": str(tmp_path), "S3SYNC_CHROMA_URL": url})
    assert url not in caught.value.message


def test_a_key_that_is_none_is_refused_without_repeating_it():
    with pytest.raises(InvalidSetting, match="S3SYNC_ENCRYPTION_KEY") as caught:
        load_settings({"S3SYNC_ENCRYPTION_KEY": "short-secret"})
    assert "short-secret" not in str(caught.value)


def test_no_key_at_all_says_both_ways_out(tmp_path):
    """Nobody can bring back what there never was, as in the home of an API that began alone."""
    settings = load_settings({"S3SYNC_HOME": str(tmp_path)})
    with pytest.raises(InvalidSetting, match=r"yet: set S3SYNC_ENCRYPTION_KEY, or run `s3sync st"):
        read_encryption_key(settings)
    prepare_home(settings, dagster=False)
    assert read_encryption_key(settings)
    settings.encryption_key_file.unlink()
    with pytest.raises(InvalidSetting, match=r"KEY, or bring back .*encryption\.key"):
        read_encryption_key(settings)


def test_a_named_variable_is_given_or_missed_by_name():
    settings = load_settings({"TEAM_KEY": "x"})
    assert settings.variable("TEAM_KEY") == "x"
    with pytest.raises(InvalidSetting, match="OTHER_KEY"):
        settings.variable("OTHER_KEY")


def test_a_child_reads_the_same_settings(tmp_path):
    settings = load_settings({"S3SYNC_HOME": str(tmp_path), "CHROMA_API_KEY": "k"})
    settings = settings.with_chroma_url("http://127.0.0.1:9")
    assert load_settings(settings.child_environment()) == settings


def test_export_sets_what_dagster_reads(tmp_path):
    environ: dict[str, str] = {}
    export_settings(load_settings({"S3SYNC_HOME": str(tmp_path)}), environ)
    assert environ["DAGSTER_HOME"] == str(tmp_path / "dagster")
    assert int(environ["DAGSTER_EVENT_BATCH_SIZE"]) > 0


def test_nothing_else_reads_the_environment():
    touching = re.compile(r"os\.environ\b|os\.getenv|os\.putenv|from os import.*\benviron\b")
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "samples" not in path.parts and touching.search(path.read_text("utf-8"))
    }
    # Worker processes and their sandbox hand on what they inherit, among it docling's own variable
    # for its models, and set their own TMPDIR; the sandbox's switch is theirs alone. The webserver
    # tells uvicorn, which knows no other way, to believe no address that a request brings.
    # The command line tells tqdm, which other libraries draw with, to draw nothing. Whether AWS's
    # own variables name an endpoint is looked up before botocore, which reads them, is loaded.
    # ONNX Runtime is told to report nothing, before it is imported.
    handed_on = {
        "cli/__init__.py",
        "embedding/device.py",
        "local/webserver.py",
        "ports/s3_endpoint.py",
        "workers/pool.py",
        "workers/child.py",
        "workers/environment.py",
        "workers/sandbox.py",
    }
    assert found - handed_on == {"settings.py"}
