"""First sync, nothing changed and 1 % changed: ours against other ways to do the same.

    python benchmarks/chroma/peers.py [--files 400] [--first-files 1700] [--embedding hash]
        [--ways ours,hand-written,langchain,cocoindex] [--splitter ours|own] [--peers-python FILE]

The last two need an environment of their own: ``python -m venv FOLDER`` and ``FOLDER/bin/pip
install -r benchmarks/chroma/peers.txt``. Each way gets a fresh Chroma server and is a process of
its own; CPU seconds are those of the process and all its descendants. ``missing`` and ``stale``
count files whose newest word is not in the collection, or whose older one still is. With
``--splitter own`` the files are text alone, each way decodes and cuts them with what it brings
itself, and a word that a cut went through counts as missing.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import chromadb
from measured import adopt_orphans, lend_packages, run
from peer_corpus import corpus, file_of, word
from text_corpus import text_corpus

from s3sync_dagster_tests.conftest_aws import AwsEndpoint, start_rclone
from s3sync_dagster_tests.conftest_chroma import ChromaServer, start_chroma

HERE = Path(__file__).parent
PHASES = ["first", "nothing changed", "1 % changed"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--first-files", type=int, default=1700, help="first sync only; 0: none")
    parser.add_argument("--embedding", choices=["hash", "static", "minilm"], default="hash")
    parser.add_argument("--ways", default="ours,hand-written,langchain,cocoindex")
    parser.add_argument("--splitter", choices=["ours", "own"], default="ours")
    parser.add_argument("--peers-python", default=str(HERE / ".peers" / "bin" / "python"))
    parser.add_argument("--model-dir", type=Path, default=Path.home() / ".cache" / "s3sync-bench")
    options = parser.parse_args()
    if {"langchain", "cocoindex"} & set(options.ways.split(",")):
        lend_packages(Path(options.peers_python))
    adopt_orphans()
    server = start_rclone()
    try:
        s3 = AwsEndpoint(url=server.url)
        compare(options, s3, options.files, PHASES)
        if options.first_files:
            compare(options, s3, options.first_files, PHASES[:1])
    finally:
        server.close()


def compare(options: argparse.Namespace, s3: AwsEndpoint, count: int, phases: list[str]) -> None:
    """Print one table."""
    files = text_corpus(count) if options.splitter == "own" else corpus(count)
    size = sum(map(len, files.values())) / 1e6
    print(f"\n{count} files, {size:.1f} MB, {options.embedding}, splitter: {options.splitter}\n")
    print("| way | phase | seconds | CPU s | Chroma CPU s | peak MB | records | missing | stale |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for way in options.ways.split(","):
        measure(way, options, s3, files, phases)


def measure(
    way: str,
    options: argparse.Namespace,
    s3: AwsEndpoint,
    files: dict[str, bytes],
    phases: list[str],
) -> None:
    """Print the rows of one way."""
    bucket = s3.make_bucket()
    s3.put_all(bucket, files)
    newest = dict.fromkeys(range(len(files)), 1)
    with TemporaryDirectory() as folder:
        chroma = start_chroma(Path(folder) / "chroma")
        try:
            command = command_of(way, options, s3, bucket, chroma, Path(folder))
            for phase in phases:
                if phase == "1 % changed":
                    change(s3, bucket, files, newest)
                cost = run(command, s3.environment(), chroma, Path(folder))
                count, missing, stale = look(chroma, newest)
                note = f" (exit code {cost.code})" if cost.code else ""
                print(
                    f"| {way} | {phase}{note} | {cost.seconds:.1f} | {cost.cpu:.1f} "
                    f"| {cost.chroma_cpu:.1f} | {cost.peak_mb:.0f} | {count} | {missing} "
                    f"| {stale} |",
                    flush=True,
                )
        finally:
            chroma.stop()


def command_of(
    way: str,
    options: argparse.Namespace,
    s3: AwsEndpoint,
    bucket: str,
    chroma: ChromaServer,
    folder: Path,
) -> list[str]:
    if way == "ours":
        return [
            *(str(Path(sys.executable).with_name("s3sync")), "sync", f"s3://{bucket}/"),
            *("--collection", "docs", "--endpoint-url", s3.url, "--chroma-url", chroma.url),
            *("--embedding", options.embedding, "--json"),
        ]
    python = sys.executable if way == "hand-written" else options.peers_python
    return [
        *(python, str(HERE / "peer_ways.py"), way, bucket, s3.url, str(chroma.port), "docs"),
        *(options.embedding, str(folder), str(options.model_dir), options.splitter),
    ]


def change(s3: AwsEndpoint, bucket: str, files: dict, newest: dict[int, int]) -> None:
    """Give every hundredth file a new text and a new word."""
    for number, key in enumerate(files):
        if number % 100 == 0:
            kind = key.rpartition(".")[2]
            text = f"<p>Another text of file {number}.</p>\n\n" * 20
            s3.put(bucket, key, file_of(kind, text, word(number, 2)))
            newest[number] = 2


def look(chroma: ChromaServer, newest: dict[int, int]) -> tuple[int, int, int]:
    """Return records, files whose newest word is missing, and files whose older word is there."""
    collection = chromadb.HttpClient(port=chroma.port).get_collection("docs")
    count = collection.count()
    held = "\n".join(
        text
        for offset in range(0, count, 2000)
        for text in collection.get(limit=2000, offset=offset, include=["documents"])["documents"]
        or []
    )
    missing = sum(word(number, edition) not in held for number, edition in newest.items())
    stale = sum(
        word(number, edition - 1) in held for number, edition in newest.items() if edition > 1
    )
    return count, missing, stale


if __name__ == "__main__":
    main()
