"""What a question to Dagster's GraphQL changes, read as Dagster's webserver reads it."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_operation_ast,
    parse,
)
from starlette.datastructures import QueryParams

MAX_TOKENS = 20_000
"""Of a question; Dagster's own pages ask with some thousand at most."""
MOST_NAMES = 8
UNREAD, UNKNOWN = "unread", "unknown"


def mutation_of(body: bytes, *, content_type: str, query_string: bytes) -> str | None:
    """Return the names of what a question changes; None: it changes nothing.

    No word is returned that is not a field of Dagster's mutations: ``unknown`` stands for others,
    ``unread`` for a question that cannot be read. What a directive leaves out is named, too: it was
    asked for.
    """
    try:
        asked = _asked(body, content_type=content_type, query_string=query_string)
        if asked.get("query") is None:
            return None  # Dagster refuses it
        document = parse(asked["query"], no_location=True, max_tokens=MAX_TOKENS)
        operation = get_operation_ast(document, asked.get("operationName"))
    except (ValueError, TypeError, AttributeError, RecursionError, GraphQLError):
        return UNREAD
    # Where nothing says which is executed, Dagster executes none: what was asked for is named.
    operations = [operation] if operation is not None else document.definitions
    fragments = {
        one.name.value: one
        for one in document.definitions
        if isinstance(one, FragmentDefinitionNode)
    }
    names: dict[str, None] = {}
    changes = False
    for one in operations:
        if isinstance(one, OperationDefinitionNode) and one.operation is OperationType.MUTATION:
            changes = True
            names |= dict.fromkeys(_fields(one.selection_set, fragments))
    return _told(list(names)) if changes else None


def _asked(body: bytes, *, content_type: str, query_string: bytes) -> Mapping[str, Any]:
    """Return query and name of the operation, from where Dagster takes them."""
    if "application/json" in content_type:
        return json.loads(body)
    if "application/graphql" in content_type:
        return {"query": body.decode()}
    return QueryParams(query_string)


def _fields(
    selected: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> Iterator[str]:
    """Yield the names of the fields that stand in none, those of fragments too."""
    waiting, seen = [selected], set[str]()
    while waiting:
        for one in waiting.pop().selections:
            if isinstance(one, FieldNode):
                yield one.name.value
            elif isinstance(one, InlineFragmentNode):
                waiting.append(one.selection_set)
            elif isinstance(one, FragmentSpreadNode) and one.name.value not in seen:
                seen.add(one.name.value)
                if (found := fragments.get(one.name.value)) is not None:
                    waiting.append(found.selection_set)


def _told(asked: list[str]) -> str:
    known = known_mutations()
    names = dict.fromkeys(
        name if name in known else UNKNOWN for name in asked if name != "__typename"
    )
    first = list(names)[:MOST_NAMES] or [UNKNOWN]
    more = len(names) - len(first)
    return " ".join(first) + (f", {more} more" if more > 0 else "")


@cache
def known_mutations() -> frozenset[str]:
    """Return the names of all that Dagster's GraphQL can change."""
    from dagster_graphql.schema import create_schema  # noqa: PLC0415  (only a change pays for it)

    changes = create_schema().graphql_schema.mutation_type
    return frozenset(changes.fields if changes is not None else ())
