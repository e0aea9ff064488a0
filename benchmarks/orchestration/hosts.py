"""What more hosts bring: 1 to 8 of them on one catalog, one Chroma and one embedding service.

    python -m benchmarks.orchestration.hosts [--hosts 1 2 4 8] [--ms-a-text 400] [--no-kill]

Dagster's parts and the hosts are processes of their own, as ``team.py`` says; runs reach the hosts
through Celery and Redis. The embedding service takes a given time for each text, so that hosts wait
for it and not for the cores of this machine. Each host gets the same work: a source of its own
(a source has two runs at most). ``of_linear`` is the rate beside so many times that of the first
line, from the request to the last commit; ``at_work_of_linear`` looks at each run from its lease to
its last commit, without the time that Dagster and Celery take to start it. The last line kills a
host and says when its keys are at work again.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.orchestration.team import Team, team
from s3sync_dagster.catalog.tables import invocations
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import EmbeddingConfig, Source

WORDS = ("harbour", "tide", "ledger", "vessel", "storm", "quay", "cargo", "pilot", "beacon")
CHUNKS_A_KEY = 10
Asked = list[tuple[Source, list[str]]]
LOOK_SECONDS = 0.5
AT_WORK_SECONDS = 20.0
"""Between the beginning of a run and the end of its host."""


@dataclass
class Watched:
    """What is seen of a step while it goes on."""

    seconds: float = 0.0
    looks: list[tuple[float, int, int]] = field(default_factory=list)
    """Seconds, chunks committed, batches at work: a look every half second."""


def endpoint(made: Team, milliseconds: float) -> str:
    """Start the embedding service and return its URL."""
    program = Path(__file__).with_name("endpoint.py")
    process = subprocess.Popen(
        [sys.executable, str(program), str(milliseconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    made._stack.callback(process.wait)
    made._stack.callback(process.stdin.close)
    return f"http://127.0.0.1:{int(process.stdout.readline())}"


def add_source(made: Team, bucket: str, name: str, url: str) -> Source:
    """Declare a source of its own prefix that nobody lists."""
    source = made.aws.source(
        bucket,
        name=name,
        path_prefix=f"{name}/",
        collection_name="docs",
        list_interval_seconds=0,
        embedding=EmbeddingConfig(kind="openai", model="made-up", endpoint_url=url),
    )
    made.parts.catalog.sources.add(source)
    return source


def add_keys(made: Team, bucket: str, source: Source, number: int) -> list[str]:
    """Put documents of ten chunks, of which no text is there twice."""
    chance = random.Random(source.id)
    keys = []
    for place in range(number):
        key = f"{source.name}/{uuid.uuid4().hex[:8]}-{place:05}.txt"
        parts = [" ".join(chance.choices(WORDS, k=300)) for _ in range(CHUNKS_A_KEY)]
        made.aws.put(bucket, key, "\n\n".join(parts))
        keys.append(key)
    refs = [(ObjectRef(key=key, etag="?", size=20_000), None) for key in keys]
    made.parts.catalog.work.record_objects(source.id, refs)
    return keys


def work(made: Team, asked: Asked, patience: float = 3600) -> Watched:
    """Ask for keys of sources and look until all of them are done."""
    catalog = made.parts.catalog
    seen, began = Watched(), time.monotonic()
    before = sum(catalog.views.counts(source.id).chunks for source, _ in asked)
    for source, keys in asked:
        catalog.invocations.request(source, keys, trigger=Trigger.API)
    while any(catalog.invocations.live_count(source.id) for source, _ in asked):
        now = time.monotonic() - began
        assert now < patience, [catalog.views.counts(source.id) for source, _ in asked]
        chunks = sum(catalog.views.counts(source.id).chunks for source, _ in asked) - before
        running = sum(row.state == "running" for row in catalog.batches.live())
        seen.looks.append((now, chunks, running))
        time.sleep(LOOK_SECONDS)
    seen.seconds = time.monotonic() - began
    for source, _ in asked:
        counts = catalog.views.counts(source.id)
        assert (counts.pending, counts.failed) == (0, {}), counts
    chunks = sum(catalog.views.counts(source.id).chunks for source, _ in asked) - before
    seen.looks.append((seen.seconds, chunks, 0))
    return seen


def at_work_rate(made: Team, sources: list[Source]) -> float:
    """Return chunks a second of all sources, each while its own run was at work."""
    times = (sa.func.max(invocations.c.finished_at) - sa.func.min(invocations.c.started_at),)
    rate = 0.0
    for source in sources:
        query = sa.select(*times).where(invocations.c.source_id == source.id)
        with made.parts.catalog.database.read() as tx:
            rate += (
                made.parts.catalog.views.counts(source.id).chunks / tx.execute(query).scalar_one()
            )
    return rate


def step(made: Team, asked: Asked, hosts: int) -> dict[str, Any]:
    """Work with so many hosts and return the figures."""
    before = made.cpu()
    seen = work(made, asked)
    used = {name: round(now - before.get(name, 0.0), 1) for name, now in made.cpu().items()}
    chunks = seen.looks[-1][1]
    return {
        "hosts": hosts,
        "keys": sum(len(keys) for _, keys in asked),
        "chunks": chunks,
        "seconds": round(seen.seconds, 1),
        "chunks_a_second": round(chunks / seen.seconds, 2),
        "at_work_chunks_a_second": round(at_work_rate(made, [one for one, _ in asked]), 2),
        "cpu_seconds": used,
        "chroma_of_a_core": round(used["chroma"] / seen.seconds, 3),
    }


def kill_one(made: Team, source: Source, keys: list[str]) -> dict[str, Any]:
    """Kill the host that works on a source; return when its keys are at work again, and done."""
    catalog = made.parts.catalog
    catalog.invocations.request(source, keys, trigger=Trigger.API)

    def running() -> Any:
        rows = catalog.batches.live(source_id=source.id)
        return next((row for row in rows if row.state == "running"), None)

    first = made.wait(running, "its run begins")
    time.sleep(AT_WORK_SECONDS)
    whose = first.owner.partition(":")[0]
    [host] = [one for one in made.hosts if one.mark == whose]
    done = catalog.views.counts(source.id).indexed
    host.kill()
    made.hosts.remove(host)
    began = time.monotonic()
    released = again = 0.0
    while not again:
        row = running()
        if not released and (row is None or row.token != first.token):
            released = time.monotonic() - began
        if row is not None and row.token != first.token:
            again = time.monotonic() - began
        assert time.monotonic() - began < 600
        time.sleep(0.05)
    made.wait(lambda: not catalog.invocations.live_count(source.id), "all is done", 1800)
    counts = catalog.views.counts(source.id)
    assert (counts.indexed, counts.failed) == (len(keys), {}), counts
    return {
        "killed": host.name,
        "keys_done_before": done,
        "seconds_to_release": round(released, 1),
        "seconds_to_work_again": round(again, 1),
        "seconds_to_the_end": round(time.monotonic() - began, 1),
        "indexed": counts.indexed,
    }


def main() -> int:
    """Print a line of JSON for each number of hosts; 1 where a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--ms-a-text", type=float, default=400.0)
    parser.add_argument("--keys", type=int, default=120, help="of each host, ten chunks each")
    parser.add_argument("--no-kill", action="store_true")
    parser.add_argument("--no-limit", action="store_true", help="not the line without waiting")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # all parts end with this process
    kept = True
    with tempfile.TemporaryDirectory(prefix="s3sync-hosts-") as folder, team(Path(folder)) as made:
        slow = endpoint(made, options.ms_a_text)
        bucket = made.aws.make_bucket()
        most = max(options.hosts)
        warm = [add_source(made, bucket, f"warm_{n}", slow) for n in range(most)]
        steps = {
            hosts: [add_source(made, bucket, f"of_{hosts}_{n}", slow) for n in range(hosts)]
            for hosts in options.hosts
        }
        quick = [add_source(made, bucket, f"quick_{n}", endpoint(made, 0)) for n in range(most)]
        killed = add_source(made, bucket, "killed", slow)
        made.start_dagster()
        rates: list[tuple[int, float, float]] = []
        for hosts, sources in sorted(steps.items()):
            made.add_hosts(hosts)
            work(made, [(one, add_keys(made, bucket, one, 1)) for one in warm[:hosts]])
            asked = [(one, add_keys(made, bucket, one, options.keys)) for one in sources]
            line = step(made, asked, hosts)
            rates.append((hosts, line["chunks_a_second"], line["at_work_chunks_a_second"]))
            first = rates[0]
            line["of_linear"] = round(rates[-1][1] / first[1] * first[0] / hosts, 3)
            line["at_work_of_linear"] = round(rates[-1][2] / first[2] * first[0] / hosts, 3)
            print(json.dumps(line), flush=True)
            kept = kept and line["at_work_of_linear"] >= 0.85
        if not options.no_limit:
            asked = [(one, add_keys(made, bucket, one, options.keys)) for one in quick]
            print(json.dumps({"no waiting": step(made, asked, most)}), flush=True)
        if not options.no_kill:
            made.add_hosts(max(2, most))
            line = kill_one(made, killed, add_keys(made, bucket, killed, options.keys))
            print(json.dumps(line), flush=True)
            kept = kept and line["seconds_to_work_again"] <= 30
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
