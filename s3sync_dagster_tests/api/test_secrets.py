"""Where a secret may be: encrypted in the catalog, and nowhere else."""

import logging
import stat

import pytest
from cryptography.fernet import Fernet

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.cipher import begin_rotation, finish_rotation, open_cipher
from s3sync_dagster.catalog.credentials import AwsKeys
from s3sync_dagster.model.errors import InvalidSetting, NotFound
from s3sync_dagster.settings import load_settings

CANARY_KEY = "AKIACANARYCANARY0001"
CANARY = "canary/secret+access/key/0123456789"
CANARY_SESSION = "canary-session-token"


def settings_of(home, **environ):
    home.mkdir(exist_ok=True)
    return load_settings({"S3SYNC_HOME": str(home), **environ})


@pytest.fixture
def home(tmp_path):
    """A home with a key file."""
    settings = settings_of(tmp_path / "home")
    settings.encryption_key_file.write_text(Fernet.generate_key().decode())
    return settings


@pytest.fixture
def catalog(tmp_path):
    opened = open_catalog(f"sqlite:///{tmp_path}/catalog.db")
    yield opened
    opened.close()


KEYS = AwsKeys(access_key_id=CANARY_KEY, secret_access_key=CANARY, session_token=CANARY_SESSION)


def test_a_canary_is_nowhere(fresh_api, aws_endpoint, tmp_path, caplog):
    api = fresh_api
    bucket = aws_endpoint.make_bucket()
    secrets = {
        "aws_access_key_id": CANARY_KEY,
        "aws_secret_access_key": CANARY,
        "aws_session_token": CANARY_SESSION,
    }
    token = api.token()
    answers = []
    with api.client(token) as http, caplog.at_level(logging.INFO):
        made = http.post("/api/v1/sources", json=api.s3(bucket, **secrets))
        assert made.status_code == 201
        source_id = made.json()["source_id"]
        source = api.parts.catalog.sources.find(source_id)
        credential_id = source.place.credentials.credential_id
        answers += [made, http.get(f"/api/v1/sources/{source_id}"), http.get("/api/v1/sources")]
        wrong = [
            api.s3(bucket, **secrets),
            api.s3("missing-bucket", **secrets),
            api.s3(bucket, **secrets, path_prefx="x"),
            api.s3(bucket, **(secrets | {"endpoint_url": "http://127.0.0.1:9"})),
            {"s3": secrets, "database_name": secrets},
            {**secrets},
        ]
        answers += [http.post("/api/v1/sources", json=body) for body in wrong]
        assert all(answer.status_code >= 400 for answer in answers[3:])
        answers.append(http.post("/s3sync/v1/credentials", json=secrets))
        answers.append(http.get("/s3sync/v1/credentials"))
        answers.append(http.get(f"/s3sync/v1/sources/{source_id}"))
        answers.append(http.patch(f"/s3sync/v1/sources/{source_id}", json=secrets))
        answers.append(http.get(f"/s3sync/v1/sources/{source_id}/content?key=gone"))
        answers.append(http.get("/metrics"))
    api.parts.catalog.database.close()
    stored = b"".join(path.read_bytes() for path in api.parts.settings.home.rglob("*.db*"))
    keys = api.parts.resolve_credential(credential_id)
    assert keys == (CANARY_KEY, CANARY, CANARY_SESSION)
    values = [repr(KEYS), repr(source), repr(api.parts), repr(api.parts.store_for(source))]
    for secret in (CANARY_KEY, CANARY, CANARY_SESSION, token):
        for answer in answers:
            assert secret not in answer.text
            assert secret not in str(answer.headers)
        assert secret not in caplog.text
        assert secret.encode() not in stored
        assert all(secret not in value for value in values)


def test_the_same_pair_keeps_its_id_and_tenants_are_apart(catalog, home):
    cipher = open_cipher(home)
    first = catalog.credentials.add(KEYS, tenant="a", cipher=cipher)
    assert catalog.credentials.add(KEYS, tenant="a", cipher=cipher).id == first.id
    other = AwsKeys(access_key_id=CANARY_KEY, secret_access_key="another")
    assert catalog.credentials.add(other, tenant="a", cipher=cipher).id != first.id
    theirs = catalog.credentials.add(KEYS, tenant="b", cipher=cipher)
    assert theirs.id != first.id
    assert catalog.credentials.keys(first.id, cipher=cipher, tenant="a") == KEYS
    with pytest.raises(NotFound):
        catalog.credentials.keys(first.id, cipher=cipher, tenant="b")
    with pytest.raises(NotFound):
        catalog.credentials.delete(first.id, tenant="b")


