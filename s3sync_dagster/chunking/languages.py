"""Which language a document is written in, and where its grammar comes from."""

import functools
import importlib
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language

GRAMMARS: dict[str, tuple[str, str]] = {
    # language as stored on chunks -> module of its wheel, function that returns the grammar
    "bash": ("tree_sitter_bash", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "csharp": ("tree_sitter_c_sharp", "language"),
    "css": ("tree_sitter_css", "language"),
    "dart": ("tree_sitter_dart", "language"),
    "dockerfile": ("tree_sitter_dockerfile", "language"),
    "elixir": ("tree_sitter_elixir", "language"),
    "go": ("tree_sitter_go", "language"),
    "haskell": ("tree_sitter_haskell", "language"),
    "hcl": ("tree_sitter_hcl", "language"),
    "html": ("tree_sitter_html", "language"),
    "java": ("tree_sitter_java", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "json": ("tree_sitter_json", "language"),
    "julia": ("tree_sitter_julia", "language"),
    "kotlin": ("tree_sitter_kotlin", "language"),
    "lua": ("tree_sitter_lua", "language"),
    "make": ("tree_sitter_make", "language"),
    "nix": ("tree_sitter_nix", "language"),
    "objc": ("tree_sitter_objc", "language"),
    "ocaml": ("tree_sitter_ocaml", "language_ocaml"),
    "ocaml_interface": ("tree_sitter_ocaml", "language_ocaml_interface"),
    "perl": ("tree_sitter_perl", "language"),
    "php": ("tree_sitter_php", "language_php"),
    "powershell": ("tree_sitter_powershell", "language"),
    "python": ("tree_sitter_python", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "scala": ("tree_sitter_scala", "language"),
    "scss": ("tree_sitter_scss", "language"),
    "sql": ("tree_sitter_sql", "language"),
    "swift": ("tree_sitter_swift", "language"),
    "toml": ("tree_sitter_toml", "language"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "xml": ("tree_sitter_xml", "language_xml"),
    "yaml": ("tree_sitter_yaml", "language"),
    "zig": ("tree_sitter_zig", "language"),
}

_SUFFIXES = """
    bash: sh bash zsh ksh bats ebuild
    c: c h
    cpp: cpp cc cxx c++ hpp hh hxx h++ ipp tpp inl cu cuh ino
    csharp: cs csx
    css: css
    dart: dart
    dockerfile: dockerfile containerfile
    elixir: ex exs
    go: go
    haskell: hs
    hcl: tf hcl tfvars nomad
    html: html htm xhtml
    java: java
    javascript: js mjs cjs jsx es6
    json: json jsonc json5 geojson webmanifest ipynb avsc har
    julia: jl
    kotlin: kt kts
    lua: lua
    make: mk mak make
    nix: nix
    objc: m mm
    ocaml: ml mli
    perl: pl pm t
    php: php phtml php5
    powershell: ps1 psm1 psd1
    python: py pyi pyw pyx
    ruby: rb rake gemspec ru podspec
    rust: rs
    scala: scala sc sbt
    scss: scss
    sql: sql ddl dml
    swift: swift
    toml: toml
    tsx: tsx
    typescript: ts mts cts
    xml: xml xsd xsl xslt svg rss atom plist csproj vbproj wsdl xaml pom kml gpx
    yaml: yaml yml
    zig: zig zon
"""
SUFFIXES: dict[str, str] = {
    f".{suffix}": language.strip()
    for language, suffixes in (line.split(":") for line in _SUFFIXES.strip().splitlines())
    for suffix in suffixes.split()
}
"""Lower-case suffix with its dot -> language."""

FILE_NAMES: dict[str, str] = {
    "makefile": "make",
    "gnumakefile": "make",
    "dockerfile": "dockerfile",
    "containerfile": "dockerfile",
    "gemfile": "ruby",
    "rakefile": "ruby",
    "vagrantfile": "ruby",
    "podfile": "ruby",
    "jenkinsfile": "java",  # Groovy: its syntax is close enough to Java's for finding blocks
    "pipfile": "toml",
    "cargo.lock": "toml",
    "poetry.lock": "toml",
    "uv.lock": "toml",
    "build": "python",  # Bazel's Starlark is a subset of Python
    "workspace": "python",
    ".bashrc": "bash",
    ".bash_profile": "bash",
    ".profile": "bash",
    ".zshrc": "bash",
}
"""Lower-case file name -> language, for what has no suffix or a misleading one."""

_PROGRAMS: dict[str, str] = {
    "bash": "bash", "sh": "bash", "dash": "bash", "zsh": "bash", "ksh": "bash",
    "python": "python", "node": "javascript", "deno": "typescript", "ruby": "ruby",
    "perl": "perl", "php": "php", "lua": "lua", "julia": "julia", "pwsh": "powershell",
    "elixir": "elixir", "swift": "swift", "make": "make", "runhaskell": "haskell",
    "ocaml": "ocaml", "scala": "scala", "kotlin": "kotlin",
}  # fmt: skip


def language_of(object_key: str, text: str) -> str | None:
    """Return the language that name, suffix or shebang give away, or None."""
    name = object_key.rsplit("/", 1)[-1].lower()
    if name in FILE_NAMES:
        return FILE_NAMES[name]
    stem, dot, suffix = name.rpartition(".")
    if dot and f".{suffix}" in SUFFIXES:
        return SUFFIXES[f".{suffix}"]
    if stem in ("dockerfile", "makefile") or name.startswith("dockerfile."):
        return FILE_NAMES[name.split(".", 1)[0]]
    return _language_of_shebang(text)


def _language_of_shebang(text: str) -> str | None:
    if not text.startswith("#!"):
        return None
    words = text[2:200].split("\n", 1)[0].split()
    program = words[0].rsplit("/", 1)[-1] if words else ""
    if program == "env":
        plain = (word for word in words[1:] if not word.startswith("-") and "=" not in word)
        program = next(plain, "")
    return _PROGRAMS.get(program.rstrip("0123456789."))


@functools.cache
def grammar(language: str) -> "Language":
    """Return the grammar of a language in ``GRAMMARS``, loaded once per process."""
    from tree_sitter import Language  # heavy: only where something is parsed

    module, function = GRAMMARS[language]
    pointer = getattr(importlib.import_module(module), function)()
    with warnings.catch_warnings():
        # Some wheels still hand over an int instead of a capsule; both work.
        warnings.simplefilter("ignore", DeprecationWarning)
        return Language(pointer)
