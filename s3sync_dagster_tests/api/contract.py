"""The contract as a machine can read it: the eleven operations, rebuilt from its facts.

Only what the contract says: our extensions are not in it, so that a client or a fuzzer that knows
nothing else than the contract meets our server.
"""

from typing import Any

UUID = {"type": "string", "format": "uuid"}
TIME = {"type": "string", "format": "date-time"}
TEXT = {"type": "string"}
OPTIONAL_TEXT = {"type": ["string", "null"]}
NATURAL = {"type": "integer", "minimum": 0}
ANY_OBJECT = {"type": "object"}


def ref(name: str) -> dict[str, str]:
    """Point to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """Return the schema of an object."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **optional},
    }


def union(*kinds: Any) -> dict[str, Any]:
    """Return the schema of exactly one of several."""
    return {"oneOf": list(kinds)}


def maybe(schema: Any) -> dict[str, Any]:
    """Return a schema that null fits too."""
    return union({"type": "null"}, schema)


def word(*words: str) -> dict[str, Any]:
    """Return the schema of one of these words."""
    return {"type": "string", "enum": list(words)}


TEXTS = {"type": ["array", "null"], "items": TEXT, "uniqueItems": True}
SCHEMAS: dict[str, Any] = {
    "ErrorResponse": record({"error": TEXT, "message": TEXT}),
    "AutoSync": word("none", "direct", "metadata"),
    "SourceType": union(
        record({"github": record({"repository": TEXT}, app_id=OPTIONAL_TEXT, include_globs=TEXTS)}),
        record(
            {
                "web_scrape": record(
                    {"starting_url": TEXT},
                    max_depth={"type": ["integer", "null"], "minimum": 0},
                    page_limit={"type": ["integer", "null"], "minimum": 0},
                    include_path_regexes=TEXTS,
                    exclude_path_regexes=TEXTS,
                )
            }
        ),
        record(
            {
                "s3": record(
                    {"bucket_name": TEXT, "region": TEXT, "collection_name": TEXT},
                    aws_credential_id={
                        "type": ["integer", "null"],
                        "minimum": -(2**31),
                        "maximum": 2**31 - 1,
                    },
                    aws_access_key_id=OPTIONAL_TEXT,
                    aws_secret_access_key=OPTIONAL_TEXT,
                    path_prefix=OPTIONAL_TEXT,
                    auto_sync=maybe(ref("AutoSync")),
                )
            }
        ),
        record({"file_upload": ANY_OBJECT}),
    ),
    "Task": record({"task_name": TEXT}, document_prompt=OPTIONAL_TEXT, query_prompt=OPTIONAL_TEXT),
    # The one documented extension: on an answer, the name of the model that was really used.
    "DenseModel": record({"model": TEXT}, task=maybe(ref("Task"))),
    "Sparse": record({}, key=TEXT, model=word("Chroma/BM25", "prithivida/Splade_PP_en_v1")),
    "Embedding": record({}, dense=ref("DenseModel"), sparse=maybe(ref("Sparse"))),
    "Chunking": union(
        record({"type": word("tree_sitter")}, max_size_bytes=NATURAL),
        record({"type": word("lines")}, max_lines=NATURAL, max_size_bytes=NATURAL),
    ),
    "CreateSource": {
        "allOf": [
            ref("SourceType"),
            record(
                {"database_name": TEXT},
                embedding=ref("Embedding"),
                chunking=ref("Chunking"),
                embedding_model=maybe(ref("DenseModel")),
            ),
        ]
    },
    "Source": {
        "allOf": [
            ref("SourceType"),
            record(
                {
                    "id": UUID,
                    "database_name": TEXT,
                    "embedding_model": ref("DenseModel"),
                    "chunking": ref("Chunking"),
                    "embedding": ref("Embedding"),
                    "created_at": TIME,
                }
            ),
        ]
    },
    "GitRef": union(record({"sha": TEXT}), record({"branch": TEXT})),
    "CreateJob": record(
        {},
        object_key=OPTIONAL_TEXT,
        custom_id={"type": ["string", "null"], "maxLength": 120},
        metadata={"type": ["object", "null"]},
        target_collection_name=OPTIONAL_TEXT,
        ref_identifier=maybe(ref("GitRef")),
    ),
    "JobStatus": union(
        word("pending"),
        word("processing"),
        word("cancelled"),
        record({"complete": record({"finished_at": TIME, "duration_ms": NATURAL})}),
        record({"failed": record({"error": TEXT})}),
    ),
    "Job": record(
        {
            "id": UUID,
            "status": ref("JobStatus"),
            "metadata": {
                "allOf": [
                    union(
                        word("web_scrape"),
                        word("Unknown"),
                        record({"github": record({"git_ref_identifier": ref("GitRef")})}),
                        record(
                            {
                                "s3": record(
                                    {"bucket_name": TEXT},
                                    object_key=OPTIONAL_TEXT,
                                    custom_id=OPTIONAL_TEXT,
                                    additional_metadata={"type": ["object", "null"]},
                                )
                            }
                        ),
                    ),
                    record({"database_name": TEXT, "collection_name": TEXT}),
                ]
            },
            "created_at": TIME,
        },
        source_id=maybe(UUID),
    ),
}


