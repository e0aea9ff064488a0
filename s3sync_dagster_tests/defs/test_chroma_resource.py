"""The Chroma that code names, for sources and for assets of one's own."""

from urllib.parse import urlsplit

import dagster as dg
import pytest

from s3sync_dagster.core.naming import job_name, run_config
from s3sync_dagster.definitions import (
    ChromaResource,
    CloudConfig,
    HttpConfig,
    LocalConfig,
    S3Source,
    build_definitions,
)
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import open_parts
from s3sync_dagster_tests.scripted_http import scripted_server

BEAT = '{"nanosecond heartbeat": 5}'


def test_sources_are_written_where_the_resource_says(
    tmp_path, aws_endpoint, chroma_server, defs_environment, monkeypatch
):
    monkeypatch.setenv("S3SYNC_CHROMA_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("TEST_CHROMA_HOST", urlsplit(chroma_server).hostname or "")
    bucket = aws_endpoint.make_bucket()
    aws_endpoint.put(bucket, "a.md", "# Title\n\nwords")
    source = S3Source(
        name="named", bucket_name=bucket, collection_name=f"named-{bucket}"[:60],
        endpoint_url=aws_endpoint.url, embedding={"kind": "hash"},
    )  # fmt: skip
    chroma = ChromaResource(
        connection_config=HttpConfig(
            host=dg.EnvVar("TEST_CHROMA_HOST"), port=urlsplit(chroma_server).port or 0
        )
    )

    @dg.asset
    def looked_up(chroma: ChromaResource) -> int:
        with chroma.get_client() as client:
            return client.get_collection(source.collection_name).count()

    definitions = dg.Definitions.merge(
        build_definitions([source], chroma=chroma), dg.Definitions(assets=[looked_up])
    )
    dg.Definitions.validate_loadable(definitions)
    with dg.DagsterInstance.get() as instance:
        done = definitions.resolve_job_def(job_name("named")).execute_in_process(
            run_config=run_config(source.to_source(), keys=["a.md"]), instance=instance
        )
        assert done.success
        own = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, asset_selection=[looked_up.key]
        )
    assert own.output_for_node("looked_up") == 1


def test_a_local_chroma_is_for_one_process(tmp_path):
    chroma = ChromaResource(connection_config=LocalConfig(persistence_path=str(tmp_path / "c")))
    with chroma.get_client() as client:
        client.create_collection("docs")
        with pytest.raises(Conflict, match="in use") as caught:
            chroma.open_collections()
    assert caught.value.reason == "chroma_in_use"
    chroma.open_collections().close()  # type: ignore[attr-defined]
    with chroma.get_client() as client:
        assert client.get_collection("docs").count() == 0


def test_cloud_and_proxies_get_their_headers():
    with scripted_server() as server:
        place = urlsplit(server.url)
        cloud = CloudConfig(
            api_key="ck-1", cloud_host=place.hostname or "", cloud_port=place.port or 0, ssl=False
        )
        http = HttpConfig(
            host=place.hostname or "", port=place.port or 0, headers={"authorization": "Bearer x"}
        )
        seen = []

        def decide(_body):
            seen.append(server.asked[-1][2])
            return 200, BEAT, {}

        server.decide = decide
        for named in (cloud, http):
            collections = ChromaResource(connection_config=named).open_collections()
            collections.heartbeat()  # type: ignore[attr-defined]
            collections.close()  # type: ignore[attr-defined]
    assert seen[0]["x-chroma-token"] == "ck-1"
    assert seen[1]["authorization"] == "Bearer x"
    assert "x-chroma-token" not in seen[1]


def test_headers_of_the_environment_are_sent(tmp_path):
    with scripted_server() as server:
        server.decide = lambda _body: (200, BEAT, {})
        settings = load_settings(
            {
                "S3SYNC_HOME": str(tmp_path),
                "S3SYNC_CHROMA_URL": server.url,
                "S3SYNC_CHROMA_HEADERS": '{"Authorization": "Bearer x"}',
            }
        )
        parts = open_parts(settings)
        parts.collections.heartbeat()  # type: ignore[attr-defined]
        parts.close()
    assert server.asked[0][2]["authorization"] == "Bearer x"