def test_a_row_that_was_handed_to_another_tenant_does_not_open(catalog, home):
    from s3sync_dagster.catalog.tables import credentials

    cipher = open_cipher(home)
    info = catalog.credentials.add(KEYS, tenant="a", cipher=cipher)
    with catalog.database.write() as tx:
        tx.execute(credentials.update().values(tenant="b"))
    with pytest.raises(NotFound):
        catalog.credentials.keys(info.id, cipher=cipher)


def test_a_key_file_is_rotated_without_a_gap(catalog, home):
    before = home.encryption_key_file.read_text()
    early = open_cipher(home)
    info = catalog.credentials.add(KEYS, tenant="a", cipher=early)
    rotation = begin_rotation(home)
    during = open_cipher(home)  # a process that opens between the two steps
    assert catalog.credentials.rotate(rotation) == 1
    assert catalog.credentials.keys(info.id, cipher=during) == KEYS
    late = AwsKeys(access_key_id="AKIALATELATELATELATE", secret_access_key="late")
    late_info = catalog.credentials.add(late, tenant="a", cipher=early)
    finish_rotation(home)
    assert home.encryption_key_file.read_text() != before
    after = open_cipher(home)
    assert catalog.credentials.keys(info.id, cipher=after) == KEYS
    assert catalog.credentials.keys(late_info.id, cipher=after) == late
    for path in home.home.glob("encryption.key*"):
        assert path == home.encryption_key_file or stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(InvalidSetting) as caught:
        catalog.credentials.keys(info.id, cipher=early)
    assert caught.value.reason == "wrong_encryption_key"


def test_a_rotation_that_crashed_goes_on(catalog, home):
    info = catalog.credentials.add(KEYS, tenant="a", cipher=open_cipher(home))
    catalog.credentials.rotate(begin_rotation(home))
    # the process dies here; readers still open both keys, and the next rotation takes up this one
    assert catalog.credentials.keys(info.id, cipher=open_cipher(home)) == KEYS
    catalog.credentials.rotate(begin_rotation(home))
    finish_rotation(home)
    assert catalog.credentials.keys(info.id, cipher=open_cipher(home)) == KEYS


def test_a_key_of_the_environment_is_rotated_by_naming_the_old_one(catalog, tmp_path):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    first = settings_of(tmp_path / "home", S3SYNC_ENCRYPTION_KEY=old)
    info = catalog.credentials.add(KEYS, tenant="a", cipher=open_cipher(first))
    with pytest.raises(InvalidSetting, match="S3SYNC_ENCRYPTION_KEY_OLD"):
        begin_rotation(first)
    both = settings_of(tmp_path / "home", S3SYNC_ENCRYPTION_KEY=new, S3SYNC_ENCRYPTION_KEY_OLD=old)
    assert catalog.credentials.rotate(begin_rotation(both)) == 1
    finish_rotation(both)
    only = settings_of(tmp_path / "home", S3SYNC_ENCRYPTION_KEY=new)
    assert catalog.credentials.keys(info.id, cipher=open_cipher(only)) == KEYS
    broken = settings_of(
        tmp_path / "home", S3SYNC_ENCRYPTION_KEY=new, S3SYNC_ENCRYPTION_KEY_OLD="no key"
    )
    with pytest.raises(InvalidSetting):
        open_cipher(broken)


def test_tokens_are_kept_as_hashes(catalog, tmp_path):
    row, token = catalog.tokens.create(tenant="a", role="owner", name="ci")
    assert token.startswith("s3s_")
    assert len(token) > 40
    assert token.startswith(row.hint)
    assert len(row.hint) <= 8
    assert catalog.tokens.find(token).tenant == "a"
    assert catalog.tokens.find(token + "x") is None
    assert catalog.tokens.find("") is None
    catalog.database.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("catalog.db*"))
    assert token.encode() not in stored
    assert catalog.tokens.revoke(row.id).revoked_at is not None
    assert catalog.tokens.find(token) is None
    for tenant, role in (("", "owner"), ("a\nb", "owner"), ("a", "admin"), ("x" * 257, "owner")):
        with pytest.raises(InvalidSetting):
            catalog.tokens.create(tenant=tenant, role=role)
    with pytest.raises(NotFound):
        catalog.tokens.revoke(999)
