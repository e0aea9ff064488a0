"""Which language a document is written in, and where its grammar comes from."""

import functools
import importlib
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language

GRAMMARS: dict[str, tuple[str, str, str]] = {
    # language as stored on chunks -> module of its wheel, function that returns the grammar,
    # suffixes of its files
    "bash": ("tree_sitter_bash", "language", "sh bash zsh ksh bats ebuild"),
    "c": ("tree_sitter_c", "language", "c h"),
    "cpp": ("tree_sitter_cpp", "language", "cpp cc cxx c++ hpp hh hxx h++ ipp tpp inl cu cuh ino"),
    "csharp": ("tree_sitter_c_sharp", "language", "cs csx"),
    "css": ("tree_sitter_css", "language", "css"),
    "dart": ("tree_sitter_dart", "language", "dart"),
    "dockerfile": ("tree_sitter_dockerfile", "language", "dockerfile containerfile"),
    "elixir": ("tree_sitter_elixir", "language", "ex exs"),
    "go": ("tree_sitter_go", "language", "go"),
    "haskell": ("tree_sitter_haskell", "language", "hs"),
    "hcl": ("tree_sitter_hcl", "language", "tf hcl tfvars nomad"),
    "html": ("tree_sitter_html", "language", "html htm xhtml"),
    "java": ("tree_sitter_java", "language", "java"),
    "javascript": ("tree_sitter_javascript", "language", "js mjs cjs jsx es6"),
    "json": ("tree_sitter_json", "language", "json jsonc json5 geojson webmanifest ipynb avsc har"),
    "julia": ("tree_sitter_julia", "language", "jl"),
    "kotlin": ("tree_sitter_kotlin", "language", "kt kts"),
    "lua": ("tree_sitter_lua", "language", "lua"),
    "make": ("tree_sitter_make", "language", "mk mak make"),
    "nix": ("tree_sitter_nix", "language", "nix"),
    "objc": ("tree_sitter_objc", "language", "m mm"),
    "ocaml": ("tree_sitter_ocaml", "language_ocaml", "ml mli"),
    "ocaml_interface": ("tree_sitter_ocaml", "language_ocaml_interface", ""),
    "perl": ("tree_sitter_perl", "language", "pl pm t"),
    "php": ("tree_sitter_php", "language_php", "php phtml php5"),
    "powershell": ("tree_sitter_powershell", "language", "ps1 psm1 psd1"),
    "python": ("tree_sitter_python", "language", "py pyi pyw pyx"),
    "ruby": ("tree_sitter_ruby", "language", "rb rake gemspec ru podspec"),
    "rust": ("tree_sitter_rust", "language", "rs"),
    "scala": ("tree_sitter_scala", "language", "scala sc sbt"),
    "scss": ("tree_sitter_scss", "language", "scss"),
    "sql": ("tree_sitter_sql", "language", "sql ddl dml"),
    "swift": ("tree_sitter_swift", "language", "swift"),
    "toml": ("tree_sitter_toml", "language", "toml"),
    "tsx": ("tree_sitter_typescript", "language_tsx", "tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript", "ts mts cts"),
    "xml": (
        "tree_sitter_xml",
        "language_xml",
        "xml xsd xsl xslt svg rss atom plist csproj vbproj wsdl xaml pom kml gpx",
    ),
    "yaml": ("tree_sitter_yaml", "language", "yaml yml"),
    "zig": ("tree_sitter_zig", "language", "zig zon"),
}

SUFFIXES: dict[str, str] = {
    f".{suffix}": language
    for language, (_, _, suffixes) in GRAMMARS.items()
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

    module, function, _ = GRAMMARS[language]
    pointer = getattr(importlib.import_module(module), function)()
    with warnings.catch_warnings():
        # Some wheels still hand over an int instead of a capsule; both work.
        warnings.simplefilter("ignore", DeprecationWarning)
        return Language(pointer)
