"""What no source may be, with the words that a person reads."""

import pytest

from s3sync_dagster.core.source_rules import ENGINES, validate_source
from s3sync_dagster.extraction.engines import _ENGINES
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place import CredentialsConfig, UploadPlace
from s3sync_dagster.model.source import (
    AutoSync,
    ChunkingConfig,
    EmbeddingConfig,
    ExtractionConfig,
)
from s3sync_dagster_tests.sources import changed, s3_source

SOURCE = s3_source(id="i", name="docs", bucket_name="bucket", collection_name="texts")
REPORTED = {"inventory": "s3://reports/all/"}
TAGGED = {"object_tags": ("team",), "reader_keys": ("team",), "queue_url": "https://sqs/1/q"}
LOOKED = TAGGED | {"queue_url": None, "metadata_interval_seconds": 3600}
IMPOSSIBLE = [
    ({"name": "a b"}, "name 'a b'"),
    ({"collection_name": "x"}, "collection_name 'x'"),
    ({"embedding": EmbeddingConfig(kind="mini-lm")}, "embedding.kind is 'mini-lm'; it has to be"),
    ({"embedding": EmbeddingConfig(kind="openai", model="m")}, "needs embedding.endpoint_url"),
    (
        {"embedding": EmbeddingConfig(kind="openai", model="m", endpoint_url="tei:80")},
        "embedding.endpoint_url has no scheme",
    ),
    ({"embedding": EmbeddingConfig(sparse_model="bm")}, "embedding.sparse_model is 'bm'"),
    ({"embedding": EmbeddingConfig(task={"task_name": 1})}, "embedding.task: 'task_name'"),
    (
        {"chunking": ChunkingConfig(max_size_bytes=0)},
        "chunking.max_size_bytes is 0; it has to be a",
    ),
    ({"chunking": ChunkingConfig(max_size_bytes="2k")}, "chunking.max_size_bytes is '2k'"),
    ({"chunking": ChunkingConfig(max_size_bytes=True)}, "chunking.max_size_bytes is True"),
    ({"chunking": ChunkingConfig(max_lines=None)}, "chunking.max_lines is None"),
    ({"extraction": ExtractionConfig(engines={"pdf": "x"})}, "extraction.engines holds 'pdf'"),
    (
        {"extraction": ExtractionConfig(engines={".pdf": "os.system"})},
        "extraction.engines: 'os.system' is no engine; there are calamine, docling",
    ),
    ({"extraction": ExtractionConfig(ocr="no")}, "extraction.ocr has to be true or false"),
    ({"extraction": ExtractionConfig(vision_url="here")}, "extraction.vision_url is not a URL"),
    ({"inventory": "s3://reports/all"}, "inventory is not s3://BUCKET/PREFIX/"),
    ({"inventory": "s3://r/all/"}, "bucket_name 'r' is not 3 to 255"),
    (
        {"inventory": "s3://reports/all/", "bucket_name": "docs--use1-az4--x-s3"},
        "inventory needs a bucket by its own name",
    ),
    (REPORTED | {"document_limit": 9}, "inventory and document_limit exclude each other"),
    (
        REPORTED | {"metadata_interval_seconds": 86_400},
        "inventory and metadata_interval_seconds exclude each other",
    ),
    (REPORTED | TAGGED, "inventory goes with no reader_keys"),
    (TAGGED | {"queue_url": None}, "nothing would tell of their change"),
    (TAGGED | {"auto_sync": AutoSync.NONE}, "auto_sync must not be none"),
    (LOOKED | {"list_interval_seconds": 0}, "a list_interval_seconds that is not longer"),
    (LOOKED | {"list_interval_seconds": 7200}, "and a list_interval_seconds that is not longer"),
    (LOOKED | {"auto_sync": AutoSync.NONE}, "must not be none"),
    ({"metadata": {"s3sync_source": "x"}}, "metadata key 's3sync_source' is reserved"),
    ({"metadata": {"a": {"b": 1}}}, "metadata key 'a'"),
    ({"metadata": {"a": float("inf")}}, "a number must be finite"),
    ({"list_interval_seconds": -5}, "list_interval_seconds is -5; it has to be a whole number"),
    ({"document_limit": 0}, "document_limit is 0"),
    ({"include_globs": ("[",)}, "glob"),
    ({"include_globs": ["*.md"]}, "include_globs has to be a list of texts"),
    ({"extensions": ("md",)}, "extensions holds 'md'"),
    ({"id_prefix": "x" * 57}, "id_prefix"),
    ({"mode": "mirrored"}, "mode is 'mirrored'; it has to be one of mirror"),
    ({"bucket_name": ""}, "bucket_name ''"),
    ({"bucket_name": "s3://b/p"}, "bucket_name 's3://b/p'"),
    ({"bucket_name": "arn:aws:s3:::b"}, "bucket_name is no ARN"),
    ({"path_prefix": "ä" * 513}, "path_prefix has more than 1024 bytes"),
    ({"region": "eu west"}, "region is not the name of a region"),
    ({"endpoint_url": "minio:9000"}, "endpoint_url has no scheme: write http://minio:9000"),
    ({"endpoint_url": "s3.example.org"}, "endpoint_url is not a URL"),
    ({"queue_url": "arn:aws:sqs:x"}, "queue_url is not a URL"),
    ({"queue_url": "https://u:word@sqs.example.org/q"}, "queue_url has a user or a password"),
    ({"endpoint_url": "https://word@s3.example.org"}, "endpoint_url has a user or a password"),
    ({"credentials": CredentialsConfig(access_key_id_env="A")}, "have to come together"),
    ({"credentials": CredentialsConfig(session_token_env="A")}, "session_token_env needs"),
    ({"credentials": CredentialsConfig(external_id="A")}, "external_id needs role_arn"),
]


