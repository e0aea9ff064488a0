"""Two versions of this program on one catalog at once: a rolling upgrade, with kills.

    python -m benchmarks.orchestration.two_versions [--before REVISION] [--rounds 12] [--seed 1]

Two hosts, each with a data folder of its own, share Postgres, Chroma and a bucket. One runs this
tree, the other a commit before it: as a rule the parent of the one that changed the catalog's
schema last. The one before makes the catalog, then the schema is brought up to date beneath it.
Round by round objects come, change and go, both sync at once, and in a part of the rounds one of
them is killed by SIGKILL at any moment. At the end the ids, the texts and what a query by each
record's own vector finds are held against the bucket; it fails where they differ.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.orchestration.storage import storage
from s3sync_dagster_tests.conftest_aws import AwsEndpoint, start_rclone
from s3sync_dagster_tests.conftest_chroma import start_chroma
from s3sync_dagster_tests.opened import stock_client

ROOT = Path(__file__).parents[2]
MIGRATIONS = "s3sync_dagster/catalog/migrations/versions"
COMMAND = "from s3sync_dagster.cli import main; main()"
KEYS = [f"docs/{number:03}.md" for number in range(120)]
PATIENCE_SECONDS = 400.0


@dataclass
class Host:
    """Where one of the versions runs."""

    name: str
    code: Path
    environment: Mapping[str, str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    killed: int = 0

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command of this version."""
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, *words],
                env={**self.environment, "PYTHONPATH": str(self.code)},
                cwd=self.code,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.process

    def run(self, *words: str) -> None:
        """Run a command to its end.

        Raises:
            RuntimeError: it failed.
        """
        if self.begin(*words).wait(PATIENCE_SECONDS) != 0:
            raise RuntimeError(f"{self.name} {words}: {self.log()}")

    def kill(self) -> None:
        """Kill what it does, with all processes of it."""
        assert self.process is not None
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.killed += 1
        self.process.wait()

    def log(self) -> str:
        """Return the end of what it said."""
        return (self.folder / f"{self.name}.log").read_text()[-3000:]


@dataclass
class Bucket:
    """The objects, and what each has: the oracle."""

    aws: AwsEndpoint
    name: str
    texts: dict[str, str] = field(default_factory=dict)

    def change(self, chance: random.Random, number: int) -> None:
        """Let some objects come, change and go."""
        for key in chance.sample(KEYS, number):
            if key in self.texts and chance.random() < 0.25:
                self.aws.delete(self.name, key)
                del self.texts[key]
            else:
                self.texts[key] = f"{key} {uuid.UUID(int=chance.getrandbits(128))}"
                self.aws.put(self.name, key, self.texts[key])

    def records(self) -> dict[str, str]:
        """Return the records that there should be: each text is one."""
        return {
            f"{hashlib.sha256(key.encode()).hexdigest()}-0": text
            for key, text in self.texts.items()
        }


def commit_before(revision: str | None, folder: Path) -> str:
    """Write the tree of a commit to a folder; returns its short name."""
    if revision is None:
        last = _git("log", "-1", "--format=%H", "--diff-filter=A", "--", MIGRATIONS)
        revision = f"{last}^"
    name = _git("rev-parse", "--short", revision)
    packed = subprocess.run(
        ["git", "archive", name], cwd=ROOT, check=True, stdout=subprocess.PIPE
    ).stdout
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed, check=True)
    return name


def _git(*words: str) -> str:
    told = subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True)
    return told.stdout.strip()


def both_sync(hosts: list[Host], words: tuple[str, ...], chance: random.Random) -> None:
    """Let both sync at once; in two of five rounds one of them is killed on the way."""
    for host in hosts:
        host.begin(*words)
    if chance.random() < 0.4:
        time.sleep(chance.uniform(0.5, 5))
        chance.choice(hosts).kill()
    end = time.monotonic() + PATIENCE_SECONDS
    for host in hosts:
        assert host.process is not None
        host.process.wait(max(end - time.monotonic(), 1))


def compare(bucket: Bucket, chroma_url: str, collection: str) -> list[str]:
    """Return what of a collection is not as the bucket has it."""
    client = stock_client(host="127.0.0.1", port=int(chroma_url.rpartition(":")[2]))
    found = client.get_collection(collection, embedding_function=None)
    told = found.get(include=["documents", "embeddings"], limit=10_000)
    there = dict(zip(told["ids"], told["documents"] or [], strict=True))
    wanted = bucket.records()
    wrong = [f"missing {name}" for name in wanted.keys() - there.keys()]
    wrong += [f"left {name}" for name in there.keys() - wanted.keys()]
    wrong += [
        f"stale {name}" for name in wanted.keys() & there.keys() if wanted[name] != there[name]
    ]
    answer = found.query(query_embeddings=told["embeddings"], n_results=1)
    unfound = [name for name, ids in zip(told["ids"], answer["ids"], strict=True) if ids != [name]]
    return wrong + [f"not found by its own vector {name}" for name in unfound]


def main() -> int:
    """Run both versions and print what became of the collection."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", help="commit; default: before the schema changed last")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    chance = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        before = commit_before(chosen.before, folder / "before")
        database = stack.enter_context(storage("postgres", folder / "dagster-home"))
        s3 = start_rclone()
        stack.callback(s3.close)
        aws = AwsEndpoint(url=s3.url)
        chroma = start_chroma(folder / "chroma")
        stack.callback(chroma.stop)
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("S3SYNC_", "DAGSTER_"))}
        hosts = [
            Host(
                name=what,
                code=code,
                folder=folder,
                environment={
                    **plain,
                    **aws.environment(),
                    **database,
                    "S3SYNC_HOME": str(folder / f"home-{what}"),
                    "S3SYNC_CHROMA_URL": chroma.url,
                    "S3SYNC_ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
                },
            )
            for what, code in (("before", folder / "before"), ("now", ROOT))
        ]
        bucket = Bucket(aws=aws, name=aws.make_bucket())
        words = ("sync", f"s3://{bucket.name}", "-c", "docs", "--embedding", "hash")
        words += ("--endpoint-url", aws.url)
        old, new = hosts
        bucket.change(chance, 60)
        old.run(*words)
        new.run("migrate")
        for _ in range(chosen.rounds):
            bucket.change(chance, 12)
            both_sync(hosts, words, chance)
        bucket.change(chance, 12)
        for host in hosts:  # the first one does what is left, the other one finds nothing wrong
            host.run(*words)
        wrong = compare(bucket, chroma.url, "docs")
        print(f"{before} beside this tree, seed {chosen.seed}: {chosen.rounds} rounds, killed")
        print(f"{old.killed} times before and {new.killed} times now; {len(bucket.texts)} objects,")
        print(f"{len(wrong)} differences {wrong[:5]}")
        return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
