"""200 requests a second for a minute: every one answered, every invocation indexed in batches.

    python -m benchmarks.api.load [--rate 200] [--seconds 60]

Requests leave at fixed times, whatever the answers do, and their latency counts from the time when
they should have left. They are written to sockets as they are: a client library costs more of the
machine than the server does. The API and a bare FastAPI with one SQL insert are loaded in turn.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
import psutil

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.local.loopback import free_port
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster_tests.conftest_aws import AwsEndpoint, start_moto
from s3sync_dagster_tests.conftest_chroma import start_chroma

OBJECTS = 1000
CONNECTIONS = 100


async def press(port, path, *, rate, seconds):
    """Return statuses, latencies in seconds and when the last answer came."""
    statuses, latencies = Counter(), []
    idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        idle.put_nowait(await asyncio.open_connection("127.0.0.1", port))

    async def one(number, due):
        body = json.dumps({"object_key": f"docs/{number % OBJECTS:04}.md", "metadata": {"n": 1}})
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        reader, writer = await idle.get()
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answer.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
        idle.put_nowait((reader, writer))
        statuses[int(answer.split(b" ", 2)[1])] += 1
        latencies.append(time.perf_counter() - due)

    begin = time.perf_counter() + 0.2
    tasks = []
    for number in range(rate * seconds):
        due = begin + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    while not idle.empty():
        idle.get_nowait()[1].close()
    return statuses, sorted(latencies)


def wait_for(url, process):
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        try:
            if httpx.get(url, timeout=5).status_code < 500:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")


def measured(process, port, path, *, rate, seconds):
    cpu = psutil.Process(process.pid).cpu_times()
    statuses, latencies = asyncio.run(press(port, path, rate=rate, seconds=seconds))
    after = psutil.Process(process.pid).cpu_times()
    used = after.user + after.system - cpu.user - cpu.system
    count = len(latencies)
    return {
        "statuses": {str(status): number for status, number in statuses.items()},
        "p50_ms": round(1000 * latencies[count // 2], 1),
        "p95_ms": round(1000 * latencies[int(count * 0.95)], 1),
        "p99_ms": round(1000 * latencies[int(count * 0.99)], 1),
        "max_ms": round(1000 * latencies[-1], 1),
        "cpu_ms_a_request": round(1000 * used / count, 2),
    }


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(30)


def bare(folder, *, rate, seconds):
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.api.bare", str(folder / "bare.db"), str(port)]
    process = subprocess.Popen(command)
    wait_for(f"http://127.0.0.1:{port}/openapi.json", process)
    try:
        path = "/api/v1/sources/x/invocations"
        measured(process, port, path, rate=50, seconds=2)  # warm
        return measured(process, port, path, rate=rate, seconds=seconds)
    finally:
        stop(process)


def ours(folder, aws, chroma, *, rate, seconds):
    bucket = aws.make_bucket()
    for number in range(OBJECTS):
        aws.put(bucket, f"docs/{number:04}.md", f"# Page {number}\n\nText of page {number}.\n")
    home = folder / "home"
    home.mkdir()
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith("S3SYNC_")},
        **aws.environment(),
        "S3SYNC_HOME": str(home),
        "S3SYNC_CHROMA_URL": chroma.url,
    }
    catalog = open_catalog(f"sqlite:///{home}/catalog.db")
    source = catalog.sources.add(aws.source(bucket, embedding=EmbeddingConfig(kind="hash")))
    port = free_port()
    command = [sys.executable, "-m", "s3sync_dagster.api", f"--port={port}"]
    log = (folder / "api.log").open("wb")
    process = subprocess.Popen(command, env=environ, stderr=log)
    wait_for(f"http://127.0.0.1:{port}/health", process)
    worker = None
    try:
        path = f"/api/v1/sources/{source.id}/invocations"
        measured(process, port, path, rate=50, seconds=2)
        worker = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.api.worker", "20"], env=environ
        )
        found = measured(process, port, path, rate=rate, seconds=seconds)
        began = time.perf_counter()
        while catalog.invocations.live_count(source.id):
            assert worker.poll() is None, "the worker ended"
            time.sleep(0.2)
        found["all_indexed_after_s"] = round(time.perf_counter() - began, 1)
        batches = catalog.history.of_source(source.id, limit=1000)
        found["batches"] = len(batches)
        found["invocations"] = dict(sum((Counter(batch.statuses) for batch in batches), Counter()))
        return found
    finally:
        stop(process)
        if worker is not None:
            worker.wait(60)
        catalog.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=60)
    chosen = parser.parse_args()
    load = {"rate": chosen.rate, "seconds": chosen.seconds}
    moto = start_moto()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chroma = start_chroma(folder / "chroma")
        try:
            aws = AwsEndpoint(url=moto.url)
            results = {"bare": bare(folder, **load), "s3sync": ours(folder, aws, chroma, **load)}
        finally:
            chroma.stop()
            moto.close()
    for name in ("p50_ms", "p95_ms", "p99_ms", "cpu_ms_a_request"):
        results[f"ratio_{name}"] = round(results["s3sync"][name] / results["bare"][name], 2)
    print(json.dumps(results, indent=2))
    answered = results["s3sync"]["statuses"]
    return 0 if set(answered) == {"201"} else 1


if __name__ == "__main__":
    sys.exit(main())
