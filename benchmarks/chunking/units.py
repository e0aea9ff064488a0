"""What a reader wants whole: definitions of source, blocks of Markdown; found without our chunker.

Source: node types written down per grammar. Markdown: markdown-it-py, a CommonMark parser that no
chunker here uses.
"""

import importlib
from dataclasses import dataclass

GRAMMARS = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "java": ("tree_sitter_java", "language"),
    "kotlin": ("tree_sitter_kotlin", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
}
DEFINITIONS = {
    "python": "function_definition class_definition decorated_definition",
    "javascript": "function_declaration class_declaration method_definition "
    "generator_function_declaration",
    "typescript": "function_declaration class_declaration method_definition "
    "interface_declaration enum_declaration abstract_class_declaration type_alias_declaration",
    "go": "function_declaration method_declaration type_declaration",
    "rust": "function_item struct_item enum_item trait_item impl_item mod_item macro_definition",
    "java": "method_declaration class_declaration interface_declaration enum_declaration "
    "constructor_declaration",
    "kotlin": "function_declaration class_declaration object_declaration",
    "c": "function_definition struct_specifier enum_specifier",
    "cpp": "function_definition struct_specifier class_specifier enum_specifier "
    "template_declaration",
}
_WRAPPERS = (
    "decorated_definition",
    "export_statement",
    "template_declaration",
    "ambient_declaration",
)
_COMMENTS = ("comment", "decorator", "attribute", "annotation")


@dataclass(frozen=True)
class Unit:
    """A range of bytes that should stay in one chunk where it fits."""

    start: int
    end: int
    documented: int
    """Where it begins together with the comments and decorators above it."""
    kind: str


def units_of(language: str, data: bytes) -> list[Unit]:
    return _markdown_units(data) if language == "markdown" else _code_units(language, data)


def _code_units(language: str, data: bytes) -> list[Unit]:
    from tree_sitter import Language, Parser

    module, function = GRAMMARS[language]
    grammar = Language(getattr(importlib.import_module(module), function)())
    wanted = set(DEFINITIONS[language].split())
    units: list[Unit] = []
    stack = [(Parser(grammar).parse(data).root_node, None)]
    while stack:
        node, wrapper = stack.pop()
        outer = node if node.type in _WRAPPERS and wrapper is None else None
        if node.type in wanted and node.end_byte - node.start_byte > 20:
            whole = wrapper or node
            documented = _first_comment(whole).start_byte
            units.append(Unit(whole.start_byte, whole.end_byte, documented, "definition"))
            outer = None if wrapper else outer
        stack.extend((child, outer) for child in node.children)
    return units


def _first_comment(node):
    """Return the first of the comments right above a node, or the node."""
    first = node
    before = node.prev_sibling
    while before is not None and any(word in before.type for word in _COMMENTS):
        # Some grammars let a line comment reach to the next line's begin.
        if first.start_point[0] - before.end_point[0] > 1:
            break
        above = before.prev_sibling
        same_line = above is not None and above.end_point[0] == before.start_point[0]
        if same_line and above.end_point[1] > 0:
            break  # behind other code, not above this
        first = before
        before = above
    return first


def _markdown_units(data: bytes) -> list[Unit]:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    offsets = [0]
    text = data.decode()
    for line in text.split("\n"):
        offsets.append(offsets[-1] + len(line.encode()) + 1)
    kinds = {
        "fence": "fence",
        "table_open": "table",
        "paragraph_open": "paragraph",
        "list_item_open": "item",
    }
    units = []
    for token in parser.parse(text):
        if token.type in kinds and token.map:
            start, stop = offsets[token.map[0]], min(offsets[token.map[1]], len(data))
            stop = start + len(data[start:stop].rstrip())
            units.append(Unit(start, stop, start, kinds[token.type]))
    return units
