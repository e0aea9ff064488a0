"""What a syntax node is to a reader: a definition with a name, a comment, a body, or neither."""

import functools
import re
from typing import TYPE_CHECKING

from s3sync_dagster.chunking.languages import grammar

if TYPE_CHECKING:
    from tree_sitter import Node

OTHER, DEFINITION, COMMENT = range(3)

MAX_NAME_BYTES = 120
_HEADER_BYTES = 400

# Grammars name alike, so the names of their node types tell most.
_DEFINITION = re.compile(
    r"(?:^|_)(function|method|class|struct|enum|trait|impl|interface|module|namespace|constructor"
    r"|object|record|protocol|extension|mod|contract|type|union|func|def|subroutine|procedure"
    r"|package|singleton)(?:_|$)"
)
_NOT_DEFINITION = re.compile(
    r"_(body|list|identifier|call|expression|type|parameters|arguments|name|specification|clause"
    r"|path|ref)$|^(type|comment|package)$|call|parameter|argument|identifier|import"
)
_COMMENT = re.compile(
    r"comment|decorator|attribute|annotation|haddock|^pragma|^pod$", re.IGNORECASE
)
_BODY = re.compile(r"block|body|suite|compound_statement|_list$")
_IDENTIFIER = re.compile(r"identifier|name|^word$|^constant$")

WRAPPERS = frozenset(
    (
        "decorated_definition",
        "template_declaration",
        "export_statement",
        "ambient_declaration",
        "implementation_definition",
    )
)
"""Nodes around a definition: their first lines belong to it."""

_MORE_DEFINITIONS: dict[str, str] = {
    "css": "rule_set media_statement keyframes_statement",
    "elixir": "call",
    "haskell": "signature bind",
    "hcl": "block",
    "json": "pair",
    "make": "rule",
    "nix": "binding",
    "ocaml": "value_definition exception_definition",
    "ocaml_interface": "value_specification exception_definition",
    "scss": "rule_set media_statement mixin_statement function_statement",
    "sql": "statement",
    "toml": "table table_array_element",
    "xml": "element",
    "yaml": "block_mapping_pair",
    "zig": "variable_declaration",
}
"""Node types that are definitions in one language only."""

_MORE_COMMENTS: dict[str, str] = {
    "elixir": "unary_operator",  # @doc, @spec
    "julia": "string_literal",  # a docstring stands before what it describes
}

_HEADERS: dict[str, re.Pattern[bytes]] = {
    "css": re.compile(rb"([^{]+?)\s*\{"),
    "elixir": re.compile(rb"def\w*\s+([\w.!?]+)"),
    "hcl": re.compile(rb"([\w-]+(?:[ \t]+\"[^\"\n]*\")*)"),
    "julia": re.compile(rb"(?:mutable\s+)?(?:struct|function|macro|module)\s+([\w.!]+)"),
    "make": re.compile(rb"([^:=\n]+?)\s*:"),
    "ocaml": re.compile(
        rb"(?:let|let\s+rec|and|type|module|module\s+type|exception|val|external|class)\s+"
        rb"(?:'\w+\s+|\([^)\n]*\)\s+)*([\w']+)"
    ),
    "scss": re.compile(rb"(?:@(?:mixin|function)\s+)?([^{(]+?)\s*[({]"),
    "sql": re.compile(
        rb"(?:create|alter)\s+(?:or\s+replace\s+)?(?:temp\w*\s+|unique\s+|materialized\s+)*"
        rb"(?:table|view|index|function|procedure|trigger|type|schema)\s+"
        rb"(?:if\s+not\s+exists\s+)?([\w.\"`]+)",
        re.IGNORECASE,
    ),
    "toml": re.compile(rb"\[+\s*([^\]\n]+?)\s*\]"),
    "xml": re.compile(rb"<([^\s/>]+)"),
    "zig": re.compile(
        rb"(?:pub\s+)?(?:const\s+(\w+)\s*=\s*(?:extern\s+|packed\s+)?(?:struct|enum|union)\b)"
    ),
}
_HEADERS["ocaml_interface"] = _HEADERS["ocaml"]
"""Languages whose trees hide names: the text of the definition's beginning tells them."""


Trait = tuple[int, bool, bool, bool]
"""What the type of a node says about it: its kind (``OTHER``, ``DEFINITION`` or ``COMMENT``);
whether it is a body (the block, list or suite that belongs to what is before it); whether it is
named (keywords and punctuation are not); whether it is a wrapper. A plain tuple, because one is
taken apart for each node, and one with names takes three times as long."""


class Traits(dict[int, Trait]):
    """Number of a node's type -> its trait, for one grammar."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self._grammar = grammar(language)
        self.more_definitions = frozenset(_MORE_DEFINITIONS.get(language, "").split())
        self._more_comments = frozenset(_MORE_COMMENTS.get(language, "").split())

    def __missing__(self, kind_id: int) -> Trait:
        """Work out and keep what a type's name says."""
        node_type = self._grammar.node_kind_for_id(kind_id) or "ERROR"
        named = node_type == "ERROR" or self._grammar.node_kind_is_named(kind_id)
        self[kind_id] = self._trait(node_type) if named else (OTHER, False, False, False)
        return self[kind_id]

    def _trait(self, node_type: str) -> Trait:
        kind = OTHER
        if node_type in self.more_definitions or node_type in WRAPPERS:
            kind = DEFINITION
        elif node_type in self._more_comments or _COMMENT.search(node_type):
            kind = COMMENT
        elif _DEFINITION.search(node_type) and not _NOT_DEFINITION.search(node_type):
            kind = DEFINITION
        is_body = kind != DEFINITION and _BODY.search(node_type) is not None
        return kind, is_body, True, node_type in WRAPPERS


@functools.cache
def traits_of(language: str) -> Traits:
    """Return the traits of a language's node types."""
    return Traits(language)


def definition_name(node: "Node", data: bytes, language: str) -> str:
    """Return the name that a definition gives, or an empty string."""
    header = _HEADERS.get(language)
    if header is not None:
        start = node.start_byte
        match = header.match(data, start, min(node.end_byte, start + _HEADER_BYTES))
        if match is not None:
            return _plain(match.group(1))
        if node.type in traits_of(language).more_definitions:
            return ""  # an ordinary call, query or variable
    name = _name_node(_inner(node))
    return "" if name is None else _plain(data[name.start_byte : name.end_byte])


def _inner(node: "Node") -> "Node":
    """Return the definition inside its wrapper."""
    if node.type not in WRAPPERS:
        return node
    return (
        node.child_by_field_name("definition")
        or node.child_by_field_name("declaration")
        or (node.named_children[-1] if node.named_child_count else node)
    )


def _name_node(node: "Node") -> "Node | None":
    for field in ("name", "key", "attrpath"):
        name = node.child_by_field_name(field)
        if name is not None:
            return name
    name = node.child_by_field_name("declarator")
    for _ in range(8):  # C nests declarators: pointer, array, function
        deeper = name.child_by_field_name("declarator") if name is not None else None
        if deeper is None:
            break
        name = deeper
    if name is None:
        name = node.child_by_field_name("type")  # Rust's impl
    if name is None:
        first = node.named_children[:4]
        name = next((child for child in first if _IDENTIFIER.search(child.type)), None)
    return name


def _plain(raw: bytes) -> str:
    if len(raw) > MAX_NAME_BYTES or b"\n" in raw:
        return ""
    name = raw.decode("utf-8", "replace")
    if name.isidentifier():
        return name  # most are
    words = name.split()
    return ".".join(words).replace('"', "") if '"' in name else " ".join(words)
