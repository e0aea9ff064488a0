"""Batches and requests side by side that an endpoint gains from, and what the product chooses.

    python benchmarks/embedding/endpoints.py [--url URL --model NAME [--key-env NAME]] [--texts N]

Without a URL it measures endpoints of its own: MiniLM on this machine, and ones that take their
time as a graphics card behind a network does, or many small machines. The first table of each is a
bare client's, by texts a request and requests side by side; the last line is the product's.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
from server import Habits, serving

sys.path.insert(0, str(Path(__file__).parents[1] / "chroma"))
from labelled import docstring_pairs

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.embedding.minilm import MiniLmModel
from s3sync_dagster.embedding.minilm_files import find_minilm
from s3sync_dagster.model.source import EmbeddingConfig

BATCHES = (1, 8, 32, 64, 256)
SIDE_BY_SIDE = (1, 4, 8, 16)


def measure_bare(url, model, headers, texts, batch, side_by_side):
    """Return texts a second and the 95th percentile of a request in seconds."""
    parts = [texts[start : start + batch] for start in range(0, len(texts), batch)]
    with httpx.Client(headers=headers, timeout=300) as client:

        def ask(part):
            began = time.perf_counter()
            body = {"model": model, "input": part, "encoding_format": "base64"}
            answer = client.post(f"{url}/embeddings", json=body)
            answer.raise_for_status()
            return time.perf_counter() - began

        began = time.perf_counter()
        with ThreadPoolExecutor(side_by_side) as pool:
            took = list(pool.map(ask, parts))
        return len(texts) / (time.perf_counter() - began), float(np.percentile(took, 95))


def measure(name, url, model, key_env, texts):
    """Print an endpoint's table."""
    headers = {"authorization": f"Bearer {os.environ[key_env]}"} if key_env else {}
    measure_bare(url, model, headers, texts[:8], 4, 2)
    print(f"\n### {name}: {len(texts)} texts; texts a second (p95 of a request, seconds)\n")
    print(f"| texts a request | {' | '.join(f'{n} at once' for n in SIDE_BY_SIDE)} |")
    print("|---" * (1 + len(SIDE_BY_SIDE)) + "|", flush=True)
    best = 0.0
    for batch in [one for one in BATCHES if one <= len(texts)]:
        cells = []
        for side_by_side in SIDE_BY_SIDE:
            try:
                some = texts[: max(64, 8 * batch * side_by_side)]
                rate, slow = measure_bare(url, model, headers, some, batch, side_by_side)
            except httpx.HTTPStatusError as error:
                cells.append(f"HTTP {error.response.status_code}")
                continue
            best = max(best, rate)
            cells.append(f"{rate:.0f} ({slow:.2f})")
        print(f"| {batch} | {' | '.join(cells)} |", flush=True)
    config = EmbeddingConfig(kind="openai", endpoint_url=url, model=model, api_key_env=key_env)
    embedder = open_embedder(config, api_key=os.environ.get)
    embedder.embed_documents(texts[:32])  # what a text takes is known from here on
    began = time.perf_counter()
    embedder.embed_documents([f"{text} " for text in texts])
    rate = len(texts) / (time.perf_counter() - began)
    print(f"\nthe product: {rate:.0f} texts a second, {rate / best:.2f} of the best above")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="an endpoint's base, such as http://host:8080/v1")
    parser.add_argument("--model", default="m")
    parser.add_argument("--key-env", help="variable that holds its key")
    parser.add_argument("--texts", type=int, default=2048)
    options = parser.parse_args()
    texts = [pair.answer for pair in docstring_pairs(options.texts)]
    if options.url:
        url = options.url.rstrip("/")
        measure(options.url, url, options.model, options.key_env, texts)
        return
    card = Habits(request_seconds=0.02, text_seconds=0.001, side_by_side=1)
    far = Habits(request_seconds=0.15, text_seconds=0.0005)
    many = Habits(text_seconds=0.03, side_by_side=8)
    own = Habits(model=MiniLmModel(find_minilm(None)))
    for name, habits, number in (
        ("a card: 20 ms a request, 1 ms a text, one request after the other", card, len(texts)),
        ("a service: 150 ms a request, 0.5 ms a text, any number at once", far, len(texts)),
        ("eight small machines: 30 ms a text", many, len(texts) // 4),
        ("MiniLM on this machine", own, len(texts) // 64),
    ):
        with serving(habits) as server:
            measure(name, server.url, "m", None, texts[:number])


if __name__ == "__main__":
    main()
