"""The published description: the contract's operations with its names, and ours beside them."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from s3sync_dagster.api.options import MAX_FILE_BYTES
from s3sync_dagster.api.wire import ErrorBody

TITLE = "s3sync Sync API"
SUMMARY = "Keeps Chroma collections in step with S3 buckets; speaks the wire of Chroma's Sync API."
_TEXTS = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    408: "The body did not arrive in time",
    409: "Conflict",
    412: "Invocation is not in a cancelable state",
    413: "Body too large",
    429: "Too many requests",
    500: "Server error",
    503: "Service is unavailable",
}

ADD_FILE_BODY: dict[str, Any] = {
    "parameters": [
        {
            "name": "x-upload-content-length",
            "in": "header",
            "required": True,
            "description": "Length of the file in bytes.",
            "schema": {"type": "integer", "minimum": 1, "maximum": MAX_FILE_BYTES},
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "description": "database_name and collection_name come before file.",
                    "required": ["database_name", "collection_name", "file"],
                    "properties": {
                        "database_name": {"type": "string"},
                        "collection_name": {"type": "string"},
                        "custom_id": {"type": "string", "maxLength": 120},
                        "metadata": {
                            "type": "string",
                            "description": "JSON object, at most 16 KiB.",
                        },
                        "embedding": {
                            "type": "string",
                            "description": "SourceEmbeddingConfig as JSON.",
                        },
                        "chunking": {
                            "type": "string",
                            "description": "SourceChunkingConfig as JSON.",
                        },
                        "content_type": {"type": "string", "maxLength": 512},
                        "file": {"type": "string", "format": "binary"},
                    },
                }
            }
        },
    },
}
"""FastAPI cannot describe a body that is read by hand."""


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error answers of an operation."""
    return {status: {"description": _TEXTS[status], "model": ErrorBody} for status in statuses}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the description: FastAPI's, without its 422, which is never answered here."""
    if app.openapi_schema is None:
        app.openapi_schema = _build(app)
    return app.openapi_schema


def _build(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    for operations in found["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
    schemas = found["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return _renamed(found, {name: schema["title"] for name, schema in schemas.items()})


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a query parameter: it is absent or has a value, never null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    return {**kinds[0], **{key: value for key, value in schema.items() if key != "anyOf"}}


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """Return the description with the contract's names for its schemas, which are their titles."""
    prefix = "#/components/schemas/"
    if isinstance(value, list):
        return [_renamed(each, names) for each in value]
    if not isinstance(value, dict):
        return value
    renamed = {key: _renamed(each, names) for key, each in value.items()}
    reference = value.get("$ref")
    if isinstance(reference, str) and reference.startswith(prefix):
        renamed["$ref"] = prefix + names[reference.removeprefix(prefix)]
    if "schemas" in value and "securitySchemes" in value:
        renamed["schemas"] = {names[key]: each for key, each in renamed["schemas"].items()}
    return renamed