def query(name: str, schema: Any) -> dict[str, Any]:
    """Return an optional query parameter."""
    return {"name": name, "in": "query", "required": False, "schema": schema}


def path(name: str) -> dict[str, Any]:
    """Return a path parameter that is a UUID."""
    return {"name": name, "in": "path", "required": True, "schema": UUID}


PAGE = [
    query("limit", NATURAL),
    query("offset", NATURAL),
    query("order_by", word("ASC", "DESC")),
]
TYPES = word("github", "web_scrape", "s3")


def operation(
    name: str,
    success: str,
    answer: Any,
    *,
    errors: tuple[int, ...] = (400, 401, 403, 404, 500),
    parameters: tuple[Any, ...] = (),
    body: Any = None,
    media: str = "application/json",
) -> dict[str, Any]:
    """Return an operation."""
    responses: dict[str, Any] = {success: {"description": "success"}}
    if answer is not None:
        responses[success]["content"] = {"application/json": {"schema": answer}}
    for status in errors:
        responses[str(status)] = {
            "description": "error",
            "content": {"application/json": {"schema": ref("ErrorResponse")}},
        }
    found: dict[str, Any] = {
        "operationId": name,
        "responses": responses,
        "parameters": list(parameters),
        "security": [{"x-chroma-token": []}],
    }
    if body is not None:
        found["requestBody"] = {"required": True, "content": {media: {"schema": body}}}
    return found


SOURCE, INVOCATION = path("source_id"), path("invocation_id")
UPLOAD = record(
    {
        "database_name": TEXT,
        "collection_name": TEXT,
        "file": {"type": "string", "format": "binary"},
    },
    custom_id={"type": "string", "maxLength": 120},
    metadata=TEXT,
    embedding=TEXT,
    chunking=TEXT,
    content_type={"type": "string", "maxLength": 512},
)
LENGTH = {
    "name": "x-upload-content-length",
    "in": "header",
    "required": True,
    "schema": {"type": "integer", "minimum": 1, "maximum": 209_715_200},
}
PATHS = {
    "/api/v1/sources": {
        "post": operation(
            "create_source",
            "201",
            record({"source_id": UUID}),
            errors=(400, 401, 403, 404, 409, 500),
            body=ref("CreateSource"),
        ),
        "get": operation(
            "list_sources",
            "200",
            {"type": "array", "items": ref("Source")},
            parameters=(query("database_name", TEXT), query("source_type", TYPES), *PAGE),
        ),
    },
    "/api/v1/sources/{source_id}": {
        "get": operation("get_source", "200", ref("Source"), parameters=(SOURCE,)),
        "delete": operation("delete_source", "204", None, parameters=(SOURCE,)),
    },
    "/api/v1/sources/{source_id}/invocations": {
        "post": operation(
            "create_job",
            "201",
            record({"invocation_id": UUID}),
            errors=(400, 401, 403, 404, 409, 500),
            parameters=(SOURCE,),
            body=ref("CreateJob"),
        )
    },
    "/api/v1/sources/{source_id}/invocations/latest-by-keys": {
        "post": operation(
            "latest_invocations_by_keys",
            "200",
            {"type": "object", "additionalProperties": ref("Job")},
            parameters=(SOURCE,),
            body=record({"object_keys": {"type": "array", "items": TEXT}}),
        )
    },
    "/api/v1/invocations": {
        "get": operation(
            "list_jobs",
            "200",
            {"type": "array", "items": ref("Job")},
            parameters=(
                query("source_id", UUID),
                query("database_name", TEXT),
                query("source_type", TYPES),
                query("status", word("pending", "processing", "complete", "failed", "cancelled")),
                *PAGE,
            ),
        )
    },
    "/api/v1/invocations/{invocation_id}": {
        "get": operation("get_job", "200", ref("Job"), parameters=(INVOCATION,)),
        "put": operation(
            "cancel_pending_job",
            "202",
            ANY_OBJECT,
            errors=(400, 401, 403, 404, 412, 500),
            parameters=(INVOCATION,),
        ),
    },
    "/api/v1/add-file": {
        "post": operation(
            "add_file",
            "201",
            record({"invocation_id": UUID}),
            errors=(400, 401, 403, 404, 429, 500),
            parameters=(LENGTH,),
            body=UPLOAD,
            media="multipart/form-data",
        )
    },
    "/health": {
        "get": {
            "operationId": "health_check",
            "responses": {"200": {"description": "well"}, "503": {"description": "not well"}},
        }
    },
}
CONTRACT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Sync", "version": "0.1.0"},
    "paths": PATHS,
    "components": {
        "schemas": SCHEMAS,
        "securitySchemes": {
            "x-chroma-token": {"type": "apiKey", "in": "header", "name": "x-chroma-token"}
        },
    },
}
