"""What a name says about a file: how it is read, or why it is not.

The table knows suffixes only, so that selection can leave archives and media alone without a
download. What the bytes say is looked at later, by ``extraction``.
"""

from dataclasses import dataclass

from s3sync_dagster.model.document import DocumentFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind:
    """How files of one kind are treated."""

    reader: str
    """Who reads it: ``text`` (decoded as it is), ``pdf``, ``docx`` ..., ``none`` when skipped."""
    format: DocumentFormat = "markdown"
    """Format of the document that the reader gives."""
    skip: str | None = None
    """Reason word when files of this kind are never read: ``archive``, ``media``, ``binary``."""


TEXT = FileKind(reader="text", format="text")
"""What an unknown name is taken for, until its bytes say otherwise."""


def kind_of(name: str) -> FileKind | None:
    """Return what the last suffix (or a well-known file name) says; None when it says nothing."""
    base = name.rpartition("/")[2].lower()
    return _NAMES.get(base) or _SUFFIXES.get(suffix_of(name))


def suffix_of(name: str) -> str:
    """Return the last suffix in lower case with its dot; empty for ``README`` and ``.bashrc``."""
    base = name.rpartition("/")[2].lower()
    stem, dot, suffix = base.rpartition(".")
    return dot + suffix if stem else ""


def skip_reason(name: str) -> str | None:
    """Return the reason word for a name that needs no download to be skipped."""
    kind = kind_of(name)
    return kind.skip if kind else None


_READERS = {
    "pdf": ".pdf",
    "docx": ".docx .docm .dotx .dotm",
    "doc": ".doc .dot .wps",
    "odt": ".odt .ott",
    "rtf": ".rtf",
    "xlsx": ".xlsx .xlsm .xltx .xltm .xlsb",
    "xls": ".xls .xlt",
    "ods": ".ods .ots",
    "pptx": ".pptx .pptm .ppsx .potx",
    "ppt": ".ppt .pps",
    "odp": ".odp .otp",
    "html": ".html .htm .xhtml .xht",
    "mhtml": ".mhtml .mht",
    "epub": ".epub",
    "eml": ".eml",
    "msg": ".msg",
    "asciidoc": ".adoc .asciidoc",
    "latex": ".tex .latex .ltx",
    "notebook": ".ipynb",
    "image": ".png .jpg .jpeg .webp .gif .tif .tiff .bmp",
}
_CODE = (
    ".py .pyi .pyw .pyx .js .mjs .cjs .jsx .ts .mts .cts .tsx .go .rs .java .c .h .cc .cpp .cxx "
    ".c++ .hh .hpp .hxx .ipp .inl .cu .cuh .cs .csx .rb .rake .gemspec .php .kt .kts .swift "
    ".scala .sc .sbt .sh .bash .zsh .ksh .fish .lua .pl .pm .jl .hs .lhs .ex .exs .ml .mli .dart "
    ".m .mm .sql .css .scss .less .sass .yaml .yml .toml .dockerfile .tf .tfvars .hcl .mk .nix "
    ".zig .ps1 .psm1 .psd1 .r .vue .svelte .astro .groovy .gradle .clj .cljs .erl .hrl .fs .fsx "
    ".vb .vbs .pas .f .f90 .f95 .asm .s .proto .thrift .graphql .gql .cmake .bat .cmd .awk .sed "
    ".tcl .lisp .el .scm .d .nim .cr .v .sv .vhd .vhdl .sol .bzl .bazel .pug .jinja .j2 .ejs .hbs "
    ".liquid .json5 .jsonc"
)
_PROSE = (
    ".txt .text .rst .rest .org .textile .wiki .creole .srt .vtt .ics .vcf .bib .diff .patch .po "
    ".nfo .me .1 .ini .cfg .conf .properties .env .editorconfig .gitignore .lst"
)
_DATA: dict[DocumentFormat, str] = {
    "json": ".json .geojson .webmanifest",
    "jsonl": ".jsonl .ndjson",
    "xml": ".xml .xsd .xsl .xslt .rss .atom .svg .plist .wsdl .kml .gpx",
    "log": ".log",
    "markdown": ".md .markdown .mdx .mdown .mkd .qmd .rmd",
}
_SKIPPED = {
    "archive": (
        ".zip .tar .gz .tgz .bz2 .tbz2 .xz .txz .zst .tzst .lz .lz4 .lzma .7z .rar .jar .war .ear "
        ".whl .egg .deb .rpm .apk .ipa .dmg .iso .cab .z .br .nupkg .gem .crate"
    ),
    "media": (
        ".mp3 .wav .flac .ogg .oga .opus .m4a .aac .wma .aiff .mid .midi .mp4 .m4v .mov .avi .mkv "
        ".webm .wmv .flv .mpg .mpeg .3gp .ogv .psd .ai .indd .sketch .fig .raw .cr2 .nef .arw .dng "
        ".heic .heif .avif .ico .icns .eps .xcf .blend .stl .fbx .glb .gltf"
    ),
    "binary": (
        ".exe .dll .so .dylib .a .o .lib .obj .bin .class .pyc .pyo .pyd .wasm .node "
        ".sys .ttf .otf .woff .woff2 .eot .db .sqlite .sqlite3 .mdb .accdb .parquet .feather "
        ".arrow .orc .avro .npy .npz .pkl .pickle .h5 .hdf5 .pt .pth .ckpt .safetensors .onnx "
        ".gguf .pb .tflite .img .vmdk .qcow2 .pcap .swp .lnk .p12 .pfx .jks .keystore"
    ),
}


def _build_suffixes() -> dict[str, FileKind]:
    table: dict[str, FileKind] = {}
    for reason, suffixes in _SKIPPED.items():
        kind = FileKind(reader="none", format="text", skip=reason)
        table |= dict.fromkeys(suffixes.split(), kind)
    table |= dict.fromkeys(_PROSE.split(), TEXT)
    table |= dict.fromkeys(_CODE.split(), _CODE_KIND)
    for form, suffixes in _DATA.items():
        table |= dict.fromkeys(suffixes.split(), FileKind(reader="text", format=form))
    for suffix in (".csv", ".tsv", ".tab"):
        table[suffix] = FileKind(reader="csv", format="csv")
    for reader, suffixes in _READERS.items():
        table |= dict.fromkeys(suffixes.split(), FileKind(reader=reader))
    return table


_CODE_KIND = FileKind(reader="text", format="code")
_SUFFIXES = _build_suffixes()
_NAMES: dict[str, FileKind] = dict.fromkeys(
    ("dockerfile", "containerfile", "makefile", "gnumakefile", "rakefile", "gemfile")
    + ("jenkinsfile", "cmakelists.txt", ".bashrc", ".profile"),
    _CODE_KIND,
)
