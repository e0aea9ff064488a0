"""``python -m s3sync_dagster.ports.chroma_program run --path FOLDER``: the ``chroma`` program.

Its own script loads the whole Python client first, with what that brings: several CPU-seconds and
150 MB for a server that is a library in Rust and uses none of it.
"""

import importlib
import sys
from contextlib import suppress
from typing import Any


def main() -> None:
    """Do what the command line says; its options are those of ``chroma``."""
    chroma: Any = importlib.import_module("chromadb_rust_bindings")  # which has no types
    with suppress(KeyboardInterrupt):
        chroma.cli(["chroma", *sys.argv[1:]])


if __name__ == "__main__":
    main()
