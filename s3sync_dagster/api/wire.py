"""What all payloads of the API share: strict scalars, unions by key, no field without a meaning."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictStr,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)


def storable(text: str) -> str:
    """Return a text that a database can keep. Raises ``ValueError`` for another."""
    if "\x00" in text:
        raise ValueError("holds a NUL character, which no database keeps")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half of a surrogate pair, which UTF-8 cannot express") from None
    return text


Text = Annotated[StrictStr, StringConstraints(max_length=4096), AfterValidator(storable)]
Name = Annotated[
    StrictStr, StringConstraints(min_length=1, max_length=512), AfterValidator(storable)
]
Count = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[
    datetime,
    PlainSerializer(_rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time on the wire: RFC 3339 in UTC with milliseconds."""


class Answer(BaseModel):
    """Base of what the API answers."""

    model_config = ConfigDict(frozen=True)


class Payload(BaseModel):
    """Base of what the API is sent.

    A field that is not known is refused, since a setting that is passed over in silence can
    index a whole bucket; with the value null, as generated clients send it, it does no harm.
    """

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    @model_validator(mode="after")
    def _no_unknown_fields(self) -> Self:
        unknown = [name for name, value in (self.model_extra or {}).items() if value is not None]
        if unknown:
            raise ValueError(f"does not know the field {ascii(unknown[0])[:100]}")
        return self


class ErrorBody(Answer):
    """Every error of the API."""

    model_config = ConfigDict(title="ErrorResponse")

    error: str = Field(description="Stable word for programs, such as `source_not_found`.")
    message: str = Field(description="A sentence for people: what is wrong and the way out.")


def union_by_key(schema: dict[str, Any], keys: tuple[str, ...], *, name: str) -> None:
    """Turn optional properties of a JSON schema into a union: exactly one of them is there."""
    properties = schema["properties"]
    variants = [
        {
            "type": "object",
            "title": f"{name}_{key}",
            "required": [key],
            "properties": {key: _not_null(properties.pop(key))},
        }
        for key in keys
    ]
    rest = {key: schema.pop(key) for key in ("type", "properties", "required") if key in schema}
    schema["allOf"] = [{"oneOf": variants}, rest]


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else schema
