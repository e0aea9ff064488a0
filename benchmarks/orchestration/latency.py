"""From an event to a searchable record: objects through the queue, requests through the API.

    python -m benchmarks.orchestration.latency [--rounds 20]

The stack as ``s3sync up`` starts it, with an empty source, its queue and the ``hash`` model. Each
round waits a random while first, so that no clock of the sensors is hit by design. The queue's
time begins where S3 has answered the PUT, the API's before the request is sent; both end when a
question with the text's own vector, asked of Chroma by the stock client every 20 ms, names the
record. Fails where a median is above what the project promises; wall times, so use a machine that
does nothing else.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from chromadb.api import ClientAPI

from s3sync_dagster.embedding.hashing import HashModel
from s3sync_dagster_tests.conftest_aws import AwsEndpoint, start_moto
from s3sync_dagster_tests.end_to_end.stage import Stage, close_stage, open_stage, page
from s3sync_dagster_tests.opened import stock_client

LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 60.0
PROMISED_MEDIAN_SECONDS = {"queue": 3.0, "api": 1.5}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    server = start_moto()
    try:
        with tempfile.TemporaryDirectory() as folder:
            stage = open_stage(
                Path(folder) / "home", AwsEndpoint(url=server.url), list_interval_seconds=3600
            )
            try:
                return measure(stage, options.rounds)
            finally:
                close_stage(stage)
    finally:
        server.close()


def measure(stage: Stage, rounds: int) -> int:
    """Print a line for each way; returns 1 where a median is above its promise."""
    port = int(stage.stack.addresses.chroma.rpartition(":")[2])
    client = stock_client(host="127.0.0.1", port=port)
    stage.put("first.md", page("first.md"))  # the first run of all opens and creates things
    stage.wait_in_step()
    late = 0
    for way, begin in (("queue", _by_queue), ("api", _by_api)):
        if way == "api":  # from here on S3 tells the queue nothing
            stage.aws.s3.put_bucket_notification_configuration(
                Bucket=stage.bucket, NotificationConfiguration={}
            )
        chance = random.Random(way)
        spans = [
            _round(stage, client, f"{way}/{number:03}.md", begin, chance)
            for number in range(rounds)
        ]
        spans.sort()
        median = statistics.median(spans)
        late += median > PROMISED_MEDIAN_SECONDS[way]
        line = {
            "way": way,
            "rounds": rounds,
            "p50_s": round(median, 2),
            "p90_s": round(spans[int(0.9 * len(spans))], 2),
            "least_s": round(spans[0], 2),
            "most_s": round(spans[-1], 2),
            "promised_p50_s": PROMISED_MEDIAN_SECONDS[way],
        }
        print(json.dumps(line), flush=True)
    return int(late > 0)


def _round(
    stage: Stage,
    client: ClientAPI,
    key: str,
    begin: Callable[[Stage, str, str], float],
    chance: random.Random,
) -> float:
    """Return the seconds from the event to the answer that names the record."""
    quiet = time.monotonic() + chance.uniform(2.0, 7.0)
    while time.monotonic() < quiet:
        stage.stack.tend()
        time.sleep(0.25)
    text = page(key)
    vector = HashModel().infer([text.strip()])[0]
    collection = client.get_collection(stage.source.collection_name, embedding_function=None)
    began = begin(stage, key, text)
    while time.monotonic() < began + PATIENCE_SECONDS:
        answer = collection.query(query_embeddings=[vector], n_results=1, include=["metadatas"])
        if any(one["document_key"] == key for one in (answer["metadatas"] or [[]])[0]):
            return time.monotonic() - began
        time.sleep(LOOK_SECONDS)
    raise SystemExit(f"{key} was not searchable after {PATIENCE_SECONDS:.0f} s: {stage.describe()}")


def _by_queue(stage: Stage, key: str, text: str) -> float:
    stage.put(key, text)
    return time.monotonic()


def _by_api(stage: Stage, key: str, text: str) -> float:
    """Ask for an object of which no event tells."""
    stage.aws.put(stage.bucket, key, text)
    url = f"{stage.stack.addresses.api}/api/v1/sources/{stage.source.id}/invocations"
    began = time.monotonic()
    httpx.post(url, json={"object_key": key}, timeout=30).raise_for_status()
    return began


if __name__ == "__main__":
    sys.exit(main())
