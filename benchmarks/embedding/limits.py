"""An endpoint that answers 429: requests on the wire and time, beside pauses of each request alone.

    python benchmarks/embedding/limits.py [--batches N]

Both ways send the same batches, eight at once. The other way is what most clients do: whoever is
refused waits for as long as it was told, or twice as long as before, and knows of no other.
"""

import argparse
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from server import BYTES_PER_TOKEN, Habits, Limit, serving

sys.path.insert(0, str(Path(__file__).parents[1] / "chroma"))
from labelled import docstring_pairs

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.embedding.endpoint import BATCH_TEXTS, CONCURRENCY
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import EmbeddingConfig

REQUEST_SECONDS = 0.1
TRIES, PATIENCE_SECONDS, LONGEST_PAUSE_SECONDS = 8, 120, 15


def alone(url, texts):
    """Embed with pauses of each request alone; return how many batches were given up."""
    client = httpx.Client(timeout=60)

    def ask(part):
        deadline = time.monotonic() + PATIENCE_SECONDS
        for attempt in range(TRIES):
            answer = client.post(f"{url}/embeddings", json={"model": "m", "input": part})
            if answer.status_code != 429:
                return True
            grown = min(LONGEST_PAUSE_SECONDS, 0.25 * 2**attempt) * random.uniform(0.5, 1)
            pause = max(grown, float(answer.headers.get("retry-after", 0)))
            if time.monotonic() + pause > deadline:
                break
            time.sleep(pause)
        return False

    parts = [texts[at : at + BATCH_TEXTS] for at in range(0, len(texts), BATCH_TEXTS)]
    with client, ThreadPoolExecutor(CONCURRENCY) as pool:
        return list(pool.map(ask, parts)).count(False)


def product(url, texts):
    """Embed as a sync does; return how many calls were given up."""
    embedder = open_embedder(EmbeddingConfig(kind="openai", endpoint_url=url, model="m"))
    try:
        embedder.embed_documents(texts)
    except Unavailable:
        return 1
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=60)
    options = parser.parse_args()
    pairs = [pair.answer[:200] for pair in docstring_pairs(BATCH_TEXTS)]
    texts = [f"{n} {text}" for n in range(options.batches) for text in pairs]
    tokens = sum(len(text.encode()) for text in texts) / BYTES_PER_TOKEN
    each = tokens / options.batches
    limits = {
        "none": (None, None, 0.0),
        "2 requests a second": (lambda: Limit(2, 2), None, 0.5),
        "5 requests a second": (lambda: Limit(5, 5), None, 0.2),
        f"{60 * each / 1000:.0f},000 tokens a minute": (
            None,
            lambda: Limit(each, 10 * each),
            1.0,
        ),
    }
    print(f"{len(texts)} texts in {options.batches} batches of {BATCH_TEXTS}\n")
    print("| limit | pause told | way | seconds | least | asked | refused | given up |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name, (requests, by_tokens, seconds) in limits.items():
        for tells in (True, False) if seconds else (True,):
            for way in (alone, product):
                habits = Habits(
                    request_seconds=REQUEST_SECONDS,
                    requests=requests and requests(),
                    tokens=by_tokens and by_tokens(),
                    tells=tells,
                )
                ready = requests().ready if requests else 10 if by_tokens else 0
                least = max(
                    (options.batches - ready) * seconds,
                    options.batches * REQUEST_SECONDS / CONCURRENCY,
                )
                with serving(habits) as server:
                    began = time.perf_counter()
                    given_up = way(server.url, texts)
                    took = time.perf_counter() - began
                    cells = [name, "yes" if tells else "no", way.__name__, f"{took:.1f}"]
                    share = f"{server.refused / server.asked:.0%}"
                    cells += [f"{least:.1f}", str(server.asked), share, str(given_up)]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
