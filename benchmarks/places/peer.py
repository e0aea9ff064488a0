"""What every peer is measured with: one model, counted, and files counted as they are opened."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s3sync_dagster.embedding.hashing import HashModel

SIZE = 1024
"""Characters of a chunk, for whoever counts them; ours has bytes."""
BATCH = 500


class Peer:
    """The arguments of a way, and its counts."""

    def __init__(self) -> None:
        self.kind, self.url, state, port, self.collection_name = sys.argv[1:]
        """``repository`` or ``site``, and where it is."""
        self.state, self.port = Path(state), int(port)
        self.embedded = self.opened = 0
        self._model = HashModel()

    def embed(self, texts: Sequence[str]) -> Any:
        """Return the vectors of texts."""
        self.embedded += len(texts)
        return self._model.infer(texts)

    def client(self) -> Any:
        """Return the stock client."""
        import chromadb

        return chromadb.HttpClient(port=self.port)

    def checkout(self) -> Path:
        """Clone or pull, and count from now on what is opened in the folder."""
        folder = self.state / "checkout"
        git = ["git", "-C", str(folder), "pull", "-q"]
        if not folder.exists():
            apart = f"--separate-git-dir={self.state / 'checkout.git'}"
            git = ["git", "clone", "-q", "--depth=1", apart, self.url, str(folder)]
        subprocess.run(git, check=True)

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "open" and str(arguments[0]).startswith(f"{folder}/"):
                self.opened += 1

        sys.addaudithook(count)
        return folder

    def tell(self) -> None:
        """Print the counts."""
        print(json.dumps({"opened": self.opened, "embedded": self.embedded}))
