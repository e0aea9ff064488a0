"""Every setting of a source, once: options, fields, payloads and docs/settings.md are made of it.

A setting is a field of the value (``model.source``) and a row here; fields of a place bring their
row along (``model.place.told``). What no source may be stands in ``core.source_rules``; what a row
says of type, bounds and choices is checked there too, so that each door refuses with the same
sentence.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Any

from s3sync_dagster.model.embedding_kinds import EMBEDDING_KINDS, SPARSE_MODELS
from s3sync_dagster.model.place import Place
from s3sync_dagster.model.place_types import place_classes
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster.setting import Door, Setting

MAX_FILE_BYTES = 200 * 1024 * 1024
MAX_CHUNK_BYTES = 16_384
MAX_LIST_SECONDS = 31 * 86_400

_FIXED = {
    Door.EDIT: "decides what the source is: make another one",
    Door.PATCH: "decides what the source is: make another one",
}
_SERVERS = {
    Door.POST: "names what only this server has: a tenant could have its secrets sent elsewhere",
    Door.PATCH: "names what only this server has: a tenant could have its secrets sent elsewhere",
}
_SERVERS_CODE = {
    Door.POST: "names code that runs on this server",
    Door.PATCH: "names code that runs on this server",
}
_CALLERS = {Door.POST: "that of the caller's token", Door.PATCH: "that of the caller's token"}


def settings_of(place: type[Place]) -> list[Setting]:
    """Return the settings of sources of a place, also of one whose type another package adds."""
    known = {one.path for one in SETTINGS}
    own = [one for one in _rows_of(place, "place.") if one.path not in known]
    return [one for one in (*SETTINGS, *own) if one.belongs_to(place)]


def _rows_of(kind: type[Any], prefix: str) -> Iterator[Setting]:
    nested: Mapping[str, type] = getattr(kind, "nested", {})
    for one in fields(kind):
        if one.name in nested:
            yield from _rows_of(nested[one.name], f"{prefix}{one.name}.")
        elif one.metadata:
            yield _row(f"{prefix}{one.name}", one.metadata)


def _row(path: str, told: Mapping[str, Any]) -> Setting:
    row = dict(told)
    missing = {**(_FIXED if row.pop("fixed", False) else {})}
    missing |= _SERVERS if row.pop("server", False) else {}
    return Setting(path=path, missing=missing, **row)


def _rows_of_types(taken: Iterable[Setting]) -> list[Setting]:
    """Return the rows that the types of places bring along; one that several share is one."""
    found = {one.path: one for one in taken}
    return [
        found.setdefault(row.path, row)
        for kind in place_classes().values()
        for row in _rows_of(kind, "place.")
        if row.path not in found
    ]


def _choices(kind: type[StrEnum]) -> tuple[str, ...]:
    return tuple(one.value for one in kind)


_BY_HAND: tuple[Setting, ...] = (
    Setting(path="name", help="Letters, digits, underscores; names asset, job and sensor.",
            missing={**_FIXED,
                     Door.POST: "the contract has none: made of the bucket"}),
    Setting(path="place.bucket_name", help="The bucket.", option="bucket",
            contract="s3.bucket_name", missing=_FIXED),
    Setting(path="place.path_prefix", help="Plain begin of the key; mostly ends with a slash.",
            option="prefix", contract="s3.path_prefix", missing=_FIXED),
    Setting(path="collection_name", help="Chroma collection that is kept in step.",
            option="collection", contract="s3.collection_name", missing=_FIXED),
    Setting(path="place.endpoint_url", help="For MinIO and other S3 servers.", metavar="URL",
            missing=_FIXED),
    Setting(path="tenant", help="Of Chroma; CHROMA_TENANT or default_tenant when not given.",
            missing={**_FIXED, **_CALLERS}),
    Setting(path="database_name", option="database", contract="database_name", missing=_FIXED,
            help="Of Chroma; CHROMA_DATABASE or default_database when not given."),
    Setting(path="id_prefix", help="Before each record id, at most 56 bytes.", missing=_FIXED),
    Setting(path="adopt", kind="flag", help="Take over records that others wrote."),
    Setting(path="run_fails_from", kind="whole", metavar="KEYS",
            help="So many keys that failed for the first time fail a run; 0: none does."),
    Setting(path="place.region", help="Found by itself where possible.", contract="s3.region"),
    Setting(path="place.addressing_style", help="Of bucket names in URLs.", kind="choice",
            choices=("auto", "path", "virtual")),
    Setting(path="place.queue_url", help="SQS queue with the bucket's events.", metavar="URL"),
    Setting(path="place.inventory", metavar="PLACE",
            help="S3 Inventory reports of one configuration, of which listings are made."),
    Setting(path="auto_sync", help="Who starts work: nobody, listings and events, sidecars.",
            kind="choice", choices=_choices(AutoSync), contract="s3.auto_sync"),
    Setting(path="list_interval_seconds", help="Between listings; 0: never listed.", kind="whole",
            most=MAX_LIST_SECONDS, option="list-interval", code="list_interval",
            metavar="SECONDS"),
    Setting(path="mode", help="What happens to records of changed and deleted objects.",
            kind="choice", choices=_choices(DeleteMode)),
    Setting(path="include_globs", help="Only keys that match one of these.", kind="texts",
            option="include", metavar="GLOB"),
    Setting(path="exclude_globs", help="No keys that match one of these.", kind="texts",
            option="exclude", metavar="GLOB"),
    Setting(path="extensions", help="Only keys that end so.", kind="texts", option="extension",
            metavar=".EXT"),
    Setting(path="max_size_bytes", help="Larger objects are skipped.", kind="whole", least=1,
            tenants_most=MAX_FILE_BYTES),
    Setting(path="document_limit", help="Only so many, the first in key order.", kind="whole",
            least=1),
    Setting(path="metadata", help="Added to each record.", kind="mapping", metavar="JSON"),
    Setting(path="path_metadata", metavar="PATTERN",
            help="Pattern (RE2) on the path; its named groups become metadata."),
    Setting(path="path_metadata_whole_key", kind="flag",
            help="Search for path_metadata in the whole key, its prefix included."),
    Setting(path="place.object_metadata", kind="texts", metavar="NAME[=KEY]",
            help="Name of x-amz-meta-* that becomes metadata, of that name or of another KEY."),
    Setting(path="place.object_tags", kind="texts", option="object-tag", metavar="NAME[=KEY]",
            help="Tag that becomes metadata; a request more for each object that is read."),
    Setting(path="place.metadata_interval_seconds", kind="whole", most=MAX_LIST_SECONDS,
            option="metadata-interval", code="metadata_interval", metavar="SECONDS",
            help="Between looks of listings at these of unchanged objects; 0: events alone tell."),
    Setting(path="bedrock_sidecars", kind="flag",
            help="Take KEY.metadata.json for what Bedrock knows of KEY, not for a document."),
    Setting(path="enrich", metavar="MODULE:FUNCTION", missing=_SERVERS_CODE,
            help="Python function that gets documents before they are cut."),
    Setting(path="reader_keys", kind="texts", option="reader-key", metavar="KEY",
            help="Metadata key whose values are the groups that may read a document."),
    Setting(path="chunking.type", help="How documents are cut.", kind="choice", option="chunking",
            choices=("tree_sitter", "lines"), contract="chunking.type"),
    Setting(path="chunking.max_size_bytes", help="Of a chunk; follows the model when not given.",
            kind="whole", least=64, most=MAX_CHUNK_BYTES, option="max-chunk-bytes",
            contract="chunking.max_size_bytes"),
    Setting(path="chunking.max_lines", help="Of a chunk, where documents are cut by lines.",
            kind="whole", least=1, most=100_000, option="max-chunk-lines",
            contract="chunking.max_lines"),
    Setting(path="chunking.context", help="Embed path and headings before the text.", kind="flag",
            option="chunk-context"),
    Setting(path="embedding.kind", help="Which model makes the vectors.", kind="choice",
            choices=tuple(EMBEDDING_KINDS), option="embedding", contract="embedding.dense.model",
            missing=_FIXED),
    Setting(path="embedding.model", help="Where the kind knows several; of `onnx` the folder.",
            option="embedding-model", contract="embedding.dense.model", missing=_FIXED),
    Setting(path="embedding.task", help="task_name, document_prompt, query_prompt.",
            kind="mapping", option="embedding-task", metavar="JSON",
            contract="embedding.dense.task", missing=_FIXED),
    Setting(path="embedding.endpoint_url", help="Endpoint of `openai`.", option="embedding-url",
            metavar="URL", missing={**_FIXED, **_SERVERS}),
    Setting(path="embedding.api_key_env", help="Variable with the endpoint's key.",
            option="embedding-key-env", metavar="NAME", missing={**_FIXED, **_SERVERS}),
    Setting(path="embedding.sparse_model", help="For servers that index sparse vectors.",
            kind="choice", choices=SPARSE_MODELS, contract="embedding.sparse.model",
            missing=_FIXED),
    Setting(path="embedding.sparse_key", help="Where its vectors stand in the collection.",
            contract="embedding.sparse.key", missing=_FIXED),
    Setting(path="extraction.engines", help="Suffix to engine, such as .pdf to pypdfium2.",
            kind="mapping", metavar="JSON"),
    Setting(path="extraction.ocr", help="Read scans and pictures.", kind="flag"),
    Setting(path="extraction.ocr_languages", help="Tesseract's form.", metavar="eng+deu"),
    Setting(path="extraction.boilerplate", kind="flag",
            help="Keep navigation, header and footer of web pages."),
    Setting(path="extraction.vision_url", help="OpenAI-compatible endpoint for pictures.",
            metavar="URL", missing=_SERVERS),
    Setting(path="extraction.vision_model", help="That the endpoint has.", missing=_SERVERS),
    Setting(path="extraction.vision_api_key_env", help="Variable with the endpoint's key.",
            option="vision-key-env", metavar="NAME", missing=_SERVERS),
    Setting(path="on_config_change", help="What happens to outdated documents.", kind="choice",
            choices=("keep", "reindex")),
    Setting(path="place.credentials.profile", help="AWS profile.", missing=_SERVERS),
    Setting(path="place.credentials.credential_id", help="Of `s3sync credential create`.",
            kind="whole", least=1, option="credential", metavar="ID",
            contract="s3.aws_credential_id"),
    Setting(path="place.credentials.access_key_id_env", help="Variable with the key id.",
            metavar="NAME", missing=_SERVERS),
    Setting(path="place.credentials.secret_access_key_env", metavar="NAME", missing=_SERVERS,
            help="Variable with the secret key."),
    Setting(path="place.credentials.session_token_env", help="Variable with the session token.",
            metavar="NAME", missing=_SERVERS),
    Setting(path="place.credentials.role_arn", help="Role that is assumed.", metavar="ARN"),
    Setting(path="place.credentials.external_id", help="That the role asks for."),
    Setting(path="place.requester_pays", help="Pay for the requests.", kind="flag"),
    Setting(path="place.expected_bucket_owner", help="AWS account; else refused.",
            metavar="ACCOUNT"),
)  # fmt: skip
SETTINGS: tuple[Setting, ...] = (*_BY_HAND, *_rows_of_types(_BY_HAND))
SYNC = frozenset({"place.endpoint_url", "place.region", "mode"})
"""Besides place, collection and model, what ``s3sync sync`` says of a source that it makes. It
has few options: whoever wants more makes the source first, and ``sync`` takes that."""
