"""How fast, next to the parser alone and the peers that keep structure: in turns, best of rounds.

    PYTHONPATH=. benchmarks/chunking/.peers/bin/python benchmarks/chunking/speed.py [--limit 2048]

All run in one process and take turns file by file, so that a busy machine slows all alike; of each
file the best round counts. CPU time; ours runs without its worker process, as the peers do.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from chunkers import OURS, PEERS, Chunk, _parser
from corpus import read_corpus

ROUNDS = 5
STRUCTURAL = ("ours", "cocoindex", "llama-index", "semantic-text-splitter")
PARSER = "parser alone"


def parser_alone(limit: int, language: str) -> Chunk:
    """Parse what is larger than the limit, and cut nothing."""
    parser = _parser(language)

    def chunk(_name: str, data: bytes) -> list[tuple[int, int]]:
        if len(data) > limit:
            parser.parse(data)
        return []

    return chunk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=2048)
    limit = parser.parse_args().limit
    makers = {name: (OURS | PEERS)[name] for name in STRUCTURAL} | {PARSER: parser_alone}
    corpus = read_corpus()
    corpus.pop("tables", None)
    best: dict[tuple[str, str], float] = {}
    for language, files in corpus.items():
        chunkers = {
            name: make(limit, language)
            for name, make in makers.items()
            if (language, name) != ("markdown", PARSER)  # ours has no grammar there
        }
        for chunk in chunkers.values():
            chunk(*files[0])  # loads what is loaded once
        for path, data in files:
            fastest = dict.fromkeys(chunkers, float("inf"))
            for _ in range(ROUNDS):
                for name, chunk in chunkers.items():
                    begin = time.process_time()
                    chunk(path, data)
                    fastest[name] = min(fastest[name], time.process_time() - begin)
            for name, seconds in fastest.items():
                best[language, name] = best.get((language, name), 0.0) + seconds
    for group in ("code", "markdown"):
        languages = [name for name in corpus if (name == "markdown") == (group == "markdown")]
        size = sum(len(data) for name in languages for _, data in corpus[name])
        print(f"\n| {group} | MB/s | times ours |\n|---|---|---|")
        ours = sum(best[language, "ours"] for language in languages)
        for name in makers:
            if (languages[0], name) not in best:
                continue
            seconds = sum(best[language, name] for language in languages)
            print(f"| {name} | {size / seconds / 1e6:.1f} | {ours / seconds:.2f} |")


if __name__ == "__main__":
    main()