@pytest.mark.parametrize(
    "wrong", ["", "-c", "../../evil", "eng -c x=1", "eng+", "+eng", "eng\n", "eng/../x"]
)
def test_languages_of_tesseract_are_no_path_and_no_option(wrong):
    with pytest.raises(InvalidSetting, match=r"extraction\.ocr_languages"):
        validate_source(changed(SOURCE, extraction=ExtractionConfig(ocr_languages=wrong)))


@pytest.mark.parametrize(("fields", "words"), IMPOSSIBLE, ids=[words for _, words in IMPOSSIBLE])
def test_what_cannot_work_is_refused_by_name(fields, words):
    with pytest.raises(InvalidSetting) as caught:
        validate_source(changed(SOURCE, **fields))
    assert words in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"extraction": ExtractionConfig(ocr_languages="eng+chi_sim_vert+script/Latin")},
        {"bucket_name": "arn:aws:s3:eu-west-1:1:accesspoint/mine", "region": "eu-west-1"},
        {"bucket_name": "A_b.c-d", "path_prefix": "ä" * 512, "metadata": {"a": ["x"], "b": None}},
        {"endpoint_url": "http://[::1]:9000/s3@1", "queue_url": "https://sqs/1/q"},
        {"embedding": EmbeddingConfig(kind="openai", model="m", endpoint_url="http://h:1/v1")},
        {"credentials": CredentialsConfig(access_key_id_env="A", secret_access_key_env="B")},
        {"extraction": ExtractionConfig(engines={".pdf": "pypdfium2"})},
        {"chunking": ChunkingConfig(max_size_bytes=64), "list_interval_seconds": 0},
        LOOKED,
        LOOKED | {"list_interval_seconds": 0, "queue_url": "https://sqs/1/q"},
        REPORTED | {"reader_keys": ("team",)},
    ],
)
def test_what_can_work_passes(fields):
    validate_source(changed(SOURCE, **fields))


def test_uploads_have_no_bucket_to_be_checked():
    validate_source(SOURCE.with_changes(place=UploadPlace()))
    with pytest.raises(InvalidSetting, match="list_interval_seconds"):
        validate_source(SOURCE.with_changes(place=UploadPlace(), list_interval_seconds=-1))


def test_a_secret_in_the_wrong_place_is_not_repeated():
    wrong = changed(SOURCE, endpoint_url="AKIASECRET", expected_bucket_owner=123456789012)
    with pytest.raises(InvalidSetting) as caught:
        validate_source(wrong)
    assert "AKIASECRET" not in caught.value.message
    assert "123456789012" not in caught.value.message


def test_every_engine_may_be_named():
    assert {one.name for several in _ENGINES.values() for one in several} | {"text"} == ENGINES


def test_settings_of_a_source_are_short_together():
    many = {f".{number}": "pypdfium2" for number in range(1_000)}
    validate_source(changed(SOURCE, extraction=ExtractionConfig(engines=many)))
    with pytest.raises(InvalidSetting, match="bytes of settings as JSON; at most 32,768"):
        validate_source(
            changed(SOURCE, extraction=ExtractionConfig(engines={".pdf": "x" * 40_000}))
        )
