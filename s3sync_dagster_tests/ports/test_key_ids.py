"""What goes to a server in the clear is an id, whatever its variable is called."""

import pytest

from s3sync_dagster.model.errors import AccessDenied
from s3sync_dagster.model.key_ids import looks_like_id
from s3sync_dagster.model.place import CredentialsConfig
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster_tests.opened import open_object_store

AZURE = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("MINIO_ROOT_USER", "minioadmin"),
        ("GCS_ACCESS_KEY", "GOOG1EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE"),
        ("R2_KEY_ID", "0123456789abcdef0123456789abcdef"),
        ("ID", "user@example.org"),
        ("SPACES_KEY", "DO00EXAMPLEEXAMPLEEX"),
        ("S3_KEY", "AKIAIOSFODNN7EXAMPLE"),
        ("S3_KEY", "minioadmin"),
        ("SWIFT_USER", "test:tester"),
    ],
)
def test_ids_are_taken(variable: str, value: str) -> None:
    assert looks_like_id(value, variable=variable)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("STORAGE_ACCESS_KEY", AZURE),
        ("DB_ID", "postgres://user:secret@host/db"),
        ("A_ID", "sk-proj-0123456789"),
        ("A_ID", "ghp_0123456789"),
        ("A_ID", "two words"),
        ("A_ID", "a" * 129),
        ("S3_KEY", "wJalrXUtnFEMIaK7MDENGabPxRfiCYEXAMPLEKEY"),
    ],
)
def test_secrets_go_to_no_server(variable: str, value: str) -> None:
    assert not looks_like_id(value, variable=variable)
    keys = CredentialsConfig(access_key_id_env=variable, secret_access_key_env="SECRET")
    place = S3Place(
        bucket_name="bucket", endpoint_url="http://127.0.0.1:9", region="r", credentials=keys
    )

    def listed() -> None:
        open_object_store(place, resolve_env={variable: value, "SECRET": "s"}.get).list_page(
            "", start_after=None
        )

    with pytest.raises(AccessDenied) as caught:
        listed()
    assert caught.value.reason == "no_credentials"
    assert value not in caught.value.message
