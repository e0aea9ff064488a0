"""Which server the environment names, and what it costs to know."""

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session

from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source
from s3sync_dagster.ports.inventory_store import InventoryStore
from s3sync_dagster.ports.places import Surroundings, open_store
from s3sync_dagster.ports.s3_endpoint import configured_endpoint
from s3sync_dagster_tests.sources import s3_source

PLACE = S3Place(bucket_name="bucket")
SERVICES = "services = mine\n[services mine]\ns3 =\n  endpoint_url = http://minio:9000\n"


@pytest.fixture
def config(
    tmp_path: Path, aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Path:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "config"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    file.write_text("[default]\nregion = eu-central-1\n")
    return file


def test_where_nothing_is_named_no_client_is_made_to_know_it(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "create_client", None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    assert configured_endpoint(PLACE) is None
    config.write_text(
        "[default]\nregion = eu-central-1\n[profile other]\nendpoint_url = http://o\n"
    )
    assert configured_endpoint(PLACE) is None


@pytest.mark.parametrize("profile", ["endpoint_url = http://minio:9000\n", SERVICES])
def test_profiles_and_variables_name_one(
    config: Path, monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    config.write_text(f"[default]\n{profile}")
    assert configured_endpoint(PLACE) == "http://minio:9000"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://other:9000/")
    assert configured_endpoint(PLACE) == "http://other:9000"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.eu-central-1.amazonaws.com")
    assert configured_endpoint(PLACE) is None


@pytest.mark.parametrize("inventory", [None, "s3://reports/of/bucket/"])
def test_the_server_that_the_environment_names_is_let_pass_before_it_is_asked(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inventory: str | None
) -> None:
    def none(*_: Any) -> Any:
        return None

    def refuse(source: Source, server: str) -> None:
        raise Conflict(f"{source.name} is not at {server}", reason="other_server")

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody is there
    source = s3_source(
        id="1",
        name="docs",
        collection_name="docs",
        bucket_name="bucket",
        region="us-east-1",
        inventory=inventory,
    )
    around = Surroundings(
        home=tmp_path,
        resolve_env=none,
        resolve_credential=none,
        uploads=none,
        guard_for=none,
        admits=refuse,
    )
    with closing(open_store(source, around)) as store:
        ask = partial(store.list_page, "", start_after=None)
        if isinstance(store, InventoryStore):
            ask = partial(store.newest_report, None, again=False)
        with pytest.raises(Conflict) as caught:
            ask()
    assert caught.value.message == "docs is not at http://127.0.0.1:9"
